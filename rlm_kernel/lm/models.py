"""The LMs that a run talks to: an endpoint's, the embedded ones, or objects handed in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from ..errors import NoLM, UsageError
from ..events import Usage
from ..settings.limits import Limits
from ..settings.option import Group
from ..settings.resolved import OPTIONS, Settings
from . import embedded, prices
from .client import Client, Meter, Reply, Sampling
from .embedded.weights import AUTHOR, SUB
from .keys import key_of
from .model import LM, Message, Model

DEFAULT_MODEL = "gpt-5"
DEFAULT_SUB_MODEL = "gpt-5-mini"
ONLY_ONE = "the only one that the endpoint has"
DEFAULT_WINDOW = 128_000
A_TOKEN = Usage(input_tokens=1, output_tokens=1)
EMBEDDED = (AUTHOR.name, SUB.name)
EMBEDDED_IN_FLIGHT = 8
WARM_CHARS = 8_000
EMBEDDED_BATCH = 200  # two minutes on two cores
NAMED_BY = tuple(name for name, option in OPTIONS.items() if option.group is Group.LM)
"""The settings that make LMs other ones. ``open_models`` reads no more than these."""


@dataclass(frozen=True)
class Models:
    """The LMs of both roles, and how the author is spoken to."""

    root: Model
    sub: Model
    style: str
    """Its name."""

    @property
    def secrets(self) -> list[str]:
        """Return the keys that requests carry, which nothing of a run is to show."""
        clients = [model.client for model in (self.root, self.sub)]
        return sorted({s for each in clients if isinstance(each, Client) for s in each.secrets})


def is_lm(model: object) -> TypeGuard[LM]:
    """Return whether a model was handed in as an object, such as ``testing.ScriptedLM``."""
    return hasattr(model, "stream") and hasattr(model, "complete")


def what_they_are(settings: Settings, limits: Limits) -> object:
    """Return a key for the LMs that ``open_models`` would open: equal for those that are the
    same."""
    named = {name: getattr(settings, name) for name in NAMED_BY}
    return json.dumps(named, sort_keys=True), limits.in_flight


def known_names(settings: Settings) -> tuple[str | None, str | None]:
    """Return the names of the author and of the sub-LM; None where the endpoint must be asked."""
    if settings.embedded:
        return EMBEDDED
    name, sub_name = settings.model, settings.sub_model
    if name is None and settings.base_url is None:
        name, sub_name = DEFAULT_MODEL, sub_name or DEFAULT_SUB_MODEL
    return name, sub_name or (None if settings.sub_base_url else name)


def names_in_words(settings: Settings) -> dict[str, str]:
    """Return what to call the LMs of ``model`` and ``sub_model``, by these names, before any is
    asked."""
    which = " (the embedded one)" if settings.embedded else ""
    names = zip(("model", "sub_model"), known_names(settings), strict=True)
    return {setting: f"{name or ONLY_ONE}{which}" for setting, name in names}


@asynccontextmanager
async def open_models(
    settings: Settings, limits: Limits, root: LM | None = None, sub: LM | None = None
) -> AsyncIterator[Models]:
    """Connect to both LMs. Raises ``NoLM``, ``UsageError``, and ``LMError`` where the endpoint
    must be asked for its models and does not answer."""
    async with AsyncExitStack() as stack:
        if root is not None:
            yield _scripted(settings, limits, root, sub or root)
        elif settings.embedded:
            yield await _embedded(settings, limits, stack)
        else:
            yield await _endpoint(settings, limits, stack)


def _scripted(settings: Settings, limits: Limits, root: LM, sub: LM) -> Models:
    slots = asyncio.Semaphore(limits.in_flight)
    window = settings.window or DEFAULT_WINDOW
    return Models(
        Model(
            client=_Bounded(root, slots),
            name=settings.model or "scripted",
            sampling=_of_author(settings),
            window=window,
        ),
        Model(
            client=_Bounded(sub, slots),
            name=settings.sub_model or "scripted-sub",
            sampling=_of_sub(settings),
            window=window,
        ),
        settings.prompt or "strong",
    )


async def _endpoint(settings: Settings, limits: Limits, stack: AsyncExitStack) -> Models:
    def client(
        base_url: str | None, api_key: str | None, headers: Mapping[str, str] | None
    ) -> Client:
        return Client(
            base_url=base_url,
            api_key=api_key,
            headers=headers,
            in_flight=limits.in_flight,
            timeout_s=settings.timeout_s,
            retries=settings.retries,
        )

    of_root = client(settings.base_url, await key_of(settings), settings.headers)
    root = await stack.enter_async_context(of_root)
    sub = root
    if settings.sub_base_url:
        key = await key_of(settings, sub=True)
        of_sub = client(settings.sub_base_url, key, settings.sub_headers)
        sub = await stack.enter_async_context(of_sub)
    name, sub_name = known_names(settings)
    if name is None:
        name = await _only_model(root)
    if sub_name is None:
        sub_name = name if sub is root else await _only_model(sub)
    return Models(
        Model(
            client=root,
            name=name,
            sampling=_of_author(settings),
            window=_window(settings, name, settings.base_url),
            priced=prices.price(name, settings.base_url, A_TOKEN) is not None,
            price=prices.at(settings.base_url),
        ),
        Model(
            client=sub,
            name=sub_name,
            sampling=_of_sub(settings),
            window=_window(settings, sub_name, settings.base_url),
            priced=prices.price(sub_name, settings.sub_base_url or settings.base_url, A_TOKEN)
            is not None,
            price=prices.at(settings.sub_base_url or settings.base_url),
        ),
        settings.prompt or "strong",
    )


def _of_author(settings: Settings) -> Sampling:
    return Sampling(
        temperature=settings.temperature,
        max_tokens=settings.output_tokens,
        reasoning_effort=settings.reasoning_effort,
        added=settings.body or {},
    )


def _of_sub(settings: Settings) -> Sampling:
    """The sub-LM's, which shares the added fields where it shares the endpoint."""
    shared = None if settings.sub_base_url else settings.body
    return Sampling(added=(shared if settings.sub_body is None else settings.sub_body) or {})


def _window(settings: Settings, model: str, base_url: str | None) -> int:
    return settings.window or prices.window(model, base_url) or DEFAULT_WINDOW


async def _only_model(client: Client) -> str:
    names = await client.models()
    if len(names) == 1:
        return names[0]
    shown = ", ".join(names[:8]) or "none"
    raise UsageError(
        f"no model is set and {client.url} has {len(names)}: {shown}. "
        "Name one by --model or RLM_MODEL."
    )


async def _embedded(settings: Settings, limits: Limits, stack: AsyncExitStack) -> Models:
    missing = embedded.available()
    if missing is not None:
        raise NoLM(
            "no LM is set. Either name an endpoint (OPENAI_API_KEY, or OPENAI_BASE_URL and "
            f"RLM_MODEL for any OpenAI-compatible server), or use the embedded one: {missing}"
        )
    for name in (settings.model, settings.sub_model):
        if name is not None and name not in EMBEDDED:
            raise UsageError(
                f"model {name!r}: no endpoint is set, and the embedded LM has only "
                f"{' and '.join(EMBEDDED)}. Set OPENAI_API_KEY or --base-url for others."
            )
    server = await stack.enter_async_context(embedded.shared_server())
    most = min(EMBEDDED_IN_FLIGHT, limits.in_flight)
    author = await stack.enter_async_context(_local_client(server.author, settings, 1))
    sub = await stack.enter_async_context(_local_client(server.sub, settings, most))
    # Greedy, and bounded: a small model repeats itself without end.
    warmth = 0.0 if settings.temperature is None else settings.temperature
    return Models(
        Model(
            client=_Author(author, server),
            name=server.author.model,
            sampling=replace(
                _of_author(settings), temperature=warmth, max_tokens=settings.output_tokens or 700
            ),
            window=server.author.window,
            # Of twelve texts with four labels it gets all right, the smaller model three.
            chooses=True,
        ),
        Model(
            client=sub,
            name=server.sub.model,
            sampling=replace(_of_sub(settings), temperature=0.0, max_tokens=200),
            window=server.sub.window,
            max_batch=EMBEDDED_BATCH,
        ),
        settings.prompt or "small",
    )


def _local_client(endpoint: embedded.Endpoint, settings: Settings, in_flight: int) -> Client:
    return Client(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        in_flight=in_flight,
        timeout_s=settings.timeout_s,
        retries=settings.retries,
        free=True,
    )


class _Bounded:
    """An LM handed in as an object, asked so many times at once at most."""

    def __init__(self, lm: LM, slots: asyncio.Semaphore) -> None:
        self._lm = lm
        self._slots = slots

    async def stream(self, *request: Any, **options: Any) -> Reply:
        async with self._slots:
            return await self._lm.stream(*request, **options)

    async def complete(self, *request: Any, **options: Any) -> Reply:
        async with self._slots:
            return await self._lm.complete(*request, **options)


class _Author:
    """The embedded author: its prefix is read from disk, and a slot that is still reading for
    somebody who hung up is waited for."""

    def __init__(self, client: Client, server: embedded.EmbeddedServer) -> None:
        self._client = client
        self._server = server
        self._warm: list[Message] = []

    async def stream(
        self,
        model: str,
        messages: list[Message],
        meter: Meter,
        *,
        sampling: Sampling,
        on_delta: Callable[[str], None],
        on_restart: Callable[[], None],
        cut: Callable[[str], int | None] | None,
    ) -> Reply:
        await self._server.idle(self._server.author)
        if messages[: len(self._warm)] != self._warm or not self._warm:
            self._warm = _unchanging(messages)
            await self._server.warm(self._warm)
        return await self._client.stream(
            model,
            messages,
            meter,
            sampling=sampling,
            on_delta=on_delta,
            on_restart=on_restart,
            cut=cut,
        )

    async def complete(
        self, model: str, messages: list[Message], meter: Meter, *, sampling: Sampling
    ) -> Reply:
        return await self._client.complete(model, messages, meter, sampling=sampling)


def _unchanging(messages: list[Message]) -> list[Message]:
    """Return the start that other questions share: all before the last message where it is short,
    as examples are, else the system message."""
    size = sum(len(str(message["content"])) for message in messages[:-1])
    return messages[:-1] if size <= WARM_CHARS else messages[:1]
