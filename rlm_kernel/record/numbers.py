"""Numbers as a person reads them, the same on the screen and in the notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import Usage


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def money(cost: float) -> str:
    """Write a sum with enough digits to see small ones: $12.35, $0.0123, $0.000045."""
    if cost == 0 or cost >= 1:
        return f"${cost:,.2f}"
    if cost < 0.000001:
        return "under $0.000001"
    return f"${cost:.4f}" if cost >= 0.001 else f"${cost:.6f}"


def price(usage: Usage) -> str:
    """Return the known cost; an unknown price is said, never taken as zero."""
    if not usage.unpriced:
        return money(usage.cost)
    if usage.unpriced >= usage.requests and not usage.cost:
        return "price unknown"
    return f"{money(usage.cost)} ({counted(usage.unpriced, 'request')} unpriced)"


def unheld(usage: Usage, settings: Mapping[str, Any]) -> str:
    """Return what is to be said of a limit on cost that cannot hold, by what was used under these
    settings of a run; empty while it can, or where there is none.

    Before the first request that is so of models whose price is not known; their endpoints may
    tell it later.
    """
    unknown = usage.unpriced or (not usage.requests and settings.get("unpriced"))
    if (settings.get("limits") or {}).get("cost") is None or not unknown:
        return ""
    return "the price is not known, so the limit on cost cannot hold"


def unanswered(ends: Mapping[str, int]) -> str:
    """Return how many of a run's children ended without an answer, by the statuses of all of them;
    empty where every one has an answer."""
    others = {status: number for status, number in ends.items() if status != "answered" and number}
    if not others:
        return ""
    how = ", ".join(f"{number:,} {status}" for status, number in others.items())
    noun = "child" if (whole := sum(ends.values())) == 1 else "children"
    return f"{sum(others.values()):,} of {whole:,} {noun} without an answer ({how})"


def spent(usage: Usage) -> str:
    about = "about " if usage.estimated else ""
    return f"{about}{counted(usage.tokens, 'token')} · {price(usage)}"


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
