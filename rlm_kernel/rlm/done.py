"""Cells of a record that do not run again: the kernel has run them, or went back from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..answers import answer_of
from ..events import CellRan, KernelRestarted, Output
from ..record.outputs import Collector
from ..repl.running_cell import Author, Ran
from .cell_runner import CellRunner


class Done:
    """Ends such a cell as it ended in the record; ``repl`` comes to stand as its kernel did."""

    def __init__(self, repl: CellRunner, cell: CellRan, restart: KernelRestarted | None) -> None:
        self._repl = repl
        self._cell = cell
        ended_by_it = restart is not None and restart.cell == cell.cell
        self._restart = restart if ended_by_it else None

    def collector(self) -> Collector:
        """See ``Repl.collector``."""
        return self._repl.collector()

    async def run(
        self,
        source: str,
        *,
        cell: int,
        author: Author = "lm",
        seconds: float | None = None,
        collector: Collector | None = None,
        on_output: Callable[[Output], None] | None = None,
        inputs: Sequence[str | None] = (),
    ) -> Ran:
        """Return how it ended."""
        restart = self._restart
        if restart is not None and restart.back_to is None:
            await self._repl.restart()
        return Ran(
            status=self._cell.status,
            outputs=self._cell.outputs,
            seconds=self._cell.seconds,
            answer=answer_of(self._cell),
            execution_count=self._cell.execution_count,
            names=self._repl.names,
            variables=self._repl.variables,
            restarted=None if restart is None else restart.reason,
            back_to=None if restart is None else restart.back_to,
            lost=[] if restart is None else restart.lost,
            inputs=self._cell.inputs,
            concurrent=self._cell.concurrent,
        )
