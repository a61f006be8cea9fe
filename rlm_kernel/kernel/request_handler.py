"""What lies behind a notebook with the kernel RLM: its inner kernel, its settings, its questions.

It lives on the engine's loop. The outer kernel hands it requests and publishes what it says.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ..environments.kernel import Kernel
from ..environments.messages import Message
from ..errors import KernelDied, RLMError, RunFailed, UsageError
from ..record.filters import for_terminal
from ..record.outputs import Collector
from ..repl.repl import Repl
from ..repl.running_cell import Ran
from ..rlm.boundary import boundary
from ..session.session import Result
from . import cell_parser
from .asking import NOBODYS, is_nobodys
from .commands import Commands, Shown
from .display.activity import Activity
from .display.card import answer_bundle
from .display.display import Display
from .execute_replies import ExecuteReply, cell_ran, completion, death, done, ename
from .notebook_session import NotebookSession
from .replaying.session import NotebookReplay

log = logging.getLogger("rlm_kernel")
RAISE = "%rlm limits raises limits."
PROSE = "This is no Python. To ask the LM, begin the cell with %%rlm and write the question below."
INTERRUPTED = ("KeyboardInterrupt", "CancelledError")
"""How a cell ends that is interrupted while it runs, and while it awaits."""
STOP_SECONDS = 0.5
"""How long a cell has to stop at a shutdown before its kernel is killed."""


class Front(Protocol):
    """The Jupyter side; called on the engine's loop."""

    def publish(self, message: Message) -> None: ...

    def send(self, kind: str, content: dict[str, Any], parent: Message) -> None: ...

    def ask_input(self, request: Message) -> None: ...

    def say(self, line: str) -> None: ...


class RequestHandler:
    """Answers the requests of the front ends. Cells run one at a time."""

    def __init__(self, front: Front, cwd: Path) -> None:
        self._front = front
        self._cwd = cwd
        self._opened: NotebookSession | None = None
        self._opened_revival: NotebookReplay | None = None
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[Any] | None = None
        self._relaying: Repl | None = None
        self._interrupted = False
        self._count = 0
        self._hooked: Repl | None = None
        self._kernel: Kernel | None = None  # of ``_hooked``, when it was last looked at
        self._news: str | None = None  # of the kernel, for the next cell

    # life
    async def start(self) -> None:
        """Start the inner kernel, so that the first cell finds it ready.

        What goes wrong is told by the first cell, which tries again.
        """
        try:
            async with self._lock:
                await self._repl()
        except RLMError as error:
            self._front.say(f"the inner kernel is not ready: {error}")
        # The first question would wait for it for a second.
        await asyncio.to_thread(importlib.import_module, "openai")

    async def close(self) -> None:
        """End what runs, seal the records, end the inner kernel."""
        if self._task is not None:
            task, self._interrupted = self._task, True
            task.cancel()
            await asyncio.wait({task}, timeout=STOP_SECONDS)
            if self._hooked is not None and not task.done():  # its cell takes no interrupt
                await self._hooked.kernel.kill()
                await asyncio.wait({task}, timeout=5.0)
        if self._opened is not None:
            await self._opened.session.close()

    @property
    def _desk(self) -> NotebookSession:
        """Made when it is first needed: a wrong setting is told by a cell."""
        if self._opened is None:
            self._opened = NotebookSession(self._cwd)
        return self._opened

    @property
    def _revival(self) -> NotebookReplay:
        if self._opened_revival is None:
            self._opened_revival = NotebookReplay(self._desk)
        return self._opened_revival

    async def _repl(self) -> Repl:
        kernel, names = self._kernel, [] if self._hooked is None else self._hooked.names
        repl = await self._desk.repl()
        if repl is not self._hooked:
            repl.on_stray = lambda message: self._stray(repl, message)
            repl.on_input = self._front.ask_input
            self._hooked = repl
        elif repl.kernel is not kernel:
            self._news = death(repl.gone, names)
        self._kernel = repl.kernel
        return repl

    def _stray(self, repl: Repl, message: Message) -> None:
        """Pass on what a thread or a widget of a human's cell says later; not an LM's."""
        if not repl.kernel.owns(message["parent_header"]):
            self._front.publish(message)

    # cells
    async def execute(self, request: Message) -> ExecuteReply:
        """Run a cell of any kind; the content and the metadata of its ``execute_reply``."""
        self._task, self._interrupted = asyncio.current_task(), False
        try:
            async with self._lock:
                with boundary():
                    return await self._execute(request)
        except UsageError as error:
            return self.failed(request, "UsageError", str(error))
        except RunFailed as error:
            log.error("a fault of rlm_kernel ended the cell", exc_info=error)
            text = f"{error}; this is a fault of rlm_kernel, its log says more"
            return self.failed(request, "RunFailed", text)
        except RLMError as error:
            return self.failed(request, type(error).__name__, str(error))
        except asyncio.CancelledError:
            if not self._interrupted or self._task is None:
                raise
            self._task.uncancel()
            return self.failed(request, "KeyboardInterrupt", "the cell was interrupted")
        finally:
            self._task = None
            if self._hooked is not None:  # what became of it in the cell was said there
                self._kernel = self._hooked.kernel

    async def _execute(self, request: Message) -> ExecuteReply:
        code, nobodys = request["content"]["code"], is_nobodys(request["content"])
        if not nobodys and (place := self._revival.find(code)) is not None:
            return await self._again(request, place)
        cell = cell_parser.split(code, ask=self._desk.mode == "ask")
        if isinstance(cell, cell_parser.Question) and self._revival.on and not cell.goes_on:
            raise UsageError(
                "a replay goes on, which asks no LM; %rlm continue lets the LM go on from here, "
                "%rlm verdict ends it"
            )
        commands = Commands(
            self._desk, self._revival, self._link, lambda line: self._tell(request, line)
        )
        for command in cell.commands:
            self._show(request, await commands.run(command, await self._repl()))
        if any(c.begins for c in cell.commands) and self._revival.on and not cell_parser.body(code):
            self._count += 1
            seen = {"code": code, "execution_count": self._count}
            self._front.send("execute_input", seen, request)
            return done(self._count)  # the new kernel is as the recorded one was, with no cell yet
        repl = await self._repl()
        if not nobodys:
            self._tell_news(request)
        if isinstance(cell, cell_parser.Question):
            return await self._answer(request, cell, repl)
        if nobodys:
            return await self._aside(request, len(cell.commands), repl)
        self._revival.note(cell_parser.body(code))
        return await self._python(request, len(cell.commands), repl)

    async def _again(self, request: Message, place: int) -> ExecuteReply:
        """Run a cell of the record that is replayed."""
        ran = await self._revival.run(
            place,
            await self._repl(),
            lambda kind, content: self._front.send(kind, content, request),
        )
        if ran is None:
            self._tell(request, "Not run again: the record has it as interrupted.", "stderr")
            return done(self._count)
        self._count = ran.execution_count or self._count
        return self._replied(request, ran)

    def _tell(self, request: Message, line: str, stream: str = "stdout") -> None:
        self._front.send("stream", {"name": stream, "text": f"{line}\n"}, request)

    def _tell_news(self, request: Message) -> None:
        """Say that the kernel was replaced, once."""
        if self._news is not None:
            self._tell(request, self._news, "stderr")
            self._news = None

    def _show(self, request: Message, shown: Shown | None) -> None:
        if shown is not None:
            self._front.send("display_data", {"data": shown, "metadata": {}}, request)

    async def _python(self, request: Message, commands: int, repl: Repl) -> ExecuteReply:
        code, cell = request["content"]["code"], next(self._desk.session.prelude.numbers.cells)
        ran = await self._relay(repl, request, cell, {"commands": commands})
        if self._interrupted and ename(ran) in INTERRUPTED:
            ran = replace(ran, status="interrupted")  # how far it came is chance: no replay of it
        self._desk.session.remember(cell_ran(cell, code, ran))
        if ran.restarted is not None:
            await self._desk.session.restarted(ran.restarted, ran.lost)
        if ran.answer is not None:
            self._desk.session.by_hand.answered(ran.answer)
            self._revival.answered(ran.answer)
            data = {"data": answer_bundle(ran.answer), "metadata": {}}
            self._front.send("display_data", data, request)
        content, metadata = self._replied(request, ran)
        hint = RAISE if ename(ran) == "LimitReached" else ""
        if ename(ran) == "SyntaxError" and cell_parser.looks_like_prose(code):
            hint = PROSE
        if hint:
            self._tell(request, hint, "stderr")
        return content, metadata

    async def _aside(self, request: Message, commands: int, repl: Repl) -> ExecuteReply:
        """Run a cell that is not the human's: it is in no record, and the LM is not told of it."""
        ran = await self._relay(repl, request, NOBODYS, {"commands": commands})
        if ran.restarted is not None:
            self._news = death(ran.restarted, ran.lost)  # the human has not seen it
            await self._desk.session.restarted(ran.restarted, ran.lost)
        return self._replied(request, ran)

    def _replied(self, request: Message, ran: Ran) -> ExecuteReply:
        """What the kernel replied, or that it died."""
        if ran.reply is None:
            return self.failed(request, "KernelDied", death(ran.restarted or "", ran.lost))
        return ran.reply["content"], ran.reply["metadata"]

    async def _relay(self, repl: Repl, request: Message, cell: int, about: dict[str, Any]) -> Ran:
        self._relaying = repl
        try:
            ran = await repl.relay(
                request,
                cell=cell,
                about=about,
                collector=Collector(),
                on_message=self._front.publish,
            )
        finally:
            self._relaying = None
        self._count = ran.execution_count or self._count
        return ran

    def failed(self, request: Message, name: str, text: str) -> ExecuteReply:
        """Show an error of ours, which has no traceback: its text says all."""
        text = for_terminal(text)
        error = {"ename": name, "evalue": text, "traceback": [f"\x1b[0;31m{name}\x1b[0m: {text}"]}
        self._front.send("error", error, request)
        return {"status": "error", "execution_count": self._count, **error}, {}

    # questions
    async def _answer(
        self, request: Message, question: cell_parser.Question, repl: Repl
    ) -> ExecuteReply:
        # The inner kernel sees the question too, for its number and the history.
        content = {**request["content"], "code": f"%%rlm\n{question.text or 'continue'}"}
        seen = {**request, "content": content}
        counted = await self._relay(repl, seen, NOBODYS, {"question": True})
        if counted.reply is None or counted.status == "error":  # an interrupt, shown already
            return self._replied(request, counted)
        if self._interrupted:
            raise asyncio.CancelledError
        number = counted.execution_count
        async with self._shown(request) as readers:
            if question.goes_on:
                where = await self._revival.leave(repl)
                result = await self._desk.go_on(question.text, where, repl, readers)
            else:
                result = await self._desk.ask(question, repl, readers)
        if repl.changed:
            self._tell(request, repl.changed, "stderr")
        if result.unrecorded is not None:
            self._tell(request, f"The run is not recorded: {result.unrecorded}", "stderr")
        if not result.confirmed or result.response is None:
            return self._unanswered(request, result)
        data = {"data": answer_bundle(result.response), "metadata": {}}
        self._front.send("execute_result", {**data, "execution_count": number}, request)
        await self._bind(request, question.name, result.response)
        return done(number or self._count)

    async def _bind(self, request: Message, name: str, answer: str) -> None:
        """Bind the answer, in another kernel where this one refuses it. It is shown already: what
        goes wrong is told beside it."""
        try:
            try:
                await self._desk.bind(await self._repl(), name, answer)
            except KernelDied:
                await self._desk.bind(await self._repl(), name, answer)
        except RLMError as error:
            self._tell(request, f"The answer is not in {name}: {error}", "stderr")
        self._tell_news(request)

    @asynccontextmanager
    async def _shown(self, request: Message) -> AsyncIterator[list[Any]]:
        """Readers that show a run in the human's cell and to consoles."""
        display = Display(
            lambda kind, content: self._front.send(kind, content, request),
            log=self._front.say,
            link=self._page_link,
        )
        try:
            yield [display, Activity(self._front.send)]
        finally:
            display.close()

    def _page_link(self, page: Path) -> str:
        """The page of the run's folder, as seen from the notebook."""
        folder = self._desk.run_folder
        return self._link(page if folder is None else folder / page)

    def _link(self, path: Path) -> str:
        """A path as seen from the notebook, which is in our working folder; an absolute one where
        it lies elsewhere."""
        inside = path.is_relative_to(self._cwd)
        return os.path.relpath(path, self._cwd) if inside else str(path)

    def _unanswered(self, request: Message, result: Result) -> ExecuteReply:
        best = ""
        if result.response is not None:
            best = f"\nThe best answer so far, unconfirmed: {result.response}"
        name = "LimitReached" if result.status == "limit" else "NoAnswer"
        how = "" if result.status != "limit" else "; %rlm limits raises limits"
        return self.failed(request, name, f"{result.reason}{how}{best}")

    # beside the cells
    async def interrupt(self) -> None:
        """Stop the cell that runs: a question ends as interrupted, Python gets its signal."""
        if self._relaying is not None:
            self._interrupted = True
            await self._relaying.interrupt()
        elif self._task is not None:
            if not self._interrupted:
                self._task.cancel()
            self._interrupted = True
        elif self._hooked is not None:  # for a completion, say, that does not end
            await self._hooked.kernel.interrupt()

    async def forward(self, request: Message) -> Message:
        """The inner kernel's reply to a request that runs nothing. Raises ``RLMError`` where there
        is no kernel."""
        content = request["content"]
        if request["header"]["msg_type"] == "complete_request":
            found = cell_parser.complete(content["code"], content["cursor_pos"])
            if found is not None:
                return completion(found)
        kernel = (await self._waiting_repl()).kernel
        if self._task is not None:
            reply = await kernel.request_aside(request)
        else:
            reply = await kernel.request(request, self._front.publish)
        assert reply is not None
        return reply

    async def _waiting_repl(self) -> Repl:
        """The kernel, without waiting for a cell that runs in it."""
        if self._hooked is not None and self._task is not None:
            return self._hooked
        async with self._lock:
            return await self._repl()

    async def forward_comm(self, request: Message) -> None:
        """Pass on a widget's message; it is done when the inner kernel is done with it."""
        try:
            kernel = (await self._waiting_repl()).kernel
            if self._relaying is not None:  # handled in the midst of a cell it gets no ``idle``
                await kernel.pass_on(request)
            else:
                await kernel.request(request, self._front.publish, replies=False)
        except RLMError as error:
            self._front.say(f"a widget's message was lost: {error}")

    async def answer_input(self, value: str) -> None:
        if self._relaying is not None:
            await self._relaying.answer_input(value)
