"""The LM client: turns as streams, sub-calls whole, over any OpenAI-compatible endpoint.

One ``Client`` serves a whole run. It bounds the requests in flight, tries again what may pass,
and books every HTTP request, also one that failed or was cancelled.
"""

from __future__ import annotations

import asyncio
import importlib
import random
import re
from asyncio import sleep
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from ..errors import LMError
from ..events import Usage
from . import chat, prices, route, transport
from .attempts import Attempt, Attempts, Meter, Reply, Sampling
from .dialect import Body, Dialect, Request
from .failures import Failure
from .listener import Listener
from .stream import DONE, parse, values
from .wording import lm_error

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["Client", "Meter", "Reply", "Sampling"]

MAX_WAIT_S = 60.0
MAX_BACKOFF_S = 8.0
MODELS_S = 10.0
SILENCES = 1
"""So many requests that timed out are sent again: each is paid for, and was waited for in vain."""
SECRET_CHARS = 8  # shorter keys are fillers such as "none" and may stand in any text
_OF_KEY = re.compile(r"(?i)auth|key|token|secret|cookie")


class Client:
    """One ``AsyncOpenAI``, made inside the event loop that uses it: ``async with Client(...)``.

    ``base_url`` None is OpenAI's own. ``timeout_s`` bounds a whole ``complete`` request, and in a
    stream the silence between two events; the whole of a stream is bounded by
    ``transport.TOTAL_TIMES`` as much, and every reply by ``attempts.MAX_REPLY_CHARS``. ``retries``
    are tries after the first, ``backoff_s`` the first wait between two. ``free`` says that nothing
    is charged (the embedded LM). ``headers`` go with every request; with them and without a key no
    ``Authorization`` is sent. A query in the address stays in that of every request.

    A proxy of the environment is used, but not for this machine (``route``). Redirects are followed
    within the endpoint's own server only, where they keep the request as it is (307, 308).

    Raises ``UsageError`` for an address or a key that cannot be sent, and when it is opened for a
    proxy that is not supported.
    """

    def __init__(
        self,
        *,
        base_url: str | None,
        api_key: str | None,
        headers: Mapping[str, str] | None = None,
        in_flight: int,
        timeout_s: float,
        retries: int,
        free: bool = False,
        backoff_s: float = 0.5,
    ) -> None:
        self._base_url = transport.checked_url(base_url or prices.OPENAI_URL)
        self._key = transport.checked_key(api_key or "")
        self._headers = dict(headers or {})
        self._in_flight = transport.most_connections(in_flight)
        self._timeout_s = timeout_s
        self._retries = retries
        self._free = free
        self._backoff_s = backoff_s
        self._dialect = Dialect()
        self._slots = asyncio.Semaphore(self._in_flight)
        self._openai: AsyncOpenAI | None = None
        self._proxy: route.Proxy | None = None

    def __repr__(self) -> str:
        return f"Client({self.url!r}, in_flight={self._in_flight})"

    @property
    def url(self) -> str:
        """The endpoint's address as it may be shown: without a password and without a query."""
        return transport.shown_url(self._base_url).partition("?")[0]

    @property
    def secrets(self) -> list[str]:
        """Return the keys that requests carry, and the headers that have one by their names."""
        named = (value for name, value in self._headers.items() if _OF_KEY.search(name))
        return [each for each in (self._key, *named) if len(each) >= SECRET_CHARS]

    @property
    def _way(self) -> str:
        """The address, and the proxy on the way to it."""
        return f"{self.url} (through {self._proxy.shown})" if self._proxy else self.url

    async def __aenter__(self) -> Self:
        self._proxy = await route.proxy_to(self._base_url)
        # In threads: importing openai takes 0.5 s and the price data 0.3 s, in which the loop
        # should be starting a kernel.
        await asyncio.to_thread(importlib.import_module, "openai")
        if not self._free:
            await asyncio.to_thread(prices.serves, self._base_url)
        self._openai = transport.connect(
            self._base_url,
            self._key,
            self._headers,
            in_flight=self._in_flight,
            connect_s=self._timeout_s,
            proxy=self._proxy,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.close()
        self._openai = None

    @property
    def _client(self) -> AsyncOpenAI:
        if self._openai is None:
            raise RuntimeError("the LM client is not open: use `async with Client(...)`")
        return self._openai

    async def complete(
        self,
        model: str,
        messages: list[dict[str, Any]],
        meter: Meter,
        *,
        sampling: Sampling,
    ) -> Reply:
        """Return one reply, whole. Raises ``LMError``, and ``LimitReached`` from the meter."""
        call = self._call(model, messages, meter, sampling)
        return await self._reply(call, call.body(), Listener())

    async def stream(
        self,
        model: str,
        messages: list[dict[str, Any]],
        meter: Meter,
        *,
        sampling: Sampling,
        on_delta: Callable[[str], None],
        on_restart: Callable[[], None],
        cut: Callable[[str], int | None] | None = None,
    ) -> Reply:
        """Return one reply; its text is given to ``on_delta`` as it comes.

        ``on_restart`` is called when a try failed after some text: what was given is void.
        ``cut`` gets the text so far and may return where it ends; reading then stops, the request
        is closed and ``finish`` is "cut". Raises as ``complete`` does.
        """
        call = self._call(model, messages, meter, sampling)
        body = {**call.body(), **chat.STREAMED}
        return await self._reply(call, body, Listener(on_delta, on_restart, cut))

    async def _reply(self, call: Attempts, body: Body, listener: Listener) -> Reply:
        async def once(request: Request) -> Reply:
            listener.begin()
            async with self._request(call) as (this, deadline):
                end = await self._read(call, request, this, deadline, listener)
            reply = call.reply(this, request)
            return reply if end is None else replace(reply, text=this.text[:end], finish="cut")

        return await self._persevere(call, partial(self._adjusted, body, once))

    async def _adjusted(self, body: Body, once: Callable[[Request], Awaitable[Reply]]) -> Reply:
        """``once``, and at once again the other way if the endpoint refuses how it was asked."""
        guess, tried = None, []
        while True:
            request = self._dialect.request(body, guess)
            tried.append(request.adjustments)
            try:
                reply = await once(request)
            except Failure as failure:
                guess = self._dialect.learn(request, failure) or guess
                if self._dialect.request(body, guess).adjustments in tried:
                    raise
            else:
                self._dialect.served(request)
                return reply

    async def _read(
        self,
        call: Attempts,
        request: Request,
        this: Attempt,
        deadline: transport.Deadline,
        listener: Listener,
    ) -> int | None:
        """Read a reply into ``this``; return where it was cut, if it was."""
        done, loop = False, asyncio.get_running_loop()
        # Not chat.completions.create: it takes half as much CPU again for its models.
        sent = transport.answered(self._client, chat.COMPLETIONS, request.body)
        async with (
            transport.until_finished(this) as rest,
            sent as data,
            aclosing(values(data, deadline.extend)) as heard,
        ):
            async for value in heard:
                if done := value is DONE:
                    break
                at = this.take(value)
                if (end := listener.hear(this.text, at)) is not None:
                    return end
                if this.finish is None or not this.text:
                    rest.reschedule(None)
                elif rest.when() is None or len(this.text) > at:
                    rest.reschedule(loop.time() + transport.AFTER_FINISH_S)
                call.keep_up(this)
        whole = done or this.finish or this.joined.is_whole or not request.streamed
        if not whole and (this.chosen or not this.heard):
            last = f"; it said {this.heard!r}" if this.heard else ""
            raise Failure("cut", f"after {len(this.text)} characters{last}", again=True)
        at = this.end()
        listener.hear(this.text, at)
        this.check()
        return None

    async def models(self) -> list[str]:
        """Return the names of the models that the endpoint has. Raises ``LMError``; not metered."""
        try:
            return await self._models()
        except Failure as failure:
            if failure.cause in ("model", "garbage"):
                failure.cause = "address"
            error = lm_error(failure, self._scrubbed(failure.said), url=self._way)
        raise error

    async def _models(self) -> list[str]:
        within_s = min(MODELS_S, self._timeout_s)
        async with transport.watched(Attempt(), within_s):
            return chat.model_names(parse(await self._client.get(chat.MODELS, cast_to=bytes)))

    def _call(
        self, model: str, messages: list[dict[str, Any]], meter: Meter, sampling: Sampling
    ) -> Attempts:
        return Attempts(
            model=model,
            messages=messages,
            meter=meter,
            sampling=sampling,
            price=None if self._free else self._price,
        )

    def _price(self, model: str, usage: Usage) -> float | None:
        return prices.price(model, self._base_url, usage)

    @asynccontextmanager
    async def _request(self, call: Attempts) -> AsyncIterator[tuple[Attempt, transport.Deadline]]:
        """One HTTP request: a slot, reservations and a deadline; settled however it ends."""
        async with self._slots:
            with ExitStack() as held:
                this = call.begin(held)
                try:
                    async with transport.watched(this, self._timeout_s) as deadline:
                        yield this, deadline
                finally:
                    call.settle(this)

    async def _persevere(self, call: Attempts, once: Callable[[], Awaitable[Reply]]) -> Reply:
        """Try until it works, no try is left, or another cannot help."""
        silences = 0

        def again(error: BaseException) -> bool:
            nonlocal silences
            if not isinstance(error, Failure):
                return False
            silences += error.cause == "timeout" and error.status is None
            return error.again and silences <= SILENCES

        async def waited(seconds: float) -> None:
            call.waited_s += seconds
            await sleep(seconds)

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._retries + 1),
            wait=self._wait_s,
            retry=retry_if_exception(again),
            sleep=waited,
            reraise=True,
        )
        try:
            return await retrying(once)
        except Failure as failure:
            error = await self._error(call, failure)
        # Not in the handler: what failed may hold the key, and a traceback would show it.
        raise error

    def _wait_s(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        if isinstance(failure, Failure) and failure.wait_s is not None:
            return min(failure.wait_s, MAX_WAIT_S)
        backoff = self._backoff_s * 2.0 ** (state.attempt_number - 1)
        # Jitter, or all requests of a batch come back in the same moment.
        return min(backoff, MAX_BACKOFF_S) * random.uniform(0.5, 1.0)

    async def _error(self, call: Attempts, failure: Failure) -> LMError:
        names: list[str] = []
        if failure.cause == "model":
            # The list is a courtesy: an endpoint without one does not change the error.
            with suppress(Failure):
                names = await self._models()
        return lm_error(
            failure,
            self._scrubbed(failure.said),
            url=self._way,
            model=call.model,
            attempts=call.attempts,
            waited_s=call.waited_s,
            names=names,
        )

    def _scrubbed(self, text: str) -> str:
        """Return what an endpoint said, without the secrets that it may have echoed."""
        query = parse_qs(urlsplit(self._base_url).query).values()
        for secret in (self._key, *self._headers.values(), *chain.from_iterable(query)):
            if len(secret) >= SECRET_CHARS:
                text = text.replace(secret, "[key]")
        return re.sub(r"(?i)\b(bearer|basic)\s+[^\s\"',}]+", r"\1 [key]", transport.shown_url(text))
