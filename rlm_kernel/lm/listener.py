"""Whoever hears a reply while it is being written."""

from __future__ import annotations

from collections.abc import Callable


def _nothing(*_: object) -> None:
    pass


class Listener:
    """Gives the text of a reply away as it comes; ``Client.stream`` has the words for its parts.
    Without arguments nobody hears it, and it is never cut."""

    def __init__(
        self,
        on_delta: Callable[[str], None] = _nothing,
        on_restart: Callable[[], None] = _nothing,
        cut: Callable[[str], int | None] | None = None,
    ) -> None:
        self.on_delta = on_delta
        self._on_restart = on_restart
        self._cut = cut
        self._given = False

    def begin(self) -> None:
        """Begin a try: what was given before is void."""
        if self._given:
            self._given = False
            self._on_restart()

    def hear(self, text: str, at: int) -> int | None:
        """Give what is new in a text, from ``at`` on; return where the reply is to be cut. At 0
        what was given before is void."""
        if at == 0:
            self.begin()
        end = self._cut(text) if self._cut and len(text) > at else None
        if shown := text[at:end]:
            self._given = True
            self.on_delta(shown)
        return end
