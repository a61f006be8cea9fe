"""The user's side of a dialogue: the question, and what became of the LM's cells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import LimitReached
from ..events import CellRan, ContextInfo
from ..lm.model import Message, seen
from ..record.markdown import fenced
from ..record.outputs import text_of
from ..remote.guest.reading.look import PASSAGES
from ..repl.running_cell import Ran
from . import facts, prompts, vision
from .calls import LiveCalls
from .cell_runner import CellRunner
from .run import Run
from .small_prompts import READ
from .task import Task
from .turn import Turn

LEAST_CHARS = 200
"""The least room for a cell's output, however many cells share it."""


class Feedback:
    """The user's messages of one node's dialogue. ``kind`` is that of the question."""

    def __init__(self, run: Run, depth: int, calls: LiveCalls) -> None:
        self._run = run
        self._depth = depth
        self._calls = calls
        self.kind = ""

    def opening(self, task: Task, info: ContextInfo, repl: CellRunner) -> list[Message]:
        """Return the system message and the task's question, with what is in the kernel."""
        run = self._run
        system = prompts.system(
            run.style,
            self.kind,
            prompt_chars=run.prompt_chars,
            output_chars=run.output_chars,
            tools=run.tools.functions,
            data=list(run.tools.data),
            models=run.model_names if run.style.name == "strong" else [],
            sees=run.vision,
        )
        there, means = prompts.names_there(repl.names), ""
        if self._told:
            sources = [event.source for event in task.prelude if isinstance(event, CellRan)]
            variables = facts.variables_there(repl.variables, sources)
            before = facts.conversation(task.conversation, repl.names)
            there = "\n\n".join(filter(None, [before, variables]))
            means = facts.means(run.limits, run.ledger.left, self._depth, info)
        first = prompts.first(task.question, info, run.style, self.kind, there=there, means=means)
        return [prompts.message("system", system), prompts.message("user", first)]

    def looked(self, opening: list[Message], turn: Turn) -> tuple[list[Message], bool]:
        """Return the ``opening`` with what the first look gave, which the LM has not written; and
        whether that may state the answer, as passages do."""
        system, first = opening
        if not self._run.style.ask:
            return [*opening, *self._first_cell(turn)], True
        output = "\n\n".join(self._texts(turn)).strip()
        stated = self.kind == "read" and PASSAGES in output
        kind = self.kind if stated or self.kind == "judge" else "count"
        words = f"{output}\n\n{first['content']}\n\n{self._run.style.ask[kind]}"
        return [system, prompts.message("user", words)], stated

    def _first_cell(self, turn: Turn) -> list[Message]:
        """Return what an LM that is told facts is told of a first cell that gave no answer."""
        source = "\n\n".join(source for source, _ in turn.cells)
        told = self.after(turn, 1, None)
        return [prompts.message("assistant", fenced(source, "python")), *told]

    @property
    def _told(self) -> bool:
        """Return whether the LM is told facts beside its question and its outputs."""
        return not self._run.style.remind

    def noticed(self, cell: int, ran: Ran) -> Ran:
        """Return the end of a cell with what the LM must be told of it."""
        notices, count = list(ran.notices), self._calls.made[cell]
        failed = self._calls.failed[cell]
        known = self._told and _is_its_error(failed, count, ran)
        if failed and not known:
            notices.append(self._failures(failed, count))
        if cut := self._calls.cut[cell]:
            notices.append(prompts.CUT_CALLS.format(cut=cut, count=count))
        if self._told and not known and (children := self._calls.children[cell]):
            notices.append(facts.children(children))
        late = self._run.ledger.closed(self._depth)
        if ran.status == "timeout" and late is not None:
            notices.append(prompts.LATE)
        elif ran.status == "timeout":
            notices.append(prompts.TIMEOUT.format(seconds=self._run.limits.cell_seconds))
        if ran.called and ran.draft is not None and not ran.refused and self._told:
            notices.append(prompts.UNFINISHED.format(answer=ran.draft.text[:200]))
        if ran.restarted is not None:
            notices.append(self._ended(cell, ran))
        return replace(ran, notices=notices)

    def _ended(self, cell: int, ran: Ran) -> str:
        """Return what the LM is told of a cell that ended its kernel, or would not stop."""
        lost = ", ".join(ran.lost)
        if ran.back_to is None or not self._told:
            return prompts.DIED.format(reason=ran.restarted, lost=lost or "none")
        count = cell - ran.back_to
        undone = "this cell" if count == 1 else f"this cell and the {count - 1:,} before it"
        lost = f", but these variables are lost: {lost}" if lost else ""
        return prompts.WENT_BACK.format(reason=ran.restarted, undone=undone, lost=lost)

    def _failures(self, failed: list[facts.Failure], count: int) -> str:
        if self._told:
            return facts.failures(failed, count)
        error = failed[-1][1]["message"]
        return prompts.FAILED_CALLS.format(failed=len(failed), count=count, error=error)

    def last(self, over: LimitReached) -> str:
        """Return what the LM is told before its last turn."""
        return prompts.last_turn(over, self._run.style)

    def after(self, turn: Turn, left: int, over: LimitReached | None) -> list[Message]:
        """Return what a turn gave, after which so many are ``left``; where the next one is the last
        for a limit that is ``over``, it is announced as that."""
        style = self._run.style
        texts, took = self._texts(turn), []
        notices = [notice for ran in turn.rans for notice in ran.notices]
        closing = turn.closing()
        if style.remind and turn.useful and not closing:
            closing = [READ]
        parts: list[dict[str, Any]] = []
        if self._run.vision:
            parts, left_out = vision.of_outputs(out for ran in turn.rans for out in ran.outputs)
            notices += left_out
        if self._told:
            took = [self._took(cell, ran) for cell, ran in turn.numbered]
            notices += self._made(turn)
            closing.insert(0, self._left(turn, left, over))
        text = prompts.output(texts, notices, closing, took)
        told = {"role": "user", "content": seen(text, parts)}
        return [told] if over is None else [prompts.with_words(told, self.last(over))]

    def _texts(self, turn: Turn) -> list[str]:
        """Return the outputs of a turn's cells, in the room that there is for all of them. What
        some do not need the others have, for an LM that is told facts."""
        room, count = self._run.output_chars, max(len(turn.rans), 1)
        fair = max(room // count, LEAST_CHARS)
        if not self._told:
            return [text_of(ran.outputs, fair) for ran in turn.rans]
        whole = [text_of(ran.outputs, room) for ran in turn.rans]
        sizes = shares([len(text) for text in whole], room)
        pairs = zip(turn.rans, whole, sizes, strict=True)
        return [
            text if len(text) <= size else text_of(ran.outputs, size) for ran, text, size in pairs
        ]

    def _left(self, turn: Turn, left: int, over: LimitReached | None) -> str:
        limits, now = self._run.limits, self._run.ledger.left
        if turn.intervention is not None:  # the run goes on under limits of its own
            return facts.allowance(limits, now, self._depth)
        return facts.nearly_used(limits, now, left, over)

    def _took(self, cell: int, ran: Ran) -> str:
        calls = self._calls
        return facts.took(ran.seconds, calls.made[cell], calls.seconds[cell])

    def _made(self, turn: Turn) -> list[str]:
        """Return the variables that a turn's cells made or changed and that are there, in words."""
        if not turn.rans:
            return []
        now = {facts.name_of(shown): shown for shown in turn.rans[-1].variables}
        names = dict.fromkeys(name for ran in turn.rans for name in ran.made)
        sources = [source for source, _ in turn.cells]
        made = facts.made(sources, [now[name] for name in names if name in now])
        return [made] if made else []


def _is_its_error(failed: list[facts.Failure], count: int, ran: Ran) -> bool:
    """Return whether the failure of a cell's only call is the error that ended the cell, and so
    stands in its output."""
    if count != 1 or not failed or ran.status != "error" or not ran.outputs:
        return False
    _, error = failed[0]
    return error.get("message") == ran.outputs[-1].get("evalue")


def shares(wanted: list[int], room: int) -> list[int]:
    """Return how much of the ``room`` each gets of what it ``wanted``: all of it, or as much as any
    other, and ``LEAST_CHARS`` in any case."""
    left, given = room, [0] * len(wanted)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for done, at in enumerate(order):
        given[at] = min(wanted[at], max(left // (len(order) - done), LEAST_CHARS))
        left -= given[at]
    return given
