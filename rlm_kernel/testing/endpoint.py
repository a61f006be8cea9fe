"""An OpenAI-compatible endpoint on loopback that says and fails what a test tells it to.

>>> with FakeEndpoint(lambda request: "hello") as endpoint:
...     endpoint.base_url.startswith("http://127.0.0.1:")
True

It serves ``GET /v1/models`` and ``POST /v1/chat/completions`` (streamed or not) and keeps a log
of every request with the usage that it reported, so that a client's books can be compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from ..events import Usage
from .answers import Answer, count_usage, render
from .faults import Fault, Hang, Say, Slow

Said: TypeAlias = str | Say | Fault
ReplyTo: TypeAlias = Callable[[dict[str, Any]], Said | Awaitable[Said]]
CountUsage: TypeAlias = Callable[[dict[str, Any], str], Mapping[str, Any]]


@dataclass
class Exchange:
    """One request and what became of it. Times are Unix seconds.

    ``usage`` is the last usage that was written to the client, None if none was. ``hung_up``
    is true when the client closed the connection before the reply was whole.
    """

    path: str
    request: dict[str, Any]
    headers: dict[str, str]
    started: float = field(default_factory=time.time)
    ended: float | None = None
    status: int | None = None
    usage: Mapping[str, Any] | None = None
    hung_up: bool = False

    @property
    def place(self) -> str:
        """The path without a query."""
        return self.path.partition("?")[0]

    @property
    def model(self) -> str:
        return str(self.request.get("model", ""))

    @property
    def stream(self) -> bool:
        return bool(self.request.get("stream"))

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.request.get("messages", []))


class FakeEndpoint:
    """The server. ``async with`` runs it on the caller's loop, ``with`` on a thread of its own.

    ``reply`` gets the request's JSON and returns text, a ``Say`` or a fault; it may be async,
    and under ``async with`` it may wait for an ``asyncio.Event`` of the test. ``usage`` counts
    the tokens of a reply that brings no usage of its own. With ``cumulative`` a stream carries
    the usage so far in every chunk, otherwise the whole in a last one, if the client asked.
    ``models`` are the names that ``GET /v1/models`` gives.
    """

    def __init__(
        self,
        reply: ReplyTo,
        *,
        usage: CountUsage = count_usage,
        cumulative: bool = False,
        models: tuple[str, ...] = ("fake-model",),
    ) -> None:
        self.reply = reply
        self.count = usage
        self.cumulative = cumulative
        self.models = models
        self.log: list[Exchange] = []
        self.concurrency_peak = 0
        self.connections: set[_Connection] = set()
        self._active = 0
        self._server: asyncio.Server | None = None
        self._port = 0
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] | None = None
        self._ready = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def totals(self) -> Usage:
        """Return what all chat requests together were told that they used."""
        chats = [e for e in self.log if e.place.endswith("/chat/completions")]
        return sum((_as_usage(e.usage or {}) for e in chats), Usage())

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [task for c in list(self.connections) if (task := c.close()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # lets the closed transports call connection_lost

    def __enter__(self) -> Self:
        # A daemon, so that a test that forgets to leave does not keep the interpreter alive.
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),), daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the fake endpoint did not start within 10 s")
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._stop is not None
        assert self._thread is not None
        self._stop()
        self._thread.join(10)

    async def _run(self) -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        async with self:
            self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
            self._ready.set()
            await stopped.wait()

    async def answer(self, exchange: Exchange) -> Answer:
        """Return the whole answer to one request; never, for ``Hang``."""
        path = exchange.place
        if path.endswith("/models"):
            listed = [{"id": name, "object": "model"} for name in self.models]
            return Answer.json(200, {"object": "list", "data": listed})
        if not path.endswith("/chat/completions"):
            return Answer.json(404, {"error": {"message": f"no such path: {path}"}})
        said = self.reply(exchange.request)
        if inspect.isawaitable(said):
            said = await said
        if isinstance(said, Slow):
            await asyncio.sleep(said.seconds)
            said = said.then
        if isinstance(said, Hang):
            await asyncio.Event().wait()
        return render(said, exchange.request, self.count, self.cumulative)

    @contextlib.contextmanager
    def entered(self) -> Any:
        self._active += 1
        self.concurrency_peak = max(self.concurrency_peak, self._active)
        try:
            yield
        finally:
            self._active -= 1


class _Connection(asyncio.Protocol):
    """One kept-alive HTTP/1.1 connection; requests are answered one after another."""

    def __init__(self, endpoint: FakeEndpoint) -> None:
        self._endpoint = endpoint
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._lost = False
        self._ours = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._endpoint.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._endpoint.connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def close(self) -> asyncio.Task[None] | None:
        self._ours = True
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()
        return self._task

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._next()

    def _next(self) -> None:
        head, found, _ = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = bytes(head).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        end = len(head) + 4 + int(headers.get("content-length", 0))
        if len(self._buffer) < end:
            return
        body = bytes(self._buffer[len(head) + 4 : end])
        del self._buffer[:end]
        exchange = Exchange(lines[0].split(" ")[1], json.loads(body) if body else {}, headers)
        self._endpoint.log.append(exchange)
        self._task = asyncio.get_running_loop().create_task(self._serve(exchange))

    async def _serve(self, exchange: Exchange) -> None:
        try:
            with self._endpoint.entered():
                await self._send(await self._endpoint.answer(exchange), exchange)
        except asyncio.CancelledError:
            exchange.hung_up = self._lost and not self._ours
            raise
        except Exception:
            self._transport.abort()  # or the client would wait for what never comes
            raise
        finally:
            exchange.ended = time.time()
        self._task = None
        if not self._transport.is_closing():
            self._next()

    async def _send(self, answer: Answer, exchange: Exchange) -> None:
        exchange.status = answer.status
        self._transport.write(answer.head)
        for part in answer.parts:
            self._transport.write(part.data)
            exchange.usage = part.usage or exchange.usage
            if answer.streamed:
                await asyncio.sleep(0)  # a client that hung up is noticed between two parts
        if answer.close:
            self._transport.close()


def _as_usage(reported: Mapping[str, Any]) -> Usage:
    details = reported.get("prompt_tokens_details") or {}
    return Usage(
        requests=1,
        input_tokens=reported.get("prompt_tokens", 0),
        output_tokens=reported.get("completion_tokens", 0),
        cached_tokens=details.get("cached_tokens", 0),
        cost=reported.get("cost", 0.0),
    )
