"""The LM client against an endpoint that does what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from callers import ASK, USED, Books, Says, client, completed, streamed, until, ways

from rlm_kernel.events import Usage
from rlm_kernel.lm.client import Sampling
from rlm_kernel.testing import CutStream, FakeEndpoint, Garbage, Hang, Say, Status

pytestmark = pytest.mark.anyio


@ways
async def test_a_reply_comes_with_its_usage(ask: Callable[..., Any]) -> None:
    books = Books()
    async with FakeEndpoint(Says(Say("I am fine", USED))) as fake, client(fake.base_url) as lm:
        reply = await ask(lm, books)
    assert (reply.text, reply.finish, reply.model) == ("I am fine", "stop", "fake-model")
    assert reply.usage == books.usage == Usage(1, 70, 30, 20, unpriced=1)
    assert fake.totals() == Usage(1, 70, 30, 20)


async def test_a_stream_is_shown_as_it_comes() -> None:
    async with (
        FakeEndpoint(Says(Say("one two", pieces=("one", " ", "two")))) as fake,
        client(fake.base_url) as lm,
    ):
        screen: list[str] = []
        await streamed(lm, Books(), screen)
    assert screen == ["one", " ", "two"]


@pytest.mark.parametrize("cumulative", [True, False])
async def test_the_last_usage_of_a_stream_counts(cumulative: bool) -> None:
    books = Books()
    async with (
        FakeEndpoint(Says(Say("a longer text", USED)), cumulative=cumulative) as fake,
        client(fake.base_url) as lm,
    ):
        await streamed(lm, books)
    assert books.usage == Usage(1, 70, 30, 20, unpriced=1)


async def test_an_endpoint_that_refuses_to_be_asked_for_usage_is_asked_without_once() -> None:
    def reply(request: dict[str, Any]) -> Any:
        if "stream_options" in request:
            return Status(400, {"error": {"message": "stream_options is not supported"}})
        return "fine"

    books = Books()
    async with FakeEndpoint(reply) as fake, client(fake.base_url, retries=0) as lm:
        first = await streamed(lm, books)
        await streamed(lm, books)
    assert [e.status for e in fake.log] == [400, 200, 200]
    assert first.usage.estimated
    assert books.usage.requests == 3


@pytest.mark.parametrize("cumulative", [True, False])
async def test_a_cut_stream_is_booked_as_reported_or_else_estimated(cumulative: bool) -> None:
    books = Books()
    cut = CutStream(20, "x" * 40, USED)
    async with (
        FakeEndpoint(Says(cut, Say("fine", USED)), cumulative=cumulative) as fake,
        client(fake.base_url) as lm,
    ):
        await streamed(lm, books)
    whole = fake.totals()
    if cumulative:
        assert (books.usage.input_tokens, books.usage.output_tokens) == (140, 45)
        assert (whole.input_tokens, whole.output_tokens) == (140, 45)
        assert not books.usage.estimated
    else:
        assert (books.usage.input_tokens, books.usage.output_tokens) == (73, 35)
        assert books.usage.estimated


async def test_we_may_cut_a_reply_where_its_first_block_closes() -> None:
    def cut(text: str) -> int | None:
        end = text.find("```", 3)
        return None if end < 0 else end + 3

    books, screen = Books(), list[str]()
    said = Say("```x```, and then " + "invented output " * 500)
    async with FakeEndpoint(Says(said)) as fake, client(fake.base_url) as lm:
        got = await streamed(lm, books, screen, cut=cut)
        await until(lambda: fake.log[0].ended is not None)
    assert (got.text, got.finish) == ("```x```", "cut")
    assert "".join(screen) == "```x```"
    assert got.usage.estimated
    assert fake.log[0].hung_up


@ways
async def test_a_cancelled_call_is_closed_and_booked(ask: Callable[..., Any]) -> None:
    books = Books()
    async with FakeEndpoint(Says(Hang())) as fake, client(fake.base_url) as lm:
        task = asyncio.create_task(ask(lm, books))
        await until(lambda: bool(fake.log))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: fake.log[0].ended is not None)
    assert fake.log[0].hung_up
    assert books.usage == Usage(requests=1, input_tokens=3, unpriced=1, estimated=True)
    assert books.held == 0


async def test_a_stream_cancelled_half_way_books_what_was_received() -> None:
    books, screen, seen = Books(), list[str](), asyncio.Event()

    def show(text: str) -> None:
        screen.append(text)
        seen.set()

    async with FakeEndpoint(Says(Say("word " * 20000))) as fake, client(fake.base_url) as lm:
        task = asyncio.create_task(
            lm.stream("m", ASK, books, sampling=Sampling(), on_delta=show, on_restart=screen.clear)
        )
        await asyncio.wait_for(seen.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert books.usage.estimated
    assert books.usage.output_tokens == max(1, sum(map(len, screen)) // 4)
    assert books.usage.input_tokens == 3


async def test_the_estimate_is_of_the_prompt_and_the_longest_reply() -> None:
    books = Books()
    messages = [{"role": "user", "content": [{"type": "text", "text": "x" * 396}]}]
    async with FakeEndpoint(Says("fine")) as fake, client(fake.base_url) as lm:
        await completed(lm, books, messages)
        await lm.complete("m", messages, books, sampling=Sampling(max_tokens=7))
    assert books.reserved == [(99 + 512, 0.0), (99 + 7, 0.0)]


@pytest.mark.parametrize(("wanted", "files"), [(4, 1024), (100, 8)])
async def test_no_more_requests_are_in_flight_than_slots_or_half_the_files_that_may_be_open(
    monkeypatch: pytest.MonkeyPatch, wanted: int, files: int
) -> None:
    monkeypatch.setattr("rlm_kernel.lm.transport.resource.getrlimit", lambda kind: (files, files))
    full = asyncio.Event()

    async def reply(request: dict[str, Any]) -> Any:
        if fake.concurrency_peak == 4:
            full.set()
        await full.wait()
        return "fine"

    async with FakeEndpoint(reply) as fake, client(fake.base_url, in_flight=wanted) as lm:
        replies = await asyncio.gather(*(completed(lm, Books()) for _ in range(20)))
    assert len(replies) == len(fake.log) == 20
    assert fake.concurrency_peak == 4


async def test_sampling_is_sent_only_when_set() -> None:
    async with FakeEndpoint(Says("fine")) as fake, client(fake.base_url) as lm:
        await completed(lm, Books())
        await streamed(lm, Books(), sampling=Sampling(temperature=0.0, seed=7))
    plain, set_ = (e.request for e in fake.log)
    assert set(plain) == {"model", "messages"}
    assert (set_["temperature"], set_["seed"]) == (0.0, 7)
    assert "top_p" not in set_


@ways
async def test_a_lone_surrogate_becomes_a_replacement_character(ask: Callable[..., Any]) -> None:
    said = Say("a\ud83d\ude00b\ud83dc", pieces=("a\ud83d", "\ude00b", "\ud83d", "c"))
    async with FakeEndpoint(Says(said)) as fake, client(fake.base_url) as lm:
        assert (await ask(lm, Books())).text == "a\U0001f600b\ufffdc"


async def test_a_lone_surrogate_in_a_prompt_is_sent_as_a_replacement_character() -> None:
    parts = [{"type": "text", "text": "x\udfffy"}, {"type": "text", "text": "\U0001f600"}]
    async with FakeEndpoint(Says("fine")) as fake, client(fake.base_url) as lm:
        await completed(lm, Books(), [{"role": "user", "content": parts}])
    assert [p["text"] for p in fake.log[0].messages[0]["content"]] == ["x\ufffdy", "\U0001f600"]


async def test_reasoning_is_no_text() -> None:
    async with (
        FakeEndpoint(Says(Say("42", reasoning="let me think"))) as fake,
        client(fake.base_url) as lm,
    ):
        screen: list[str] = []
        assert (await streamed(lm, Books(), screen)).text == "42"
    assert screen == ["42"]


@ways
async def test_a_reply_that_ran_out_of_tokens_is_returned(ask: Callable[..., Any]) -> None:
    async with (
        FakeEndpoint(Says(Say("and so", finish="length"))) as fake,
        client(fake.base_url) as lm,
    ):
        reply = await ask(lm, Books())
    assert (reply.text, reply.finish) == ("and so", "length")


@ways
async def test_the_cost_that_the_provider_reports_counts(ask: Callable[..., Any]) -> None:
    async with (
        FakeEndpoint(Says(Say("fine", USED | {"cost": 0.25}))) as fake,
        client(fake.base_url) as lm,
    ):
        reply = await ask(lm, Books())
    assert (reply.usage.cost, reply.usage.unpriced) == (0.25, 0)


@ways
async def test_a_known_price_is_reserved_and_booked(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def price(model: str, base_url: str | None, usage: Usage) -> float:
        return usage.input_tokens * 2.0 + usage.output_tokens * 3.0

    monkeypatch.setattr("rlm_kernel.lm.prices.price", price)
    books = Books()
    async with FakeEndpoint(Says(Say("fine", USED))) as fake, client(fake.base_url) as lm:
        reply = await ask(lm, books)
    assert books.reserved == [(3 + 512, 3 * 2.0 + 512 * 3.0)]
    assert (reply.usage.cost, reply.usage.unpriced) == (70 * 2.0 + 30 * 3.0, 0)


async def test_a_free_endpoint_costs_nothing_and_is_not_unpriced() -> None:
    async with FakeEndpoint(Says("fine")) as fake, client(fake.base_url, free=True) as lm:
        reply = await completed(lm, Books())
    assert (reply.usage.cost, reply.usage.unpriced) == (0.0, 0)


async def test_twenty_batches_of_a_hundred_lose_nothing() -> None:
    def reply(request: dict[str, Any]) -> Any:
        return f"re: {request['messages'][0]['content']}"

    books = Books(allowed=3000)
    async with FakeEndpoint(reply) as fake, client(fake.base_url, in_flight=64) as lm:
        for batch in range(20):
            asked = [[{"role": "user", "content": f"{batch}.{n}"}] for n in range(100)]
            replies = await asyncio.gather(*(completed(lm, books, m) for m in asked))
            assert [r.text for r in replies] == [f"re: {batch}.{n}" for n in range(100)]
    booked, logged = books.usage, fake.totals()
    assert (booked.requests, booked.tokens) == (logged.requests, logged.tokens)
    assert booked.requests == 2000


async def test_an_endpoint_that_does_not_stream_is_read_all_the_same() -> None:
    choice = '{"message": {"content": "all at once"}, "finish_reason": "stop"}'
    whole = '{"choices": [' + choice + "]}"
    async with FakeEndpoint(Says(Garbage(whole))) as fake, client(fake.base_url) as lm:
        assert (await streamed(lm, Books())).text == "all at once"
