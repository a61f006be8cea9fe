"""The point at which an LM left off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class StoppedAt:
    """A point at which an LM left off and may go on: its run's folder, its last cell there (None
    for the last of all), and how many events the kernel's session had by then."""

    folder: Path
    cell: int | None
    mark: int

    def within(self, events: int) -> StoppedAt:
        """Return the point in a session that has so many events, after it went back."""
        return replace(self, mark=min(self.mark, events))
