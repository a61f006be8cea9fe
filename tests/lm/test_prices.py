from __future__ import annotations

import pytest

from rlm_kernel.events import Usage
from rlm_kernel.lm import prices

USAGE = Usage(requests=1, input_tokens=1_000_000, output_tokens=1_000_000)


def test_a_model_of_openai_has_a_price_and_a_window() -> None:
    assert prices.price("gpt-5-mini", None, USAGE) == pytest.approx(2.25)
    assert prices.price("gpt-5-mini", "https://api.openai.com/v1", USAGE) == pytest.approx(2.25)
    assert prices.window("gpt-5-mini", None) == 400_000


def test_cached_tokens_cost_less() -> None:
    cached = Usage(requests=1, input_tokens=1_000_000, cached_tokens=1_000_000)
    fresh = Usage(requests=1, input_tokens=1_000_000)
    cheap, dear = prices.price("gpt-5-mini", None, cached), prices.price("gpt-5-mini", None, fresh)
    assert cheap is not None
    assert dear is not None
    assert 0 < cheap < dear


def test_more_cached_than_input_tokens_do_not_break_the_price() -> None:
    odd = Usage(requests=1, input_tokens=10, cached_tokens=20, output_tokens=1)
    assert prices.price("gpt-5-mini", None, odd) is not None


def test_a_provider_is_known_by_its_address() -> None:
    openrouter = "https://openrouter.ai/api/v1"
    assert prices.price("openai/gpt-5-mini", openrouter, USAGE) == pytest.approx(2.25)
    assert prices.price("openai/gpt-5-mini", None, USAGE) is None


@pytest.mark.parametrize(
    "base_url",
    ["http://localhost:11434/v1", "http://127.0.0.1:8000/v1", "https://llm.example.org/v1"],
)
@pytest.mark.parametrize("model", ["qwen2.5", "gpt-5-mini", "llama3"])
def test_an_endpoint_of_nobody_we_know_has_no_prices(base_url: str, model: str) -> None:
    assert prices.price(model, base_url, USAGE) is None
    assert prices.window(model, base_url) is None
    assert not prices.serves(base_url)


def test_an_unknown_model_has_no_price_rather_than_a_price_of_nothing() -> None:
    assert prices.price("a-model-of-our-own", None, USAGE) is None
    assert prices.window("a-model-of-our-own", None) is None


def test_a_model_without_a_rate_for_text_has_no_price() -> None:
    assert prices.price("whisper-1", None, USAGE) is None
