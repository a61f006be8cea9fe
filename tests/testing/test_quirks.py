"""Every quirk of an endpoint, against author and sub-LM: the answer, the usage, the requests."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking import ask_here, block
from callers import Books, client

from rlm_kernel.events import Usage
from rlm_kernel.lm.client import Client, Reply, Sampling
from rlm_kernel.testing import QUIRKS, FakeEndpoint, Quirk, QuirkyEndpoint, Status, changes

pytestmark = pytest.mark.anyio
each = pytest.mark.parametrize("quirk", QUIRKS.values(), ids=lambda quirk: quirk.name)
ADDED = {"top_p": 0.9, "seed": 7}
AUTHOR = Sampling(temperature=0.5, max_tokens=900, reasoning_effort="low", added=ADDED)
SUB = Sampling(added=ADDED)
TURNS = ("I look first: ```python\nprint(context)\n```", "The word is na\xefve, I think.")
ANSWER = "the answer is 42, as the table says"
MEETS_BOTH = ("no_top_p", "no_seed")


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlm_kernel.lm.transport.AFTER_FINISH_S", 0.2)
    monkeypatch.setattr("rlm_kernel.lm.client.MAX_BACKOFF_S", 0.001)


def reply(request: dict[str, Any]) -> str:
    """The next turn of the author, or a sub-LM's reply."""
    if request["model"] == "sub":
        return ANSWER
    return TURNS[sum(message["role"] == "assistant" for message in request["messages"])]


async def turn(lm: Client, books: Books, said: list[str]) -> Reply:
    """The author's next turn, after what it ``said``; what it wrote must be what was shown."""
    messages = [{"role": "system", "content": "You write cells."}]
    messages.append({"role": "user", "content": "Which word?"})
    for text in said:
        messages.append({"role": "assistant", "content": text})
        messages.append({"role": "user", "content": "Output: ..."})
    screen: list[str] = []
    got = await lm.stream(
        "author",
        messages,
        books,
        sampling=AUTHOR,
        on_delta=screen.append,
        on_restart=screen.clear,
    )
    assert "".join(screen) == got.text
    return got


async def sub_call(lm: Client, books: Books) -> str:
    messages = [{"role": "user", "content": "How many?"}]
    return (await lm.complete("sub", messages, books, sampling=SUB)).text


def refused(quirk: Quirk) -> int:
    """The requests that must be refused, or fail, before all is known: one for each model that
    meets the quirk."""
    if quirk.first is not None or quirk.name in MEETS_BOTH:
        return 2
    return int(quirk.refuses is not None)


def check_usage(used: Usage, fake: QuirkyEndpoint) -> None:
    told = [exchange.usage for exchange in fake.log if exchange.usage]
    kinds = ("prompt_tokens", "completion_tokens")
    true = [sum(int(usage[kind]) for usage in told) for kind in kinds]
    if fake.quirk.told:
        assert not used.estimated
        assert [used.input_tokens, used.output_tokens] == true
    else:
        assert used.estimated
        assert used.tokens == pytest.approx(sum(true), rel=0.35)


@each
async def test_a_quirk_changes_neither_text_nor_usage_and_wastes_no_request(quirk: Quirk) -> None:
    books, said = Books(), list[str]()
    async with QuirkyEndpoint(reply, quirk) as fake, client(fake.base_url, retries=1) as lm:
        for text in TURNS:
            said.append((await turn(lm, books, said)).text)
            assert said[-1] == text
        assert await sub_call(lm, books) == ANSWER
        assert await asyncio.gather(*(sub_call(lm, books) for _ in range(2))) == [ANSWER] * 2
    assert len(fake.log) == books.usage.requests == 5 + refused(quirk)
    check_usage(books.usage, fake)


@pytest.mark.parametrize(
    "name",
    [
        "choices_absent",
        "message_and_delta_last",
        "cumulative",
        "heartbeats_after_finish",
        "never_streams_pretty",
        "only_streams",
        "no_streams",
        "no_max_tokens",
        "no_developer_role",
        "error_page",
    ],
)
def test_a_run_has_its_answer_whatever_the_quirk(name: str, tmp_path: Path) -> None:
    def turns(request: dict[str, Any]) -> str:
        if request["model"] == "sub":
            return ANSWER
        finish = block("FINAL_VAR(' '.join(llm_query_batched(['how many?'] * 3)))")
        answered = any(message["role"] == "assistant" for message in request["messages"])
        return finish if answered else block("print(context)")

    with QuirkyEndpoint(turns, QUIRKS[name]) as fake:
        result = ask_here(
            None,
            tmp_path / "run",
            base_url=fake.base_url,
            model="author",
            sub_model="sub",
            temperature=0.5,
            output_tokens=900,
        )
    assert (result.response, result.status) == (" ".join([ANSWER] * 3), "answered"), result.reason
    check_usage(result.usage, fake)


async def test_requests_that_are_refused_at_the_same_time_are_each_sent_again_once() -> None:
    books = Books()
    quirk = QUIRKS["only_streams"]
    async with QuirkyEndpoint(reply, quirk) as fake, client(fake.base_url, retries=0) as lm:
        got = await asyncio.gather(*(sub_call(lm, books) for _ in range(8)))
        again = await asyncio.gather(*(sub_call(lm, books) for _ in range(8)))
    assert got + again == [ANSWER] * 16
    statuses = [exchange.status for exchange in fake.log]
    assert statuses.count(200) == 16
    assert 1 <= statuses.count(400) <= 8
    assert statuses[-8:] == [200] * 8


def _both(request: dict[str, Any]) -> Status | None:
    if not {"temperature", "top_p"} <= request.keys():
        return None
    return Status(400, changes.error("`temperature` and `top_p` cannot both be specified"))


def _no_streams(request: dict[str, Any]) -> Status | None:
    if "stream" not in request:
        return None
    return Status(501, changes.error("streaming is not implemented"))


OTHER_WORDS = {
    "only_streams": changes.only_streams("Streaming is required for long requests"),
    "no_streams": _no_streams,
    "no_temperature": _both,
}


@pytest.mark.parametrize("name", OTHER_WORDS)
async def test_a_refusal_is_met_in_other_words_too(name: str) -> None:
    quirk = replace(QUIRKS[name], refuses=OTHER_WORDS[name])
    async with QuirkyEndpoint(reply, quirk) as fake, client(fake.base_url, retries=0) as lm:
        assert (await turn(lm, Books(), [])).text == TURNS[0]
        assert await sub_call(lm, Books()) == ANSWER


async def test_a_body_in_a_list_is_read() -> None:
    quirk = replace(QUIRKS["never_streams"], whole=lambda body: json.dumps([body]).encode())
    async with QuirkyEndpoint(reply, quirk) as fake, client(fake.base_url) as lm:
        assert (await turn(lm, Books(), [])).text == TURNS[0]
    assert len(fake.log) == 1


async def test_what_one_model_refuses_another_may_take() -> None:
    quirk = QUIRKS["no_top_p"]
    async with QuirkyEndpoint(reply, quirk) as fake, client(fake.base_url) as lm:
        await turn(lm, Books(), [])
        await sub_call(lm, Books())
    assert [exchange.model for exchange in fake.log] == ["author", "author", "sub", "sub"]


async def test_a_reply_says_how_its_endpoint_was_asked() -> None:
    async with (
        QuirkyEndpoint(reply, QUIRKS["no_max_tokens"]) as fake,
        client(fake.base_url) as lm,
    ):
        first, second = [await turn(lm, Books(), []) for _ in range(2)]
    assert first.adjustments == second.adjustments
    assert first.adjustments == ("max_completion_tokens instead of max_tokens",)
    assert [e.request.get("max_completion_tokens") for e in fake.log] == [None, 900, 900]


async def test_the_systems_words_head_the_first_user_message() -> None:
    async with (
        QuirkyEndpoint(reply, QUIRKS["no_system_role"]) as fake,
        client(fake.base_url) as lm,
    ):
        await turn(lm, Books(), [TURNS[0]])
    sent = fake.log[-1].messages
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert sent[0]["content"] == "You write cells.\n\nWhich word?"


def test_each_quirk_has_a_public_report() -> None:
    assert len(QUIRKS) >= 40
    for quirk in QUIRKS.values():
        assert quirk.what
        assert quirk.reports
        assert all(re.fullmatch(r"[\w./-]+#\d+", report) for report in quirk.reports)


async def test_a_fault_that_passes_does_not_change_how_an_endpoint_is_asked() -> None:
    faults = iter([Status(500, {"error": {"message": "unexpected end of stream"}}), "fine"])
    async with FakeEndpoint(lambda request: next(faults)) as fake, client(fake.base_url) as lm:
        got = await turn(lm, Books(), [])
    assert (got.text, got.adjustments) == ("fine", ())
    assert [exchange.stream for exchange in fake.log] == [True, True]
