"""The checks of maps that stand beside an answer, in words; the same wherever it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..events import CallEnded, CellRan, Event
from ..remote.guest.maps.checked import Checked, figures
from .markdown import literal, one_line
from .provenance import trace

MOST = 10
"""The most that are shown."""


def checks_of(events: Iterable[Event], node: str) -> list[Checked]:
    """Return the figures of the checks that a node's answer can rest on: all that the cells of its
    question made, and of earlier cells those on the way to the answer. Of several checks of one
    question by the same judge the last one counts."""
    own = [event for event in events if getattr(event, "node", node) == node]
    calls = [event for event in own if isinstance(event, CallEnded) and event.op == "tool"]
    made = [(call.cell, found) for call in calls if (found := figures(call.reply)) is not None]
    if not made:
        return []
    way = {step.cell for origin in trace(own, node)[:1] for step in origin.steps}
    earlier = {event.cell for event in own if isinstance(event, CellRan) and not event.turn}
    shown = [found for cell, found in made if cell in way or cell not in earlier]
    return list({(found.question, found.by): found for found in shown}.values())


def lines(checks: Sequence[Checked]) -> list[str]:
    """Return a line of plain text for each check."""
    return [f"Checked: {one_line(check.line)}" for check in checks[:MOST]]


def markdown(checks: Sequence[Checked]) -> str:
    """Return the same as Markdown that can do nothing; empty where there is none."""
    return "\n\n".join(literal(line) for line in lines(checks))
