"""What a node's answer rests on, and whether to ask once more before it is taken."""

from __future__ import annotations

from collections.abc import Iterable

from . import cells, prompts

SHOWN_CHARS = 200


class Evidence:
    """What the cells have looked at and shown so far."""

    def __init__(self) -> None:
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

    def doubt(self, answer: str, *, remind: bool) -> str | None:
        """Why to ask once more before an answer is taken: nothing was read or, where the LM is one
        to ``remind``, nothing shown. Only once."""
        if self._doubted:
            return None
        self._doubted = True
        shown = answer if len(answer) <= SHOWN_CHARS else f"{answer[:SHOWN_CHARS]}…"
        if not self._looked:
            return prompts.CHECK_UNREAD.format(answer=shown)
        if not self._shown and remind:
            return prompts.CHECK_UNSEEN.format(answer=shown)
        return None
