"""The folders that callers may name paths in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import UsageError


class Roots:
    """The folders that the user has opened to callers. A path outside of them is not told apart
    from one that is not there: callers learn nothing of the rest of the disk."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = [folder.resolve(strict=True) for folder in folders]

    def path(self, text: str) -> Path:
        """Return the real path that a caller named, relative ones from the first folder. Raises
        ``UsageError`` for one that is not in a folder, or not there."""
        try:
            path = (self.folders[0] / Path(text)).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):  # of a loop of links
            path = None
        if path is None or not any(path.is_relative_to(folder) for folder in self.folders):
            named = ", ".join(map(str, self.folders))
            raise UsageError(f"there is no {text!r} in what may be read: {named}")
        return path
