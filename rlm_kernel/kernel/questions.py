"""Questions: a ``%%rlm`` cell is asked, its run is shown, its answer is bound in the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..answers import Answer
from ..errors import KernelDied, RLMError
from ..record.markdown import one_line, shorten
from ..record.notebooks.answers import table_of
from ..repl.repl import Repl
from ..session.asked_before import LIVE_CELLS
from ..session.session import Reader, Result
from ..settings.limit_options import limit_raised
from .cell_parser import Question
from .display.activity import Activity
from .display.card import answer_bundle, checks_bundle, evidence_bundle, picture_bundle
from .display.display import Display
from .front_end import ExecuteReply, Execution, FrontEnd
from .human_input import HumanInput
from .inner_kernel import InnerKernel, ended
from .live_cells.below import CellsBelow
from .live_cells.live_cells import LiveCells
from .notebook_session import NotebookSession
from .replaying.session import NotebookReplay
from .requests import NOBODYS

PLAIN = ("str", "int", "float", "bool", "NoneType", "list", "dict", "tuple", "set")
"""Types whose values a notebook shows as text."""


ON = "; `%rlm continue` goes on"
SAYING = f"{ON}: write a word to the LM below it"
UNTOLD = "The LM was not told, since it had no turn more: {word}"


@dataclass(frozen=True)
class _Bound:
    """An answer in the kernel: how it is ``shown`` there, but for its text; or why it is not."""

    shown: dict[str, Any]
    error: str = ""


class Questions:
    """Lets the LM answer the questions of a notebook, one at a time."""

    def __init__(
        self,
        front_end: FrontEnd,
        notebook: NotebookSession,
        replay: NotebookReplay,
        inner: InnerKernel,
        human: HumanInput,
        live: LiveCells,
        below: CellsBelow,
    ) -> None:
        self._front_end = front_end
        self._notebook = notebook
        self._replay = replay
        self._inner = inner
        self._human = human
        self._live = live
        self._below = below

    async def answer(self, execution: Execution, question: Question, repl: Repl) -> ExecuteReply:
        """Ask a question, or let the LM go on, and return the reply to its cell."""
        try:
            return await self._answered(execution, question, repl)
        except asyncio.CancelledError:
            self._tell_untold(execution)
            raise

    async def _answered(self, execution: Execution, question: Question, repl: Repl) -> ExecuteReply:
        # The inner kernel sees the question too, for its number and the history.
        code = f"%%rlm\n{question.text or 'continue'}"
        counted = await self._inner.relay(repl, execution, NOBODYS, {"question": True}, code)
        if counted.reply is None or counted.status == "error":  # an interrupt, shown already
            return ended(execution, counted)
        if execution.interrupted:
            raise asyncio.CancelledError
        execution.asks = True
        live = self._live.ask(execution)
        self._notebook.session.noted = {} if live is None else {LIVE_CELLS: True}
        with self._shown(execution, brief=live is not None) as display:
            readers: list[Reader] = [] if live is None else [live]
            readers += [self._live.last, self._below, display, Activity(self._front_end.send)]
            with self._notebook.session.words.open():
                result = await self._asked(execution, question, repl, readers)
            bound = None
            if result.status == "answered" and result.answer is not None:
                bound = await self._bind(self._notebook.name, result.answer)
            display.conclude()
            self._tell_untold(execution)
            return self._told(execution, result, bound, repl, counted.execution_count)

    def _tell_untold(self, execution: Execution) -> None:
        """Say which words to the LM came too late."""
        for word in self._notebook.session.words.left():
            execution.tell(UNTOLD.format(word=shorten(one_line(word), 200)), "stderr")

    def _told(
        self,
        execution: Execution,
        result: Result,
        bound: _Bound | None,
        repl: Repl,
        number: int | None,
    ) -> ExecuteReply:
        """Show the answer, or why there is none. Return the reply to the cell."""
        if bound is None or result.response is None:
            _warn(execution, result, repl)
            return _unanswered(execution, result)
        file = "" if result.file is None else self._notebook.link(result.file)
        table = None if result.answer is None else table_of(result.answer)
        shown = answer_bundle(result.response, file, table)
        content = {"data": {**shown, **bound.shown, **_picture(result.file)}, "metadata": {}}
        execution.send("execute_result", {**content, "execution_count": number})
        if result.evidence:
            execution.show(evidence_bundle(result.evidence))
        if result.checks:
            execution.show(checks_bundle(result.checks))
        if not result.confirmed:
            execution.tell(f"The answer is unconfirmed: {result.reason}", "stderr")
        if bound.error:
            execution.tell(f"The answer is not in {self._notebook.name}: {bound.error}", "stderr")
        _warn(execution, result, repl)
        self._inner.tell_news(execution)
        return execution.done()

    async def _asked(
        self, execution: Execution, question: Question, repl: Repl, readers: list[Reader]
    ) -> Result:
        session = self._notebook.session
        session.ask_human = self._human.at(execution)
        session.decide = self._human.decides(execution, self._live)
        if self._live.is_anew(execution):
            question = replace(question, replay="off")
        self._below.begin()
        try:
            if question.goes_on:
                stopped_at = await self._replay.leave(repl)
                touched = self._live.touched
                return await self._notebook.go_on(question, stopped_at, repl, readers, touched)
            return await self._notebook.ask(question, repl, readers)
        finally:
            session.ask_human = session.decide = None
            self._below.asked_before(self._notebook.written_before)

    @contextmanager
    def _shown(self, execution: Execution, *, brief: bool) -> Iterator[Display]:
        """Give the reader that shows a run in the human's cell. What belongs below its answer is
        shown at the end. A ``brief`` one leaves the turns to the notebook's cells."""
        link, say, again = self._notebook.page_link, self._front_end.say, execution.show_again
        display = Display(execution.send, log=say, link=link, again=again, brief=brief, cause=False)
        display.announce()
        try:
            yield display
        finally:
            display.close()

    async def _bind(self, name: str, answer: Answer) -> _Bound:
        """Bind the answer, in another kernel where this one refuses it, and return how the kernel
        shows it. What goes wrong is told beside the answer."""
        try:
            try:
                return await self._bound(name, answer)
            except KernelDied:
                return await self._bound(name, answer)
        except RLMError as error:
            return _Bound({}, str(error))

    async def _bound(self, name: str, answer: Answer) -> _Bound:
        repl = await self._inner.repl()
        await self._notebook.bind(repl, name, answer)
        if answer.type in PLAIN:
            return _Bound({})
        shown = await repl.display(name)
        rich = {mime: data for mime, data in shown.items() if mime != "text/plain"}
        return _Bound(rich)


def _picture(file: Path | None) -> dict[str, Any]:
    """Return the picture that belongs to an answer, if there is one. Blocks, for one file."""
    known = file is not None and file.suffix != ".csv" and file.is_file()
    return picture_bundle(file.suffix, file.read_bytes()) if file is not None and known else {}


def _warn(execution: Execution, result: Result, repl: Repl) -> None:
    if repl.changed:
        execution.tell(repl.changed, "stderr")
    if result.unrecorded is not None:
        execution.tell(f"The run is not recorded: {result.unrecorded}", "stderr")


def _unanswered(execution: Execution, result: Result) -> ExecuteReply:
    best = ""
    if result.response is not None:
        best = f"\nThe best answer so far, unconfirmed: {result.response}"
    limited = result.status == "limit"
    reason = str(result.reason)
    name, how = ("LimitReached", _way_on(reason)) if limited else ("NoAnswer", ON)
    return execution.failed(name, f"{reason.removesuffix('.')}{how}{best}")


def _way_on(reason: str) -> str:
    """Return the end of a sentence that says how to go on after the limit that was reached."""
    if not (raised := limit_raised(reason)):
        return SAYING
    return f"; `%rlm continue {raised}` goes on, and %rlm limits raises it for all questions"
