"""The context of a node as events have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ContextInfo:
    """A node's ``context``: its type and size, its ends, and where it can be found again.

    ``type`` is the Python type inside the kernel, ``length`` its ``len``; ``head`` and ``tail``
    are its first and last characters (all of it in ``head`` when short). ``spec`` is what
    ``contexts.Source.spec`` gives: kind, sha256 and, where there is one, path. Its ``variable``
    is the name of the variable, made by earlier cells, that was taken as context: the rest is then
    a copy of its value, or of the kind ``"variable"`` with no sha256 where none could be made.

    ``overview`` is a longer look than ``format``, and ``notes`` say more than ``notice``; both are
    in the journal alone. ``python`` is the version in the kernel, ``modules`` are those of the
    packages often wanted that are there; None and empty where nobody said.
    """

    type: str
    length: int | None
    lines: int | None
    format: str | None
    head: str
    tail: str
    spec: dict[str, Any]
    notice: str | None = None
    notes: list[str] = field(default_factory=list)
    overview: str = ""
    python: str | None = None
    modules: list[str] = field(default_factory=list)

    @property
    def remarks(self) -> list[str]:
        """Return all that is to be known of how it was read, in sentences."""
        return [remark for remark in (self.notice, *self.notes) if remark]
