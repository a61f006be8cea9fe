"""A look at the first and the last lines of a journal, however long it is.

Nothing is checked against the seals: that takes the whole record (``reading.read``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import RecordError
from ...events import Event
from ..forms import event_of
from ..packing import blob_named, unpack
from .lines import parsed
from .reading import Reader, opened

LOOKED_AT = 1 << 24
"""Bytes of a line, and of an end, that are read."""


@dataclass(frozen=True)
class Ending:
    """The events of a record's last lines; ``sealed`` tells that a seal stands behind them, not
    that it is right."""

    events: list[Event] = field(default_factory=list)
    sealed: bool = False


def beginning(path: Path, lines: int) -> list[Event]:
    """Return the events of the first lines. Raises ``RecordError``."""
    with opened(path) as file:
        return _beginning(path.parent / "blobs", file, lines, LOOKED_AT)


def ending(path: Path, lines: int) -> Ending:
    """Return the last lines. Those that cannot be read are left out, and long texts are named, not
    fetched. Raises ``RecordError``."""
    with opened(path) as file:
        return _ending(file, lines, LOOKED_AT)


def ends(
    path: Path, first: int, last: int, most: int = LOOKED_AT, *, texts: bool = True
) -> tuple[list[Event], Ending]:
    """Return ``beginning`` of the first lines and ``ending`` of the last ones, of ``most`` bytes
    each; without ``texts`` long ones are named in both."""
    with opened(path) as file:
        blobs = path.parent / "blobs" if texts else None
        return _beginning(blobs, file, first, most), _ending(file, last, most)


def _beginning(blobs: Path | None, file: BinaryIO, lines: int, most: int) -> list[Event]:
    reader = Reader(blobs)
    for number in range(1, lines + 1):
        if line := file.readline(most):
            reader.take(number, line)
    return reader.events


def _ending(file: BinaryIO, lines: int, most: int) -> Ending:
    last = _last_lines(file, lines, most)
    rows = [data for line in last if isinstance(data := parsed(line), dict)]
    return Ending(
        events=[event for row in rows if (event := _event(row)) is not None],
        sealed=bool(rows) and "sealed" in rows[-1],
    )


def _last_lines(file: BinaryIO, lines: int, most: int) -> list[bytes]:
    """Return at most so many, of the last ``most`` bytes at most."""
    start = file.seek(0, os.SEEK_END)
    least = max(0, start - most)
    tail = b""
    while start > least and tail.count(b"\n") <= lines:
        size = min(max(len(tail), 4096), start - least)
        start = file.seek(start - size)
        tail = file.read(size) + tail
    whole = tail.split(b"\n")[:-1] if tail.endswith(b"\n") else tail.split(b"\n")
    return whole[-lines:]


def _event(row: dict[str, Any]) -> Event | None:
    packed = row.get("event")
    try:
        # Which version it is of stands in the first line: what is unknown is passed over.
        unpacked = unpack(packed, blob_named) if isinstance(packed, dict) else None
        return event_of(unpacked, newer=True)
    except (RecordError, ValueError, RecursionError):
        return None
