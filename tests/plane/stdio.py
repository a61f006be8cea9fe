"""The standard streams of a process in a sandbox, which are read and written by offset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

CHUNK = 256 * 1024
ROOM = 16 * 1024 * 1024
"""Bytes that may wait for a reader; a process that writes more stands still."""
WINDOW = 64 * 1024 * 1024
"""Bytes that the SDK takes in before its caller has read them (its HTTP/2 window): what was sent
longer ago cannot be asked for again."""


class Gone(Exception):
    """The sandbox ended, and with it the stream or process that was asked for."""


class Dropped(Exception):
    """The offset is before what is kept, or after what there is."""


class Output:
    """Bytes that a process writes. A read from an offset says that all before it has arrived."""

    def __init__(self, keep: bool = True) -> None:
        self._kept = bytearray()
        self._first = 0
        self._sent = 0
        self._keep = keep
        self._closed = False
        self._lost = False
        self._over = False
        self._changed = asyncio.Event()

    @property
    def end(self) -> int:
        return self._first + len(self._kept)

    async def put(self, data: bytes) -> None:
        """Add to it; stands still while the reader is ``ROOM`` behind."""
        while self._keep and not self._over and self.end - self._sent >= ROOM:
            await self._changed.wait()
        if self._keep and not self._lost:
            self._kept += data
            self._notify()

    def close(self) -> None:
        self._closed = True
        self._notify()

    def over(self) -> None:
        """Its process was killed: what is left in its pipe is added without waiting."""
        self._over = True
        self._notify()

    def lose(self) -> None:
        """Its sandbox is gone: readers get what is kept, then ``Gone``."""
        self._lost = True
        self.over()

    async def read(self, offset: int) -> AsyncIterator[tuple[bytes, bool]]:
        """What follows the offset, as it comes, each with whether it was waited for.

        Raises ``Dropped`` when that is no longer kept.
        """
        if not self._first <= offset <= self.end:
            raise Dropped(f"offset {offset}: there is {self._first} to {self.end}")
        self._drop(offset)
        waited = False
        while True:
            chunk = bytes(self._kept[offset - self._first : offset - self._first + CHUNK])
            if chunk:
                yield chunk, waited
                offset += len(chunk)
                self._sent = max(self._sent, offset)
                self._drop(self._sent - WINDOW)
                waited = False
                self._notify()
            elif self._lost:
                raise Gone
            elif self._closed:
                return
            else:
                waited = True
                await self._changed.wait()

    def _drop(self, before: int) -> None:
        if before > self._first:
            del self._kept[: before - self._first]
            self._first = before

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Writer(Protocol):
    """What ``Input`` needs of an ``asyncio.StreamWriter``."""

    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...


class Input:
    """The stdin of a process. What was written already is skipped, so a write may be repeated."""

    def __init__(self, writer: Writer, close: Callable[[], None]) -> None:
        self._writer = writer
        self._close = close
        self._one_at_a_time = asyncio.Lock()
        self.written = 0
        self.closed = False

    async def write(self, offset: int, data: bytes, eof: bool = False) -> None:
        """Raises ``Dropped`` for an offset beyond what was written, ``ConnectionError`` when the
        process takes no more."""
        async with self._one_at_a_time:
            if offset > self.written:
                raise Dropped(f"offset {offset}: {self.written} bytes were written")
            rest = data[self.written - offset :]
            if rest and self.closed:
                raise ConnectionError("stdin is closed")
            if rest:
                self._writer.write(rest)
                self.written += len(rest)  # before the wait: it may be cut, and the bytes are on
                await self._writer.drain()
            if eof and not self.closed:
                self.closed = True
                self._close()


class Exec:
    """A process in a sandbox. ``exited`` becomes its status, minus the number for a signal."""

    def __init__(
        self, stdin: Input, stdout: Output, stderr: Output, exited: asyncio.Future[int]
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.exited = exited
        self.kill: Callable[[], Any] = lambda: None

    def over(self) -> None:
        """It was killed."""
        self.stdout.over()
        self.stderr.over()

    def lose(self) -> None:
        """Its sandbox is gone."""
        self.stdout.lose()
        self.stderr.lose()
