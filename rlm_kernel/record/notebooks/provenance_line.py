"""One line below an answer: the cells and sub-calls that it came from, with links to them."""

from __future__ import annotations

from collections.abc import Callable

from ...events import Event
from ..markdown import code
from ..numbers import counted
from ..provenance import FlowStep, Origin, trace
from ..summary import place

MOST = 6
"""Cells, names of a cell, and children of a cell that are named."""


def where_from(
    events: list[Event], node: str, link: Callable[[str], str], anchor: Callable[[str], str]
) -> str:
    """Return Markdown, empty where nothing is known. ``link`` makes a link to a child, ``anchor``
    the address of a cell."""
    found = trace(events, node)
    if not found or not found[0].steps:
        return ""
    steps = found[0].steps
    told = [_step(found[0], step, link, anchor) for step in steps[:MOST]]
    more = len(steps) - len(told)
    told += [f"and {counted(more, 'more cell')}"] if more > 0 else []
    return "**Where it came from** · " + " ← ".join(told)


def _step(
    origin: Origin, step: FlowStep, link: Callable[[str], str], anchor: Callable[[str], str]
) -> str:
    parts = [f"[cell {step.cell}]({anchor(f'cell-{step.cell}')})"]
    if step.why == "bound" and step.names:
        parts.append(", ".join(code(name) for name in step.names[:MOST]))
    elif step.why in ("shown", "seen"):
        parts.append("its output" if step.why == "shown" else "its output was read")
    calls = [call for call in origin.calls if call.cell == step.cell]
    children = sorted({call.child for call in calls if call.child is not None}, key=place)
    if calls:
        parts.append(counted(len(calls), "sub-call"))
    if children:
        more = f" and {len(children) - MOST:,} more" if len(children) > MOST else ""
        parts.append("node " + ", ".join(link(child) for child in children[:MOST]) + more)
    return " ".join([parts[0], f"({'; '.join(parts[1:])})"] if parts[1:] else parts)
