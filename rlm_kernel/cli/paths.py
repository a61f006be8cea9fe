"""Paths of records that a command was given."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import UsageError
from ..reports import listing


def missing(paths: Iterable[Path]) -> list[str]:
    """Return a sentence for each of the paths that is not there."""
    return [f"{p}: there is no such file or folder" for p in paths if not os.path.lexists(p)]


def check_runs(*paths: Path) -> None:
    """Raises ``UsageError`` for those that are not there, and for folders that are no run's."""
    check_there(*paths)
    for path in paths:
        if not listing.is_run(path):
            inside = sorted(listing.find([path]))
            which = (
                f"give one of the runs in it, such as {inside[-1]}" if inside else "no run is in it"
            )
            raise UsageError(f"{path}: this is the folder of no run: {which}")


def check_there(*paths: Path) -> None:
    """Raises ``UsageError`` for those that are not there."""
    if sentences := missing(paths):
        raise UsageError("; ".join(sentences))
