"""Progress of a replay in a notebook: which recorded cell each cell is that is run.

Cells are told by their source and their order. Their ids are no help: tools renumber them.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...record.nodes import RecordedCell, RecordedContext
from ...record.notebooks.sources import same

Step = RecordedCell | RecordedContext


class ReplayProgress:
    """The steps of a recorded node, and which of them have been taken."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._next = 0
        self._taken: set[int] = set()

    def find(self, source: str) -> int | None:
        """Return the index of the step that this cell is: of those to come the first with this
        source, or else one that was passed over. None if it is not in the record."""
        order: list[int] = [*range(self._next, len(self._steps)), *range(self._next)]
        for index in order:
            step = self._steps[index]
            if index in self._taken or not isinstance(step, RecordedCell):
                continue
            if same(step.source, source):
                return index
        return None

    def take(self, index: int) -> tuple[RecordedCell, list[RecordedContext], str | None]:
        """Take the cell at an index. Return it, the contexts that come before it, and if it comes
        too late, a sentence on that."""
        cell = self._steps[index]
        assert isinstance(cell, RecordedCell)
        late = None
        if index < self._next:
            last = next(s for s in self._steps[self._next - 1 :: -1] if isinstance(s, RecordedCell))
            late = f"cell {cell.cell} was run after cell {last.cell}, and was recorded before it"
        self._taken.add(index)
        return cell, self._passed(index + 1), late

    def begin(self) -> list[RecordedContext]:
        """Take and return the contexts that are there before the first cell."""
        cells = [p for p, step in enumerate(self._steps) if isinstance(step, RecordedCell)]
        return self._passed(cells[0] if cells else len(self._steps))

    def _passed(self, index: int) -> list[RecordedContext]:
        passed = self._steps[self._next : index]
        self._next = max(self._next, index)
        return [step for step in passed if isinstance(step, RecordedContext)]

    @property
    def expected(self) -> RecordedCell | None:
        """Return the cell that comes next; None after the last."""
        return next((s for s in self._steps[self._next :] if isinstance(s, RecordedCell)), None)

    @property
    def left_out(self) -> list[RecordedCell]:
        """Return the cells that were not run, but for those that a replay does not run."""
        return [
            step
            for index, step in enumerate(self._steps)
            if isinstance(step, RecordedCell) and index not in self._taken and step.runs_again
        ]
