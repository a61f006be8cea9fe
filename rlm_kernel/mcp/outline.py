"""A run as Markdown for an agent: question, answer and cells; what cells put out only on request,
since it has parts of the input."""

from __future__ import annotations

from ..events import CellRan
from ..record.markdown import fenced, shorten
from ..record.numbers import counted
from ..record.outputs import text_of
from ..record.recording import Recording

CHARS = 30_000
"""A longer outline is cut."""
_SOURCE_CHARS, _OUTPUT_CHARS = 2000, 1000


def outline(recording: Recording, *, outputs: bool) -> str:
    """Return the outline of a run."""
    tree = recording.tree
    root = tree.nodes[0] if tree.nodes else None
    parts = [f"# {shorten(tree.question or '', 500)}"]
    if root is not None:
        sure = "" if root.confirmed else " (unconfirmed)"
        parts.append(f"**{root.status}**{sure}: {shorten(root.answer or root.reason or '', 2000)}")
    parts.append(f"{counted(tree.turns, 'turn')}, {counted(tree.calls, 'call')}")
    for event in recording.events:
        if isinstance(event, CellRan):
            parts.append(f"## {event.node}, cell {event.cell}: {event.status}")
            parts.append(fenced(shorten(event.source, _SOURCE_CHARS), "python"))
            parts.append(_put_out(event, outputs))
    text = "\n\n".join(filter(None, parts))
    return text if len(text) <= CHARS else f"{text[:CHARS]}\n\n… {len(text):,} characters in all"


def _put_out(event: CellRan, shown: bool) -> str:
    text = text_of(event.outputs, _OUTPUT_CHARS)
    if not text or shown:
        return fenced(text) if text else ""
    return f"It put out {len(text):,} characters or more, which are not shown."
