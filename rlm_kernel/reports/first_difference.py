"""The first place where two runs part.

Both are walked through in the order of the first: the replies of the LM, its cells, their calls and
outputs; a child before the reply that it gave.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..events import Output
from ..record.equality import RULES, sha256
from ..record.markdown import shorten
from ..record.nodes import RecordedCall, RecordedCell, RecordedContext
from ..record.numbers import counted
from ..record.outputs import text_of
from ..record.summary import RUNNING
from .comparable_run import ComparableRun, PutOut, content, identity

MAX_SHOWN = 20_000  # characters of a cell's outputs
_BY_CHANCE = ("addresses_replaced", "cell_numbers_replaced", "kernel_paths_replaced")
_TEXTS = ("text/", "application/json")


@dataclass(frozen=True)
class Parting:
    """The first place where two runs part. ``node_a`` and ``node_b`` are the same node of each;
    ``a`` and ``b`` are what is there, in words or as it was written, None where there is nothing.
    ``turn`` and ``cell`` are None where it is the node as a whole."""

    what: str
    node_a: str
    node_b: str
    turn: int | None
    cell: int | None
    a: str | None
    b: str | None


@dataclass(frozen=True)
class _Step:
    """One thing that happened in a node. ``compared`` is what is compared."""

    what: str
    compared: Any
    shown: str
    turn: int | None = None
    cell: int | None = None
    calls: tuple[RecordedCall, ...] = ()


_SAME_KIND = {
    "question": "it was asked another question",
    "context": "another context",
    "reply": "another reply of the LM",
    "source": "another cell",
    "outputs": "the same code, other outputs",
    "cell's end": "the same code, another end of the cell",
    "end": "another end of the node",
}
_NOUNS = {
    "question": "a question",
    "context": "a context",
    "reply": "a reply of the LM",
    "source": "a cell",
    "calls": "the calls of a cell",
    "outputs": "the outputs of a cell",
    "cell's end": "the end of a cell",
    "end": "its end",
}


class Walk:
    """Goes through both runs in the order of the first: a child before the reply that it gave."""

    def __init__(self, a: ComparableRun, b: ComparableRun, same: dict[str, str]) -> None:
        self._a, self._b = a, b
        self._left = dict(same)  # nodes of A to those of B, until they are gone through
        self._replies = a.record and b.record

    def parting(self, x: str, y: str) -> Parting | None:
        """Return where two nodes part, children below them included; None where they are the
        same."""
        self._left.pop(x, None)
        if x not in self._a.nodes or y not in self._b.nodes:
            return None
        for ours, theirs in itertools.zip_longest(self._steps(self._a, x), self._steps(self._b, y)):
            found = self._compared(x, y, ours, theirs)
            if found is not None:
                return found
        return self._of_others(x)

    def _of_others(self, x: str) -> Parting | None:
        """Look at children whose call never ended."""
        for child in self._a.tree.node(x).children:
            if child in self._left:
                found = self.parting(child, self._left[child])
                if found is not None:
                    return found
        return None

    def _steps(self, course: ComparableRun, name: str) -> list[_Step]:
        steps = _Steps(course, name)
        return list(steps.all(replies=self._replies))

    def _compared(self, x: str, y: str, ours: _Step | None, theirs: _Step | None) -> Parting | None:
        if ours is None or theirs is None:
            side, step = ("A", theirs) if ours is None else ("B", ours)
            assert step is not None
            what = f"{side} ends here, the other goes on with {_NOUNS[step.what]}"
        elif ours.what != theirs.what:
            what = f"A has {_NOUNS[ours.what]}, B has {_NOUNS[theirs.what]}"
        elif ours.what == "calls":
            return self._calls_compared(x, y, ours, theirs)
        elif ours.compared == theirs.compared:
            return None
        else:
            what = _SAME_KIND[ours.what]
        return _parting(what, x, y, ours, theirs)

    def _calls_compared(self, x: str, y: str, ours: _Step, theirs: _Step) -> Parting | None:
        others: dict[Any, list[RecordedCall]] = {}
        for call in theirs.calls:
            others.setdefault(identity(call)[1:], []).append(call)
        for call in ours.calls:
            same = others.get(identity(call)[1:])
            found = self._call_compared(x, y, ours, call, same.pop(0) if same else None)
            if found is not None:
                return found
        for other in itertools.chain(*others.values()):
            shown = dataclasses.replace(theirs, shown=_call_shown(self._b, y, other))
            return _parting("a call that only B made", x, y, None, shown)
        return None

    def _call_compared(
        self, x: str, y: str, step: _Step, call: RecordedCall, other: RecordedCall | None
    ) -> Parting | None:
        ours = dataclasses.replace(step, shown=_call_shown(self._a, x, call))
        if other is None:
            return _parting("a call that only A made", x, y, ours, None)
        if call.child is not None and self._left.get(call.child) == other.child:
            found = self.parting(call.child, self._left[call.child])
            if found is not None:
                return found
        if call.slot == other.slot:
            return None
        theirs = dataclasses.replace(step, shown=_call_shown(self._b, y, other))
        return _parting("the same call, another reply", x, y, ours, theirs)


def _parting(what: str, x: str, y: str, ours: _Step | None, theirs: _Step | None) -> Parting:
    place = ours or theirs
    assert place is not None
    return Parting(
        what=what,
        node_a=x,
        node_b=y,
        turn=place.turn,
        cell=place.cell,
        a=ours.shown if ours else None,
        b=theirs.shown if theirs else None,
    )


class _Steps:
    """The events of one node, in their order."""

    def __init__(self, course: ComparableRun, name: str) -> None:
        self._course = course
        self._node = course.nodes[name]
        self._about = course.tree.node(name)
        self._turns = sorted(turn for node, turn in course.replies if node == name)

    def all(self, *, replies: bool) -> Iterator[_Step]:
        turns = self._turns if replies else []
        yield from self._beginning()
        for step in self._node.happened:
            if isinstance(step, RecordedContext):
                yield _context_step(step)
                continue
            while turns and turns[0] <= step.turn:
                yield self._reply(turns.pop(0))
            yield from self._cell(step)
        yield from map(self._reply, turns)
        yield from self._end()

    def _beginning(self) -> Iterable[_Step]:
        if self._about is self._course.root:
            return  # compared apart
        question = self._about.question
        yield _Step(what="question", compared=question, shown=question)
        if self._node.context is not None:
            yield _context_step(self._node.context)

    def _reply(self, turn: int) -> _Step:
        text = self._course.replies[self._node.node, turn]
        made = (cell.cell for cell in self._node.cells if cell.turn == turn and turn > 0)
        return _Step(what="reply", turn=turn, cell=next(made, None), compared=text, shown=text)

    def _cell(self, cell: RecordedCell) -> Iterable[_Step]:
        def step(what: str, compared: Any, shown: str) -> _Step:
            return _Step(
                what=what,
                turn=cell.turn,
                cell=cell.cell,
                compared=compared,
                shown=shown,
                calls=calls,
            )

        calls = tuple(self._calls_of(cell))
        yield step("source", cell.source, cell.source)
        yield step("calls", None, counted(len(calls), "call"))
        yield step("outputs", PutOut.of(cell), _outputs_shown(cell.outputs or []))
        answer = "" if cell.answer is None else f", answer: {cell.answer}"
        yield step("cell's end", (cell.status, cell.answer), cell.status + answer)

    def _calls_of(self, cell: RecordedCell) -> list[RecordedCall]:
        """Return its calls, those of a batch in its order, not in that of the replies."""
        calls = [call for call in self._node.calls if call.cell == cell.cell]
        return sorted(calls, key=lambda call: call.index)

    def _end(self) -> Iterable[_Step]:
        node = self._about
        if node.status != RUNNING:
            reason = f" ({node.reason})" if node.reason else ""
            answer = "" if node.answer is None else f": {node.answer}"
            ended = node.status, node.answer, node.confirmed
            yield _Step(what="end", compared=ended, shown=node.status + reason + answer)


def _context_step(context: RecordedContext) -> _Step:
    about = content(context)
    shown = f"{about['kind']}, sha256 {about['sha256']}"
    return _Step(what="context", compared=about, shown=shown)


def _call_shown(course: ComparableRun, node: str, call: RecordedCall) -> str:
    prompt = course.prompts.get((node, identity(call)))
    said = call.slot.get("value", call.slot.get("error"))
    reply = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    asked = call.op if prompt is None else f"{call.op}: {shorten(prompt, 200)}"
    return f"{asked}\n→ {reply}"


def _outputs_shown(outputs: list[Output]) -> str:
    """Return the text without what differs by chance; of pictures and the like the SHA-256."""
    for rule in _BY_CHANCE:
        outputs = RULES[rule].apply(outputs)
    others = [
        f"[{mime}, sha256 {sha256(str(value))[:16]}]"
        for output in outputs
        for mime, value in (output.get("data") or {}).items()
        if not mime.startswith(_TEXTS)
    ]
    return "\n".join([text_of(outputs, MAX_SHOWN), *others])
