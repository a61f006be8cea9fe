"""Paths of records that a command was given."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import UsageError


def missing(paths: Iterable[Path]) -> list[str]:
    """Return a sentence for each of the paths that is not there."""
    return [f"{p}: there is no such file or folder" for p in paths if not os.path.lexists(p)]


def check_there(*paths: Path) -> None:
    """Raises ``UsageError`` for those that are not there."""
    if sentences := missing(paths):
        raise UsageError("; ".join(sentences))
