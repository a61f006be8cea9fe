"""Answers from the record: a question that was asked before, with no LM.

The recorded cells run again in the live kernel, so that their variables are there afterwards, and
their calls answer from the record. What they alone have made is taken away first, so that a cell
that failed for want of a name fails again. A cell that ends otherwise than it did is an error.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, assert_never

from ..answers import Answer, answer_of
from ..errors import RecordError
from ..events import (
    ROOT,
    CallEnded,
    CellRan,
    ContextInfo,
    Event,
    NodeStarted,
    Prompted,
    Replied,
    RunEnded,
    RunStarted,
    Usage,
)
from ..inputs.contexts import Source
from ..record import journal
from ..record.files import JOURNAL
from ..record.nodes import cell_of
from ..record.provenance.names import statements
from ..record.recording import Recording
from ..record.trajectory import replayable
from ..remote.guest.globals import NAMES
from ..repl.execution import Written, execute
from ..repl.protocol import Call, Slot
from ..repl.repl import Repl
from ..repl.running_cell import Ran
from ..replay.replay import recorded_limits
from ..replay.verdict import RecordedCalls, Verdict
from ..rlm.memory import Numbers
from .handover import CONTINUE, Before

LOOKED_AT = 200
"""Runs whose beginning is read, newest first."""
_Told: TypeAlias = RunStarted | NodeStarted | Prompted | Replied | CellRan | RunEnded


@dataclass(frozen=True)
class AskedBefore:
    """The question that a recorded run must have been asked. ``context`` is the SHA-256 of the
    context as stored, None where it cannot be known; ``asked`` are the settings in the notebook
    itself; ``before`` is what the LM was to go on with, None where the question is a new one."""

    question: str
    context: str | None
    asked: Mapping[str, Any]
    before: Before | None = None


@dataclass(frozen=True)
class CachedAnswer:
    """A run that fits, or why there is none."""

    recording: Recording | None
    reason: str

    @property
    def sentence(self) -> str:
        """Return what to put behind what went wrong; empty where no run was looked for, or one
        fits."""
        return f"\nno recorded run fits this question: {self.reason}" if self.reason else ""


async def digest_of(about: Source | str, repl: Repl) -> str | None:
    """Return the SHA-256 of a source, or of a copy of the variable's value."""
    if isinstance(about, Source):
        return about.sha256
    _, source = await repl.adopt(about)
    return None if source is None else source.sha256


def find(wanted: AskedBefore, folders: Iterable[Path]) -> CachedAnswer:
    """Return the newest answered run that fits, in these folders or one below them. Blocks."""
    reasons = []
    for folder in runs_in(folders):
        try:
            started, node = opened_by(journal.beginning(folder / JOURNAL, 3))
        except RecordError:
            continue  # of a run that was cut off at once, or not ours to read
        if started is None or node is None or started.question != wanted.question:
            continue
        reason = _misfit(started, node, wanted)
        if reason is None:
            recording = Recording.open(folder / JOURNAL)
            reason = _unanswered(recording, wanted.before)
            if reason is None:
                return CachedAnswer(recording, "")
        reasons.append(f"{folder.name} {reason}")
    return CachedAnswer(None, "; ".join(reasons[:3]) or "none was asked it")


def runs_in(folders: Iterable[Path]) -> list[Path]:
    """Return the folders of runs that are among these or right below them, newest first. Blocks."""
    found = {
        path.parent
        for folder in folders
        for path in (folder / JOURNAL, *folder.glob(f"*/{JOURNAL}"))
        if path.is_file()
    }
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[:LOOKED_AT]


def opened_by(events: list[Event]) -> tuple[RunStarted | None, NodeStarted | None]:
    """Return the events that say what a run was asked."""
    started = next((event for event in events if isinstance(event, RunStarted)), None)
    node = next((event for event in events if isinstance(event, NodeStarted)), None)
    return started, node


def _misfit(started: RunStarted, node: NodeStarted, wanted: AskedBefore) -> str | None:
    if _continued(started) != (wanted.before.origin if wanted.before is not None else None):
        return "goes on from another run" if wanted.before is not None else "goes on from a run"
    spec = node.context.spec if node.context is not None else {}
    if wanted.context is None or spec.get("sha256") != wanted.context:
        return "had another context"
    asked = started.settings.get("asked", {})
    differing = sorted(
        name for name in {*asked, *wanted.asked} if asked.get(name) != wanted.asked.get(name)
    )
    return f"had another {', '.join(differing)}" if differing else None


def _continued(started: RunStarted) -> dict[str, Any] | None:
    """Return what the run goes on from in the same kernel: alone its cells lack what was there."""
    origin: dict[str, Any] = started.settings.get("origin") or {}
    return origin if origin.get("kind") == CONTINUE else None


def _unanswered(recording: Recording, before: Before | None) -> str | None:
    if recording.faults:
        return f"has a damaged record ({recording.faults[0]})"
    if recording.ended is None or recording.ended.status != "answered":
        return "was not answered"
    told = (e.messages for e in recording.events if isinstance(e, Prompted) and e.node == ROOT)
    if before is not None and next(told, None) != before.opening.messages:
        return "was told something else by the human"
    return None


async def again(
    recording: Recording,
    repl: Repl,
    about: Source | str,
    numbers: Numbers,
    emit: Callable[[Event], None],
    cell_seconds: float,
) -> Answer | None:
    """Run the cells of a recorded question again and return its answer.

    ``about`` is its context, or the name of the variable that has it; ``cell_seconds`` is what a
    cell may take now, all else that it may do is as it was. Emits the events of the run, free of
    cost. Raises ``RecordError`` where a cell ends otherwise.
    """
    opened = _opened_now(await _given(repl, about))
    calls = await _as_recorded(repl, recording, cell_seconds)
    await _forget(repl, _made_first(recording), numbers, emit)
    answer = None
    for event in _of_question(recording.events):
        if isinstance(event, CellRan):
            calls.cell = event.cell
            called = list(_calls_of(recording.events, event.cell))
            await _run(repl, event, called, numbers, emit)
        elif (now := _now(event, opened)) is not None:
            emit(now)
        if isinstance(event, RunEnded):
            answer = answer_of(event)
    return answer


def _made_first(recording: Recording) -> set[str]:
    """Return the names that the question's cells bound and none before it; none of a question that
    went on from another, whose record lacks what was there."""
    started, _ = opened_by(recording.events)
    if started is None or _continued(started) is not None:
        return set()
    before, made = set(NAMES | {"context", "answer"}), set[str]()
    for event in recording.events:
        if isinstance(event, CellRan) and event.node == ROOT:
            (made if event.turn else before).update(_gives(event.source))
    return made - before


def _gives(source: str) -> Iterator[str]:
    for statement in statements(source):
        yield from statement.gives


async def _forget(
    repl: Repl, names: set[str], numbers: Numbers, emit: Callable[[Event], None]
) -> None:
    """Take these variables away where they are there, by a cell that questions to come replay."""
    if there := [name for name in repl.names if name in names]:
        source = f"del {', '.join(there)}"
        number = next(numbers.cells)
        written = Written(node=ROOT, cell=number, turn=0, source=source, author="human")
        await execute(repl, written, emit, lambda ran: ran)


async def _as_recorded(repl: Repl, recording: Recording, cell_seconds: float) -> _Renumbered:
    """Let the kernel answer calls, hold cells and draw as in the record; return the calls."""
    recorded = await asyncio.to_thread(replayable, recording)
    if recorded.problems:
        raise RecordError(f"{recording.folder}: {recorded.problems[0]}")
    calls = _Renumbered(RecordedCalls(recorded.nodes[ROOT], Verdict()))
    repl.calls = calls
    repl.held = replace(recorded_limits(recorded), seconds=cell_seconds)
    if (seed := recorded.seed(ROOT)) is not None:
        await repl.seed(seed)
    return calls


def _now(event: _Told, opened: NodeStarted) -> Event | None:
    """Return the event as it happens now, free of cost; None for a cell, which runs."""
    match event:
        case RunStarted():
            model = f"{event.settings.get('model')}, from the record"
            return replace(event, settings={**event.settings, "model": model})
        case NodeStarted():
            return opened
        case Replied() | RunEnded():
            return replace(event, usage=Usage())
        case Prompted():
            return event
        case CellRan():
            return None
        case _:
            assert_never(event)


async def _given(repl: Repl, about: Source | str) -> ContextInfo:
    if isinstance(about, str):
        info, _ = await repl.adopt(about)
        return info
    return await repl.set_context(about)


def _opened_now(info: ContextInfo) -> NodeStarted:
    return NodeStarted(
        node=ROOT,
        parent=None,
        depth=0,
        call=None,
        question="",
        model="",
        context=info,
        time=time.time(),
    )


def _of_question(events: list[Event]) -> Iterator[_Told]:
    """Yield what is told of the root again: not the prelude and the contexts, which the live
    session has of its own, nor calls, which go with their cell."""
    for event in events:
        if isinstance(event, CellRan) and event.turn == 0:
            continue
        if isinstance(event, _Told) and getattr(event, "node", ROOT) == ROOT:
            yield event


def _calls_of(events: list[Event], cell: int) -> Iterator[CallEnded]:
    for event in events:
        if isinstance(event, CallEnded) and event.node == ROOT and event.cell == cell:
            yield event


async def _run(
    repl: Repl,
    before: CellRan,
    calls: list[CallEnded],
    numbers: Numbers,
    emit: Callable[[Event], None],
) -> None:
    written = Written(
        node=ROOT,
        cell=next(numbers.cells),
        turn=before.turn,
        source=before.source,
        author=before.author,
    )

    def with_calls(ran: Ran) -> Ran:
        for call in calls:
            free = replace(call, cell=written.cell, call=next(numbers.calls), usage=Usage())
            emit(replace(free, child=None))
        return replace(ran, notices=before.notices)

    wanted = None if before.wanted is None else json.loads(before.wanted)
    repl.held = replace(repl.held, wanted=wanted)
    ran = await execute(repl, written, emit, with_calls)
    if ran.status != before.status:
        how, was = f"as {ran.status}", f"as {before.status}"
    elif not cell_of(before).gave(ran.answer):
        given = None if ran.answer is None else ran.answer.text
        how, was = f"with the answer {given!r}", f"with {before.answer!r}"
    else:
        return
    raise RecordError(
        f"cell {before.cell} of the recorded run ended {how}, in the record {was}: what it "
        "depends on has changed. Ask anew with --replay off"
    )


class _Renumbered:
    """``repl.Calls`` of a record whose cells have other numbers in the live session."""

    def __init__(self, recorded: RecordedCalls) -> None:
        self._recorded = recorded
        self.cell = 0

    async def serve(self, call: Call) -> list[Slot]:
        return await self._recorded.serve(replace(call, cell=self.cell))
