"""What endpoints report as used: counted by whatever name, or estimated and marked, never 0."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from callers import Books, Says, client, completed, streamed, ways

from rlm_kernel.errors import LimitReached, LMError
from rlm_kernel.events import Usage
from rlm_kernel.lm import usage
from rlm_kernel.settings.limits import Ledger, Limits
from rlm_kernel.testing import FakeEndpoint, Garbage, Say

pytestmark = pytest.mark.anyio
LONG = "a reply of some length " * 40  # 920 characters: 230 tokens by our estimate

COUNTED = {
    "ints": ({"prompt_tokens": 70, "completion_tokens": 30}, 70, 30),
    "floats": ({"prompt_tokens": 70.0, "completion_tokens": 30.0}, 70, 30),
    "a fraction": ({"prompt_tokens": 69.2, "completion_tokens": 29.5}, 70, 30),
    "digits": ({"prompt_tokens": "70", "completion_tokens": " 30 "}, 70, 30),
    "digits of a float": ({"prompt_tokens": "70.0", "completion_tokens": "3e1"}, 70, 30),
    "Anthropic's": ({"input_tokens": 70, "output_tokens": 30}, 70, 30),
    "Anthropic's with a cache": (
        {
            "input_tokens": 10,
            "output_tokens": 30,
            "cache_read_input_tokens": 40,
            "cache_creation_input_tokens": 20,
        },
        70,
        30,
    ),
    "camels": ({"promptTokens": 70, "completionTokens": 30}, 70, 30),
    "a total alone": ({"total_tokens": 1100, "completion_tokens": 30}, 1070, 30),
    "thoughts in the total": (
        {"prompt_tokens": 70, "completion_tokens": 30, "total_tokens": 50_100},
        70,
        50_030,
    ),
    "thoughts beside the output": (
        {
            "prompt_tokens": 70,
            "completion_tokens": 30,
            "completion_tokens_details": {"reasoning_tokens": 50_000},
        },
        70,
        50_030,
    ),
    "thoughts in the output": (
        {
            "prompt_tokens": 70,
            "completion_tokens": 30,
            "total_tokens": 100,
            "completion_tokens_details": {"reasoning_tokens": 20},
        },
        70,
        30,
    ),
    "thoughts alone": ({"prompt_tokens": 70, "reasoning_tokens": 30}, 70, 30),
    "one right among wrong": (
        {"prompt_tokens": float("nan"), "input_tokens": 70, "completion_tokens": 30},
        70,
        30,
    ),
}


@ways
@pytest.mark.parametrize("told", COUNTED.values(), ids=list(COUNTED))
async def test_usage_counts_by_whatever_name(ask: Callable[..., Any], told: Any) -> None:
    said, read, written = told
    books = Books()
    async with FakeEndpoint(Says(Say("fine", said))) as fake, client(fake.base_url) as lm:
        await ask(lm, books)
    assert (books.usage.input_tokens, books.usage.output_tokens) == (read, written)
    assert not books.usage.estimated


@ways
@pytest.mark.parametrize(
    "told",
    [
        {},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost": 0},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
        {"prompt_tokens": -70, "completion_tokens": -30},
        {"prompt_tokens": True, "completion_tokens": True},
        {"prompt_tokens": 10**30, "completion_tokens": 10**400},
        {"prompt_tokens": "seventy", "completion_tokens": "NaN"},
        {"prompt_tokens": [70], "completion_tokens": {"text": 30}},
        {"prompt_tokens": "1" * 5000, "completion_tokens": "-30"},
        [1, 2],
    ],
    ids=lambda told: str(told)[:40],
)
async def test_usage_that_is_none_is_estimated_and_marked(
    ask: Callable[..., Any], told: Any
) -> None:
    books = Books()
    body = {"choices": [{"message": {"content": LONG}, "finish_reason": "stop"}], "usage": told}
    said = Garbage(json.dumps(body))
    async with FakeEndpoint(Says(said)) as fake, client(fake.base_url, retries=0) as lm:
        await ask(lm, books)
    assert books.usage == Usage(1, 3, 230, unpriced=1, estimated=True)


@ways
async def test_a_part_that_is_missing_is_estimated_and_marked(ask: Callable[..., Any]) -> None:
    for said, want in (
        ({"prompt_tokens": 70}, (70, 230)),
        ({"completion_tokens": 30}, (3, 30)),
        ({"prompt_tokens": 70, "completion_tokens": 0}, (70, 230)),
        ({"total_tokens": 5003}, (3, 5000)),
    ):
        books = Books()
        async with FakeEndpoint(Says(Say(LONG, said))) as fake, client(fake.base_url) as lm:
            await ask(lm, books)
        assert (books.usage.input_tokens, books.usage.output_tokens) == want
        assert books.usage.estimated


async def test_usage_counts_from_wherever_it_is_sent() -> None:
    for more in (
        {"x_groq": {"usage": {"prompt_tokens": 70, "completion_tokens": 30}}},
        {"usageMetadata": {"promptTokenCount": 70, "candidatesTokenCount": 30}},
        {"prompt_eval_count": 70, "eval_count": 30},
        {"choices": [{"message": {"content": "fine"}, "usage": {"prompt_tokens": 70,
                      "completion_tokens": 30}}]},
    ):  # fmt: skip
        body = {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]} | more
        books = Books()
        async with (
            FakeEndpoint(Says(Garbage(json.dumps(body)))) as fake,
            client(fake.base_url) as lm,
        ):
            await completed(lm, books)
        assert books.usage == Usage(1, 70, 30, unpriced=1)


TOLD = {"prompt_tokens": 70, "completion_tokens": 30}


@ways
@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({"cost": 0.25}, 0.25),
        ({"cost": 1}, 1.0),
        ({"cost": "0.25"}, 0.25),
        ({"cost": "2.5e-1"}, 0.25),
        ({"cost": 0}, 0.0),
        ({"cost": {"total_cost": 0.25}}, 0.25),
        ({"cost": 0, "cost_details": {"upstream_inference_cost": 0.75}}, 0.75),
        ({"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.7}}, 0.75),
        ({"cost": 0.5, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}}, 0.5),
        ({"cost": 0, "is_byok": True}, None),
        ({"cost": float("inf")}, None),
        ({"cost": float("-inf")}, None),
        ({"cost": float("nan")}, None),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({"cost": 1e300}, None),
        ({"cost": "free"}, None),
        ({"cost": "1e999"}, None),
        ({"cost": [1]}, None),
    ],
    ids=str,
)
async def test_a_cost_is_a_sum_that_can_be_or_unknown(
    ask: Callable[..., Any], said: dict[str, Any], cost: float | None
) -> None:
    books = Books()
    async with FakeEndpoint(Says(Say("fine", TOLD | said))) as fake, client(fake.base_url) as lm:
        await ask(lm, books)
    assert books.usage.cost == pytest.approx(cost or 0.0)
    assert books.usage.unpriced == (cost is None)
    assert (books.usage.input_tokens, books.usage.output_tokens) == (70, 30)


def _ledger(**limits: Any) -> Any:
    from rlm_kernel.rlm.run import CallMeter

    return CallMeter(Ledger(Limits(**limits)))


@pytest.mark.parametrize(
    "told", [{"prompt_tokens": 70.0, "completion_tokens": "1000"}, {}, {"completion_tokens": -1}]
)
async def test_a_limit_on_tokens_holds_whatever_is_reported(told: Any) -> None:
    meter = _ledger(tokens=2500)
    async with FakeEndpoint(Says(Say("x" * 4000, told))) as fake, client(fake.base_url) as lm:
        await completed(lm, meter)
        await completed(lm, meter)
        with pytest.raises(LimitReached, match="tokens"):
            await completed(lm, meter)


async def test_a_limit_on_cost_holds_with_a_key_of_ones_own() -> None:
    meter = _ledger(cost=1.0)
    told = TOLD | {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.75}}
    async with FakeEndpoint(Says(Say("fine", told))) as fake, client(fake.base_url) as lm:
        await completed(lm, meter)
        await completed(lm, meter)
        with pytest.raises(LimitReached, match="cost"):
            await completed(lm, meter)


@pytest.mark.parametrize("apart", [False, True])
async def test_a_reply_counts_while_it_comes(apart: bool) -> None:
    meter, shown = _ledger(tokens=2000), list[str]()
    many = "thought " * 25_000
    said = Say("fine", reasoning=many) if apart else Say(many, pieces=(many[:8],) * 25_000)
    async with FakeEndpoint(Says(said)) as fake, client(fake.base_url) as lm:
        if apart:
            with pytest.raises(LimitReached, match="tokens"):
                await streamed(lm, meter, shown)
        else:
            with pytest.raises(LimitReached, match="tokens"):
                await streamed(lm, meter, shown)
            assert sum(map(len, shown)) < 4 * 2600
    assert meter.usage.estimated
    assert meter.usage.output_tokens >= 1400


async def test_a_reply_that_is_counted_holds_no_more_than_it_is() -> None:
    books = Books()
    async with FakeEndpoint(Says(Say("x" * 8000))) as fake, client(fake.base_url) as lm:
        await streamed(lm, books)
    assert books.held == 0
    assert sum(tokens for tokens, _ in books.reserved) <= 3 + 2000 + 512


@ways
@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"choices": ' + "[" * 100_000,
        '{"choices": [{"message": {"content": ' + '[{"text": ' * 100_000,
        '{"error": ' + '{"message": ' * 980 + "1" + "}" * 981,
        "[" * 960 + "]" * 960,
        '{"choices": [{"delta": {"content": ' + '[{"text":' * 480 + '"x"' + "}]" * 480 + "}}]}",
        '{"usage": ' + "[" * 970 + "]" * 970 + "}",
    ],
    ids=lambda body: body[:40],
)
async def test_json_nested_without_measure_is_an_error_of_the_endpoint(
    ask: Callable[..., Any], body: str
) -> None:
    async with FakeEndpoint(Says(Garbage(body))) as fake, client(fake.base_url, retries=0) as lm:
        with pytest.raises(LMError):
            await ask(lm, Books())


def test_all_that_is_reported_is_in_its_bounds() -> None:
    told = usage.reported({"usage": {"prompt_tokens": usage.MAX_TOKENS + 1, "cost": 0.5}})
    assert told is not None
    assert (told.input_tokens, told.cost) == (None, 0.5)
