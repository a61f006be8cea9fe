"""Prices of requests and windows of models, from the data kept in genai-prices.

Only the data in the installed package is read; nothing is fetched. Unknown is None, never 0.
A model is looked up only at a provider that the endpoint's address names: a local "qwen2.5" has
no price, whatever others ask for a model of that name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..events import Usage
from .route import is_loopback

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo

OPENAI_URL = "https://api.openai.com/v1"


def price(model: str, base_url: str | None, usage: Usage) -> float | None:
    """US dollars for ``usage`` of ``model``, or None where the price is not known."""
    if not serves(base_url) or _model(model, base_url) is None:
        return None
    from genai_prices import Usage as Used
    from genai_prices import calc_price

    used = Used(
        input_tokens=usage.input_tokens,
        cache_read_tokens=min(usage.cached_tokens, usage.input_tokens),
        output_tokens=usage.output_tokens,
    )
    found = calc_price(used, model, provider_api_url=base_url or OPENAI_URL)
    rates = found.model_price
    # Tokens that have no rate are left out of the sum, which would make an unknown price a 0.
    if rates.input_mtok is None or rates.output_mtok is None:
        return None
    return float(found.total_price)


def at(base_url: str | None) -> Callable[[str, Usage], float | None]:
    """Return ``price`` at this endpoint."""
    return lambda model, usage: price(model, base_url, usage)


def window(model: str, base_url: str | None) -> int | None:
    """The tokens that ``model`` reads and writes at most, or None where that is not known."""
    found = _model(model, base_url) if serves(base_url) else None
    return found.context_window if found else None


@cache
def serves(base_url: str | None) -> bool:
    """Return whether the endpoint belongs to a provider whose prices are kept.

    The first call for an address that is not local reads the price data, which takes 0.3 s.
    """
    if is_loopback(urlsplit(base_url or OPENAI_URL).hostname or ""):
        return False
    try:
        _snapshot().find_provider(None, None, base_url or OPENAI_URL)
    except LookupError:
        return False
    return True


@cache
def _model(model: str, base_url: str | None) -> ModelInfo | None:
    try:
        return _snapshot().find_provider_model(model, None, None, base_url or OPENAI_URL)[1]
    except LookupError:
        return None


def _snapshot() -> DataSnapshot:
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()
