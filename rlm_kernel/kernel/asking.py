"""Whose a cell is that a front end sends: the human's, or its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOBODYS = 0
"""The number of a cell that is in no record."""


def is_nobodys(content: Mapping[str, Any]) -> bool:
    """Whether a front end asks for itself and not for the human: silently, out of the history (to
    list variables, say), or with no code, for ``user_expressions`` alone."""
    kept = not content.get("silent", False) and content.get("store_history", True)
    return not kept or not content["code"].strip()
