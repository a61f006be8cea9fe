"""The requests of a notebook's front ends, answered on the engine's loop.

The outer kernel hands them in and publishes what comes of them.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from functools import cached_property
from pathlib import Path
from typing import Any

from ..environments.messages import Message
from ..errors import RLMError, RunFailed, UsageError
from ..repl.repl import Repl
from ..rlm.boundary import boundary
from . import cell_parser
from .commands import Commands
from .completion import Completions, asks_for_help, completion_reply, inspected
from .front_end import ExecuteReply, Execution, FrontEnd
from .help import help_shown
from .human_input import HumanInput
from .inner_kernel import InnerKernel
from .keys import refuse_pasted, secrets_of
from .live_cells.below import CellsBelow
from .live_cells.live_cells import LiveCells
from .notebook_session import NotebookSession
from .own_variables import OwnVariables
from .python_cells import PythonCells
from .questions import Questions
from .replaying.session import NotebookReplay
from .requests import is_nobodys

log = logging.getLogger("rlm_kernel")
IN_SUBSHELL = (
    "in a subshell %rlm stop, tell and watch can be used: all else of %rlm stands in a cell of the "
    "notebook"
)
STOP_SECONDS = 0.5
"""How long a cell has to stop at a shutdown before its kernel is killed."""
KILLED_SECONDS = 5.0
"""How long it has after that."""
QUIET_SECONDS = 1.0
"""So long a new kernel leaves the processor to its first cells before it reads the openai package,
for which the first question would wait."""


class RequestHandler:
    """Answers the requests of the front ends. Cells run one at a time. ``own`` are the variables of
    the human's cells, where these run in a process of their own."""

    def __init__(self, front_end: FrontEnd, cwd: Path, own: OwnVariables | None = None) -> None:
        self._front_end = front_end
        self._cwd = cwd
        self._own = own
        self._opened: NotebookSession | None = None
        self._inner = InnerKernel(front_end, lambda: self._notebook.repl())
        self._human = HumanInput(front_end)
        self._live = LiveCells(front_end, cwd, lambda text: self._notebook.session.words.say(text))
        self._below = CellsBelow()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[Any] | None = None
        self._execution: Execution | None = None
        self._count = 0
        self._watches: set[asyncio.Task[Any]] = set()

    # Made when they are first needed: a wrong setting is told by a cell.
    @property
    def _notebook(self) -> NotebookSession:
        if self._opened is None:
            self._opened = NotebookSession(self._cwd, self._own)
        return self._opened

    @cached_property
    def _replay(self) -> NotebookReplay:
        return NotebookReplay(self._notebook)

    @cached_property
    def _python(self) -> PythonCells:
        decides = lambda execution: self._human.decides(execution, self._live)  # noqa: E731
        return PythonCells(self._notebook, self._replay, self._inner, decides)

    @cached_property
    def _completions(self) -> Completions:
        return Completions(self._notebook, self._inner, self._live)

    @cached_property
    def _questions(self) -> Questions:
        return Questions(
            front_end=self._front_end,
            notebook=self._notebook,
            replay=self._replay,
            inner=self._inner,
            human=self._human,
            live=self._live,
            below=self._below,
        )

    # life
    async def start(self) -> None:
        """Start the inner kernel, so that the first cell finds it ready.

        What goes wrong is told by the first cell, which tries again.
        """
        try:
            async with self._lock:
                await self._inner.repl()
        except RLMError as error:
            self._front_end.say(f"the inner kernel is not ready: {error}")
        self._watches.add(_this_task())  # the kernel's end does not come in its midst
        if self._opened is not None:
            await self._opened.runs.mend()
        await asyncio.sleep(QUIET_SECONDS)
        await asyncio.to_thread(importlib.import_module, "openai")

    async def close(self) -> None:
        """End what runs, seal the records, end the inner kernel."""
        for watch in self._watches:
            watch.cancel()
        if (task := self._task) is not None:
            self._cancel(task)
            await asyncio.wait({task}, timeout=STOP_SECONDS)
            if not task.done():  # its cell takes no interrupt
                await self._inner.kill()
                await asyncio.wait({task}, timeout=KILLED_SECONDS)
        if self._opened is not None:
            await self._opened.session.close()

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        if self._execution is not None:
            self._execution.interrupted = True
        task.cancel()

    # cells
    async def execute(self, request: Message) -> ExecuteReply:
        """Run a cell of any kind; return the content and the metadata of its ``execute_reply``."""
        execution = Execution(self._front_end, request, self._count)
        task = _this_task()
        self._task, self._execution = task, execution
        try:
            async with self._lock:
                with boundary():
                    return execution.with_cells(await self._execute(execution))
        except RunFailed as error:
            log.error("a fault of rlm_kernel ended the cell", exc_info=error)
            text = f"{error}; this is a fault of rlm_kernel, its log says more"
            return execution.failed("RunFailed", text)
        except RLMError as error:
            name = "UsageError" if isinstance(error, UsageError) else type(error).__name__
            return execution.failed(name, str(error))
        except asyncio.CancelledError:
            if not execution.interrupted:
                raise
            task.uncancel()
            how = "; `%rlm continue` lets the LM go on" if execution.asks else ""
            return execution.failed("KeyboardInterrupt", f"the cell was interrupted{how}")
        finally:
            self._live.end(execution)
            self._task = self._execution = None
            self._count = execution.count
            self._inner.settle()

    async def beside(self, request: Message) -> ExecuteReply:
        """Show a run, or tell the LM something, while a cell runs; return the content and metadata
        of the reply."""
        execution = Execution(self._front_end, request, self._count)
        task = _this_task()
        self._watches.add(task)
        try:
            cell = cell_parser.split(execution.code)
            for command in cell.commands:
                await self._commands(execution).beside(command)
        except RLMError as error:
            return execution.failed(type(error).__name__, str(error))
        finally:
            self._watches.discard(task)
        return execution.done()

    async def execute_aside(self, request: Message) -> ExecuteReply:
        """Run a cell of Python in a subshell, beside the cell that runs. It is in no record, and
        asks for no input."""
        execution = Execution(self._front_end, request, self._count)
        try:
            refuse_pasted(execution.code, secrets_of(self._notebook.session.force))
            cell = cell_parser.split(execution.code)
            if isinstance(cell, cell_parser.Question) or cell.commands:
                raise UsageError(IN_SUBSHELL)
            kernel = (await self._repl_now()).kernel
            content = {**request["content"], "allow_stdin": False}
            subshell = request["header"]["subshell_id"]
            reply = await kernel.request_aside(
                {**request, "content": content}, self._front_end.publish, subshell=subshell
            )
        except RLMError as error:
            return execution.failed(type(error).__name__, str(error))
        assert reply is not None
        return reply["content"], reply["metadata"]

    async def delete_subshell(self, name: str) -> None:
        """Let go of what the inner kernel has for a subshell."""
        if self._inner.known is not None:
            await self._inner.known.kernel.close_subshell(name)

    def failed(self, request: Message, name: str, text: str) -> ExecuteReply:
        """Show an error that kept a cell from being run, and return its reply."""
        return Execution(self._front_end, request, self._count).failed(name, text)

    async def _execute(self, execution: Execution) -> ExecuteReply:
        refuse_pasted(execution.code, secrets_of(self._notebook.session.force))
        if asks_for_help(execution.code):
            execution.show(help_shown())
            return self._counted(execution)
        nobodys = is_nobodys(execution.request["content"])
        if not nobodys and (index := self._replay.find(execution.code)) is not None:
            return await self._python.run_recorded(execution, index, await self._inner.repl())
        if not nobodys and (below := self._below.take(execution.code)) is not None:
            return below.show(execution)
        cell = cell_parser.split(execution.code, ask=self._notebook.mode == "ask")
        if isinstance(cell, cell_parser.Question) and self._replay.on and not cell.goes_on:
            raise UsageError(
                "a replay is under way, which asks no LM: %rlm continue lets the LM go on from "
                "here, %rlm verdict ends it"
            )
        await self._carry_out(execution, cell)
        source = cell_parser.body(execution.code)
        if any(c.begins for c in cell.commands) and self._replay.on and not source:
            return self._counted(execution)  # the new kernel is to be as the recorded one was
        repl = await self._inner.repl()
        if not nobodys:
            self._inner.tell_news(execution)
        if isinstance(cell, cell_parser.Question):
            return await self._questions.answer(execution, cell, repl)
        if nobodys:
            return await self._python.run_aside(execution, len(cell.commands), repl)
        self._replay.note(source)
        if named := self._below.ran(source):
            self._front_end.say(f"run, as it is no cell of the question before it: {named}")
        return await self._python.run(execution, len(cell.commands), repl)

    async def _carry_out(self, execution: Execution, cell: cell_parser.Cell) -> None:
        """Do what the ``%rlm`` lines of a cell say, and show what they have to show."""
        commands = self._commands(execution)
        for command in cell.commands:
            if (shown := await commands.run(command, await self._inner.repl())) is not None:
                execution.show(shown)
            if command.verb == "back":
                self._inner.settle()
                if command.value is not None:
                    self._below.went_back(int(command.value))

    def _commands(self, execution: Execution) -> Commands:
        secret = self._human.secret(execution)
        return Commands(self._notebook, self._replay, execution, self._live, secret)

    def _counted(self, execution: Execution) -> ExecuteReply:
        """Number a cell that the inner kernel does not see."""
        execution.count += 1
        seen = {"code": execution.code, "execution_count": execution.count}
        execution.send("execute_input", seen)
        return execution.done()

    # beside the cells
    @property
    def asks_in_text(self) -> bool:
        """Return whether plain text is a question, by ``%rlm mode ask``."""
        return self._opened is not None and self._opened.mode == "ask"

    async def completed(self, code: str, cursor_pos: int) -> cell_parser.Completion | None:
        """Return the candidates at the cursor; None on a line that is not ours."""
        return await self._completions.at(code, cursor_pos)

    async def interrupt(self) -> None:
        """Stop the cell that runs: a question ends as interrupted, Python gets its signal."""
        execution, relaying = self._execution, self._inner.relaying
        if execution is None:
            if self._inner.known is not None:  # for a completion, say, that does not end
                await self._inner.known.kernel.interrupt()
        elif relaying is not None:
            execution.interrupted = True
            await relaying.interrupt()
        elif self._task is not None and not execution.interrupted:
            self._cancel(self._task)

    async def forward(self, request: Message) -> Message:
        """Return the inner kernel's reply to a request that runs nothing. Raises ``RLMError``
        where there is no kernel."""
        content = request["content"]
        if request["header"]["msg_type"] == "complete_request":
            found = await self.completed(content["code"], content["cursor_pos"])
            if found is not None:
                return completion_reply(found)
        if request["header"]["msg_type"] == "inspect_request":
            seen = inspected(str(content.get("code")), int(content.get("cursor_pos") or 0))
            if seen is not None:
                return {"content": seen, "metadata": {}}
        kernel = (await self._repl_now()).kernel
        request = _of_no_subshell(request)
        if self._task is not None:
            reply = await kernel.request_aside(request)
        else:
            reply = await kernel.request(request, self._front_end.publish)
        assert reply is not None
        return reply

    async def forward_comm(self, request: Message) -> None:
        """Pass on a widget's message; it is done when the inner kernel is done with it. Those of
        the pages that show live cells are ours."""
        if self._live.takes(request):
            self._live.take(request)
            return
        try:
            kernel = (await self._repl_now()).kernel
            request = _of_no_subshell(request)
            if self._inner.relaying is not None:  # in the midst of a cell it gets no ``idle``
                await kernel.pass_on(request)
            elif self._execution is not None and self._execution.asks:
                # A cell of the LM's may take its time.
                await kernel.pass_on_aside(request, self._front_end.publish)
            else:
                await kernel.request(request, self._front_end.publish, replies=False)
        except RLMError as error:
            self._front_end.say(f"a widget's message was lost: {error}")

    async def _repl_now(self) -> Repl:
        """Return the REPL without waiting for a cell that runs in it."""
        if self._inner.known is not None and self._task is not None:
            return self._inner.known
        async with self._lock:
            return await self._inner.repl()

    async def answer_input(self, value: str) -> None:
        """Give a line to the cell that asked for it; nothing where no cell runs any more."""
        if not self._human.take(value) and self._inner.relaying is not None:
            await self._inner.relaying.answer_input(value)


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _of_no_subshell(request: Message) -> Message:
    """Return a request without the name of a subshell, which the inner kernel does not know."""
    return {**request, "header": {**request["header"], "subshell_id": None}}
