"""An LM that says what a test tells it to."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable
from typing import Any

from ..events import Usage
from ..lm.client import Meter, Reply, Sampling
from ..lm.model import text_of

Message = dict[str, Any]


def images_of(message: Message) -> list[bytes]:
    """Return the pictures of a message, as the bytes of their files."""
    content = message["content"]
    parts = [] if isinstance(content, str) else content
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [base64.b64decode(url.partition(";base64,")[2], validate=True) for url in urls]


class ScriptedLM:
    """An ``RLM(model=...)`` without a network.

    ``turns`` are the replies to a node's turns: a list, taken in order by whichever node asks, or
    a function of the messages. ``sub`` answers a sub-call's prompt. An exception given as a reply
    (or returned) is raised. Every call is kept: ``asked`` the messages of each turn, ``prompts``
    those of each sub-call, ``images`` the pictures of each sub-call as bytes; ``images_of`` finds
    them in a message. ``latency_s`` is waited before each reply.

    Raises ``AssertionError`` where a list of turns is used up.
    """

    def __init__(
        self,
        turns: Iterable[str | Exception] | Callable[[list[Message]], str | Exception] = (),
        sub: Callable[[str], str | Exception] = lambda prompt: f"reply to {len(prompt)} characters",
        *,
        latency_s: float = 0.0,
    ) -> None:
        self._turns = turns if callable(turns) else iter(list(turns))
        self._sub = sub
        self._latency_s = latency_s
        self.asked: list[list[Message]] = []
        self.prompts: list[str] = []
        self.images: list[list[bytes]] = []

    def _turn(self, messages: list[Message]) -> str | Exception:
        if callable(self._turns):
            return self._turns(messages)
        try:
            return next(self._turns)
        except StopIteration:
            raise AssertionError(
                f"the script has no turn {len(self.asked)}; the LM was last told:\n"
                f"{text_of(messages[-1])}"
            ) from None

    async def _reply(self, said: str | Exception, model: str, meter: Meter, read: int) -> Reply:
        with meter.reserve(read // 4, 0.0):
            if self._latency_s:
                await asyncio.sleep(self._latency_s)
            if isinstance(said, Exception):
                meter.book(Usage(requests=1))
                raise said
            usage = Usage(requests=1, input_tokens=read // 4, output_tokens=len(said) // 4)
            meter.book(usage)
        return Reply(text=said, model=model, finish="stop", usage=usage, seconds=self._latency_s)

    async def stream(
        self,
        model: str,
        messages: list[Message],
        meter: Meter,
        *,
        sampling: Sampling,
        on_delta: Callable[[str], None],
        on_restart: Callable[[], None],
        cut: Callable[[str], int | None] | None = None,
    ) -> Reply:
        """The next turn, in one piece."""
        self.asked.append([dict(m) for m in messages])
        read = sum(len(text_of(m)) for m in messages)
        reply = await self._reply(self._turn(messages), model, meter, read)
        on_delta(reply.text)
        return reply

    async def complete(
        self, model: str, messages: list[Message], meter: Meter, *, sampling: Sampling
    ) -> Reply:
        """The answer to a sub-call."""
        prompt = text_of(messages[-1])
        self.prompts.append(prompt)
        self.images.append(images_of(messages[-1]))
        return await self._reply(self._sub(prompt), model, meter, len(prompt))
