"""Cells of Python: the human's, those that a front end sends for itself, those of a replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..record.notebooks.answers import table_of
from ..repl.repl import Repl
from ..repl.running_cell import Ran
from ..rlm.consent import Decide
from . import cell_parser
from .display.card import answer_bundle, picture_bundle
from .front_end import ExecuteReply, Execution
from .inner_kernel import InnerKernel, ended
from .notebook_session import NotebookSession
from .replaying.session import NotebookReplay
from .requests import NOBODYS

RAISE = "Raise it with %rlm limits."
PROSE = "This is not Python. To ask the LM, begin the cell with %%rlm and write the question below."
INTERRUPTED = ("KeyboardInterrupt", "CancelledError")
"""How a cell ends that is interrupted while it runs, and while it awaits."""


class PythonCells:
    """Runs the Python cells of a notebook in its inner kernel.

    ``commands`` is how many ``%rlm`` lines at the top of a cell were carried out already.
    """

    def __init__(
        self,
        notebook: NotebookSession,
        replay: NotebookReplay,
        inner: InnerKernel,
        decides: Callable[[Execution], Decide | None],
    ) -> None:
        self._decides = decides
        self._notebook = notebook
        self._replay = replay
        self._inner = inner

    async def run(self, execution: Execution, commands: int, repl: Repl) -> ExecuteReply:
        """Run a cell of the human's, and record it for the questions to come."""
        session = self._notebook.session
        cell = next(session.prelude.numbers.cells)
        session.decide = self._decides(execution)  # for children that the cell asks
        try:
            ran = await self._inner.relay(repl, execution, cell, {"commands": commands})
        finally:
            session.decide = None
        if execution.interrupted and _ename(ran) in INTERRUPTED:
            ran = replace(ran, status="interrupted")  # how far it came is chance: no replay of it
        self._notebook.remember(cell, execution.code, ran)
        if ran.restarted is not None:
            await session.kept.ended_by(cell, ran)
        if ran.answer is not None:
            session.by_hand.answered(ran.answer)
            self._replay.answered(ran.answer)
            shown = answer_bundle(ran.answer.text, table=table_of(ran.answer))
            if ran.attached is not None:
                shown |= picture_bundle(ran.attached.suffix, ran.attached.data)
            execution.show(shown)
        reply = ended(execution, ran)
        if hint := _hint(execution.code, ran):
            execution.tell(hint, "stderr")
        return reply

    async def run_aside(self, execution: Execution, commands: int, repl: Repl) -> ExecuteReply:
        """Run a cell that is not the human's: it is in no record, and the LM is not told of it."""
        ran = await self._inner.relay(repl, execution, NOBODYS, {"commands": commands})
        if ran.restarted is not None:
            # The human has not seen it.
            self._inner.note_death(ran.restarted, ran.lost, ran.back_to)
            await self._notebook.session.kept.ended_by(NOBODYS, ran)
        return ended(execution, ran)

    async def run_recorded(self, execution: Execution, index: int, repl: Repl) -> ExecuteReply:
        """Run the cell at ``index`` of the record that is replayed."""
        ran = await self._replay.run(index, repl, execution.send)
        if isinstance(ran, str):
            execution.tell(f"Not run again: {ran}.", "stderr")
            return execution.done()
        execution.count = ran.execution_count or execution.count
        return ended(execution, ran)


def _ename(ran: Ran) -> str | None:
    return None if ran.reply is None else ran.reply["content"].get("ename")


def _hint(code: str, ran: Ran) -> str:
    """Return a line on what to do about a cell that was refused or was no Python; empty where
    there is none to give."""
    match _ename(ran):
        case "LimitReached":
            return RAISE
        case "UsageError" if near := cell_parser.near_word(code):
            return f"Did you mean {near}?"
    # IPython takes a sentence that ends in a question mark for a word that it is to explain.
    unread = _ename(ran) == "SyntaxError" or code.rstrip().endswith("?")
    return PROSE if unread and cell_parser.looks_like_prose(code) else ""
