"""The check of an answer: what it rests on, and if the LM is asked once more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from ..lm import cells
from . import prompts

SHOWN_CHARS = 200
SHARED_CHARS = 200


class AnswerCheck:
    """Notes what the cells have looked at and shown. An LM to ``remind`` must have shown something
    before its answer is taken."""

    def __init__(self, *, remind: bool) -> None:
        self._remind = remind
        self._names = {"context"}  # variables that an answer may rest on
        self._looked = False
        self._shown = False
        self._doubted = False

    def there(self, names: Iterable[str]) -> None:
        """These variables were there before the first cell."""
        self._names.update(names)

    def take_for_granted(self) -> None:
        """The LM goes on with an exchange in which it has looked."""
        self._looked = self._shown = True

    def take(self, source: str, *, shown: bool) -> None:
        """A cell ran, and put something out or not."""
        self._looked = self._looked or any(cells.mentions(source, name) for name in self._names)
        self._shown = self._shown or shown

    def doubt(self, answer: str) -> str | None:
        """Return why to ask once more before an answer is taken: nothing was read, or nothing
        shown. Only once."""
        if self._doubted:
            return None
        self._doubted = True
        shown = answer if len(answer) <= SHOWN_CHARS else f"{answer[:SHOWN_CHARS]}…"
        if not self._looked:
            return prompts.CHECK_UNREAD.format(answer=shown)
        if not self._shown and self._remind:
            return prompts.CHECK_UNSEEN.format(answer=shown)
        return None


class SharedWords:
    """The words that all prompts to sub-LMs begin or end with: what is asked of every piece."""

    def __init__(self) -> None:
        self._prompts = 0
        self._begin: list[str] = []
        self._end: list[str] = []

    def take(self, prompts: Sequence[str]) -> None:
        for prompt in prompts:
            begin, end = prompt[:SHARED_CHARS].split(), prompt[-SHARED_CHARS:].split()[::-1]
            self._begin = _alike(self._begin, begin) if self._prompts else begin
            self._end = _alike(self._end, end) if self._prompts else end
            self._prompts += 1

    def no_question(self) -> bool:
        """Return whether several prompts shared less than two words: too few for a question."""
        return self._prompts > 2 and len(self._begin) + len(self._end) < 2


def _alike(one: list[str], other: list[str]) -> list[str]:
    """Return the words that both begin with."""
    pairs = zip(one, other, strict=False)
    return [mine for mine, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
