"""The heading of a turn, the same in a notebook's cell, a trajectory and a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..events import CellDecided, CellRan, Replied
from .markdown import one_line
from .notebooks.prose import without_blocks
from .numbers import counted

TITLE_CHARS = 80
REPEATED = "repeated"
_FENCE = re.compile(r"\s*(?:```|~~~)")
_FENCED = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
_MARKS = re.compile(r"^[#>*\s-]+(?=\s\S)|\*\*|`")  # of Markdown, which a title has no use for


def title(prose: str, sources: Iterable[str]) -> str:
    """Return the first line of what the LM says, or else of its code."""
    return said(prose) or coded(sources)


def said(prose: str) -> str:
    """Return the first line of what the LM says; empty where it says nothing."""
    lines = (_MARKS.sub("", line) for line in prose.splitlines() if not _FENCE.match(line))
    return _first(lines, TITLE_CHARS)


def coded(sources: Iterable[str], chars: int = TITLE_CHARS) -> str:
    """Return the first line of the LM's code, in so many characters at most."""
    return _first((line for source in sources for line in source.splitlines()), chars)


def _first(lines: Iterable[str], chars: int) -> str:
    found = next(filter(None, map(one_line, lines)), "")
    return found if len(found) <= chars else f"{found[: chars - 1].rstrip()}…"


def numbered(cells: Sequence[int]) -> str:
    """Return the numbers of a turn's cells in words: ``cell 8``, ``cells 8–10``."""
    if not cells:
        return ""
    if len(cells) == 1:
        return f"cell {cells[0]}"
    in_a_row = cells[-1] - cells[0] == len(cells) - 1
    return f"cells {cells[0]}–{cells[-1]}" if in_a_row else f"cells {', '.join(map(str, cells))}"


def calls(number: int) -> str:
    """Return how many sub-calls there were in words; empty for none."""
    return counted(number, "sub-call") if number else ""


@dataclass
class Course:
    """The turns of one node so far, as much of them as tells whether the next repeats the last."""

    _text: str | None = None
    _source: str | None = None

    def status(
        self, replied: Replied, ran: Sequence[CellRan], decided: Sequence[CellDecided] = ()
    ) -> str:
        """Return how a turn ended, by its last cell; of one that ran none why. That it repeats the
        turn before stands in front. To be asked once a turn, in their order."""
        again = self._repeats(replied, ran)
        status = ran[-1].status if ran else self._unrun(replied.text, again=again)
        if decided and decided[-1].choice == "rejected":
            status = "rejected"
        self._text = replied.text.strip()
        if ran:
            self._source = ran[-1].source.strip()
        return f"{REPEATED}, {status}" if again else status

    def _repeats(self, replied: Replied, ran: Sequence[CellRan]) -> bool:
        if replied.text.strip() == self._text:
            return True
        if self._source is None:
            return False
        if ran:
            return len(ran) == 1 and ran[0].source.strip() == self._source
        text = replied.text.strip()
        return without_blocks(text, [self._source]) != text

    def _unrun(self, text: str, *, again: bool) -> str:
        if not _FENCED.search(text):
            return "no cell"
        return "not run" if again else "cell not run"
