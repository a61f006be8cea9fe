"""Another local module of the user whose tools ``handed`` has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nowhere import Nothing

SEPARATOR = "; "


def words(text: Nothing) -> list[str]:
    """The same name as a helper of ``handed`` has."""
    return text.split(SEPARATOR)


def doubled(text: str) -> str:
    return text * 2
