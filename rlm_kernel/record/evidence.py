"""The evidence of an answer in words, the same in a terminal, a notebook and a page."""

from __future__ import annotations

from collections.abc import Sequence

from ..answers import Evidence
from .markdown import literal, one_line, shorten
from .numbers import counted

MOST = 20
"""The most quotes that are shown."""
QUOTE_CHARS = 200


def summed(evidence: Sequence[Evidence]) -> str:
    """Return how many of the quotes stand in the input."""
    standing = sum(one.supported for one in evidence)
    return f"Evidence: {standing} of {counted(len(evidence), 'quote')} found in the input"


def lines(evidence: Sequence[Evidence]) -> list[str]:
    """Return a line of plain text for each quote: its state, where it stands, and itself."""
    told = [_line(one) for one in evidence[:MOST]]
    more = len(evidence) - len(told)
    return [*told, f"and {counted(more, 'more quote')}"] if more > 0 else told


def markdown(evidence: Sequence[Evidence]) -> str:
    """Return the same as a list of Markdown that can do nothing; empty where there is none."""
    if not evidence:
        return ""
    items = [f"- {literal(line)}" for line in lines(evidence)]
    return "\n".join([f"**{summed(evidence)}**", "", *items])


def placed(one: Evidence) -> str:
    """Return where a quote stands, and itself."""
    quote = f"“{shorten(one_line(one.quote), QUOTE_CHARS)}”" if one.quote.strip() else ""
    return " · ".join(filter(None, [_place(one), quote]))


def _line(one: Evidence) -> str:
    return f"{one.state} · {placed(one)}"


def _place(one: Evidence) -> str:
    """Return where a quote stands, or was said to."""
    where = shorten(one_line(one.where), 80)
    if one.start is None or one.end is None:
        return where or "not found"
    at = f"characters {one.start:,}–{one.end:,}"
    line = f"line {one.line:,}" if one.line is not None else "no such place"
    return " · ".join(filter(None, [where, line, at]))
