"""The end of a run whose process did not live to record it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ..answers import answer_fields
from ..events import Event, NodeEnded, RunEnded
from .recorder import Recorder
from .summary import RUNNING, summarise

REASON = "its kernel was restarted or ended while the run went on"


async def mend(folder: Path) -> None:
    """Record that the run in this folder was interrupted, seal its record and write its notebooks
    again. Whoever calls knows that its process is gone.

    Raises ``RecordError`` for a record that another process writes, that is damaged or cannot be
    written, and ``RunHasEnded`` for one that has its end.
    """
    recorder, events = await asyncio.to_thread(Recorder.reopen, folder)
    try:
        for event in _ends(events):
            recorder(event)
    finally:
        await recorder.close()


def _ends(events: list[Event]) -> list[Event]:
    """Return the ends of nodes that have none, children first, and that of the run."""
    times = [float(getattr(event, "time", 0.0)) for event in events]
    last = max(times)
    nodes: list[Event] = [
        NodeEnded(
            node=node.id,
            status="interrupted",
            answer=None,
            confirmed=False,
            reason=REASON,
            time=last,
        )
        for node in reversed(summarise(events).nodes)
        if node.status == RUNNING
    ]
    tree = summarise([*events, *nodes])
    root = tree.nodes[0] if tree.nodes else None  # none where its kernel was not ready yet
    ended = RunEnded(
        status="interrupted" if root is None else root.status,  # type: ignore[arg-type]
        confirmed=False if root is None else root.confirmed,
        reason=REASON if root is None else root.reason,
        usage=tree.usage,
        turns=tree.turns,
        calls=tree.calls,
        seconds=last - times[0],
        time=last,
        **answer_fields(None if root is None else root.given),
    )
    return [*nodes, ended]
