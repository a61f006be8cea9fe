"""The human's words to an LM that is at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import UsageError
from . import prompts
from .consent import cut

MOST_WORDS = 20
"""The most that wait for the LM at once."""
NOBODY_WORKS = (
    "no LM is at work now: write your word to it below %rlm continue, or ask a question with %%rlm"
)


class Words:
    """Words that wait until the LM's next turn."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._open = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let words come in the body."""
        self._waiting.clear()
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def left(self) -> list[str]:
        """Return those that no LM has taken, which wait no more."""
        left, self._waiting = self._waiting, []
        return left

    def say(self, text: str) -> None:
        """Take a word. Raises ``UsageError`` where no LM is at work."""
        if not self._open:
            raise UsageError(NOBODY_WORKS)
        if not text.strip():
            raise UsageError("a word to the LM is missing: %rlm tell TEXT")
        if len(self._waiting) >= MOST_WORDS:
            raise UsageError(f"{MOST_WORDS} words wait for the LM already: it has taken none yet")
        self._waiting.append(cut(text))

    def take(self) -> str:
        """Return what the LM is told of all that wait, which wait no more; empty for none."""
        said = "\n\n".join(prompts.HUMAN.format(note=word) for word in self._waiting)
        self._waiting.clear()
        return said
