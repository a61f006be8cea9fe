"""A kept kernel put back to where it was after one of its cells: by its snapshot, or by replay.

Cells after it stay in the records, marked undone, and so does what they cost; what they did outside
of the kernel, to files and by tools, is not taken back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import UsageError
from ..events import ROOT, CallEnded, CellRan, Event, KernelRestarted
from ..repl.occurrences import CallId
from ..repl.repl import Repl
from ..replay.restore import Answers, restore

SHOWN = 30
"""Cells that are named where there is no such."""


def until(events: Sequence[Event], cell: int) -> Sequence[Event]:
    """Return what happened in a kernel up to and with its cell of this number. Raises
    ``UsageError``, with the numbers that there are, where it has none."""
    ran = [event.cell for event in events if isinstance(event, CellRan)]
    if cell not in ran:
        shown = ", ".join(map(str, ran[-SHOWN:]))
        there = f"its last ones are {shown}" if ran else "none has run yet"
        raise UsageError(f"there is no cell {cell} in this kernel to go back to; {there}")
    place = next(
        place
        for place, event in enumerate(events)
        if isinstance(event, CellRan) and event.cell == cell
    )
    return events[: place + 1]


async def go_back(
    repl: Repl, past: Sequence[Event], last: int, cell: int
) -> tuple[KernelRestarted, str]:
    """Put the kernel to where it was after ``cell``, up to which ``past`` happened in it; ``last``
    is its last cell. Return what is to be recorded of that, and why there was no snapshot; empty
    where there was one. Raises ``RecordError`` where a replay cannot be either."""
    names = repl.names
    why = await repl.go_back(cell)
    if why is None:
        await repl.seed(None)  # a question that it was in the middle of is over
    else:
        await repl.restart()
        await restore(repl, past, answers_in(past), Path())
    lost = [name for name in names if name not in repl.names]
    event = KernelRestarted(
        node=ROOT,
        cell=last,
        reason=f"%rlm back {cell}",
        lost=lost,
        time=time.time(),
        back_to=cell,
        by="snapshot" if why is None else "replay",
    )
    return event, why or ""


def answers_in(past: Sequence[Event]) -> Answers:
    """Return what gives the recorded answers of a kernel's own past."""

    def answers(call: CallId) -> Mapping[int, CallEnded]:
        made = (event for event in past if isinstance(event, CallEnded))
        return {e.index: e for e in made if CallId(e.cell, e.key, e.occurrence) == call}

    return answers
