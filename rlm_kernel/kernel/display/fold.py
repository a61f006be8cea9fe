"""The turns of a run as they stand below its answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .card import Bundle, Turn, rich_bundles, turns_bundle

MAX_CHARS = 8_000_000
"""Characters of all turns together; later ones are counted."""


class Fold:
    """Takes the turns of a run in their order, and keeps what is shown of them at its end."""

    def __init__(self) -> None:
        self._count = 0
        self._blocks: list[str] = []
        self._room = MAX_CHARS
        self._displays: list[tuple[Bundle, dict[str, Any]]] = []
        self._displaying = 0
        """The turn that these displays are of."""

    def add(self, turn: Turn, block: str) -> None:
        """Take a turn that is over, and the block that shows it."""
        self._count += 1
        self._room -= len(block)
        if self._room >= 0:
            self._blocks.append(block)
        if displays := rich_bundles(turn):
            self._displays, self._displaying = displays, turn.replied.turn

    def bundles(self) -> Iterator[tuple[Bundle, dict[str, Any]]]:
        """Yield what the last turn that showed something showed, and then all turns in one block;
        each with its metadata."""
        if self._displays:
            said = f"Shown in turn {self._displaying}:"
            yield {"text/plain": said, "text/markdown": f"*{said}*"}, {}
        yield from self._displays
        if self._count:
            yield turns_bundle(self._blocks, self._count), {}
