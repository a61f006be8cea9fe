"""The human's decisions on cells before they ran, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..events import CellDecided, Event
from .markdown import one_line


def sentence(event: CellDecided) -> str:
    """Return what the human decided on a cell, with the word to the LM."""
    said = {
        "accepted": "The human accepted the cell",
        "edited": "The human changed the cell; the LM's own stands above",
        "rejected": "The human rejected the cell",
    }[event.choice]
    return f"{said}: {one_line(event.word)}" if event.word else f"{said}."


def of(events: Iterable[Event], node: str) -> list[CellDecided]:
    """Return the decisions on cells of a node, in their order."""
    return [event for event in events if isinstance(event, CellDecided) and event.node == node]


def line(decided: Sequence[CellDecided]) -> str:
    """Return in a line how often what was decided; empty where nothing was."""
    counts = Counter(event.choice for event in decided)
    told = [f"{number:,} {choice}" for choice, number in counts.items()]
    return f"cells by the human: {', '.join(told)}" if told else ""
