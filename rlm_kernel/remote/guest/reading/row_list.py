"""The list that ``rows`` gives."""

from __future__ import annotations

from typing import Any

from ..pieces import counted, cut_pieces

_SHOWN = 3
_ROW_CHARS = 300


class Rows(list):
    """A list of dicts that says in ``guess`` how it was read. A notebook shows its first rows."""

    guess = ""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.head())

    def head(self) -> str:
        """Return the guess, the number of rows and the first of them, in a few lines."""
        lines = [f"{counted(len(self), 'row')}. {self.guess}"]
        for row in self[:_SHOWN]:
            text, whole = cut_pieces(row, _ROW_CHARS)
            lines.append(text if whole else f"{text}…")
        return "\n".join([*lines, "…"] if len(self) > _SHOWN else lines)
