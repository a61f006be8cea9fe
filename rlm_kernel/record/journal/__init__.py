"""The record of a run: one line an event, each sealed with the lines before it.

A line is ``{"seal": chain, "event": {...}}``, where ``chain`` is the start of the SHA-256 of the
chain before it and the event's canonical JSON, so the first altered line is known. The last line
of a whole record is ``{"sealed": sha256 of all bytes before it}``. Long texts are in ``blobs/``.
"""

from .ends import Ending, beginning, ending, ends
from .following import Follower, is_written
from .reading import Problem, Record, damage, event_lines, read, unfit
from .writing import Journal, RunHasEnded

__all__ = [
    "Ending",
    "Follower",
    "Journal",
    "Problem",
    "Record",
    "RunHasEnded",
    "beginning",
    "damage",
    "ending",
    "ends",
    "event_lines",
    "is_written",
    "read",
    "unfit",
]
