"""The RLM: reply, cells, output, again, until a cell gives the answer.

Recursion is a call of a cell that starts a node of its own, one deeper (``tree``). The loop knows
no face: it emits events.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from hashlib import sha256

from ..answers import Answer
from ..errors import LimitReached
from ..events import CellDecided, CellProposed, ContextInfo, NodeStarted
from ..lm import cells
from ..lm.client import Reply
from ..lm.model import Message
from ..record.equality import node_seed
from ..record.markdown import fenced
from ..repl.execution import Written, execute
from ..repl.running_cell import Author, Ran
from ..settings.limits import CellLimits, Rent
from . import prompts, small_replies, sorting
from .answer_check import AnswerCheck
from .best_answer import BestAnswer
from .calls import Child, LiveCalls
from .cell_runner import CellRunner
from .consent import Proposal
from .dialogue import Dialogue
from .done import Done
from .feedback import Feedback
from .kernel_setup import carry, set_up
from .run import Run
from .task import Task
from .turn import EqualReplies, Repetition, Turn, turn_of


class Node:
    """One RLM at one depth: its kernel, its dialogue, its notebook. ``child`` starts one below."""

    def __init__(self, run: Run, task: Task, child: Child) -> None:
        model = task.model or run.root
        memory = run.memory(task.node)
        numbers = task.numbers or memory.numbers()
        self.run = run
        self.task = task
        self.calls = LiveCalls(
            run=run, node=task.node, depth=task.depth, child=child, numbers=numbers, memory=memory
        )
        self.rent = Rent(run.ledger)
        self.begun = False
        self.best = BestAnswer(task.form)
        self.answer: Answer | None = None
        """Its answer, once it has one; the kernel may be ending still."""
        self.unsure: str | None = None
        """Why that is not confirmed, if it is not."""
        self._memory = memory
        most = run.limits.turns
        self._most = min(most, task.max_turns or most) + memory.repeated_turns
        self._cells = numbers.cells
        self._last_cell = 0
        self._model = model
        self._dialogue = Dialogue(run, task.node, model, memory)
        self._feedback = Feedback(run, task.depth, self.calls)
        self._check = AnswerCheck(remind=run.style.remind)
        self._repetition = Repetition()
        self._equal = EqualReplies()
        self._opening = ""
        self._consented = False
        """A cell of the LM's has run here, which the human allowed or the record has."""
        self._stated = False
        """Words may be the answer: something that was shown may state it."""

    async def solve(self, repl: CellRunner) -> Answer:
        """Return the answer. Raises ``LimitReached`` where turns, or what a run may use, are over
        before there is one; ``LMError`` and ``KernelDied`` where it cannot go on."""
        news, over = await self._begin(repl), self._over(1)
        for number in itertools.count(1):
            news = self._with_words(number, news)
            reply, over = await self._reply(number, news, repl.variables, over)
            self.run.turns_of[self.task.node] += 1
            self.calls.turns_left = 0 if over is not None else self._left(number)
            turn = self._turn(number, reply, news)
            await self._run_cells(repl, number, turn, over)
            self.answer = self._accepted(number, turn, over)
            if self.answer is not None:
                self.unsure = self._check.unsure(turn.rans[-1])
                return self.answer
            if over is not None:
                if not turn.cells:
                    self.best.take_words(cells.answer_in_words(reply.text))
                raise over
            if turn.repeated:
                self._dialogue.vary()
            recalled = self._memory.sources(number) is not None
            self._equal.take(number, reply.text, turn.rans, recalled=recalled)
            over = self._over(number + 1) or self._equal.stuck(number)
            if over is not None and over.shared:
                raise over
            if number == 1 and self._opening:
                news, self._stated = self._feedback.looked(news, turn)
            else:
                self._stated = self._stated or turn.useful
                news = self._feedback.after(turn, self._left(number), over)
        raise AssertionError("a node without an end")

    def _with_words(self, number: int, news: list[Message]) -> list[Message]:
        """Return what the LM is told before a turn with what the human has said meanwhile."""
        if number == 1 or self.task.parent is not None or self._memory.reply(number) is not None:
            return news
        said = self.run.words.take()
        return [*news[:-1], prompts.with_words(news[-1], said)] if said else news

    def _turn(self, number: int, reply: Reply, news: list[Message]) -> Turn:
        """Return the turn that a reply begins, after the LM was told the ``news``."""
        sources = self._sources(reply)
        turn = turn_of(
            reply,
            sources,
            self._repetition,
            self._memory.intervention(number),
            again=not self.run.style.remind,
            recorded=self._memory.sources(number),
        )
        self._check.begin(news, sources)
        return turn

    def _left(self, number: int) -> int:
        """Return how many turns the LM has after a turn; a first look is none of them."""
        return self._most + bool(self._opening) - number

    def _sources(self, reply: Reply) -> list[str]:
        cut = reply.cut_short
        if self.run.style.opening:
            return small_replies.sources(
                reply.text, self.task.question, cut_short=cut, words=self._stated
            )
        return cells.sources(reply.text, cut_short=cut)

    def _over(self, number: int) -> LimitReached | None:
        """Return the limit for which a turn is the node's last; None where there may be more."""
        closed = self.run.ledger.closed(self.task.depth)
        if closed is None and self._left(number) <= 0:
            # Not in the ledger: a child that is out of turns does not end its parents.
            return LimitReached("turns", spent=self._most, allowed=self._most)
        return closed

    async def _reply(
        self, number: int, news: list[Message], names: list[str], over: LimitReached | None
    ) -> tuple[Reply, LimitReached | None]:
        """Return the LM's reply, and the limit for which this turn is the last. Where it becomes
        that by the request itself, the LM is told so and asked once more."""
        if number == 1 and self._opening:
            return self._dialogue.open(self._opening), over
        try:
            reply = await self._dialogue.reply(number, news, names, last=over is not None)
        except LimitReached as error:
            if over is not None or error.shared:
                raise
            return await self._dialogue.finish(number, self._feedback.last(error)), error
        return reply, over

    async def _run_cells(
        self, repl: CellRunner, number: int, turn: Turn, over: LimitReached | None
    ) -> None:
        looks = number == 1 and bool(self._opening)
        for at, (source, author) in enumerate(turn.cells):
            if not looks and self._asks(number, turn, author):
                cell, source, author = await self._allowed(number, turn, source)
                if not cell:
                    return
                turn.cells[at] = source, author
            else:
                cell = next(self._cells)
            self._consented = self._consented or not looks
            turn.rans.append(await self._run_cell(repl, number, cell, source, author))
            turn.numbers.append(self._last_cell)
            if turn.over or (over is None and self.run.ledger.closed(self.task.depth)):
                return

    def _asks(self, number: int, turn: Turn, author: Author) -> bool:
        """Return whether the human is asked before a cell of a turn runs; not for what the record
        has."""
        known = turn.intervention is not None or self._memory.sources(number) is not None
        needed = self.run.consent().is_needed(consented=self._consented)
        return author == "lm" and needed and not known

    async def _allowed(self, number: int, turn: Turn, source: str) -> tuple[int, str, Author]:
        """Ask the human for a cell and record the decision; return the cell's number, 0 where it
        was rejected, and what runs."""
        node, began = self.task.node, time.monotonic()

        def begin() -> None:
            nonlocal began
            began = time.monotonic()
            self.run.emit(CellProposed(node, number, source))

        proposal, decide = Proposal(node, number, source), self.run.consent().decide
        decided = await self.run.human.decided(proposal, decide, begin)
        turn.decisions.append(decided)
        cell = 0 if decided.choice == "rejected" else next(self._cells)
        self.run.emit(
            CellDecided(
                node=node,
                cell=cell,
                turn=number,
                choice=decided.choice,
                source=source,
                word=decided.word,
                seconds=time.monotonic() - began,
                time=time.time(),
            )
        )
        return cell, decided.source, "human" if decided.choice == "edited" else "lm"

    async def _run_cell(
        self, repl: CellRunner, turn: int, cell: int, source: str, author: Author
    ) -> Ran:
        self._last_cell = cell
        written = Written(node=self.task.node, cell=cell, turn=turn, source=source, author=author)
        repl.held = self.held()
        past = self._memory.done(cell)
        if past is not None:
            await self.calls.recall_cell(cell)
        runs = repl if past is None else Done(repl, *past)
        ran = await execute(runs, written, self.run.emit, lambda ran: self._noticed(cell, ran))
        self.rent.pay(*repl.unpaid())
        self._check.take(source, ran, asked=bool(self.calls.made[cell]))
        stopped = ran.status not in ("ok", "error")
        self._repetition.take(source, may_change=stopped or bool(self.calls.failed[cell]))
        self._memory.check(cell, ran)
        return ran

    def held(self) -> CellLimits:
        """Return what its next cell is held to."""
        form = self.task.form
        wanted = None if form is None else form.recorded
        return replace(self.run.held(self.task.depth), wanted=wanted)

    def _noticed(self, cell: int, ran: Ran) -> Ran:
        """The end of a cell, before it is recorded, which may fail."""
        ran = self.run.keep_file(self.task.node, cell, ran)
        self.best.take(ran)
        return self._feedback.noticed(cell, ran)

    def _accepted(self, number: int, turn: Turn, over: LimitReached | None) -> Answer | None:
        """Return the turn's answer, if it has one that is not doubted while there is time to.

        One that was given without what a limit refused in the same cell waits for the last turn.
        """
        if turn.answer is None:
            return None
        closed = self.run.ledger.closed(self.task.depth)
        turn.doubt = self.best.refused(turn.answer) or self._doubt(number, turn, over or closed)
        if turn.doubt is not None:
            self._repetition.allow()  # the same cell again confirms it
            return None
        incomplete = self._last_cell in self.calls.incomplete
        waits = over is None and closed is not None and not closed.shared and incomplete
        return None if waits else turn.answer

    def _doubt(self, number: int, turn: Turn, last: LimitReached | None) -> str | None:
        """Return why a turn's answer is not taken yet; a record of it says whether it was."""
        doubt = self._check.doubt(turn.rans[-1], last=last is not None)
        taken = self._memory.taken(number)
        if taken is None:
            return doubt
        return None if taken else doubt or ""

    # before the first turn
    async def _begin(self, repl: CellRunner) -> list[Message]:
        """Give the kernel its context, and return what the LM is told first."""
        task, run = self.task, self.run
        info, fresh = await set_up(run, task, self._memory, repl)
        run.emit(self._started(info))
        if not fresh:  # a new kernel has no prelude
            await carry(task.prelude, run.folder, run.emit)
        await repl.seed(node_seed(run.seed, task.node))
        self._check.there(repl.names)
        self._check.about(task.question, info)
        if not run.style.remind and (info.length == 0 or _is_question(task) or repl.names):
            self._check.take_for_granted()
        self.begun = True
        if task.first is not None:
            self._opening = fenced(task.first, "python")
        elif task.opening is None and not _is_question(task):
            self._opening = run.style.opening.format(question=task.question)
        self._stated = not self._opening
        news = await self._opened(info, repl)
        human = self._memory.intervention(0)
        if self.task.form is not None and self.task.opening is None:
            news[-1] = prompts.with_words(news[-1], prompts.FORM.format(said=self.task.form.told))
        if human is not None and human.note:
            news[-1] = prompts.with_words(news[-1], prompts.HUMAN.format(note=human.note))
        return news

    def _started(self, info: ContextInfo) -> NodeStarted:
        task = self.task
        return NodeStarted(
            node=task.node,
            parent=task.parent,
            depth=task.depth,
            call=task.call,
            question=task.question,
            model=self._model.name,
            context=info,
            time=time.time(),
        )

    async def _opened(self, info: ContextInfo, repl: CellRunner) -> list[Message]:
        opening = self.task.opening
        if opening is None:
            self._feedback.kind = await self._dialogue.kind(self.task.question)
            return self._feedback.opening(self.task, info, repl)
        self._feedback.kind = sorting.kind_of(opening.kind, self.run.style)
        self._check.take_for_granted()
        return list(opening.messages)


def _is_question(task: Task) -> bool:
    """Return whether the context is the question itself: a child's that was given none."""
    question = task.question.encode("utf-8", "surrogatepass")
    return task.source is not None and task.source.sha256 == sha256(question).hexdigest()
