"""An endpoint that departs from OpenAI's own as others do, in one way at a time.

>>> with QuirkyEndpoint(lambda request: "hello", QUIRKS["no_system_role"]) as endpoint:
...     endpoint.quirk.reports
('vllm#2964', 'dspy#1627', 'chat-ui#1386')
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

from .answers import CHUNK_CHARS, Answer, Part, chunked, count_usage, head, render
from .changes import Event
from .endpoint import CountUsage, Exchange, FakeEndpoint, ReplyTo
from .faults import Say
from .quirk import Quirk
from .quirks_of_replies import QUIRKS_OF_REPLIES
from .quirks_of_requests import QUIRKS_OF_REQUESTS

QUIRKS = {quirk.name: quirk for quirk in (*QUIRKS_OF_REPLIES, *QUIRKS_OF_REQUESTS)}
"""By name."""


class QuirkyEndpoint(FakeEndpoint):
    """A ``FakeEndpoint`` with a quirk. ``reply`` returns a text or a ``Say``.

    Each exchange in ``log`` has the usage that is true, whatever was told of it.
    """

    def __init__(
        self,
        reply: ReplyTo,
        quirk: Quirk,
        *,
        usage: CountUsage = count_usage,
        models: tuple[str, ...] = ("fake-model",),
    ) -> None:
        super().__init__(reply, usage=usage, models=models)
        self.quirk = quirk
        self._failed: set[str] = set()

    async def answer(self, exchange: Exchange) -> Answer:
        """Return the answer to one request, as the quirk has it."""
        if not exchange.place.endswith("/chat/completions"):
            return await super().answer(exchange)
        quirk, request = self.quirk, exchange.request
        if quirk.refuses is not None and (refused := quirk.refuses(request)) is not None:
            return render(refused, request, self.count, False)
        if quirk.first is not None and exchange.model not in self._failed:
            self._failed.add(exchange.model)
            return render(quirk.first, request, self.count, False)
        said = self.reply(request)
        said = await said if inspect.isawaitable(said) else said
        said = said if isinstance(said, Say) else Say(str(said))
        usage = said.usage or self.count(request, said.text)
        streams = bool(request.get("stream")) if quirk.streams is None else quirk.streams
        make = self._streamed if streams else self._whole
        return make(request, said, usage)

    def _whole(self, request: dict[str, Any], said: Say, usage: Mapping[str, Any]) -> Answer:
        message = {"role": "assistant", "content": said.text or None}
        body = {
            "id": "chatcmpl-fake",
            "object": "chat.completion",
            "model": request.get("model"),
            "choices": [{"index": 0, "message": message, "finish_reason": said.finish}],
            "usage": self.quirk.usage(usage),
        }
        made = self.quirk.whole(body)
        data = made if isinstance(made, bytes) else json.dumps(made).encode()
        return Answer(200, head(200, {"Content-Length": len(data)}), [Part(data, usage)])

    def _streamed(self, request: dict[str, Any], said: Say, usage: Mapping[str, Any]) -> Answer:
        quirk = self.quirk
        asked = "include_usage" in request.get("stream_options", {}) or "stream" not in request
        events = quirk.events([*_events(request, said, quirk.usage(usage) if asked else None)])
        data = [quirk.wire(_written(event)) for event in events]
        parts = [Part(chunked(piece)) for piece in data if piece]
        if not quirk.stays_open:
            parts.append(Part(b"0\r\n\r\n"))
        parts.append(Part(b"", usage))
        headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        return Answer(200, head(200, headers), parts, streamed=True)


def _events(
    request: dict[str, Any], said: Say, usage: Mapping[str, Any] | None
) -> Iterator[Event | bytes]:
    """The events of a stream as OpenAI sends them; the last is the bytes of ``[DONE]``."""

    def event(choices: list[Any], **more: Any) -> Event:
        about = {"id": "chatcmpl-fake", "object": "chat.completion.chunk"}
        return {**about, "model": request.get("model"), "choices": choices, **more}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> Event:
        return event([{"index": 0, "delta": delta, "finish_reason": finish}])

    yield chunk({"role": "assistant", "content": ""})
    for at in range(0, len(said.text), CHUNK_CHARS):
        yield chunk({"content": said.text[at : at + CHUNK_CHARS]})
    yield chunk({}, said.finish)
    if usage is not None:
        yield event([], usage=dict(usage))
    yield b"data: [DONE]\n\n"


def _written(event: Event | bytes) -> bytes:
    return event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n"
