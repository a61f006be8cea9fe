"""Callers of an LM for the tests of its client: a meter, a script of replies, two ways to ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from rlm_kernel.errors import LimitReached
from rlm_kernel.events import Usage
from rlm_kernel.lm.client import Client, Reply, Sampling

KEY = "sk-canary-0123456789abcdef"
ASK = [{"role": "user", "content": "how are you?"}]
USED = {
    "prompt_tokens": 70,
    "completion_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 20},
}


class Books:
    """A meter that keeps what was reserved and booked; ``allowed`` requests may be reserved."""

    def __init__(self, allowed: int = 1000) -> None:
        self.usage = Usage()
        self.reserved: list[tuple[int, float]] = []
        self.held = 0
        self.allowed = allowed

    @contextmanager
    def reserve(self, tokens: int, cost: float) -> Iterator[None]:
        if len(self.reserved) >= self.allowed:
            raise LimitReached("tokens", spent=1, allowed=0)
        self.reserved.append((tokens, cost))
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1

    def book(self, usage: Usage) -> None:
        assert self.held > 0, "booked after the reservation had ended"
        self.usage += usage


class Says:
    """Replies one after another; the last one for ever."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)

    def __call__(self, request: dict[str, Any]) -> Any:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[Client]:
    usual: dict[str, Any] = {
        "api_key": KEY,
        "in_flight": 8,
        "timeout_s": 20.0,
        "retries": 2,
        "backoff_s": 0.001,
    }
    async with asyncio.timeout(60), Client(base_url=url, **usual | options) as lm:
        yield lm


async def streamed(lm: Client, books: Books, screen: list[str] | None = None, **more: Any) -> Reply:
    shown: list[str] = [] if screen is None else screen
    return await lm.stream(
        "fake-model",
        ASK,
        books,
        sampling=more.pop("sampling", Sampling()),
        on_delta=shown.append,
        on_restart=shown.clear,
        **more,
    )


async def completed(lm: Client, books: Books, messages: Any = ASK) -> Reply:
    return await lm.complete("fake-model", messages, books, sampling=Sampling())


ways = pytest.mark.parametrize("ask", [completed, streamed])


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is true on this loop, at most 20 s."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0)
