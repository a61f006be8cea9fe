"""A node's exchange with its LM: the history, its window, the record of both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from ..errors import LMError
from ..events import Prompted, Replied, ReplyDelta, Usage
from ..lm import thoughts
from ..lm.client import Reply
from ..lm.model import Message, Model
from . import facts, history, prompts, sorting
from .memory import Memory, Recalled
from .run import CallMeter, Run

REPEATED_TEMPERATURE = 0.7
WINDOW_SHARE = 0.8
"""The history is compacted when it fills this much of the LM's window."""


class Dialogue:
    """One node's exchange with its LM. Emits ``Prompted``, ``ReplyDelta`` and ``Replied``."""

    def __init__(self, run: Run, node: str, model: Model, memory: Memory) -> None:
        self._run = run
        self._memory = memory
        self._node = node
        self._model = model
        self._messages: list[Message] = []
        self._said: list[Message] = []
        """All that was said, as it was; the messages are that until it no longer fits."""
        self._temperature: float | None = None

    def vary(self) -> None:
        """Sample the next reply with another temperature: the last ones were the same."""
        self._temperature = REPEATED_TEMPERATURE

    async def kind(self, question: str) -> str:
        """Return the kind of the question, which a style with several has the LM name: turn 0."""
        style = self._run.style
        if len(style.system) == 1:
            return next(iter(style.system))
        messages = sorting.asked(question)
        if (recalled := self._memory.reply(0)) is not None:
            return sorting.kind_of(self._again(recalled, 0, messages[-1:]).text, style)
        self._prompted(0, messages[-1:], False)
        return sorting.kind_of((await self._stream(0, messages)).text, style)

    async def reply(
        self, turn: int, news: list[Message], variables: list[str], *, last: bool = False
    ) -> Reply:
        """Return the reply to the history with ``news``, the remembered one where there is one.

        A history that does not fit the window is compacted; the LM is then told which ``variables``
        there are, each with its type and size. The ``last`` turn may use what was kept for it.
        Raises ``LMError``, ``LimitReached`` and what ``Memory.reply`` raises.
        """
        if (recalled := self._memory.reply(turn)) is not None:
            reply = self._again(recalled, turn, news)
            self._remember(reply)
            return reply
        self._messages += news
        self._said += news
        compacted = self._compact(WINDOW_SHARE, variables)
        self._prompted(turn, self._messages if compacted else news, compacted)
        try:
            reply = await self._stream(turn, self._messages, last=last)
        except LMError as error:
            if error.cause != "window" or not self._compact(0.0, variables):
                raise
            self._prompted(turn, self._messages, True)
            reply = await self._stream(turn, self._messages, last=last)
        self._remember(reply)
        self._temperature = None
        return reply

    def open(self, words: str) -> Reply:
        """Return the first reply, which is ours: the ``words``. No LM is asked for it, or told."""
        recalled = self._memory.reply(1)
        if recalled is not None:
            words = recalled.replied.text
        self._run.emit(ReplyDelta(self._node, 1, words))
        reply = Reply(text=words, model="", finish=None, usage=Usage(), seconds=0.0)
        self._replied(1, reply, Usage(), 0.0)
        return reply

    async def finish(self, turn: int, words: str) -> Reply:
        """Return the reply to the history with ``words`` behind it: a limit refused the request for
        this turn, which is the last one now. Raises as ``reply`` does."""
        self._messages[-1] = self._said[-1] = prompts.with_words(self._messages[-1], words)
        self._prompted(turn, self._messages, True)
        reply = await self._stream(turn, self._messages, last=True)
        self._remember(reply)
        return reply

    def _remember(self, reply: Reply) -> None:
        """Add a reply to the history; its thoughts stay out of it."""
        text = prompts.ONLY_THOUGHT if reply.only_thought else reply.text
        self._messages.append(prompts.message("assistant", text))
        self._said.append(self._messages[-1])

    def _again(self, recalled: Recalled, turn: int, news: list[Message]) -> Reply:
        """Record a reply again, and what the LM was told then; the ``news`` where that is not
        remembered."""
        before = len(self._said)
        for prompted in recalled.told or [self._told(turn, news, False)]:
            self._run.emit(prompted)
            if turn == 0:
                continue
            self._messages = [*([] if prompted.compacted else self._messages), *prompted.messages]
            new = prompted.messages[-1:] if prompted.compacted and before else prompted.messages
            self._said = [*self._said[:before], *new]
        replied = replace(recalled.replied, usage=Usage())
        self._run.emit(replied)
        return Reply(
            text=replied.text,
            model=replied.model,
            finish=replied.finish,
            usage=Usage(),
            seconds=replied.seconds,
            thoughts=replied.thoughts,
        )

    def _compact(self, share: float, variables: list[str]) -> bool:
        """Shorten a history that fills more than this share of the window; return whether."""
        used = history.tokens(self._messages)
        if used <= self._model.window * share:
            return False
        # Where the endpoint knows better, what was sent says how large its window is.
        window = self._model.window if share else min(self._model.window, used)
        shorter = self._shorter(window, variables, forced=not share)
        changed = len(shorter) < len(self._messages) or history.tokens(shorter) < used
        self._messages = shorter if changed else self._messages
        return changed

    def _shorter(self, window: int, variables: list[str], *, forced: bool) -> list[Message]:
        if self._run.style.remind:
            return history.shortened(self._said, list(map(facts.name_of, variables)))
        turns = sum(message["role"] == "assistant" for message in self._said)
        if not turns:
            return self._messages
        most = max(turns // 2, 1) if forced else turns
        return history.compacted(self._said, variables, window, most=most)

    def _prompted(self, turn: int, messages: list[Message], compacted: bool) -> None:
        self._run.emit(self._told(turn, messages, compacted))

    def _told(self, turn: int, messages: list[Message], compacted: bool) -> Prompted:
        return Prompted(
            node=self._node,
            turn=turn,
            messages=list(messages),
            time=time.time(),
            compacted=compacted,
        )

    async def _stream(self, turn: int, messages: list[Message], *, last: bool = False) -> Reply:
        run, node, model = self._run, self._node, self._model
        meter = CallMeter(run.ledger, node if last else None)
        sampling = model.sampling
        if self._temperature is not None and sampling.temperature is not None:
            sampling = replace(sampling, temperature=self._temperature)
        started = time.monotonic()
        run.ledger.turns += 1
        reply = Reply(text="", model=model.name, finish=None, usage=meter.usage, seconds=0.0)
        try:
            reply = await model.client.stream(
                model.name,
                messages,
                meter,
                sampling=sampling,
                on_delta=lambda text: run.emit(ReplyDelta(node, turn, text)),
                on_restart=lambda: run.emit(ReplyDelta(node, turn, "\f")),
                cut=_spoken(run.style.cut),
            )
            reply = reply.spoken()
        finally:  # a reply that failed was paid for too
            run.ledger.keep(node, meter.usage)
            self._replied(turn, reply, meter.usage, time.monotonic() - started)
        return reply

    def _replied(self, turn: int, reply: Reply, usage: Usage, seconds: float) -> None:
        self._run.emit(
            Replied(
                node=self._node,
                turn=turn,
                text=reply.text,
                model=reply.model,
                finish=reply.finish,
                usage=usage,
                seconds=seconds,
                time=time.time(),
                thoughts=reply.thoughts,
            )
        )


def _spoken(cut: Callable[[str], int | None] | None) -> Callable[[str], int | None] | None:
    """Return a cut that knows no thoughts for replies with some."""
    return None if cut is None else lambda text: cut(thoughts.masked(text))
