"""Reading what an endpoint says that a reply used.

Makers name and count it in their own ways. A number counts if it is finite, not negative and not
absurd; anything else is unknown, which is never the same as 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_TOKENS = 100_000_000
"""The most tokens that one request is believed to have used."""
MAX_COST = 10_000.0
"""The most US dollars that one request is believed to have cost."""

_INPUT = (
    "prompt_tokens",
    "input_tokens",
    "promptTokens",
    "inputTokens",
    "promptTokenCount",
    "prompt_eval_count",
)
_OUTPUT = (
    "completion_tokens",
    "output_tokens",
    "completionTokens",
    "outputTokens",
    "candidatesTokenCount",
    "eval_count",
)
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount")
_THOUGHTS = ("reasoning_tokens", "thinking_tokens", "reasoningTokens", "thoughtsTokenCount")
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cachedContentTokenCount")
_READ, _CREATED = "cache_read_input_tokens", "cache_creation_input_tokens"
_BARE = ("prompt_eval_count", "eval_count")
"""Ollama's own, which stand in no place of their own."""
_DETAILS = (
    "prompt_tokens_details",
    "input_tokens_details",
    "completion_tokens_details",
    "output_tokens_details",
)
_NUMBER = re.compile(r"\s*\d{1,15}(\.\d{1,30})?([eE][+-]?\d{1,3})?\s*", re.ASCII)


@dataclass(frozen=True)
class Reported:
    """The usage that an endpoint reported, None where it told none that can be.

    Thoughts count as output, also those that a maker counts apart. ``cost`` is in US dollars.
    """

    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cached_tokens: int
    cost: float | None


def reported(body: object) -> Reported | None:
    """Return the usage in a body or an event, or None if it has none: all zeros are none too."""
    for usage in filter(None, _places(body)):  # most events of a stream have none
        found = _read(usage)
        if found.input_tokens or found.output_tokens or found.total_tokens or found.cost:
            return found
    return None


def _places(body: object) -> Iterator[Mapping[str, Any]]:
    """Yield the places where makers put it, the usual one first."""
    whole = _mapping(body)
    choices = whole.get("choices")
    yield _mapping(whole.get("usage"))
    yield _mapping(whole.get("usageMetadata"))
    yield _mapping(_mapping(whole.get("x_groq")).get("usage"))
    if isinstance(choices, list) and choices:
        yield _mapping(_mapping(choices[0]).get("usage"))
    yield {name: whole[name] for name in _BARE if name in whole}


def _read(usage: Mapping[str, Any]) -> Reported:
    flat = {**usage}
    for name in _DETAILS:
        flat = {**_mapping(usage.get(name)), **flat}
    total, told = _count(flat, _TOTAL), _count(flat, _OUTPUT)
    read, cached = _count(flat, _INPUT), _count(flat, _CACHED) or 0
    if read is not None and "prompt_tokens" not in flat:
        # Anthropic's input_tokens are those that no cache had a part in.
        from_cache = _count(flat, (_READ,)) or 0
        read += from_cache + (_count(flat, (_CREATED,)) or 0)
        cached = cached or from_cache
    if read is None and total is not None and told is not None:
        read = max(0, total - told)
    written = _written(told, _count(flat, _THOUGHTS) or 0, total, read)
    return Reported(
        input_tokens=read,
        output_tokens=written,
        total_tokens=total,
        cached_tokens=cached,
        cost=_cost(usage),
    )


def _written(told: int | None, thoughts: int, total: int | None, read: int | None) -> int | None:
    """The output with the thoughts, which some count in it, some beside it, some in the total."""
    # More thoughts than output: they are beside it.
    counts = [] if told is None else [told + thoughts if thoughts > told else told]
    counts += [thoughts] if told is None and thoughts else []
    counts += [total - read] if total is not None and read is not None else []
    return max([count for count in counts if count >= 0], default=None)


def _cost(usage: Mapping[str, Any]) -> float | None:
    """The cost; with a key of one's own at a broker of models also what its maker charges."""
    told = usage.get("cost")
    cost = _number(told.get("total_cost") if isinstance(told, dict) else told, MAX_COST)
    if cost is None:
        return None
    upstream = _mapping(usage.get("cost_details")).get("upstream_inference_cost")
    maker = _number(upstream, MAX_COST)
    own_key = usage.get("is_byok")
    if own_key is None:  # the broker's fee is a small part of what the maker charges
        own_key = maker is not None and maker > cost
    if not own_key:
        return cost
    return None if maker is None else cost + maker


def _count(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """The first of the names that has a number of tokens."""
    found = (_number(usage.get(name), MAX_TOKENS) for name in names)
    return next((math.ceil(number) for number in found if number is not None), None)


def _number(value: object, most: float) -> float | None:
    """A number, or a text that is one, from 0 to ``most``; None for all else, NaN too."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return float(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
