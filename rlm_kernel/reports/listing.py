"""Many runs in one list: where they are, and how each began and ended.

Of a run that ended only the first and last lines of its record are read, and its seals are not
checked: that is for a look at the one run. Others are read whole.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..events import Event, NodeStarted, RunEnded, RunStarted, Usage
from ..record import journal
from ..record.files import JOURNAL
from ..record.format_version import NewerRecord
from ..record.journal import Ending
from ..record.notebooks.metadata import ROOT_PAGE
from ..record.recording import Recording
from ..record.summary import RUNNING, add_up

MAX_LEVELS = 5  # of folders below the one that is named
DAMAGED = "damaged"
KILLED = "killed"
"""The status of a run without an end that nobody writes any more."""
NEWER = "newer"
"""The status of a run that a newer version of rlm_kernel has written."""


def shown_time(seconds: float | None, form: str) -> str:
    """Return these Unix seconds in the local time by a form of ``strftime``, or a dash for None."""
    return "–" if seconds is None else datetime.fromtimestamp(seconds).strftime(form)


@dataclass(frozen=True)
class Row:
    """A run. ``path`` is its folder, or the file that was named. None where a thing is not known.

    ``status`` is that of the run, ``"running"``, ``"damaged"`` or ``"newer"``; ``note`` is the
    reason where there is no sure answer. ``began`` and ``changed`` are Unix seconds; the second is
    when the file was last written. What a running or damaged one has used is counted as far as it
    goes.
    """

    path: Path
    run: str | None = None
    question: str | None = None
    model: str | None = None
    status: str = DAMAGED
    answer: str | None = None
    confirmed: bool = False
    turns: int | None = None
    calls: int | None = None
    usage: Usage | None = None
    seconds: float | None = None
    began: float | None = None
    changed: float | None = None
    note: str | None = None

    @property
    def began_at(self) -> str:
        """Return when it began, to the minute of the local time, or a dash."""
        return shown_time(self.began, "%m-%d %H:%M")

    @property
    def tokens(self) -> int | None:
        return None if self.usage is None else self.usage.tokens


@dataclass(frozen=True)
class Totals:
    """``statuses`` counts the runs by how they ended, the most frequent first."""

    runs: int
    statuses: dict[str, int]
    turns: int
    calls: int
    usage: Usage
    seconds: float


def is_run(path: Path) -> bool:
    """Return whether it is a run's folder, or a file that may be one's. One that cannot be read
    counts too: ``read`` says why."""
    if not os.path.isdir(path):
        return os.path.lexists(path)
    return any(os.path.lexists(path / name) for name in (JOURNAL, ROOT_PAGE))


def find(paths: Iterable[Path]) -> list[Path]:
    """Return the runs that are named, and those in folders, each once.

    A folder is searched ``MAX_LEVELS`` deep; hidden folders, links and what is inside of a run are
    left out. A path that is missing or may not be opened is among them, for ``read`` to say why.
    """
    found = (run for path in paths for run in _below(path, MAX_LEVELS))
    return list({run.absolute(): run for run in found}.values())


def _below(path: Path, levels: int) -> Iterator[Path]:
    try:
        if is_run(path):
            yield path
        elif levels > 0:
            folders = [entry.name for entry in os.scandir(path) if _is_searched(entry)]
            for name in sorted(folders):
                yield from _below(path / name, levels - 1)
    except OSError:
        yield path


def _is_searched(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")


def read(path: Path) -> Row:
    """Read a run. Never raises for what is wrong with it: its row says so."""
    try:
        return _quick(path) or _whole(path)
    except NewerRecord as error:
        return Row(path, status=NEWER, note=str(error))
    except RecordError as error:
        return Row(path, note=str(error))
    except OSError as error:  # it was removed meanwhile
        return Row(path, note=f"the record cannot be read: {error.strerror}")


def _quick(path: Path) -> Row | None:
    """Return the row of a run that has ended from both ends of its record; None where they do not
    tell. Raises ``RecordError``."""
    record = path if path.name == JOURNAL else path / JOURNAL
    if not os.path.isfile(record):
        return None
    return of_ends(path, *journal.ends(record, 3, 2), record.stat().st_mtime)


def of_ends(path: Path, beginning: list[Event], ending: Ending, changed: float) -> Row | None:
    """Return the row of a run that has ended; None where these events do not tell."""
    started = next((event for event in beginning if isinstance(event, RunStarted)), None)
    node = next((event for event in beginning if isinstance(event, NodeStarted)), None)
    ended = ending.events[-1] if ending.events else None
    if started is None or not isinstance(ended, RunEnded) or not ending.sealed:
        return None
    if node is None and ended.status == "answered":
        return None  # its beginning is damaged
    return Row(
        path=path,
        run=started.run,
        question=started.question,
        model=node.model if node else None,
        status=ended.status,
        answer=ended.answer,
        confirmed=ended.confirmed,
        turns=ended.turns,
        calls=ended.calls,
        usage=ended.usage,
        seconds=ended.seconds,
        began=started.time,
        changed=changed,
        note=ended.reason,
    )


def _whole(path: Path) -> Row:
    recording = Recording.open(path)
    tree, root = recording.tree, next(iter(recording.tree.nodes), None)
    started = None if recording.alone else recording.started
    row = Row(
        path=path,
        run=tree.run,
        question=tree.question,
        began=None if started is None else started.time,
        changed=recording.source.stat().st_mtime,
        note="; ".join(recording.problems[:3]),
    )
    if root is None:
        return row
    row = dataclasses.replace(
        row,
        model=root.model,
        answer=root.answer,
        confirmed=root.confirmed,
        turns=tree.turns,
        calls=tree.calls,
        usage=tree.usage,
        seconds=root.seconds,
    )
    if recording.faults:
        return row
    goes_on = recording.sealed is False and tree.ended is None  # even if its root has ended
    status = RUNNING if goes_on else root.status
    return dataclasses.replace(row, status=status, note=root.reason)


def _text(value: str | None) -> str | None:
    return value.casefold() if value else None


KEYS: dict[str, Callable[[Row], Any]] = {
    "time": lambda row: row.began,
    "answer": lambda row: _text(row.answer),
    "status": lambda row: row.status,
    "turns": lambda row: row.turns,
    "calls": lambda row: row.calls,
    "tokens": lambda row: row.tokens,
    "cost": lambda row: row.usage and row.usage.cost,
    "seconds": lambda row: row.seconds,
    "question": lambda row: _text(row.question),
    "model": lambda row: _text(row.model),
}
"""What a list can be sorted by."""
_WORDS = ("answer", "status", "question", "model")


def ordered(rows: Iterable[Row], by: str = "time", *, reverse: bool = False) -> list[Row]:
    """Return the rows in order: words from A to Z, numbers and times from the greatest; what is
    unknown stands last, and equal ones the newest first."""
    newest = sorted(rows, key=lambda row: row.began or 0.0, reverse=True)
    key = KEYS[by]
    known = [row for row in newest if key(row) is not None]
    unknown = [row for row in newest if key(row) is None]
    return sorted(known, key=key, reverse=(by not in _WORDS) != reverse) + unknown


def totals(rows: list[Row]) -> Totals:
    return Totals(
        runs=len(rows),
        statuses=dict(Counter(row.status for row in rows).most_common()),
        turns=sum(row.turns or 0 for row in rows),
        calls=sum(row.calls or 0 for row in rows),
        usage=add_up(row.usage for row in rows if row.usage is not None),
        seconds=sum(row.seconds or 0.0 for row in rows),
    )
