"""The text of a reply, joined from the pieces in which it came."""

from __future__ import annotations

from . import chat

SURE_CHARS = 12
"""The least of a text that is seen to be sent again and again in full."""
SENT_AGAIN_CHARS = 20
"""The least of a text that its last piece is taken to repeat."""


class Joined:
    """Joins the pieces of a reply. They are new text each; or, with some makers, all of the text so
    far; or new text, and in the end all of it once more."""

    def __init__(self) -> None:
        self.text = ""
        self.is_whole = False
        """True once a piece was all of a reply, by what it says of itself."""
        self._half = ""
        self._last = ""
        self._pieces = 0
        self._grows = True
        self._cumulative = False

    def add(self, new: str, whole: str, *, last: bool) -> int:
        """Add what an event brings as new, and what it calls all of the text; ``last`` if it ends
        the reply. Return where the text is new: at its former end, or at 0 where that was none."""
        at = len(self.text)
        if whole and (self.is_whole or not self._pieces):
            self.is_whole, new = True, new or whole
        if not new or (last and self._repeats(new)):
            return at
        self._pieces += 1
        self._grows &= len(new) > len(self._last) and new.startswith(self._last)
        if self._grows and (self._cumulative or self._is_sure(SURE_CHARS)):
            return self._replace(new)
        self._append(new)
        self._last = new
        return at

    def end(self) -> int:
        """Note that no more comes; return as ``add`` does. Half a character that never met its
        other becomes U+FFFD."""
        if self._grows and not self._cumulative and self._is_sure(0):
            return self._replace(self._last)
        at = len(self.text)
        self.text += chat.mend(self._half)
        self._half = ""
        return at

    def _is_sure(self, least: int) -> bool:
        """Return whether each piece has been all of the text so far; two may be so by chance."""
        return self._pieces > 2 and len(self._last) >= least

    def _repeats(self, new: str) -> bool:
        """Return whether a last piece is all of the text before it once more."""
        again = len(new) >= SENT_AGAIN_CHARS and self._pieces > 1
        return again and new == self.text + self._half

    def _append(self, new: str) -> None:
        # A surrogate pair may come in two halves.
        new = self._half + new
        split = "\ud800" <= new[-1:] <= "\udbff"
        self._half = new[-1] if split else ""
        self.text += chat.mend(new[:-1] if split else new)

    def _replace(self, text: str) -> int:
        """Take a piece for all of the text."""
        at = len(self.text) if self._cumulative else 0
        self._cumulative, self._last, self.text, self._half = True, text, "", ""
        self._append(text)
        return at
