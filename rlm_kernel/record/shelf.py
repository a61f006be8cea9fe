"""Events of a session that may last for days: large outputs are kept on disk."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, overload

from ..events import CellRan, Event

SMALL = 20_000
"""Bytes of a cell's outputs up to which they stay in memory."""
log = logging.getLogger("rlm_kernel")


class _File:
    """A file without a name, which goes with whoever uses it. For any thread."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as we do)
        weakref.finalize(self, _close, self._file)
        self._lock = threading.Lock()

    def put(self, data: bytes) -> int:
        """Return where it is."""
        with self._lock:
            at = self._file.seek(0, 2)
            self._file.write(data)
            self._file.flush()
            return at

    def get(self, at: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(at)
            return self._file.read(size)


def _close(file: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # of a full disk, which was told of already
        file.close()


@dataclass(frozen=True)
class _Shelved:
    """A cell whose outputs are in the file."""

    cell: CellRan
    file: _File
    at: int
    size: int

    def event(self) -> CellRan:
        return replace(self.cell, outputs=json.loads(self.file.get(self.at, self.size)))


class Shelf(Sequence[Event]):
    """A list of events that can be added to. A part of it is another one, as it was then."""

    def __init__(self, items: Sequence[Event | _Shelved] = ()) -> None:
        self._items = list(items)
        self._file: _File | None = None

    def append(self, event: Event) -> None:
        """Add an event. Where the disk takes no more, outputs stay in memory."""
        item: Event | _Shelved = event
        if isinstance(event, CellRan) and event.outputs:
            data = json.dumps(event.outputs).encode("ascii")
            if len(data) > SMALL:
                item = self._shelved(event, data)
        self._items.append(item)

    def _shelved(self, event: CellRan, data: bytes) -> Event | _Shelved:
        try:
            self._file = self._file or _File()
            at = self._file.put(data)
        except OSError as error:
            log.warning("the outputs of an old cell stay in memory: %s", error)
            self._file = None
            return event
        return _Shelved(cell=replace(event, outputs=[]), file=self._file, at=at, size=len(data))

    def clear(self) -> None:
        self._items.clear()
        self._file = None  # parts that are still in use hold on to it

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Shelf):
            return self._items == other._items or list(self) == list(other)
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Event]:
        return map(_event, list(self._items))

    @overload
    def __getitem__(self, at: int) -> Event: ...
    @overload
    def __getitem__(self, at: slice) -> Shelf: ...
    def __getitem__(self, at: int | slice) -> Event | Shelf:
        return Shelf(self._items[at]) if isinstance(at, slice) else _event(self._items[at])


def _event(item: Event | _Shelved) -> Event:
    return item.event() if isinstance(item, _Shelved) else item
