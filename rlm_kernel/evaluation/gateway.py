"""An endpoint on loopback for peers: it asks the LMs in use, counts what they use, and holds the
limits of the task. No peer is given a key of the user's."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from ..errors import LimitReached, LMError
from ..lm.attempts import Reply, Sampling
from ..lm.model import Model
from ..lm.models import Models
from ..settings.limits import Ledger

LARGEST_REQUEST = 256 << 20


@dataclass(frozen=True)
class Address:
    """The endpoint as a peer is told it, and the names of the two models there."""

    base_url: str
    api_key: str
    author: str
    sub: str


@asynccontextmanager
async def gateway(models: Models, ledger: Ledger) -> AsyncIterator[Address]:
    """Serve both LMs until the body ends. A request to the author is a turn, one to the sub-LM a
    call of the ledger."""
    key = secrets.token_urlsafe(24)
    author = models.root.name
    sub = models.sub.name if models.sub.name != author else f"{author}-sub"
    serving = _Serving(key, {author: models.root, sub: models.sub}, author, ledger)
    app = web.Application(client_max_size=LARGEST_REQUEST)
    app.router.add_post("/v1/chat/completions", serving.chat)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield Address(f"http://127.0.0.1:{port}/v1", key, author, sub)
    finally:
        await runner.cleanup()


class _Serving:
    def __init__(self, key: str, models: dict[str, Model], author: str, ledger: Ledger) -> None:
        self._key = key
        self._models = models
        self._author = author
        self._ledger = ledger

    async def chat(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._key.encode()):
            return _refused(401, "this is not the key that the evaluation gave")
        try:
            body: Any = await request.json()
            model = self._models[body["model"]]
            messages = [dict(message) for message in body["messages"]]
            sampling = _sampling(model, body)
        except (ValueError, KeyError, TypeError) as error:
            return _refused(400, f"no chat request: {error!r}")
        if body.get("stream"):
            return _refused(400, "replies are not streamed here")
        try:
            reply = await self._asked(body["model"], model, messages, sampling)
        except LimitReached as error:
            return _refused(400, str(error))
        except LMError as error:
            return _refused(error.status or 502, str(error))
        return web.json_response(_completion(reply))

    async def _asked(
        self, name: str, model: Model, messages: list[dict[str, Any]], sampling: Sampling
    ) -> Reply:
        if name == self._author:
            self._ledger.turns += 1
        else:
            self._ledger.count_calls(1)
        return await model.client.complete(model.name, messages, self._ledger, sampling=sampling)


def _sampling(model: Model, body: dict[str, Any]) -> Sampling:
    """Return the model's own sampling with the peer's temperature, and with its length where that
    is a shorter one: ours are bounded in the same way. Raises ``TypeError``."""
    own = model.sampling
    temperature, tokens = body.get("temperature"), body.get("max_tokens")
    if not isinstance(temperature, int | float | None) or not isinstance(tokens, int | None):
        raise TypeError(f"temperature={temperature!r}, max_tokens={tokens!r}")
    return replace(
        own,
        temperature=own.temperature if temperature is None else temperature,
        max_tokens=min((n for n in (tokens, own.max_tokens) if n is not None), default=None),
    )


def _refused(status: int, said: str) -> web.Response:
    return web.json_response({"error": {"message": said, "type": "refused"}}, status=status)


def _completion(reply: Reply) -> dict[str, Any]:
    used = reply.usage
    return {
        "id": f"chatcmpl-{secrets.token_hex(8)}",
        "object": "chat.completion",
        "created": 0,
        "model": reply.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": reply.text},
                "finish_reason": reply.finish if reply.finish in ("stop", "length") else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": used.input_tokens,
            "completion_tokens": used.output_tokens,
            "total_tokens": used.tokens,
        },
    }
