"""The user's side of a dialogue: the question, and what became of the LM's cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..events import ContextInfo, Output
from ..lm.model import Message
from ..record.outputs import text_of
from ..repl.running_cell import Ran
from . import prompts
from .calls import LiveCalls
from .run import Run
from .turn import Turn

LEAST_CHARS = 200
"""The least room for a cell's output, however many cells share it."""


def within_room(outputs: Sequence[list[Output]], room: int) -> list[str]:
    """Return the outputs of several cells as text, in about ``room`` characters: what one does not
    use of its equal share the others have."""
    texts = [text_of(each, room) for each in outputs]
    left, sharing = room, len(texts)
    for need in sorted(map(len, texts)):
        share = max(left // sharing, LEAST_CHARS)
        if need > share:
            return [text_of(each, share) for each in outputs]
        left, sharing = left - need, sharing - 1
    return texts


class Feedback:
    """The user's messages of one node's dialogue. ``kind`` is that of the question."""

    def __init__(self, run: Run, calls: LiveCalls) -> None:
        self._run = run
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
        )
        first = prompts.first(question, info, run.style, self.kind, names)
        return [prompts.message("system", system), prompts.message("user", first)]

    def noticed(self, cell: int, ran: Ran) -> Ran:
        """Return the end of a cell with what the LM must be told of it."""
        self._cell = cell
        notices, made = list(ran.notices), self._calls.made[cell]
        if failed := self._calls.failed[cell]:
            error = self._calls.last_error
            notices.append(prompts.FAILED_CALLS.format(failed=failed, count=made, error=error))
        if cut := self._calls.cut[cell]:
            notices.append(prompts.CUT_CALLS.format(cut=cut, count=made))
        if ran.status == "timeout":
            notices.append(prompts.TIMEOUT.format(seconds=self._run.limits.cell_seconds))
        if ran.restarted is not None:
            lost = ", ".join(ran.lost) or "none"
            notices.append(prompts.DIED.format(reason=ran.restarted, lost=lost))
        return replace(ran, notices=notices)

    def after(self, turn: Turn, *, last: bool) -> list[Message]:
        """Return what a turn gave; with ``last`` the next turn is announced as the last one."""
        style = self._run.style
        texts = within_room([ran.outputs for ran in turn.rans], style.output_chars)
        notices = [notice for ran in turn.rans for notice in ran.notices]
        closing = turn.closing()
        useful = bool(turn.rans) and turn.rans[-1].status == "ok" and any(map(str.strip, texts))
        if useful and style.remind and not closing:
            closing = [self._advice()]
        told = prompts.message("user", prompts.output(texts, notices, closing))
        return [prompts.with_words(told, prompts.LAST_TURN)] if last else [told]

    def _advice(self) -> str:
        """Return what a small model is told after useful output."""
        if not self._calls.made.total():
            return self._run.style.ask[self.kind]
        unasked = self._calls.shared[self._cell].no_question()
        return prompts.NO_QUESTION if unasked else prompts.FINISH
