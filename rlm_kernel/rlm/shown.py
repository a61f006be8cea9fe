"""What an LM was shown, and whether an answer that it wrote down stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..answers import Answer
from ..record.provenance.flow import stands_in

MAX_PARTS = 200
"""Parts of one answer that are looked for."""
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SENTENCE = re.compile(r"(?:^|(?<=[.!?:\n]))\s*[^\W\d_]+\b")
_WORD = re.compile(r"\w+(?:[.:/-]\w*\d\w*)*")


class Shown:
    """The texts that an LM was shown, without regard to case and to commas in numbers."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        self._texts.append(_plain(text))

    def has(self, answer: Answer) -> bool:
        """Return whether an answer stands there: all of it, or each of its parts."""
        return self._has(answer.text) or all(map(self._has_part, _parts(answer)))

    def _has_part(self, part: str) -> bool:
        """Return whether a part stands there; of a sentence, whether its numbers and names do."""
        words = _WORD.findall(_SENTENCE.sub("", part)) if " " in part else []
        telling = [word for word in words if not word.islower()]
        return all(map(self._has, telling)) if telling else self._has(part)

    def _has(self, text: str) -> bool:
        plain = _plain(text).strip()
        return any(stands_in(plain, shown) for shown in self._texts)


def _plain(text: str) -> str:
    return _GROUPED.sub("", text).lower()


def _parts(answer: Answer) -> list[str]:
    """Return the texts and numbers in an answer; itself where it has no parts."""
    found = [part for _, part in zip(range(MAX_PARTS), _leaves(answer.json), strict=False)]
    return found or [answer.text]


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
