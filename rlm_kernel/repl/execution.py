"""One cell run in a REPL and recorded: that it began, what it put out, how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..answers import answer_fields
from ..events import CellRan, CellStarted, Event, KernelRestarted, Output, OutputMade
from ..record.equality import canonical
from ..record.outputs import Collector
from .running_cell import Author, Ran


class RunsCells(Protocol):
    """A ``Repl``, as far as it is needed to run one cell; see there."""

    def collector(self) -> Collector: ...

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
    ) -> Ran: ...


@dataclass(frozen=True)
class Written:
    """A cell that was written, with what its record names it by."""

    node: str
    cell: int
    turn: int
    source: str
    author: Author = "lm"

    def began(self) -> CellStarted:
        """Return the event of its start, now."""
        return CellStarted(
            node=self.node,
            cell=self.cell,
            turn=self.turn,
            source=self.source,
            author=self.author,
            time=time.time(),
        )

    def ended(self, ran: Ran) -> CellRan:
        """Return the event of its end, now."""
        return CellRan(
            node=self.node,
            cell=self.cell,
            turn=self.turn,
            source=self.source,
            author=self.author,
            status=ran.status,
            outputs=ran.outputs,
            notices=ran.notices,
            execution_count=ran.execution_count,
            seconds=ran.seconds,
            time=time.time(),
            inputs=ran.inputs,
            concurrent=ran.concurrent,
            wanted=None if ran.wanted is None else canonical(ran.wanted),
            **answer_fields(ran.answer),
        )


async def execute(
    repl: RunsCells,
    written: Written,
    emit: Callable[[Event], None],
    noticed: Callable[[Ran], Ran],
) -> Ran:
    """Run the cell and emit ``CellStarted`` to ``CellRan``, and ``KernelRestarted`` where it ended
    its kernel. ``noticed`` adds what the LM must be told of it.

    When cancelled, the cell is recorded as interrupted with what it had put out.
    """
    emit(written.began())
    collector = repl.collector()
    started = time.monotonic()
    try:
        ran = await repl.run(
            written.source,
            cell=written.cell,
            author=written.author,
            collector=collector,
            on_output=lambda output: emit(OutputMade(written.node, written.cell, output)),
        )
    except asyncio.CancelledError:
        seconds = time.monotonic() - started
        stopped = Ran(status="interrupted", outputs=collector.outputs, seconds=seconds)
        emit(written.ended(stopped))
        raise
    ran = noticed(ran)
    emit(written.ended(ran))
    if ran.restarted is not None:
        emit(
            KernelRestarted(
                node=written.node,
                cell=written.cell,
                reason=ran.restarted,
                lost=ran.lost,
                time=time.time(),
                back_to=ran.back_to,
                by="" if ran.back_to is None else "snapshot",
            )
        )
    return ran
