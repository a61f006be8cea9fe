"""How far one run is, node by node, from its record as it grows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..events import CallEnded, CellRan, Event, Prompted, RunStarted
from ..record.files import JOURNAL
from ..record.journal import Follower
from ..record.numbers import money, price
from ..record.summary import RUNNING, Fold, Node
from .folder import plain

LONGEST_LINE = 1 << 22
MOST_BYTES = 1 << 26
"""Of a record that is followed; of a larger one the beginning is told."""
MOST_NODES = 200
MOST_RUNS = 16
"""Records that are followed at a time."""
SECONDS = 1.0
"""After so long a look ends, wherever it is: the next one goes on from there."""
_LIMITS = ("turns", "calls", "tokens", "cost", "seconds")


@dataclass
class _Calls:
    """A call of a node while its cell runs: prompts that were answered, of ``count``."""

    op: str
    count: int
    done: int = 0


@dataclass
class _Node:
    turn: int = 0
    calls: dict[int, _Calls] = field(default_factory=dict)


class Progress:
    """One run, read on at each look. Blocks."""

    def __init__(self, run: Path) -> None:
        self._follower = Follower(run / JOURNAL, LONGEST_LINE, texts=False)
        self._fold = Fold()
        self._nodes: dict[str, _Node] = {}
        self._limits: dict[str, float] = {}
        self._began = time.time()
        self._problem = ""

    def look(self) -> dict[str, Any]:
        """Return what the record says by now, as JSON data."""
        until = time.monotonic() + SECONDS
        while not (whole := self._read()) and time.monotonic() < until:
            pass
        return {**self._told(), "whole": whole}

    def _read(self) -> bool:
        """Read some; return whether that was all there is to be read."""
        if self._follower.over:
            return True
        if self._follower.size > MOST_BYTES:
            self._problem = f"only the first {MOST_BYTES >> 20} MiB of its record are read here"
            return True
        try:
            events = self._follower.read()
        except RecordError as error:
            self._problem = str(error)
            return True
        for event in events:
            self._take(event)
        return not events

    def _take(self, event: Event) -> None:
        self._fold.add(event)
        if isinstance(event, RunStarted):
            self._began = event.time
            limits = event.settings.get("limits") or {}
            self._limits = {name: most for name in _LIMITS if (most := limits.get(name))}
        elif isinstance(event, Prompted):
            self._node(event.node).turn = event.turn
        elif isinstance(event, CallEnded) and event.op != "tool":
            calls = self._node(event.node).calls
            call = calls.setdefault(event.call, _Calls(event.op, event.count))
            call.done += 1
        elif isinstance(event, CellRan):
            self._node(event.node).calls.clear()

    def _node(self, name: str) -> _Node:
        return self._nodes.setdefault(name, _Node())

    def _told(self) -> dict[str, Any]:
        tree = self._fold.tree()
        return {
            "limits": self._limits,
            "calls": tree.calls,
            "tokens": tree.usage.tokens,
            "cost": None if tree.usage.unpriced else tree.usage.cost,
            "spent": price(tree.usage),
            "most": money(self._limits["cost"]) if "cost" in self._limits else None,
            "elapsed": max(0.0, time.time() - self._began),
            "nodes": [self._of(node) for node in tree.nodes[:MOST_NODES]],
            "left_out": max(0, len(tree.nodes) - MOST_NODES),
            "problem": plain(self._problem or self._follower.problem, 400),
        }

    def _of(self, node: Node) -> dict[str, Any]:
        known = self._nodes.get(node.id, _Node())
        running = node.status == RUNNING
        return {
            "id": node.id,
            "parent": node.parent,
            "question": plain(node.question, 200),
            "model": plain(node.model, 100),
            "status": node.status,
            "turn": max(known.turn, node.turns),
            "calls": node.calls,
            "spent": price(node.total),
            "seconds": node.seconds,
            "under_way": [
                {"op": call.op, "done": call.done, "count": call.count}
                for call in known.calls.values()
                if running and call.done < call.count
            ],
        }


class Followed:
    """The runs that pages look at, the one that was looked at last the last to be forgotten."""

    def __init__(self) -> None:
        self._runs: dict[Path, tuple[int, Progress]] = {}

    def look(self, run: Path) -> dict[str, Any]:
        """Return how far a run is, or was. Blocks for ``SECONDS`` and one reading at most."""
        inode = (run / JOURNAL).stat().st_ino
        known = self._runs.pop(run, None)
        # A resumed or mended record grows; another one in its place is read from its beginning.
        progress = known[1] if known is not None and known[0] == inode else Progress(run)
        self._runs[run] = (inode, progress)
        while len(self._runs) > MOST_RUNS:
            del self._runs[next(iter(self._runs))]
        return progress.look()
