"""A fake endpoint whose replies are streamed at a pace, and which knows when each piece left."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

READY_SECONDS = 10
INPUT_PRICE, OUTPUT_PRICE = 1.0, 5.0
"""US dollars a million tokens, as the endpoint reports them."""


@dataclass
class Paced:
    """A reply: its pieces, ``gap_s`` apart. ``left`` gets the Unix seconds when each was sent."""

    pieces: list[str]
    gap_s: float = 0.0
    left: list[float] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


ReplyTo = Callable[[dict[str, Any]], Awaitable[Paced]]


@contextmanager
def paced_endpoint(reply: ReplyTo) -> Iterator[str]:
    """Yield the address of an OpenAI-compatible endpoint, served by a thread of its own."""
    ready, over = threading.Event(), asyncio.Event()
    address: list[str] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with _serving(reply) as base:
            address.append(base)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    if not ready.wait(READY_SECONDS):
        raise RuntimeError(f"the endpoint did not start within {READY_SECONDS} s")
    try:
        yield address[0]
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join(READY_SECONDS)


@asynccontextmanager
async def _serving(reply: ReplyTo) -> AsyncIterator[str]:
    async def completions(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        said = await reply(asked)
        usage = _usage(len(json.dumps(asked)) // 4, len(said.text) // 4)
        if not asked.get("stream"):
            message = {"role": "assistant", "content": said.text}
            return web.json_response(_body(asked, usage, message=message, finish_reason="stop"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in said.pieces:
            await asyncio.sleep(said.gap_s)
            await response.write(_event(_body(asked, None, delta={"content": piece})))
            said.left.append(time.time())
        await response.write(_event(_body(asked, usage, delta={}, finish_reason="stop")))
        await response.write(b"data: [DONE]\n\n")
        return response

    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", completions)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def _usage(read: int, written: int) -> dict[str, Any]:
    cost = (read * INPUT_PRICE + written * OUTPUT_PRICE) / 1e6
    return {"prompt_tokens": read, "completion_tokens": written, "cost": cost}


def _body(asked: dict[str, Any], usage: dict[str, Any] | None, **choice: Any) -> dict[str, Any]:
    kind = "chat.completion.chunk" if "delta" in choice else "chat.completion"
    head = {"id": "paced", "object": kind, "created": 0, "model": asked["model"]}
    said = {"choices": [{"index": 0, "finish_reason": None, **choice}]}
    return {**head, **said, **({"usage": usage} if usage else {})}


def _event(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()
