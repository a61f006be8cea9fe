"""The RLM: reply, cells, output, again, until a cell gives the answer.

Recursion is calling ``solve`` at depth + 1. The loop knows no face: it emits events.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from . import cells, history, prompts
from .calls import LiveCalls
from .contexts import Source
from .errors import LimitReached, LMError, RLMError
from .events import (
    CellRan,
    CellStarted,
    ContextInfo,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    Status,
)
from .history import Message
from .lm.client import Reply
from .outputs import Collector, text_of
from .repl import Ran, Repl, open_repl
from .run import CallMeter, Model, Run

REPEATED_TEMPERATURE = 0.7
WINDOW_SHARE = 0.8
"""The history is compacted when it fills this much of the LM's window."""


@dataclass(frozen=True)
class Task:
    """A question for one node. ``call`` is the parent's call that asked it."""

    question: str
    source: Source
    node: str = "0"
    parent: str | None = None
    call: int | None = None
    depth: int = 0
    model: Model | None = None


@dataclass(frozen=True)
class Outcome:
    """How a node or a run ended. An answer that is not ``confirmed`` is the best so far."""

    status: Status
    answer: str | None
    confirmed: bool
    reason: str | None = None


async def solve_tree(run: Run, task: Task, repl: Repl | None = None) -> Outcome:
    """Answer a question under the run's limits, whole tree; always ends in a ``RunEnded``.

    ``repl`` is a live one to go on in (a persistent session); it stays open. Cancelling ends the
    run as interrupted and re-raises.
    """
    node = Node(run, task)
    outcome = Outcome("failed", None, False, "an error of rlm_kernel itself")
    try:
        async with asyncio.timeout(run.ledger.seconds_left):
            outcome = await node.solve(repl)
    except TimeoutError:
        error = run.ledger.trip("seconds", run.ledger.seconds, run.limits.seconds or 0)
        outcome = Outcome("limit", node.draft, False, str(error))
    except asyncio.CancelledError:
        outcome = Outcome("interrupted", node.draft, False, "interrupted")
        raise
    finally:
        ledger = run.ledger
        run.emit(
            RunEnded(
                outcome.status,
                outcome.answer,
                outcome.confirmed,
                outcome.reason,
                ledger.usage,
                ledger.turns,
                ledger.calls,
                ledger.seconds,
                time.time(),
            )
        )
    return outcome


class Node:
    """One RLM at one depth: its kernel, its history, its notebook."""

    def __init__(self, run: Run, task: Task) -> None:
        self.run = run
        self.task = task
        self.model = task.model or run.root
        self.draft: str | None = None
        self._calls = LiveCalls(run, task.node, task.depth, self._child)
        self._messages: list[Message] = []
        self._cell = 0
        self._names: list[str] = []
        self._kind = ""
        self._checked = False
        self._seen_output = False
        self._looked = False
        self._last: tuple[str, bool] = ("", False)  # source, worth running again
        self._temperature: float | None = None

    # the loop
    async def solve(self, repl: Repl | None = None) -> Outcome:
        """Turns until an answer or an end. Emits ``NodeStarted`` and ``NodeEnded``.

        Raises ``KernelStartError`` where no kernel can be had, and ``CancelledError``.
        """
        outcome = Outcome("failed", None, False, "an error of rlm_kernel itself")
        try:
            async with AsyncExitStack() as stack:
                if repl is None:
                    repl = await stack.enter_async_context(
                        open_repl(self._calls, self.run.setup(self.task.node))
                    )
                repl.calls = self._calls
                outcome = await self._turns(repl)
        except asyncio.CancelledError:
            tripped = self.run.ledger.seconds_left is not None and self.run.ledger.seconds_left <= 0
            reason = "the run's time was over" if tripped else "interrupted"
            outcome = Outcome("limit" if tripped else "interrupted", self.draft, False, reason)
            raise
        except LimitReached as error:
            outcome = Outcome("limit", self.draft, False, str(error))
        except RLMError as error:
            outcome = Outcome("failed", self.draft, False, str(error))
        finally:
            self.run.emit(NodeEnded(self.task.node, *_fields(outcome), time.time()))
        return outcome

    async def _turns(self, repl: Repl) -> Outcome:
        info = await self._start(repl)
        limits = self.run.limits
        self._kind = await self._sorted()
        news = self._opening(info)
        for turn in range(1, limits.turns + 1):
            if turn == limits.turns > 1:
                news[-1] = _with(news[-1], prompts.LAST_TURN)
            reply = await self._reply(turn, news)
            rans, unrun = await self._run_cells(repl, turn, reply)
            answer = next((ran.answer for ran in rans if ran.answer is not None), None)
            if answer is not None:
                doubt = self._doubt(answer)
                if doubt is None or self.run.ledger.tripped or turn == limits.turns:
                    return Outcome("answered", answer, True)
                self.draft = answer
                self._last = "", False  # the same cell again confirms it
                news = self._feedback(reply, rans, [doubt])
                continue
            if self.run.ledger.tripped is not None:
                raise self.run.ledger.tripped
            news = self._feedback(reply, rans, unrun)
        # Not tripped in the ledger: a child that is out of turns does not end its parents.
        raise LimitReached("turns", spent=limits.turns, allowed=limits.turns)

    async def _start(self, repl: Repl) -> ContextInfo:
        task = self.task
        source, text = await asyncio.to_thread(self.run.kept, task.source)
        info = await repl.set_context(source)
        info = replace(info, spec=self.run.recorded(info.spec, text))
        self.run.emit(
            NodeStarted(
                task.node,
                task.parent,
                task.depth,
                task.call,
                task.question,
                self.model.name,
                info,
                time.time(),
            )
        )
        return info

    def _opening(self, info: ContextInfo) -> list[Message]:
        run = self.run
        system = prompts.system(
            run.style,
            self._kind,
            prompt_chars=run.prompt_chars,
            tools=run.tools.functions,
            data=list(run.tools.data),
        )
        first = prompts.first(self.task.question, info, run.style, self._kind)
        return [prompts.message("system", system), prompts.message("user", first)]

    async def _sorted(self) -> str:
        """The kind of the question, which a style with several kinds has the LM say: turn 0."""
        style = self.run.style
        if len(style.system) == 1:
            return next(iter(style.system))
        messages = prompts.sorting(self.task.question)
        self._emit_prompted(0, messages[-1:], False)
        return prompts.kind_of((await self._stream(0, messages)).text, style)

    # a turn
    async def _reply(self, turn: int, news: list[Message]) -> Reply:
        """The LM's reply to the history with ``news``, which fits the window or is compacted."""
        self._messages += news
        compacted = self._compact(WINDOW_SHARE)
        self._emit_prompted(turn, self._messages if compacted else news, compacted)
        try:
            reply = await self._stream(turn, self._messages)
        except LMError as error:
            if error.cause != "window" or not self._compact(0.0):
                raise
            self._emit_prompted(turn, self._messages, True)
            reply = await self._stream(turn, self._messages)
        self._messages.append(prompts.message("assistant", reply.text))
        self._temperature = None
        return reply

    def _compact(self, share: float) -> bool:
        if history.tokens(self._messages) <= self.model.window * share:
            return False
        shorter = history.compacted(self._messages, self._names)
        changed = shorter is not self._messages
        self._messages = shorter
        return changed

    def _emit_prompted(self, turn: int, messages: list[Message], compacted: bool) -> None:
        self.run.emit(Prompted(self.task.node, turn, list(messages), time.time(), compacted))

    async def _stream(self, turn: int, messages: list[Message]) -> Reply:
        run, node = self.run, self.task.node
        meter = CallMeter(run.ledger)
        sampling = self.model.sampling
        if self._temperature is not None and sampling.temperature is not None:
            sampling = replace(sampling, temperature=self._temperature)
        started = time.monotonic()
        run.ledger.turns += 1
        reply = Reply(text="", model=self.model.name, finish=None, usage=meter.usage, seconds=0.0)
        try:
            reply = await self.model.client.stream(
                self.model.name,
                messages,
                meter,
                sampling=sampling,
                on_delta=lambda text: run.emit(ReplyDelta(node, turn, text)),
                on_restart=lambda: run.emit(ReplyDelta(node, turn, "\f")),
                cut=cells.end_of_first_block if run.style.stop_after_block else None,
            )
        finally:  # a reply that failed was paid for too
            run.emit(
                Replied(
                    node,
                    turn,
                    reply.text,
                    reply.model,
                    reply.finish,
                    meter.usage,
                    time.monotonic() - started,
                    time.time(),
                )
            )
        return reply

    async def _run_cells(self, repl: Repl, turn: int, reply: Reply) -> tuple[list[Ran], list[str]]:
        """Run the reply's cells up to the first that fails or answers; and what to say of those
        that were not run."""
        sources = cells.sources(reply.text)
        notes = [prompts.MORE_CELLS.format(most=cells.MAX_CELLS)]
        notes = notes if len(sources) > cells.MAX_CELLS else []
        sources = sources[: cells.MAX_CELLS]
        if not sources:
            return [], [prompts.NO_CODE]
        if len(sources) == 1 and sources[0] == self._last[0] and not self._last[1]:
            self._temperature = REPEATED_TEMPERATURE
            return [], [prompts.REPEATED]
        rans: list[Ran] = []
        for source in sources:
            ran = await self._run_cell(repl, turn, source)
            rans.append(ran)
            if ran.status != "ok" or ran.answer is not None or self.run.ledger.tripped:
                break
        if (left := len(sources) - len(rans)) and rans[-1].answer is None:
            notes.append(prompts.NOT_RUN.format(count=left))
        return rans, notes

    async def _run_cell(self, repl: Repl, turn: int, source: str) -> Ran:
        self._cell += 1
        node, cell, run = self.task.node, self._cell, self.run
        run.emit(CellStarted(node, cell, turn, source, "lm", time.time()))
        collector = Collector()
        started = time.monotonic()

        def ended(ran: Ran) -> None:
            run.emit(
                CellRan(
                    node,
                    cell,
                    turn,
                    source,
                    "lm",
                    ran.status,
                    ran.outputs,
                    ran.notices,
                    ran.answer,
                    ran.execution_count,
                    ran.seconds,
                    time.time(),
                )
            )

        try:
            ran = await repl.run(
                source,
                cell=cell,
                collector=collector,
                on_output=lambda output: run.emit(OutputMade(node, cell, output)),
            )
        except asyncio.CancelledError:
            seconds = time.monotonic() - started
            outputs = collector.outputs
            ended(Ran("interrupted", outputs, [], None, None, None, seconds))
            raise
        ran = self._noticed(cell, ran)
        ended(ran)
        if ran.restarted is not None:
            run.emit(KernelRestarted(node, cell, ran.restarted, ran.lost, time.time()))
        self._remember(source, ran, bool(self._calls.failed[cell]))
        return ran

    def _noticed(self, cell: int, ran: Ran) -> Ran:
        """The result with what the LM must be told of it."""
        notices = list(ran.notices)
        if failed := self._calls.failed[cell]:
            count, error = self._calls.made[cell], self._calls.last_error
            notices.append(prompts.FAILED_CALLS.format(failed=failed, count=count, error=error))
        if ran.status == "timeout":
            notices.append(prompts.TIMEOUT.format(seconds=self.run.limits.cell_seconds))
        if ran.restarted is not None:
            lost = ", ".join(ran.lost) or "none"
            notices.append(prompts.DIED.format(reason=ran.restarted, lost=lost))
        return replace(ran, notices=notices)

    def _remember(self, source: str, ran: Ran, failed_calls: bool) -> None:
        self._names = ran.names
        self.draft = ran.answer or ran.draft or self.draft
        self._looked = self._looked or cells.mentions(source, "context")
        self._seen_output = self._seen_output or bool(ran.outputs)
        self._last = source, failed_calls or ran.status not in ("ok", "error")

    def _doubt(self, answer: str) -> str | None:
        """Why to ask once more before an answer is taken: nothing was read, or nothing shown."""
        if self._checked:
            return None
        self._checked = True
        shown = answer if len(answer) <= 200 else f"{answer[:200]}…"
        if not self._looked:
            return prompts.CHECK_UNREAD.format(answer=shown)
        if not self._seen_output and self.run.style.remind:
            return prompts.CHECK_UNSEEN.format(answer=shown)
        return None

    def _feedback(self, reply: Reply, rans: list[Ran], closing: list[str]) -> list[Message]:
        style = self.run.style
        room = max(style.output_chars // max(len(rans), 1), 200)
        texts = [text_of(ran.outputs, room) for ran in rans]
        notices = [notice for ran in rans for notice in ran.notices]
        useful = bool(rans) and rans[-1].status == "ok" and any(text.strip() for text in texts)
        if useful and style.remind and not closing:
            asked = self._calls.made.total() > 0
            closing = [prompts.FINISH if asked else style.ask[self._kind]]
        return [prompts.message("user", prompts.output(texts, notices, closing))]

    # children
    async def _child(
        self, child: str, call: int, question: str, model: str | None, context: tuple[str, bytes]
    ) -> str:
        """``calls.Child``: a node of its own, one deeper."""
        run, task = self.run, self.task
        kind, data = context
        node = Node(
            run,
            Task(
                question=question,
                source=run.from_guest(kind, data, f"context of {child}"),
                node=child,
                parent=task.node,
                call=call,
                depth=task.depth + 1,
                model=run.model(model, run.root),
            ),
        )
        outcome = await node.solve()
        if outcome.status == "answered" and outcome.answer is not None:
            return outcome.answer
        if run.ledger.tripped is not None:
            raise run.ledger.tripped
        best = f"; its best answer so far: {outcome.answer}" if outcome.answer else ""
        raise LMError(
            f"the child {child} ended without an answer: {outcome.reason}{best}", cause="child"
        )


def _fields(outcome: Outcome) -> tuple[Status, str | None, bool, str | None]:
    return outcome.status, outcome.answer, outcome.confirmed, outcome.reason


def _with(message: Message, text: str) -> Message:
    return prompts.message(message["role"], f"{message['content']}\n\n{text}")
