"""A journal read while another process, or another part of this one, writes it."""

from __future__ import annotations

import os
from pathlib import Path

from ...events import Event, RunEnded
from ..files import open_file
from .lines import LONGEST_LINE
from .reading import Reader, errors_named

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

MOST_LINES = 2_000
"""Lines that are read at a time."""
MOST_BYTES = 1 << 24
"""With this many the reading of a time ends."""


class Follower:
    """Reads the events of a journal as they come. ``over`` says that the run's end was read, or
    what makes the rest unreadable."""

    def __init__(self, path: Path, longest: int = LONGEST_LINE, *, texts: bool = True) -> None:
        """Without ``texts`` long ones are named, not fetched."""
        self._path = path
        self._longest = longest
        self._reader = Reader(path.parent / "blobs" if texts else None, longest)
        self._place = 0
        self._number = 0
        self.over = False

    @property
    def size(self) -> int:
        """Return how many bytes were read."""
        return self._place

    @property
    def problem(self) -> str | None:
        """Return the first thing that is wrong with what was read, in a sentence."""
        return next((str(problem) for problem in self._reader.problems), None)

    def read(self) -> list[Event]:
        """Return the events of the whole lines that came since, at most those of ``MOST_LINES``;
        empty where none came. Raises ``RecordError``. Blocks."""
        with errors_named(self._path), open_file(self._path) as file:
            start = file.seek(self._place)
            for _ in range(MOST_LINES):
                line = file.readline(self._longest + 1)
                if not line.endswith(b"\n") and len(line) <= self._longest:
                    break  # it is being written
                self._place += len(line)
                self._number += 1
                self._reader.take(self._number, line)
                if self._reader.full or self._place - start >= MOST_BYTES:
                    break
        events, self._reader.events = self._reader.events, []
        self._reader.lines.clear()
        self.over = self.over or self._reader.full or any(isinstance(e, RunEnded) for e in events)
        return events


def is_written(path: Path) -> bool | None:
    """Return whether a process has this journal open to write it; None where that cannot be known:
    there is no such file, it has no line yet, or its file system has no locks."""
    if fcntl is None:
        return None
    try:
        with open_file(path) as file:
            # Its writer locks it before the first line: an empty one may be about to be locked.
            if not os.fstat(file.fileno()).st_size:
                return None
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False
