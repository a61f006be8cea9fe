"""One cell run in a REPL and recorded: that it began, what it put out, how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..events import CellRan, CellStarted, Event, KernelRestarted, Output, OutputMade
from ..record.outputs import Collector
from .running_cell import Author, Ran


class RunsCells(Protocol):
    """What is needed of a ``Repl`` to run one cell; see there."""

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
        return CellStarted(self.node, self.cell, self.turn, self.source, self.author, time.time())

    def ended(self, ran: Ran) -> CellRan:
        return CellRan(
            self.node,
            self.cell,
            self.turn,
            self.source,
            self.author,
            ran.status,
            ran.outputs,
            ran.notices,
            ran.answer,
            ran.execution_count,
            ran.seconds,
            time.time(),
            ran.inputs,
            ran.concurrent,
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
        outputs = collector.outputs
        emit(written.ended(Ran("interrupted", outputs, [], None, None, None, seconds)))
        raise
    ran = noticed(ran)
    emit(written.ended(ran))
    if ran.restarted is not None:
        restarted = written.node, written.cell, ran.restarted, ran.lost
        emit(KernelRestarted(*restarted, time.time()))
    return ran
