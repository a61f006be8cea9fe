"""The user's side of a dialogue: the question, and what became of the LM's cells."""

from __future__ import annotations

from dataclasses import replace

from ..errors import LimitReached
from ..events import ContextInfo
from ..lm.model import Message
from ..record.outputs import text_of
from ..repl.running_cell import Ran
from . import prompts
from .calls import LiveCalls
from .run import Run
from .turn import Turn

LEAST_CHARS = 200
"""The least room for a cell's output, however many cells share it."""


class Feedback:
    """The user's messages of one node's dialogue. ``kind`` is that of the question."""

    def __init__(self, run: Run, depth: int, calls: LiveCalls) -> None:
        self._run = run
        self._depth = depth
        self._calls = calls
        self._cell = 0  # the last that ran
        self.kind = ""

    def opening(self, question: str, info: ContextInfo, names: list[str]) -> list[Message]:
        """Return the system message and the question, with the ``names`` that are there."""
        run = self._run
        system = prompts.system(
            run.style,
            self.kind,
            prompt_chars=run.prompt_chars,
            tools=run.tools.functions,
            data=list(run.tools.data),
            models=run.model_names if run.style.name == "strong" else [],
        )
        first = prompts.first(question, info, run.style, self.kind, names)
        return [prompts.message("system", system), prompts.message("user", first)]

    def noticed(self, cell: int, ran: Ran) -> Ran:
        """Return the end of a cell with what the LM must be told of it."""
        self._cell = cell
        notices, made = list(ran.notices), self._calls.made[cell]
        if failed := self._calls.failed[cell]:
            error = failed[-1][1]["message"]
            notices.append(prompts.FAILED_CALLS.format(failed=len(failed), count=made, error=error))
        if cut := self._calls.cut[cell]:
            notices.append(prompts.CUT_CALLS.format(cut=cut, count=made))
        late = self._run.ledger.closed(self._depth)
        if ran.status == "timeout" and late is not None:
            notices.append(prompts.LATE)
        elif ran.status == "timeout":
            notices.append(prompts.TIMEOUT.format(seconds=self._run.limits.cell_seconds))
        if ran.called and ran.draft is not None and not self._run.style.remind:
            notices.append(prompts.UNFINISHED.format(answer=ran.draft.text[:200]))
        if ran.restarted is not None:
            lost = ", ".join(ran.lost) or "none"
            notices.append(prompts.DIED.format(reason=ran.restarted, lost=lost))
        return replace(ran, notices=notices)

    def last(self, over: LimitReached) -> str:
        """Return what the LM is told before its last turn."""
        return prompts.last_turn(over, self._run.style)

    def after(self, turn: Turn, number: int, over: LimitReached | None) -> list[Message]:
        """Return what the turn of this number gave; where the next one is the last for a limit that
        is ``over``, it is announced as that."""
        style = self._run.style
        room = max(style.output_chars // max(len(turn.rans), 1), LEAST_CHARS)
        texts = [text_of(ran.outputs, room) for ran in turn.rans]
        notices = [notice for ran in turn.rans for notice in ran.notices]
        closing = turn.closing()
        useful = bool(turn.rans) and turn.rans[-1].status == "ok" and any(map(str.strip, texts))
        if useful and style.remind and not closing:
            closing = [self._advice()]
        told = prompts.message("user", prompts.output(texts, notices, closing))
        return [told] if over is None else [prompts.with_words(told, self.last(over))]

    def _advice(self) -> str:
        """Return what a small model is told after useful output."""
        if not self._calls.made.total():
            return self._run.style.ask[self.kind]
        unasked = self._calls.shared[self._cell].no_question()
        return prompts.NO_QUESTION if unasked else prompts.FINISH
