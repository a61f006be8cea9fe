"""The parts of our own words in a notebook: a command as it was read, an option, a verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

REPLAY = ("auto", "only", "off")


@dataclass(frozen=True)
class Command:
    """One ``%rlm`` line. Where all but ``verb`` are empty it asks to be shown something."""

    verb: str
    value: str | None = None
    """A path, a variable, a run or one of a verb's words, as written."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings from now on: values by the names of ``in_force``, checked."""
    reset: tuple[str, ...] = ()
    """Names of settings that are taken back."""
    encoding: str | None = None
    folder: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """The ``run``, ``node`` and ``context`` of a replay that begins."""

    @property
    def begins(self) -> bool:
        """True where it begins a replay in a notebook that is a trajectory."""
        return self.verb == "replay" and self.value not in REPLAY


@dataclass(frozen=True)
class CellOption:
    """An option of ``%%rlm``: what stands for its value, what it is for, its values if few. With
    ``several`` it may come more than once, as it may have several values with commas."""

    value: str
    what: str
    values: tuple[str, ...] = ()
    several: bool = False


@dataclass(frozen=True)
class Verb:
    """The first word of a ``%rlm`` line: its arguments, what it does, how they are read."""

    arguments: str
    what: str
    read: Callable[[str, list[str]], Command]
    words: tuple[str, ...] = ()
    """The words that completion offers after it."""
