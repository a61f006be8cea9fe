"""Ended runs made into ones that ``continuation.resume`` goes on with: they were interrupted,
stopped by a limit, or failed for a cause that is gone. What their record answers is not asked or
paid for again.

The record as it ended is kept beside the new one, as ``journal-1.jsonl`` and so on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import assert_never

from ..errors import RecordError
from ..events import (
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
    Usage,
)
from ..record import journal
from ..record.files import JOURNAL, check_own
from .memory import lost

log = logging.getLogger(__name__)


def reopen(folder: Path) -> bool:
    """Take the end off the record of the run in this folder, if it has one. Blocks.

    Returns whether there is a run to go on with: one that was stopped before its first question,
    or that is not there at all, has to be asked anew, for which the folder is then free. Raises
    ``RecordError`` for a damaged record.
    """
    path = folder / JOURNAL
    if not os.path.lexists(path):
        return False
    check_own(folder)
    record = journal.read(path)
    if (problem := journal.unfit(record.problems)) is not None:
        raise RecordError(f"{path}: the record is damaged: {problem}")
    if not any(isinstance(event, NodeStarted) for event in record.events):
        path.replace(_aside(path))
        return False
    if (problem := journal.damage(record.problems)) is not None:
        raise RecordError(f"{path}: {problem}")
    if isinstance(record.events[-1], RunEnded):
        dropped = zip(record.lines, _dropped(record.events), strict=True)
        _write_again(path, {number for number, drop in dropped if drop})
    return True


def _write_again(path: Path, dropped: set[int]) -> None:
    """Put a record without these lines in place of the one there is, which is kept. Lines are
    copied as they stand: what a newer version wrote in them is not lost."""
    half = path.with_name(f".{path.name}.part")
    half.unlink(missing_ok=True)
    written = journal.Journal.create(half)
    try:
        for number, packed in journal.event_lines(path):
            if number not in dropped:
                written.copy(packed)
        written.sync()
    finally:
        written.close()
    os.link(path, _aside(path))
    half.replace(path)


def _aside(path: Path) -> Path:
    number = len(ended_before(path.parent)) + 1
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def ended_before(folder: Path) -> list[Path]:
    """Return the records that a run's folder has of earlier ends."""
    stem, suffix = JOURNAL.split(".")
    return sorted(folder.glob(f"{stem}-*.{suffix}"))


def kept(events: list[Event]) -> list[Event]:
    """Return what happened in an ended run before that which ended it.

    What ended it is, in each node whose answer nobody has: its end, and its last cell where that
    was stopped or some of its calls were, with those calls.
    """
    return [event for event, drop in zip(events, _dropped(events), strict=True) if not drop]


def _dropped(events: list[Event]) -> list[bool]:
    """Return of each event whether it is part of what ended the run."""
    calls = [event for event in events if isinstance(event, CallEnded)]
    given = {call.child for call in calls if call.child is not None and not lost(call)}
    last = _last_cells(events)
    return [_of_the_end(event, last, given) for event in events]


def _last_cells(events: Iterable[Event]) -> dict[str, int]:
    """Return by node its last cell, where that one was stopped; a later number where none was."""
    last: dict[str, int] = {}
    stopped: set[tuple[str, int]] = set()
    for event in events:
        if isinstance(event, CellRan | CallEnded):
            last[event.node] = max(last.get(event.node, 0), event.cell)
        if isinstance(event, CellRan) and event.status == "interrupted":
            stopped.add((event.node, event.cell))
        if isinstance(event, CallEnded) and lost(event):
            stopped.add((event.node, event.cell))
    return {node: cell + ((node, cell) not in stopped) for node, cell in last.items()}


def _of_the_end(event: Event, last: dict[str, int], given: set[str]) -> bool:
    match event:
        case RunEnded():
            return True
        case NodeEnded():
            return not _is_below(event.node, given)
        case CellRan():
            return event.cell >= last[event.node] and not _is_below(event.node, given)
        case CallEnded():
            stopped = lost(event) and event.cell >= last[event.node]
            return stopped and not _is_below(event.node, given)
        case RunStarted() | NodeStarted() | ContextSet() | Prompted() | Replied():
            return False
        case CellDecided() | KernelRestarted():
            return False
        case ReplyDelta() | CellProposed() | CellStarted() | OutputMade() | CallStarted():
            return False  # for the screen only
        case _:
            assert_never(event)


def _is_below(node: str, given: set[str]) -> bool:
    """Return whether a node is one of the children ``given``, or below one."""
    return any(f"{node}.".startswith(f"{child}.") for child in given)


def left_out(folder: Path) -> Usage:
    """Return what the runs that ended here before have used and is no part of the record that goes
    on: requests that were on their way when they were stopped. Blocks."""
    whole = Usage()
    for path in ended_before(folder):
        try:
            events = journal.read(path).events
        except RecordError as error:  # it is not that which is gone on with
            log.debug("%s", error)
            continue
        if events and isinstance(ended := events[-1], RunEnded):
            parts = (getattr(event, "usage", Usage()) for event in kept(events))
            whole += _less(ended.usage, sum(parts, Usage()))
    return whole


def _less(whole: Usage, part: Usage) -> Usage:
    """Return the rest, never below zero: sums of money in another order differ in their last
    digit."""
    return Usage(
        requests=max(whole.requests - part.requests, 0),
        input_tokens=max(whole.input_tokens - part.input_tokens, 0),
        output_tokens=max(whole.output_tokens - part.output_tokens, 0),
        cached_tokens=max(whole.cached_tokens - part.cached_tokens, 0),
        cost=max(whole.cost - part.cost, 0.0),
        unpriced=max(whole.unpriced - part.unpriced, 0),
        estimated=whole.estimated,
    )
