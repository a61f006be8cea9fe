"""The version of something written, ``major.minor``, and what a reader may do with a newer one.

Three things have a version of their own, told where each is defined: the journal
(``events.FORMAT``), the notebook's metadata (``notebooks.metadata.SCHEMA``) and the rules by which
outputs are compared (``equality.VERSION``). A minor version adds fields, and kinds of events, that
a reader may pass over. Anything else is a major version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from ..errors import RecordError

_WRITTEN = re.compile(r"([1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")


class NewerRecord(RecordError):
    """A record of a newer major version than is known here."""


@dataclass(frozen=True, order=True)
class FormatVersion:
    """``major.minor``. In older records it is written as an integer, which is the major."""

    major: int
    minor: int = 0

    @classmethod
    def of(cls, written: object) -> Self:
        """Parse ``"2.1"`` or ``2``. Raises ``ValueError`` for anything else."""
        if type(written) is int and 0 < written < 10**9:
            return cls(written)
        parts = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
        if parts is None:
            raise ValueError(f"{ascii(written)[:60]} is no version: it should be like '2.0'")
        return cls(int(parts[1]), int(parts[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    def has_unknown(self, known: FormatVersion) -> bool:
        """Return whether what is written may have fields that a reader of ``known`` passes over."""
        return self.major == known.major and self.minor > known.minor


def checked(written: object, known: FormatVersion, what: str) -> FormatVersion:
    """Parse a version, ``what`` says of what. Raises ``NewerRecord`` for a major above that of
    ``known`` and ``ValueError`` for what is no version."""
    version = FormatVersion.of(written)
    if version.major > known.major:
        raise NewerRecord(
            f"it was written by a newer version of rlm_kernel ({what} {version}; this "
            f"one reads up to {known}): update rlm_kernel"
        )
    return version
