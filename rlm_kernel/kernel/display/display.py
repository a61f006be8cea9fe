"""A run as a person at a notebook sees it: Jupyter messages made from its events.

First one display that is updated: progress, and what is being written and run just now; at the
end it is the header of what is below it. Then, for each finished turn, a block that is published
once, so that it stays open where it was opened, and the turn's figures and tables below it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_never

from ... import events
from ...events import (
    CallEnded,
    CallStarted,
    CellRan,
    CellStarted,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
)
from ...record.filters import for_terminal
from ...record.markdown import literal, one_line, shorten
from ...record.notebooks.metadata import ROOT_PAGE
from .card import Bundle, Child, Link, Turn, page_link, rich, turn_bundle
from .live import Live
from .progress import Progress
from .prose import amounts

PERIOD_S = 0.25
"""Between two updates at least: for each a front end draws all of the display anew."""
TICK_S = 1.0
"""Between two updates while nothing happens, for the clock in the progress line."""

Publish = Callable[[str, dict[str, Any]], None]


class Display:
    """Reads the events of one run. To be used on one asyncio loop, ``close`` too.

    ``publish`` takes the type and the content of a message for the human's cell. ``link`` turns a
    notebook's path in the run's folder (``trajectory.ipynb``, ``calls/0.1.ipynb``) into its path
    as seen from the human's notebook; an absolute path is shown, not linked. ``log`` gets one
    plain line when the run starts, a cell ends and the run ends. ``now`` gives seconds. A ``brief``
    display has no turns: they are cells of the notebook.
    """

    def __init__(
        self,
        publish: Publish,
        *,
        now: Callable[[], float] = time.monotonic,
        log: Callable[[str], None] | None = None,
        link: Link,
        brief: bool = False,
    ) -> None:
        self._brief = brief
        self._publish = publish
        self._now = now
        self._log = log
        self._link = link
        self._id = uuid.uuid4().hex
        self._progress = Progress(now)
        self._live = Live(link)
        self._turn: Turn | None = None
        self._open = False
        self._noted = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = False  # an update is due, and the timer will make it
        self._updated = 0.0

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self._progress.add(event)
        self._live.add(event)
        match event:
            case RunStarted():
                self._begin(event)
            case Prompted(node=events.ROOT) | NodeEnded(node=events.ROOT):
                self._finish_turn()
            case RunEnded():
                self._end(event)
            case Replied(node=events.ROOT) if event.turn:
                self._turn = Turn(event)
            case _:
                self._keep(event)
        if self._open:
            self._touch()

    def close(self) -> None:
        """Publish what is not yet shown and stop the clock. Closing twice does nothing."""
        if self._open:
            self._finish_turn()
            self._conclude("stopped", self._progress.stopped(), None)

    def _begin(self, event: RunStarted) -> None:
        self._open = True
        note = self._progress.unheld
        self._noted = bool(note)
        asked = f"RLM · {self._progress.model} · {one_line(event.question)}"
        plain = " · ".join(filter(None, [asked, note]))
        self._say(plain)
        self._send("display_data", {"text/plain": plain, "text/markdown": self._view()}, self._id)
        self._updated = self._now()
        self._arm(TICK_S)

    def _keep(self, event: Event) -> None:
        """Add to the current turn what belongs to it."""
        turn = self._turn
        if turn is None:
            return
        match event:
            case CallEnded(node=events.ROOT):
                turn.add_call(event)
            case CellRan(node=events.ROOT) if event.turn:
                turn.cells.append(event)
                self._say_turn(self._progress.ran(event))
            case KernelRestarted(node=events.ROOT):
                turn.restarts[event.cell] = event
            case NodeStarted(parent=events.ROOT):
                turn.children[event.node] = Child(event)
            case NodeEnded() if event.node in turn.children:
                turn.children[event.node].ended = event
            case (
                CallEnded()
                | CellRan()
                | KernelRestarted()
                | NodeStarted()
                | NodeEnded()
                | RunStarted()
                | ContextSet()
                | Prompted()
                | ReplyDelta()
                | Replied()
                | CellStarted()
                | OutputMade()
                | CallStarted()
                | RunEnded()
            ):
                pass
            case _:
                assert_never(event)

    def _finish_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is None:
            return
        if not turn.cells:  # those that ran had their lines
            self._say_turn(self._progress.unrun(turn.replied.turn, turn.status))
        shown = turn.replied.text.strip() or turn.replied.thoughts or turn.cells
        if self._brief or not shown:
            return
        self._send("display_data", turn_bundle(turn, self._link))
        for output in rich(turn):
            self._send("display_data", output["data"], metadata=output.get("metadata"))

    def _end(self, event: RunEnded) -> None:
        self._finish_turn()
        self._conclude(event.status, self._progress.ended(event), event.reason)

    def _conclude(self, status: str, totals: str, reason: str | None) -> None:
        """Replace the progress by the header of the whole."""
        self._open = False
        self._disarm()
        why = shorten(one_line(reason or ""), 300)
        why = "" if why == status else why
        trajectory_link = page_link("trajectory", ROOT_PAGE, self._link)
        status_shown = status if status == "answered" else f"**{status}**"
        header = " · ".join([self._name(), status_shown, amounts(totals), trajectory_link])
        markdown = header + (f"\n\n{literal(why)}" if why else "")
        plain = " · ".join(filter(None, ["RLM", status, why, totals]))
        trajectory = f"trajectory: {self._link(Path(ROOT_PAGE))}"
        self._say(f"{plain} · {trajectory}")
        plain += f"\n{trajectory}"
        self._send(
            "update_display_data", {"text/plain": plain, "text/markdown": markdown}, self._id
        )

    def _touch(self) -> None:
        """Update now, or as soon as the last update is old enough."""
        wait = self._updated + PERIOD_S - self._now()
        if wait <= 0:
            self._update()
        elif not self._waiting:
            self._waiting = True
            self._arm(wait)

    def _update(self) -> None:
        self._updated, self._waiting = self._now(), False
        plain = f"RLM · {self._progress.line()}"
        self._send(
            "update_display_data", {"text/plain": plain, "text/markdown": self._view()}, self._id
        )
        self._arm(TICK_S)

    def _arm(self, wait: float) -> None:
        self._disarm()
        self._timer = asyncio.get_running_loop().call_later(wait, self._update)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _view(self) -> str:
        now = self._live.doing() if self._brief else self._live.view()
        return f"{self._name()} · {amounts(self._progress.line())}\n\n{now}"

    def _name(self) -> str:
        model = self._progress.model
        return "**RLM**" + (f" · {literal(model)}" if model else "")

    def _say_turn(self, line: str) -> None:
        """Log how far the run is; that the limit on cost cannot hold, once."""
        note = "" if self._noted else self._progress.unheld
        self._noted = self._noted or bool(note)
        self._say(" · ".join(filter(None, ["RLM", line, note])))

    def _say(self, line: str) -> None:
        if self._log is not None:
            self._log(line)

    def _send(
        self,
        kind: str,
        data: Bundle,
        display_id: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        transient = {"display_id": display_id} if display_id else {}
        if isinstance(text := data.get("text/plain"), str):  # what a terminal shows
            data = {**data, "text/plain": for_terminal(text)}
        self._publish(kind, {"data": data, "metadata": metadata or {}, "transient": transient})
