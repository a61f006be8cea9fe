"""The verdict of a replay, and the calls of its cells, which answer from the record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ..errors import CallRefused
from ..record.nodes import RecordedCall, RecordedNode
from ..record.numbers import counted
from ..repl.occurrences import CallId, Occurrences
from ..repl.protocol import MOST_REFUSED, Call, RefusedCall, Slot, is_refused, whole_refusal

Result = Literal["equal", "differs", "ambiguous"]


@dataclass
class Verdict:
    """The findings of a replay. ``differences`` and ``ambiguities`` are sentences, first things
    first, and so are ``notes``, on which nothing depends; ``calls`` counts the prompts answered
    from the record, ``cells`` the cells compared."""

    cells: int = 0
    calls: int = 0
    differences: list[str] = field(default_factory=list)
    ambiguities: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def result(self) -> Result:
        if self.differences:
            return "differs"
        return "ambiguous" if self.ambiguities else "equal"

    @property
    def sentence(self) -> str:
        cells, calls = counted(self.cells, "cell"), counted(self.calls, "call")
        return f"{self.result}: {cells} run again, {calls} answered from the record, no LM asked"


class RecordedCalls:
    """``repl.Calls`` that answers from the record of one node."""

    def __init__(self, node: RecordedNode, verdict: Verdict) -> None:
        self._verdict = verdict
        self._node = node
        self._calls: dict[CallId, list[RecordedCall]] = defaultdict(list)
        for call in node.calls:
            self._calls[CallId(call.cell, call.key, call.occurrence)].append(call)
        self._occurrences = Occurrences()
        self._used: set[CallId] = set()
        self._ambiguous = list(self._equal_calls())

    async def serve(self, call: Call) -> list[Slot]:
        taken = self._occurrences.take(call)
        found = sorted(self._calls.get(taken, ()), key=lambda c: c.index)
        if not found and (refused := self._more_refused(call.cell)) is not None:
            raise RefusedCall(refused)
        if not found:
            raise CallRefused(self._miss(call))
        self._used.add(taken)
        self._verdict.calls += len(found)
        slots = [c.slot for c in found]
        if (refused := whole_refusal(slots, max(len(call.prompts), 1))) is not None:
            raise RefusedCall(refused)
        return slots

    def _more_refused(self, cell: int) -> Slot | None:
        """Return what calls of a cell are answered that were refused after the recorded ones."""
        refused = [c.slot for c in self._node.calls if c.cell == cell and is_refused(c.slot)]
        return refused[-1] if len(refused) >= MOST_REFUSED else None

    def _miss(self, call: Call) -> str:
        asked = call.prompts[0][:80] if call.prompts else call.tool
        text = (
            f"node {self._node.node}, cell {call.cell}: the record has no reply for this "
            f"{call.op} of {asked!r}: the code before it, the context or its order changed"
        )
        self.differ(call.cell, [text])
        return text

    def differ(self, cell: int, found: Iterable[str]) -> None:
        """Take differences of a cell into the verdict. In and after a cell whose calls are
        ambiguous they may come of that: the verdict must not depend on chance."""
        doubtful = any(calls[0].cell <= cell for calls in self._ambiguous)
        (self._verdict.ambiguities if doubtful else self._verdict.differences).extend(found)

    def finish(self, left_out: Collection[int] = ()) -> None:
        """Take into the verdict the calls of the record that the replay did not make, of the cells
        that ran again (all but those ``left_out``), and which calls are ambiguous."""
        again = {cell.cell for cell in self._node.cells if cell.runs_again}
        again -= set(left_out)
        where = f"node {self._node.node}, cell"
        for this, calls in self._calls.items():
            call = calls[0]
            if this not in self._used and call.cell in again:
                self.differ(
                    call.cell,
                    [f"{where} {call.cell}: the recorded {call.op} was not made again"],
                )
        self._verdict.ambiguities += [
            f"{where} {same[0].cell}: {len(same)} equal calls of {same[0].op} at the same time got "
            "different replies"
            for same in self._ambiguous
        ]

    def _equal_calls(self) -> Iterator[list[RecordedCall]]:
        """Yield equal calls that were under way together and got different replies: which caller
        got which is not in the record."""
        alike: dict[tuple[int, str, int], list[RecordedCall]] = defaultdict(list)
        for call in self._node.calls:
            alike[call.cell, call.key, call.index].append(call)
        for same in alike.values():
            if _overlapping(same) and any(c.slot != same[0].slot for c in same):
                yield same


def _overlapping(calls: list[RecordedCall]) -> bool:
    """Return whether two were under way together; calls whose times were not kept may have been.
    Those that one loop asked ahead of their turn were, but in its order."""
    if len(calls) < 2:
        return False
    if any(call.span is None for call in calls):
        return True
    ends: dict[object, float] = {}
    for call in sorted(calls, key=lambda call: call.span or ()):
        began, end = call.span or (0.0, 0.0)
        loop = call.slot.get("about", {}).get("ahead") or object()
        if any(last > began for other, last in ends.items() if other != loop):
            return True
        ends = {other: last for other, last in ends.items() if last > began or other == loop}
        ends[loop] = max(end, ends.get(loop, end))
    return False
