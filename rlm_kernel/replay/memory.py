"""The memory of a run that goes on from a record: what was said and answered there, at no cost.

The loop runs as always. Where the record has the LM's reply, or the reply to a call, that is taken
instead of asking; so the cells run again and the kernel comes to hold what it held. Turns are found
by their number, calls by cell, arguments and occurrence.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from ..record.outputs import text_of
from ..record.restarts import Standing
from ..repl.occurrences import CallId
from ..repl.running_cell import Author, Ran
from ..rlm.cell_runner import CellRunner
from ..rlm.memory import Intervention, Numbers, Recalled
from .prelude import placed, placed_images
from .restore import restore


@dataclass(frozen=True)
class ForkPoint:
    """The point where a fork leaves the record: after this turn of the root, 0 for at once."""

    turn: int
    intervention: Intervention


@dataclass
class NodeMemory:
    """One node's part of the record; a ``rlm.memory.Memory``, whose methods say what they promise.

    ``prelude`` is what happened in its kernel before the question.
    """

    node: str
    run: RunMemory = field(repr=False, compare=False)
    started: NodeStarted | None = None
    prelude: list[Event] = field(default_factory=list)
    prompts: dict[int, list[Prompted]] = field(default_factory=dict)
    replies: dict[int, Replied] = field(default_factory=dict)
    cells: dict[int, CellRan] = field(default_factory=dict)
    calls: dict[CallId, dict[int, CallEnded]] = field(default_factory=dict)
    """The prompts that were answered, by their index in the call."""
    answered: bool = False
    whole: list[int] = field(default_factory=list)
    """The turns that came to their end; where it was ``answered``, the last one gave the answer."""
    standing: Standing = field(default_factory=Standing)
    live: bool = False
    """The kernel stands already where a fork leaves the record."""
    leaves_before: int | None = None
    """The cell before which a fork leaves the record; None where none does."""
    fork: ForkPoint | None = None
    """None where the record is gone through to its end."""

    @property
    def own_cells(self) -> list[CellRan]:
        """The question's, in their order."""
        return sorted((c for c in self.cells.values() if c.turn), key=lambda c: c.cell)

    @property
    def first_cell(self) -> int:
        """The number of the question's first cell."""
        own = self.own_cells
        return own[0].cell if own else max(self.cells, default=0) + 1

    @property
    def last_cell(self) -> int:
        """The number of the question's last cell; where it ran none, of the one before its
        first."""
        own = self.own_cells
        return own[-1].cell if own else self.first_cell - 1

    # as a ``Memory``
    @property
    def repeated_turns(self) -> int:
        return self.fork.turn if self.fork is not None else 0

    def numbers(self) -> Numbers:
        calls = (call.call for slots in self.calls.values() for call in slots.values())
        below = [name.rpartition(".") for name in self.run.nodes]
        children = (int(own) for above, _, own in below if above == self.node)
        return Numbers(
            itertools.count(self.first_cell),
            itertools.count(max(calls, default=0) + 1),
            itertools.count(max(children, default=0) + 1),
        )

    def reply(self, turn: int) -> Recalled | None:
        if turn in self.replies:
            return Recalled(self.prompts.get(turn, ()), self.replies[turn])
        if turn and not self._asks:
            raise RecordError(
                f"the recorded cells end after turn {turn - 1} without an answer on this context; "
                "`rlm fork` lets the LM go on from there"
            )
        return None

    def answers(self, call: CallId) -> Mapping[int, CallEnded]:
        return self.calls.get(call, {})

    def subtree(self, child: str | None) -> Sequence[Event]:
        return self.run.subtrees.get(child or "", ())

    def begun_child(self, question: str, sha256: str) -> str | None:
        for name, memory in self.run.nodes.items():
            began = memory.started
            if began is None or began.context is None or name in self.run.given:
                continue
            same = began.parent, began.question, began.context.spec.get("sha256")
            if same == (self.node, question, sha256):
                self.run.given.add(name)
                return name
        return None

    def intervention(self, turn: int) -> Intervention | None:
        return self.fork.intervention if self.fork is not None and self.fork.turn == turn else None

    def sources(self, turn: int) -> Sequence[tuple[str, Author]] | None:
        if turn not in self.whole:
            return None
        return [(cell.source, cell.author) for cell in self.own_cells if cell.turn == turn]

    def taken(self, turn: int) -> bool | None:
        if self.answered and turn == self.whole[-1]:
            return True
        # On another input an answer of an earlier turn may be the right one.
        return False if turn in self.whole and self._asks else None

    def done(self, cell: int) -> tuple[CellRan, KernelRestarted | None] | None:
        if self.leaves_before is not None and cell >= self.leaves_before:
            return None
        own = self.node, cell
        restart = self.standing.undone.get(own) or self.standing.ended.get(own)
        done = cell in self.cells and (restart is not None or self.live)
        return (self.cells[cell], restart) if done else None

    @property
    def before_fork(self) -> list[Event]:
        """The question's cells that a fork finds done, as far as they were not undone."""
        left = self.leaves_before
        own = [cell for cell in self.own_cells if left is None or cell.cell < left]
        new = [n for node, n in self.standing.ended if node == self.node and (not left or n < left)]
        first = max(new, default=0)  # what was before the kernel was started again is gone
        return [c for c in own if c.cell > first and self.standing.stands(self.node, c.cell)]

    def calls_of(self, cell: int) -> Sequence[CallEnded]:
        made = (slots for call, slots in self.calls.items() if call.cell == cell)
        calls = (free(slots[index]) for slots in made for index in sorted(slots))
        return [call for call in calls if isinstance(call, CallEnded)]

    def check(self, cell: int, ran: Ran) -> None:
        before = self.cells.get(cell)
        if self._asks or before is None or before.status != "ok" or ran.status == "ok":
            return
        raise RecordError(
            f"cell {cell} ended as {ran.status} on this context, in the record as ok: "
            f"{text_of(ran.outputs, 300)}\n`rlm fork` lets the LM mend it"
        )

    async def restore(self, repl: CellRunner) -> None:
        if not self.live:
            await restore(repl, self.prelude, self.answers, self.run.folder)

    @property
    def _asks(self) -> bool:
        """True where the LM may be asked for what is not in the record of this node."""
        return self.run.asking or self.node not in self.run.nodes


@dataclass
class RunMemory:
    """The record that a run goes on from, in ``folder``. With ``asking`` the LM that writes is
    asked for what comes after it; without, the nodes that are in the record end there."""

    folder: Path = field(default_factory=Path)
    nodes: dict[str, NodeMemory] = field(default_factory=dict)
    subtrees: dict[str, list[Event]] = field(default_factory=dict)
    """By child what it and those below it did, to stand in a new record at no cost."""
    asking: bool = True
    given: set[str] = field(default_factory=set)
    """Children whose answers their parents' calls have."""

    def of(self, node: str) -> NodeMemory:
        """Return the memory of a node; an empty one where it is not in the record."""
        return self.nodes.get(node) or NodeMemory(node, self)


def remembered(folder: Path, events: Iterable[Event]) -> RunMemory:
    """Return the memory of a whole record. A cell that was interrupted, and what came after it,
    happens anew."""
    earlier = RunMemory(folder)
    for event in (_placed(each, folder) for each in events):
        name = getattr(event, "node", None)
        if name is None:
            continue
        for child in _above(name):
            earlier.subtrees.setdefault(child, []).append(free(event))
        _take(earlier.nodes.setdefault(name, NodeMemory(name, earlier)), event)
    for past in earlier.nodes.values():
        _forget_untold(past)
        answered = (call for slots in past.calls.values() for call in slots.values())
        earlier.given.update(call.child for call in answered if call.child is not None)
        stopped = [cell.turn for cell in past.own_cells if cell.status == "interrupted"]
        _note_ends(past, before=min(stopped, default=None))
        if stopped:
            forget(past, after=min(stopped))
    return earlier


def _note_ends(past: NodeMemory, before: int | None) -> None:
    """Note which turns came to their end, those before this one where it is given."""
    told = {*past.prompts, *past.replies}
    ended = sorted(turn for turn in past.replies if turn + 1 in told)
    if past.answered and past.replies:
        ended.append(max(past.replies))
    past.answered = past.answered and bool(ended)
    past.whole = [turn for turn in ended if turn and (before is None or turn < before)]


def _placed(event: Event, folder: Path) -> Event:
    """Return the event with the paths of what is in the record's blobs, a context or images:
    another run may take it from there."""
    if isinstance(event, NodeStarted | ContextSet) and event.context is not None:
        return dataclasses.replace(event, context=placed(event.context, folder))
    return placed_images(event, folder) if isinstance(event, CallEnded) else event


def _above(name: str) -> Iterator[str]:
    """Yield the children whose subtrees a node is in, itself included."""
    while "." in name:
        yield name
        name = name.rpartition(".")[0]


def free(event: Event) -> Event:
    """Return the event without its cost, which was paid in another run."""
    if isinstance(event, CallEnded | Replied):
        return dataclasses.replace(event, usage=Usage())
    return event


def _take(past: NodeMemory, event: Event) -> None:
    past.standing.add(event)
    if isinstance(event, ContextSet | CallEnded | CellRan) and not past.prompts:
        past.prelude.append(event)
    match event:
        case NodeStarted():
            past.started = event
        case NodeEnded():
            past.answered = event.status == "answered"
        case CellRan():
            past.cells[event.cell] = event
        case CallEnded():
            _take_call(past, event)
        case Prompted():
            past.prompts.setdefault(event.turn, []).append(event)
        case Replied():
            _take_reply(past, event)
        case (
            RunStarted() | RunEnded() | ContextSet() | ReplyDelta() | CellStarted() | OutputMade()
            | CallStarted() | CellProposed() | CellDecided() | KernelRestarted()
        ):  # fmt: skip
            return
        case _:
            assert_never(event)


def _forget_untold(past: NodeMemory) -> None:
    """Forget what a limit refused where the LM was not told what came of that turn."""
    for call, slots in list(past.calls.items()):
        ran = past.cells.get(call.cell)
        if ran is None or (ran.turn and ran.turn + 1 not in past.prompts):
            past.calls[call] = {i: each for i, each in slots.items() if not _limited(each)}


def _take_call(past: NodeMemory, event: CallEnded) -> None:
    if _limited(event) or not lost(event):
        call = CallId(event.cell, event.key, event.occurrence)
        past.calls.setdefault(call, {})[event.index] = event


def _take_reply(past: NodeMemory, reply: Replied) -> None:
    if reply.text or reply.thoughts or reply.finish is not None:
        past.replies[reply.turn] = reply


def lost(call: CallEnded) -> bool:
    """Return whether there was no answer, for a reason that may be gone."""
    return _limited(call) or (call.error or {}).get("cause") == "interrupted"


def _limited(call: CallEnded) -> bool:
    """Return whether a limit refused it; older records do not name the limit."""
    error = call.error or {}
    return error.get("type") == "LimitReached" or "limit" in error


def forget(past: NodeMemory, after: int) -> None:
    """Forget what was said after a turn."""
    past.replies = {turn: reply for turn, reply in past.replies.items() if turn <= after}
    past.prompts = {turn: said for turn, said in past.prompts.items() if turn <= after}
    past.answered = past.answered and past.whole[-1:] <= [after]
    past.whole = [turn for turn in past.whole if turn <= after]
