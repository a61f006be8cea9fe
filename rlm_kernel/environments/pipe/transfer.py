"""Files on their way to a kernel: read on the caller's thread, sent by the carrier's."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import queue
from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import ContextError
from ...remote import relay

BLOCK = 1 << 20
LOOK_S = 0.1
Files = list[tuple[str, Path | bytes]]


def files_of(folder: Path) -> Files:
    """Return the regular files below ``folder`` by their names from there; links are left out.

    Raises ``ContextError``.
    """

    def failed(error: OSError) -> None:
        raise ContextError(f"{error.filename} cannot be read: {error.strerror}") from error

    found: Files = []
    for top, folders, names in os.walk(folder, onerror=failed):
        folders.sort()
        for name in sorted(names):
            path = Path(top, name)
            if path.is_file() and not path.is_symlink():
                found.append((path.relative_to(folder).as_posix(), path))
    return found


class Transfer:
    """One file or one tree. A few blocks wait here at most, whatever its size."""

    def __init__(self, name: str, files: Files, *, tree: bool, limit: int) -> None:
        self.name = name
        self.tree = tree
        self.blocks: queue.Queue[bytes | None] = queue.Queue(4)
        """What is read; None at the end."""
        self.stored: concurrent.futures.Future[tuple[str, str]] = concurrent.futures.Future()
        """The path inside and the digest of what came there."""
        self._files = files
        self._left = self._limit = limit

    def run(self, stir: Callable[[], None], check: Callable[[], None]) -> str:
        """Feed ``blocks``, calling ``stir`` after each, until all is stored. Return the path.

        ``check`` raises where nobody takes them any more. Raises ``ContextError``.
        """
        digest = hashlib.sha256()
        for block in _joined(self._read()):
            digest.update(block)
            self._offer(block, check)
            stir()
        self._offer(None, check)
        stir()
        while not self.stored.done():
            concurrent.futures.wait([self.stored], LOOK_S)
            check()
        path, theirs = self.stored.result()
        if theirs != digest.hexdigest():
            raise ContextError(f"{self.name!r} was changed on its way to the kernel: try again")
        return path

    def _offer(self, block: bytes | None, check: Callable[[], None]) -> None:
        while not self.stored.done():
            try:
                self.blocks.put(block, timeout=LOOK_S)
                return
            except queue.Full:
                check()

    def _read(self) -> Iterator[bytes]:
        for name, source in self._files:
            if self.stored.done():
                return
            if isinstance(source, bytes):
                yield from self._head(name, len(source))
                for at in range(0, len(source), BLOCK):
                    yield source[at : at + BLOCK]
            else:
                yield from self._read_file(name, source)

    def _head(self, name: str, size: int) -> Iterator[bytes]:
        self._left -= size
        if self._left < 0:
            raise ContextError(f"{self.name!r} is over the limit of {self._limit:,} bytes")
        yield relay.pack_record(name, size)

    def _read_file(self, name: str, path: Path) -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                left = os.fstat(file.fileno()).st_size
                yield from self._head(name, left)
                while left and not self.stored.done():
                    block = file.read(min(BLOCK, left))
                    if not block:
                        raise ContextError(f"{path} became shorter while it was read")
                    left -= len(block)
                    yield block
        except FileNotFoundError as error:
            if not self.tree:  # of a folder it is one that has gone since it was listed
                raise ContextError(f"{path} cannot be read: {error.strerror}") from error
        except OSError as error:
            raise ContextError(f"{path} cannot be read: {error.strerror or error}") from error


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Give the same bytes in pieces of some size: a folder may have many small files."""
    small: list[bytes] = []
    size = 0
    for piece in pieces:
        small.append(piece)
        size += len(piece)
        if size >= BLOCK:
            yield b"".join(small)
            small, size = [], 0
    if small:
        yield b"".join(small)


class Upload(relay.Channel):
    """The lane of one transfer."""

    def __init__(self, end: relay.End, lane: relay.Lane, transfer: Transfer) -> None:
        super().__init__(end, lane)
        self._transfer = transfer

    def drained(self) -> None:
        while not self.lane.full and not self.lane.ending:
            try:
                block = self._transfer.blocks.get_nowait()
            except queue.Empty:
                return
            if block is None:
                self.end.finish(self.lane)
            else:
                self.end.push(self.lane, block)

    def cancel(self) -> None:
        self.end.reset(self.lane)

    def settle(self, path: str, digest: str) -> None:
        self._transfer.stored.set_result((path, digest))
        self.end.drop(self.lane)

    def refuse(self, why: str) -> None:
        error = ContextError(f"{self._transfer.name!r} could not be stored for the kernel: {why}")
        self._transfer.stored.set_exception(error)
        self.end.drop(self.lane)
