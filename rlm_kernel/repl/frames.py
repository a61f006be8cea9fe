"""Frames from a guest, read within bounds of memory, disk and time.

``guest.wire`` has the format. A head is looked at before what it announces is read; what a node's
calls under way hold together is bounded by its ``Budget``; a larger payload goes to a file as it
comes, so that this process's memory stays flat whatever a sandbox sends.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..remote.guest.wire import HEADER, MAX_HEADER, MAX_PAYLOAD, pack, unpack_header

HELD_BYTES = 192 << 20
"""What the headers of a node's calls under way may take of this process's memory."""
SPOOLED_BYTES = 1 << 30
"""What their payloads may take of the disk."""
FREE_BYTES = 1 << 16
"""Headers up to this size do not count, so that a cell can report its end whatever its calls
hold."""
IN_MEMORY = 1 << 18
"""Payloads up to this size are not put into a file."""
CHUNK = 1 << 18
TOKEN_FRAME = 1024
PATIENCE_S = 30.0
SLOWEST = 1 << 18
"""Bytes a second that a frame must come with, beyond ``PATIENCE_S``."""
MAX_VALUES = 1 << 19
TOO_MANY = "this call's values are too many together: make several calls"
VALUE_BYTES = 64
"""What an empty list, with its place in another one, takes of memory: 3 characters of JSON."""
BEYOND_BMP = re.compile(rb"[\xf0-\xff]")


class RefusedFrame(Exception):
    """Raised for a frame that is not taken; the text is for the code that sent it."""


class TooLarge(ValueError):
    """Raised for a frame that is not even read; nothing can be read after it."""


class Ended(Exception):
    """Raised where the other end has hung up."""


def patience_s(size: int) -> float:
    """Return the seconds that a frame of ``size`` bytes may take to come, or to be taken."""
    return PATIENCE_S + size / SLOWEST


class Budget:
    """Bytes that may be held at a time."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until so much is left, and take it."""
        while size > self._left:
            self._freed.clear()
            await self._freed.wait()
        self._left -= size

    def take_now(self, size: int) -> bool:
        """Take so much unless it is not there."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        self._left += size
        self._freed.set()


@dataclass(frozen=True)
class Payload:
    """Bytes in memory, or in a part of a file that lasts as long as the call that brought them."""

    size: int = 0
    data: bytes = b""
    path: Path | None = None
    start: int = 0

    @classmethod
    def of(cls, data: bytes) -> Payload:
        return cls(len(data), data)

    def part(self, start: int, size: int) -> Payload:
        if self.path is None:
            return Payload.of(self.data[start : start + size])
        return replace(self, start=self.start + start, size=size)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in pieces of at most ``CHUNK``. Blocks."""
        if self.path is None:
            yield self.data
            return
        with self.path.open("rb") as file:
            file.seek(self.start)
            left = self.size
            while left and (data := file.read(min(left, CHUNK))):
                left -= len(data)
                yield data

    def read(self) -> bytes:
        return b"".join(self.chunks())

    @cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for data in self.chunks():
            digest.update(data)
        return digest.hexdigest()


class Wire:
    """One connection of a guest, read and written without a buffer of its own."""

    def __init__(self, sock: socket.socket, on_bytes: Callable[[], None]) -> None:
        self._sock = sock
        self._on_bytes = on_bytes
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)

    async def chunks(self, size: int) -> AsyncIterator[bytes]:
        """Yield ``size`` bytes as they come. Raises ``Ended``."""
        while size:
            data = await self._loop.sock_recv(self._sock, min(size, CHUNK))
            if not data:
                raise Ended
            self._on_bytes()
            size -= len(data)
            yield data
            await asyncio.sleep(0)  # what has come already is given without a turn of the loop

    async def exactly(self, size: int) -> bytes:
        whole = bytearray()
        async for data in self.chunks(size):
            whole += data
        return bytes(whole)

    async def skip(self, size: int) -> None:
        async for _ in self.chunks(size):
            pass

    async def hung_up(self) -> None:
        """Return when the guest hangs up, or breaks the rules by sending more."""
        with suppress(ConnectionError):
            await self._loop.sock_recv(self._sock, 1)

    async def send(self, header: dict[str, Any]) -> None:
        """Send a frame. Raises ``TimeoutError`` where it is not taken."""
        data = pack(header)
        async with asyncio.timeout(patience_s(len(data))):
            await self._loop.sock_sendall(self._sock, data)

    def close(self) -> None:
        self._sock.close()


async def read_greeting(wire: Wire) -> dict[str, Any]:
    """Return the header of a connection's first frame. Raises ``Ended`` and ``ValueError``."""
    head, extra = HEADER.unpack(await wire.exactly(HEADER.size))
    if head > TOKEN_FRAME or extra:
        raise ValueError(f"a greeting of {head:,} + {extra:,} bytes")
    return _object(await wire.exactly(head))


def _object(data: bytes) -> dict[str, Any]:
    header = unpack_header(data)
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")
    return header


class Frames:
    """Reads the frames of one node, in which ``takes`` says of a header how many bytes of payload
    it may bring. Payloads go into files in ``folder``."""

    def __init__(self, folder: Path, takes: Callable[[dict[str, Any]], int]) -> None:
        self._folder = folder
        self._takes = takes
        self._memory, self._disk = Budget(HELD_BYTES), Budget(SPOOLED_BYTES)

    @asynccontextmanager
    async def next(self, wire: Wire) -> AsyncIterator[tuple[dict[str, Any], Payload]]:
        """Read the next frame; what it takes is given back at the end of the body.

        Raises ``Ended``, ``RefusedFrame`` for one that is not taken, ``TooLarge``, ``TimeoutError``
        for one that comes too slowly, and ``ValueError`` for garbage.
        """
        head, extra = HEADER.unpack(await wire.exactly(HEADER.size))
        if head > MAX_HEADER or extra > MAX_PAYLOAD:
            raise TooLarge(
                f"a call of {head + extra:,} bytes: one may carry {MAX_HEADER:,} and "
                f"{MAX_PAYLOAD:,} of contexts"
            )
        held = _Held(self._memory, self._disk)
        try:
            async with asyncio.timeout(patience_s(head + extra)):
                if head > FREE_BYTES:
                    await held.memory(head)
                header = await self._header(wire, head, held)
                payload = await self._payload(wire, header, extra, held)
            yield header, payload
        finally:
            held.give_back()

    async def _header(self, wire: Wire, size: int, held: _Held) -> dict[str, Any]:
        data = await wire.exactly(size)
        if size > FREE_BYTES and not held.memory_now(_weight(data) - size):
            raise RefusedFrame(TOO_MANY)
        return _object(data)

    async def _payload(self, wire: Wire, header: dict[str, Any], size: int, held: _Held) -> Payload:
        if size > self._takes(header):
            await wire.skip(size)
            raise RefusedFrame(f"{size:,} bytes came with a call that takes no contexts now")
        if size <= IN_MEMORY:
            return Payload.of(await wire.exactly(size))
        await held.disk(size)
        path = held.file(self._folder)
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                async for data in wire.chunks(size):
                    file.write(data)
        except OSError as error:
            raise TooLarge(f"the contexts of a call cannot be kept: {error.strerror}") from error
        return Payload(size, path=path)


class _Held:
    """The memory and disk that one frame has taken."""

    def __init__(self, memory: Budget, disk: Budget) -> None:
        self._budgets = memory, disk
        self._sizes = [0, 0]
        self._path: Path | None = None

    async def memory(self, size: int) -> None:
        await self._budgets[0].take(size)
        self._sizes[0] += size

    def memory_now(self, size: int) -> bool:
        there = self._budgets[0].take_now(size)
        self._sizes[0] += size if there else 0
        return there

    async def disk(self, size: int) -> None:
        await self._budgets[1].take(size)
        self._sizes[1] += size

    def file(self, folder: Path) -> Path:
        self._path = folder / f"payload-{secrets.token_hex(8)}"
        return self._path

    def give_back(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for budget, size in zip(self._budgets, self._sizes, strict=True):
            budget.give(size)


def _weight(data: bytes) -> int:
    """Return the most memory that a header takes once it is read: Python keeps a text at the width
    of its widest character, and each item of a list costs far more than its comma. Raises
    ``RefusedFrame`` for far more values than any call has, which would take seconds to read."""
    width = 1 if data.isascii() else 4 if BEYOND_BMP.search(data) else 2
    size = len(data) * width
    data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if data.count(b'"') > MAX_VALUES:
        raise RefusedFrame(TOO_MANY)
    bones = b"".join(data.split(b'"')[::2])
    values = sum(map(bones.count, (b",", b"[", b"{")))
    if values > MAX_VALUES:
        raise RefusedFrame(TOO_MANY)
    return size + VALUE_BYTES * values
