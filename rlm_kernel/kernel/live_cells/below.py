"""The cells of a question that its notebook has below it, when they are handed in.

A kernel is shown sources alone, by whatever runs a notebook. So there is one rule: a cell whose
source is, character by character, the next one of the question that was asked last *is* that
cell: it ran in this kernel, and what it put out is shown again. Any other cell runs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...events import ROOT, CellRan, Event, Prompted
from ...record.markdown import one_line, shorten
from ...record.notebooks.cells import as_shown
from ...record.provenance.names import statements
from .. import launcher_process
from ..front_end import ExecuteReply, Execution
from ..replaying.outputs import as_text
from .run_cells import code

NOT_RUN = (
    "Not run: an LM wrote this cell when the question above was asked before. That was asked anew "
    "here, or not answered, and the cell may need variables of the earlier run. Run it once more "
    "to run it all the same."
)


@dataclass(frozen=True)
class Below:
    """A cell that is not to run: as it ``ran`` for the question, or None for one of an earlier
    run."""

    ran: CellRan | None

    def show(self, execution: Execution) -> ExecuteReply:
        """Show the cell as it ran, or why it is not run, and return the reply to it."""
        reply, metadata = execution.done()
        if self.ran is None:
            execution.tell(NOT_RUN, "stderr")
            return reply, metadata
        number = self.ran.execution_count
        execution.send("execute_input", {"code": execution.code, "execution_count": number})
        for output in self.ran.outputs:
            output = as_shown(output, self.ran.source, number)
            if output["output_type"] == "error" and launcher_process.counts_errors():
                output = as_text(output)
            content: dict[str, Any] = dict(output)
            execution.send(content.pop("output_type"), content)
        return {**reply, "execution_count": number}, metadata


class CellsBelow:
    """Reads the events of a notebook's questions, and knows their cells again."""

    def __init__(self) -> None:
        self._next: list[CellRan] = []
        self._earlier: set[str] = set()
        self._changed: set[str] = set()

    def begin(self) -> None:
        """Forget the question before: another is asked."""
        self._next, self._earlier, self._changed = [], set(), set()

    def __call__(self, event: Event) -> None:
        if isinstance(event, CellRan) and event.node == ROOT and event.turn:
            self._next.append(event)
        elif isinstance(event, Prompted) and event.node == ROOT and event.turn == 1:
            self._next = []

    def asked_before(self, sources: Collection[str]) -> None:
        """Take the sources of earlier runs of the question that was asked now. One that was written
        in this run too is this run's."""
        now = {code(cell.source) for cell in self._next}
        self._earlier = {code(source) for source in sources} - now

    def went_back(self, back_to: int) -> None:
        """Forget the cells after that of this number: what they did is undone, and they run again
        where they are handed in."""
        self._next = [cell for cell in self._next if cell.cell <= back_to]

    def take(self, source: str) -> Below | None:
        """Return a cell that is handed in, if it is one that is not to run."""
        if self._next and code(self._next[0].source) == source and self._holds(source):
            return Below(self._next.pop(0))
        if source in self._earlier:
            self._earlier.remove(source)
            return Below(None)
        return None

    def _holds(self, source: str) -> bool:
        """Return whether nothing that the cell reads was changed since by cells that ran."""
        return not any(statement.reads & self._changed for statement in statements(source))

    def ran(self, source: str) -> str | None:
        """Note a cell that is about to run; return its name where a question's cells may follow."""
        if not self._next:
            return None
        for statement in statements(source):
            self._changed |= statement.gives
        return shorten(one_line(source[:2_000]), 80)
