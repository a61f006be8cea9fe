"""The RLM: reply, cells, output, again, until a cell gives the answer.

Recursion is calling ``solve`` at depth + 1. The loop knows no face: it emits events.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial

from ..endings import to_the_end
from ..errors import KernelDied, LimitReached, LMError, RecordError, RLMError, UsageError
from ..events import (
    ROOT,
    ContextInfo,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    RunEnded,
    Status,
)
from ..inputs.contexts import Source
from ..lm import cells
from ..lm.client import Reply
from ..lm.model import Message, Model
from ..record.equality import node_seed
from ..record.outputs import text_of
from ..repl.execution import Written, execute
from ..repl.frames import Payload
from ..repl.repl import Repl, open_repl
from ..repl.running_cell import Author, Ran
from ..replay.memory import ForkPoint
from ..replay.prelude import Numbers
from ..settings.limits import Ledger, Rent
from . import prompts
from .answer_check import AnswerCheck
from .boundary import boundary
from .calls import LiveCalls
from .dialogue import Dialogue
from .history import Opening
from .kernel_setup import carry, give, relive
from .run import Run


@dataclass(frozen=True)
class Task:
    """A question for one node. ``call`` is the parent's call that asked it.

    The context is the source, or the value of a ``variable`` that earlier cells made. ``prelude``
    is what was run before in the kernel that the question is asked in, ``numbers`` how its cells
    and calls are numbered on. With an ``opening`` the LM goes on with an earlier exchange.
    """

    question: str
    source: Source | None
    node: str = ROOT
    parent: str | None = None
    call: int | None = None
    depth: int = 0
    model: Model | None = None
    variable: str | None = None
    prelude: Sequence[Event] = ()
    opening: Opening | None = None
    numbers: Numbers = field(default_factory=Numbers)


@dataclass(frozen=True)
class Outcome:
    """How a node or a run ended. An answer that is not ``confirmed`` is the best so far.
    ``may_pass`` says of a failure that its cause may be gone a little later."""

    status: Status
    answer: str | None
    confirmed: bool
    reason: str | None = None
    may_pass: bool = False


async def solve_tree(run: Run, task: Task, repl: Repl | None = None) -> Outcome:
    """Answer a question under the run's limits, whole tree; always ends in a ``RunEnded``.

    ``repl`` is a live one to go on in (a session that is lived in); it stays open. Cancelling ends
    the run as interrupted and re-raises. Raises ``ContextError`` where the task's variable is not
    there.
    """
    node = Node(run, task)
    outcome = Outcome("failed", None, False, "an error of rlm_kernel itself")
    clock = asyncio.timeout(run.ledger.seconds_left)
    try:
        async with clock:
            outcome = await node.solve(repl)
    except TimeoutError as error:
        if not clock.expired():
            outcome = Outcome("failed", node.draft, False, f"TimeoutError: {error}")
            raise
        over = Outcome("limit", node.draft, False, str(run.ledger.trip_time()))
        outcome = node.answered or over
    except asyncio.CancelledError:
        outcome = node.answered or Outcome("interrupted", node.draft, False, "interrupted")
        raise
    except UsageError as error:
        outcome = Outcome("failed", None, False, str(error))
        raise
    finally:
        with suppress(RecordError):  # which is raised again when the record is closed
            run.emit(_run_ended(outcome, run.ledger))
    return outcome


def _run_ended(outcome: Outcome, ledger: Ledger) -> RunEnded:
    return RunEnded(
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


async def solve_child(
    run: Run,
    parent: str,
    depth: int,
    child: str,
    call: int,
    question: str,
    model: str | None,
    context: tuple[str, Payload],
) -> str:
    """``calls.Child`` for the calls of ``parent``, once run, parent and its depth are given: a node
    of its own, one deeper."""
    source = await asyncio.to_thread(run.from_guest, *context, f"context of {child}")
    task = Task(
        question=question,
        source=source,
        node=child,
        parent=parent,
        call=call,
        depth=depth + 1,
        model=run.model(model, run.root),
        numbers=run.earlier.numbers(child),
    )
    outcome = await Node(run, task).solve()
    if outcome.status == "answered" and outcome.answer is not None:
        return outcome.answer
    if run.ledger.tripped is not None:
        raise run.ledger.tripped
    best = f"; its best answer so far: {outcome.answer}" if outcome.answer else ""
    raise LMError(
        f"the child {child} ended without an answer: {outcome.reason}{best}", cause="child"
    )


class Node:
    """One RLM at one depth: its kernel, its history, its notebook."""

    def __init__(self, run: Run, task: Task) -> None:
        self.run = run
        self.task = task
        self.model = task.model or run.root
        self.draft: str | None = None
        self.answered: Outcome | None = None
        """Its end, once it has an answer; the kernel may be ending still."""
        child = partial(solve_child, run, task.node, task.depth)
        self._calls = LiveCalls(run, task.node, task.depth, child, task.numbers)
        self._dialogue = Dialogue(run, task.node, self.model)
        self._past = run.earlier.of(task.node)
        self._evidence = AnswerCheck()
        self._kind = ""
        self._began = False
        self._rent = Rent(run.ledger)
        self._last: tuple[str, bool] = ("", False)  # source, worth running again
        self._unasked = False  # whether the last cell's prompts held no question

    # the loop
    async def solve(self, repl: Repl | None = None) -> Outcome:
        """Turns until an answer or an end. Emits ``NodeStarted`` and ``NodeEnded``.

        Raises ``CancelledError``, and for the root ``UsageError`` where it cannot begin: there is
        no such variable, no engine, no room for the context.
        """
        outcome = Outcome("failed", None, False, "an error of rlm_kernel itself")
        stack = AsyncExitStack()
        try:
            with boundary(self.run.folder):
                if repl is None:
                    repl = await stack.enter_async_context(
                        open_repl(self._calls, self.run.setup(self.task.node))
                    )
                repl.calls, repl.held = self._calls, self.run.held
                self._share(repl)
                stack.callback(lambda: self._rent.pay(*repl.unpaid()))
                outcome = self.answered = await self._turns(repl)
        except asyncio.CancelledError:
            tripped = self.run.ledger.seconds_left is not None and self.run.ledger.seconds_left <= 0
            reason = "the run's time was over" if tripped else "interrupted"
            outcome = Outcome("limit" if tripped else "interrupted", self.draft, False, reason)
            raise
        except UsageError as error:
            outcome = Outcome("failed", self.draft, False, str(error))
            if self.task.parent is None and not self._began:
                raise
        except LimitReached as error:
            outcome = Outcome("limit", self.draft, False, str(error))
        except RLMError as error:
            outcome = Outcome("failed", self.draft, False, str(error), error.may_pass)
        finally:
            try:
                await to_the_end(stack.aclose())
            finally:
                ended = NodeEnded(self.task.node, *_fields(outcome), time.time(), self._rent.usage)
                with suppress(RecordError):  # which is raised again when the record is closed
                    self.run.emit(ended)
        return outcome

    def _share(self, repl: Repl) -> None:
        """Let children find the root's sandbox, which a restart changes."""
        if self.task.parent is None:
            self.run.sandbox = lambda: repl.sandbox

    async def _turns(self, repl: Repl) -> Outcome:
        info = await self._start(repl)
        self._began = True
        limits = self.run.limits
        news = await self._opened(info, repl.names)
        leave = self._past.leave
        if leave is not None and leave.turn == 0 and leave.note:
            news[-1] = _with(news[-1], prompts.HUMAN.format(note=leave.note))
        turns = limits.turns + (leave.turn if leave is not None else 0)
        for turn in range(1, turns + 1):
            if turn == turns > 1:
                news[-1] = _with(news[-1], prompts.LAST_TURN)
            reply = await self._dialogue.reply(turn, news, repl.names)
            rans, unrun = await self._run_cells(repl, turn, reply)
            answer = next((ran.answer for ran in rans if ran.answer is not None), None)
            if leave is not None and turn == leave.turn:
                unrun += _human_words(leave, answer)
            elif answer is not None:
                doubt = self._evidence.doubt(answer, remind=self.run.style.remind)
                if doubt is None or self.run.ledger.tripped or turn == turns:
                    return Outcome("answered", answer, True)
                self.draft = answer
                self._last = "", False  # the same cell again confirms it
                news = self._feedback(reply, rans, [doubt])
                continue
            if self.run.ledger.tripped is not None:
                raise self.run.ledger.tripped
            news = self._feedback(reply, rans, unrun)
        # Not tripped in the ledger: a child that is out of turns does not end its parents.
        raise LimitReached("turns", spent=turns, allowed=turns)

    async def _start(self, repl: Repl) -> ContextInfo:
        task, run = self.task, self.run
        info, fresh = await self._given(repl)
        run.emit(
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
        if not fresh:  # a new kernel has no prelude
            await carry(task.prelude, run.folder, run.emit)
        await repl.seed(node_seed(run.seed, task.node))
        self._evidence.there(repl.names)
        return info

    async def _given(self, repl: Repl) -> tuple[ContextInfo, bool]:
        """Give the kernel its context; whether it had to be replaced. One that an earlier question
        has spoiled may refuse it: then another one is given it."""
        fresh = await self._revived(repl)
        await relive(repl, self._past, self.run.earlier.folder)
        try:
            return await give(self.run, repl, self.task.source, self.task.variable), fresh
        except KernelDied:
            if fresh or not await self._revived(repl):
                raise
        await relive(repl, self._past, self.run.earlier.folder)
        return await give(self.run, repl, self.task.source, self.task.variable), True

    async def _revived(self, repl: Repl) -> bool:
        """Replace the kernel where it is of no more use, and record that; whether it was."""
        lost = repl.names
        gone = await repl.revive(context=self.task.variable is not None)
        if gone is not None:
            self.run.emit(KernelRestarted(self.task.node, 0, gone, lost, time.time()))
        return gone is not None

    async def _opened(self, info: ContextInfo, names: list[str]) -> list[Message]:
        opening = self.task.opening
        if opening is None:
            self._kind = await self._dialogue.kind(self.task.question)
            return self._opening(info, names)
        self._kind = prompts.kind_of(opening.kind, self.run.style)
        self._evidence.take_for_granted()
        return list(opening.messages)

    def _opening(self, info: ContextInfo, names: list[str]) -> list[Message]:
        run = self.run
        system = prompts.system(
            run.style,
            self._kind,
            prompt_chars=run.prompt_chars,
            tools=run.tools.functions,
            data=list(run.tools.data),
        )
        first = prompts.first(self.task.question, info, run.style, self._kind, names)
        return [prompts.message("system", system), prompts.message("user", first)]

    # a turn
    async def _run_cells(self, repl: Repl, turn: int, reply: Reply) -> tuple[list[Ran], list[str]]:
        """Run the reply's cells up to the first that fails or answers; and what to say of those
        that were not run."""
        sources = cells.sources(reply.text, cut_short=reply.cut_short)
        notes = [prompts.MORE_CELLS.format(most=cells.MAX_CELLS)]
        notes = notes if len(sources) > cells.MAX_CELLS else []
        if reply.cut_short:
            notes.append(prompts.CUT_REPLY.format(finish=reply.finish))
        sources = sources[: cells.MAX_CELLS]
        leave = self._past.leave
        if leave is not None and turn == leave.turn:
            return await self._run_until(repl, leave, sources), notes
        if not sources:
            return [], notes or [prompts.THOUGHTS_ALONE if reply.only_thought else prompts.NO_CODE]
        if len(sources) == 1 and sources[0] == self._last[0] and not self._last[1]:
            self._dialogue.vary()
            return [], [*notes, prompts.REPEATED]
        rans: list[Ran] = []
        for source in sources:
            ran = await self._run_cell(repl, turn, source)
            rans.append(ran)
            if ran.status != "ok" or ran.answer is not None or self.run.ledger.tripped:
                break
        if (left := len(sources) - len(rans)) and rans[-1].answer is None:
            notes.append(prompts.NOT_RUN.format(count=left))
        return rans, notes

    async def _run_until(self, repl: Repl, leave: ForkPoint, sources: list[str]) -> list[Ran]:
        """Of the reply that a fork leaves the record in: the cells before, and the human's."""
        rans = [await self._run_cell(repl, leave.turn, s) for s in sources[: leave.kept]]
        if leave.edit is not None:
            rans.append(await self._run_cell(repl, leave.turn, leave.edit, "human"))
        return rans

    async def _run_cell(self, repl: Repl, turn: int, source: str, author: Author = "lm") -> Ran:
        cell = next(self.task.numbers.cells)
        written = Written(self.task.node, cell, turn, source, author)
        ran = await execute(repl, written, self.run.emit, lambda ran: self._noticed(cell, ran))
        self._rent.pay(*repl.unpaid())
        self._remember(source, ran, bool(self._calls.failed[cell]))
        self._unasked = self._calls.shared[cell].no_question()
        self._check_strategy(cell, ran)
        return ran

    def _check_strategy(self, cell: int, ran: Ran) -> None:
        """Without an LM that sees it, an error that the record has not would go unnoticed."""
        before = self._past.cells.get(cell)
        if self.run.earlier.asks(self.task.node) or before is None or before.status != "ok":
            return
        if ran.status != "ok":
            raise RecordError(
                f"cell {cell} ended as {ran.status} on this context, in the record as ok: "
                f"{text_of(ran.outputs, 300)}\n`rlm fork` lets the LM mend it"
            )

    def _noticed(self, cell: int, ran: Ran) -> Ran:
        """The result with what the LM must be told of it; before it is recorded, which may fail."""
        self.draft = ran.answer or ran.draft or self.draft
        notices = list(ran.notices)
        if failed := self._calls.failed[cell]:
            count, error = self._calls.made[cell], self._calls.last_error
            notices.append(prompts.FAILED_CALLS.format(failed=failed, count=count, error=error))
        if cut := self._calls.cut[cell]:
            notices.append(prompts.CUT_CALLS.format(cut=cut, count=self._calls.made[cell]))
        if ran.status == "timeout":
            notices.append(prompts.TIMEOUT.format(seconds=self.run.limits.cell_seconds))
        if ran.restarted is not None:
            lost = ", ".join(ran.lost) or "none"
            notices.append(prompts.DIED.format(reason=ran.restarted, lost=lost))
        return replace(ran, notices=notices)

    def _remember(self, source: str, ran: Ran, failed_calls: bool) -> None:
        self._evidence.take(source, shown=bool(ran.outputs))
        self._last = source, failed_calls or ran.status not in ("ok", "error")

    def _feedback(self, reply: Reply, rans: list[Ran], closing: list[str]) -> list[Message]:
        style = self.run.style
        room = max(style.output_chars // max(len(rans), 1), 200)
        texts = [text_of(ran.outputs, room) for ran in rans]
        notices = [notice for ran in rans for notice in ran.notices]
        useful = bool(rans) and rans[-1].status == "ok" and any(text.strip() for text in texts)
        if useful and style.remind and not closing:
            closing = [self._advice()]
        return [prompts.message("user", prompts.output(texts, notices, closing))]

    def _advice(self) -> str:
        """What a small model is told after useful output."""
        if not self._calls.made.total():
            return self.run.style.ask[self._kind]
        return prompts.NO_QUESTION if self._unasked else prompts.FINISH


def _human_words(leave: ForkPoint, answer: str | None) -> list[str]:
    """What the LM is told where a fork leaves the record."""
    words = [] if leave.edit is None else [prompts.EDITED.format(source=leave.edit)]
    words += [] if answer is None else [prompts.OVERRULED.format(answer=answer)]
    return words + ([prompts.HUMAN.format(note=leave.note)] if leave.note else [])


def _fields(outcome: Outcome) -> tuple[Status, str | None, bool, str | None]:
    return outcome.status, outcome.answer, outcome.confirmed, outcome.reason


def _with(message: Message, text: str) -> Message:
    return prompts.message(message["role"], f"{message['content']}\n\n{text}")
