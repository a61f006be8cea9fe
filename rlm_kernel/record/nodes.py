"""A node as replay needs it: its cells, contexts and calls, from the events of a record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from ..answers import Answer, answer_of
from ..events import (
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
    ContextInfo,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    Output,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
)
from .equality import VERSION, digest, without_addresses


@dataclass(frozen=True)
class RecordedCell:
    """A cell as it ran. ``outputs`` is None where only their digest was kept, which goes by the
    rules of the major ``version``; ``inputs`` and ``concurrent`` are as in ``CellRan``. ``shown``
    is ``digest_as_kept`` of the outputs that its notebook has, where it has others than the
    record."""

    cell: int
    turn: int
    source: str
    author: str
    status: str
    answer: Answer | None
    digest: str
    outputs: list[Output] | None
    inputs: list[str | None] = field(default_factory=list)
    concurrent: bool = False
    version: int = VERSION.major
    shown: str | None = None
    wanted: dict[str, Any] | None = None
    """The form that its answer had to have."""
    seconds: float = 0.0
    """How long it ran; 0 where that was not kept."""
    undone: bool = False
    """The kernel went back to before it."""
    ended_kernel: bool = False
    """It ended its kernel, and a new one was started."""

    @property
    def runs_again(self) -> bool:
        """False for one whose end was chance, or which a replay would suffer as the run did."""
        return self.status != "interrupted" and not self.undone and not self.ended_kernel

    def gave(self, answer: Answer | None) -> bool:
        """Return whether this is its answer, but for places in memory. In records before 2.1 each
        is a text, and in those before 2.2 none has evidence."""
        then = self.answer
        if answer is None or then is None:
            return answer is then
        alike = without_addresses(answer.text) == without_addresses(then.text)
        values = [without_addresses(one.value or "") for one in (answer, then)]
        alike = alike and (not then.evidence or then.evidence == answer.evidence)
        return alike and (then.type == "str" or (answer.type == then.type and len({*values}) == 1))

    def put_out(self, outputs: list[Output], *, concurrent: bool = False) -> bool:
        """Return whether these are its outputs, but for what may differ (``equality.RULES``)."""
        if concurrent and not self.concurrent and self.outputs is not None:
            return digest(outputs, concurrent=True) == digest(self.outputs, concurrent=True)
        return digest(outputs, version=self.version, concurrent=self.concurrent) == self.digest


@dataclass(frozen=True)
class RecordedContext:
    """The kernel was given this ``context``."""

    spec: dict[str, Any]


@dataclass(frozen=True)
class RecordedCall:
    """One prompt's slot in the record, with the time it was under way (None if not kept)."""

    cell: int
    key: str
    occurrence: int
    index: int
    count: int
    op: str
    slot: dict[str, Any]
    child: str | None
    span: tuple[float, float] | None


@dataclass
class RecordedNode:
    """One node, as far as a replay needs it. ``happened`` is what was done in its kernel beside
    giving it the ``context`` of the question."""

    node: str
    parent: str | None
    context: RecordedContext | None
    happened: list[RecordedCell | RecordedContext] = field(default_factory=list)
    calls: list[RecordedCall] = field(default_factory=list)
    answer: Answer | None = None

    @property
    def cells(self) -> list[RecordedCell]:
        return [step for step in self.happened if isinstance(step, RecordedCell)]

    @property
    def steps(self) -> list[RecordedCell | RecordedContext]:
        """Return all that was done: the prelude, the question's context, its turns."""
        turns = (
            place
            for place, step in enumerate(self.happened)
            if isinstance(step, RecordedCell) and step.turn > 0
        )
        first = next(turns, len(self.happened))
        own = [self.context] if self.context is not None else []
        return [*self.happened[:first], *own, *self.happened[first:]]

    def restarted(self, cell: int, back_to: int | None) -> None:
        """Take that the kernel was replaced after the cell that came last: what that undid is not
        done again."""
        if back_to is None:
            last = self.cells[-1:]
            if last and (last[0].cell, last[0].status) == (cell, "died"):
                self.happened[self.happened.index(last[0])] = replace(last[0], ended_kernel=True)
            return
        stood = [
            place
            for place, step in enumerate(self.happened)
            if isinstance(step, RecordedCell) and step.cell <= back_to
        ]
        length = stood[-1] + 1 if stood else 0
        after = [step for step in self.happened[length:] if isinstance(step, RecordedCell)]
        self.happened[length:] = [replace(step, undone=True) for step in after]

    def leave_out_undone(self) -> None:
        """Let go of the calls of cells that are not run again since their kernel was replaced."""
        gone = {cell.cell for cell in self.cells if cell.undone or cell.ended_kernel}
        self.calls = [call for call in self.calls if call.cell not in gone]


def nodes_of(events: Iterable[Event]) -> dict[str, RecordedNode]:
    """Return the nodes by their ids, in the order of their start."""
    nodes: dict[str, RecordedNode] = {}
    for event in events:
        if isinstance(event, NodeStarted):
            context = _context_of(event.context)
            nodes[event.node] = RecordedNode(event.node, event.parent, context)
        elif (node := nodes.get(getattr(event, "node", ""))) is not None:
            _take(node, event)
    for node in nodes.values():
        node.leave_out_undone()
    return nodes


def _context_of(info: ContextInfo | None) -> RecordedContext | None:
    return None if info is None else RecordedContext(info.spec)


def _take(node: RecordedNode, event: Event) -> None:
    match event:
        case CellRan():
            node.happened.append(cell_of(event))
        case ContextSet():
            node.happened.append(RecordedContext(event.context.spec))
        case CallEnded():
            node.calls.append(_call_of(event))
        case NodeEnded():
            taken = event.confirmed or event.status == "answered"
            node.answer = answer_of(event) if taken else node.answer
        case KernelRestarted():
            node.restarted(event.cell, event.back_to)
        case RunStarted() | NodeStarted() | Prompted() | Replied() | RunEnded():
            pass  # nothing that is done again
        case CellDecided():
            pass  # a replay asks nobody
        case ReplyDelta() | CellProposed() | CellStarted() | OutputMade() | CallStarted():
            pass  # for the screen only
        case _:
            assert_never(event)


def cell_of(event: CellRan) -> RecordedCell:
    """Return the cell as it was recorded."""
    return RecordedCell(
        cell=event.cell,
        turn=event.turn,
        source=event.source,
        author=event.author,
        status=event.status,
        answer=answer_of(event),
        digest=digest(event.outputs, concurrent=event.concurrent),
        outputs=event.outputs,
        inputs=event.inputs,
        concurrent=event.concurrent,
        seconds=event.seconds,
        wanted=None if event.wanted is None else json.loads(event.wanted),
    )


def slot(reply: Any, error: dict[str, Any] | None, about: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the cell was answered, from its record."""
    if error is not None:
        return {"error": error}
    return {"value": reply, **({"about": about} if about else {})}


def slot_of(event: CallEnded) -> dict[str, Any]:
    """Return what the cell was answered, from its record."""
    return slot(event.reply, event.error, event.about)


def failure(error: dict[str, Any]) -> str:
    """Return a call's error in the words for a human."""
    return f"{error.get('type')}: {error.get('detail') or error.get('message')}"


def _call_of(event: CallEnded) -> RecordedCall:
    return RecordedCall(
        cell=event.cell,
        key=event.key,
        occurrence=event.occurrence,
        index=event.index,
        count=event.count,
        op=event.op,
        slot=slot_of(event),
        child=event.child,
        span=(event.started, event.started + event.seconds),
    )
