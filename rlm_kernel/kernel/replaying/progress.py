"""How far a replay in a notebook has come: which recorded cell each cell is that is run.

Cells are told by their source and their order. Their ids are no help: tools renumber them.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...record.nodes import RecordedCell, RecordedContext
from ...record.notebooks.sources import same

Step = RecordedCell | RecordedContext


class ReplayProgress:
    """The steps of a recorded node and how many of them have been taken."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._next = 0
        self._taken: set[int] = set()

    def find(self, source: str) -> int | None:
        """The place of the cell that this is: of those to come the first with this source, or
        else one that was passed over. None if it is not in the record."""
        order: list[int] = [*range(self._next, len(self._steps)), *range(self._next)]
        for place in order:
            step = self._steps[place]
            if place in self._taken or not isinstance(step, RecordedCell):
                continue
            if same(step.source, source):
                return place
        return None

    def take(self, place: int) -> tuple[RecordedCell, list[RecordedContext], str | None]:
        """The cell at a place, now taken; the contexts that come before it; and if it comes too
        late, a sentence on that."""
        cell = self._steps[place]
        assert isinstance(cell, RecordedCell)
        late = None
        if place < self._next:
            last = next(s for s in self._steps[self._next - 1 :: -1] if isinstance(s, RecordedCell))
            late = f"cell {cell.cell} was run after cell {last.cell}, in the record before it"
        self._taken.add(place)
        return cell, self._passed(place + 1), late

    def begin(self) -> list[RecordedContext]:
        """The contexts that are there before the first cell."""
        cells = [p for p, step in enumerate(self._steps) if isinstance(step, RecordedCell)]
        return self._passed(cells[0] if cells else len(self._steps))

    def _passed(self, place: int) -> list[RecordedContext]:
        passed = self._steps[self._next : place]
        self._next = max(self._next, place)
        return [step for step in passed if isinstance(step, RecordedContext)]

    @property
    def expected(self) -> RecordedCell | None:
        """The cell that comes next."""
        return next((s for s in self._steps[self._next :] if isinstance(s, RecordedCell)), None)

    @property
    def left_out(self) -> list[RecordedCell]:
        """The cells that were not run, but for those that a replay does not run."""
        return [
            step
            for place, step in enumerate(self._steps)
            if isinstance(step, RecordedCell)
            and place not in self._taken
            and step.status != "interrupted"
        ]
