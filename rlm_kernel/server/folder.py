"""The runs of a folder, the newest first, each from the two ends of its record.

A folder may be a stranger's, and the server is everybody's: no file but a run's own record is
opened, no long text is fetched, and of each end only so many bytes are read.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..events import NodeStarted, RunStarted
from ..record import journal
from ..record.files import JOURNAL, SUBFOLDERS
from ..record.filters import for_terminal
from ..record.format_version import NewerRecord
from ..record.markdown import one_line, shorten
from ..record.notebooks.metadata import ROOT_PAGE
from ..record.numbers import price
from ..record.recorder import RUNS
from ..record.summary import RUNNING
from ..reports.listing import DAMAGED, KILLED, NEWER, Row, of_ends

MOST_BYTES = 1 << 20
"""Of each end of a record."""
MOST_ENTRIES = 20_000
"""Entries of a folder that are looked at."""
MOST_KEPT = 5_000
"""Rows that are remembered."""
MOST_ROWS = 1_000
"""Runs that are told at a time."""
MOST_SECONDS = 2.0


class Outside(ValueError):
    """A path that leads out of the server's folder, or that nothing can have."""


def inside(root: Path, path: str) -> Path:
    """Return the file of a path of Jupyter's, with no link in it. Raises ``Outside``."""
    try:
        top = Path(os.path.realpath(root))
        found = Path(os.path.realpath(top.joinpath(*filter(None, path.split("/")))))
    except ValueError as error:  # a NUL
        raise Outside(str(error)) from error
    if not found.is_relative_to(top):
        raise Outside(f"{path!r} leads out of the folder that this server shows")
    return found


@dataclass(frozen=True)
class Found:
    """A run's folder, and what its record's file says of itself."""

    path: Path
    changed_ns: int
    size: int


def is_run(path: Path) -> bool:
    """Return whether the folder has a record that is a file, and no link to one."""
    return _found(path) is not None


def _found(path: Path) -> Found | None:
    try:
        about = os.lstat(path / JOURNAL)
    except OSError:
        return None
    if not stat.S_ISREG(about.st_mode):
        return None
    return Found(path, about.st_mtime_ns, about.st_size)


def _below(folder: Path) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(MOST_ENTRIES), entries, strict=False):
                if entry.is_dir(follow_symlinks=False) and (run := _found(folder / entry.name)):
                    yield run
    except OSError:
        return  # no such folder: nothing was asked here


class Runs:
    """The runs of folders; the row of each is kept until its record changes. Blocks."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Found, Row]] = {}

    def find(self, folder: Path) -> list[Found]:
        """Return the runs of a notebook's folder, or of a folder of runs, the one last written
        first. In the folder of a run they are those beside it."""
        run = folder.parent if folder.name in SUBFOLDERS else folder
        start = run.parent if _found(run) else folder
        places = [start] if os.path.islink(start / RUNS) else [start, start / RUNS]
        found = {run.path: run for place in places for run in _below(place)}
        return sorted(found.values(), key=lambda run: (run.changed_ns, run.path.name), reverse=True)

    def rows(self, runs: list[Found]) -> list[Row]:
        """Return the row of each, of ``MOST_ROWS`` at most; where reading them takes long, those of
        the first, and at the next time more."""
        until = time.monotonic() + MOST_SECONDS
        rows: list[Row] = []
        for run in runs[:MOST_ROWS]:
            if time.monotonic() > until and not self._is_known(run):
                break
            rows.append(self.row(run))
        return rows

    def _is_known(self, run: Found) -> bool:
        known = self._known.get(run.path)
        return known is not None and known[0] == run

    def row(self, run: Found) -> Row:
        known = self._known.get(run.path)
        row = known[1] if known is not None and known[0] == run else _read(run)
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[run.path] = (run, row)
        if row.status == RUNNING and journal.is_written(run.path / JOURNAL) is False:
            return replace(row, status=KILLED)
        return row


def _read(run: Found) -> Row:
    changed = run.changed_ns / 1e9
    try:
        ends = journal.ends(run.path / JOURNAL, 3, 2, MOST_BYTES, texts=False)
    except NewerRecord as error:
        return Row(run.path, status=NEWER, changed=changed, note=str(error))
    except RecordError as error:
        return Row(run.path, changed=changed, note=str(error))
    if (row := of_ends(run.path, *ends, changed)) is not None:
        return row
    beginning, ending = ends
    started = next((event for event in beginning if isinstance(event, RunStarted)), None)
    node = next((event for event in beginning if isinstance(event, NodeStarted)), None)
    if started is None or ending.sealed:
        return Row(run.path, changed=changed, note="its beginning or its end cannot be read")
    return Row(
        path=run.path,
        run=started.run,
        question=started.question,
        model=node.model if node else None,
        status=RUNNING,
        began=started.time,
        changed=changed,
    )


def as_json(row: Row, root: Path) -> dict[str, Any]:
    """Return the row as a page is told it; ``path`` is below the ``root`` of the server."""
    usage = row.usage
    return {
        "path": row.path.relative_to(root).as_posix(),
        "name": plain(row.path.name, 200),
        "question": plain(row.question, 400),
        "model": plain(row.model, 100),
        "status": row.status,
        "answer": plain(row.answer, 600),
        "confirmed": row.confirmed,
        "turns": row.turns,
        "calls": row.calls,
        "tokens": row.tokens,
        "spent": None if usage is None else price(usage),
        "seconds": row.seconds,
        "began": row.began,
        "note": plain(row.note, 400),
        "opens": row.status not in (DAMAGED, NEWER) and (row.path / ROOT_PAGE).is_file(),
    }


def plain(text: str | None, size: int) -> str:
    """Return a text of a record on one line, in so many characters, with no sign in it that turns
    a line around or cannot be seen."""
    return for_terminal(shorten(one_line((text or "")[: 4 * size]), size))
