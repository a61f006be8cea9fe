"""A run as a person at a notebook sees it: Jupyter messages made from its events.

While it goes on: one display that is updated, of a height of its own, with the progress and what
is being written and run just now; below it a block for each finished turn, published once, so that
it stays where it is and open where it was opened. At the end all of that is replaced, since some
hosts take no updates: a header, under which the answer comes; what the last turn that showed
something showed; and the turns in one fold.
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
    CellDecided,
    CellProposed,
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
from ...record.headings import Course
from ...record.markdown import literal, one_line, shorten
from ...record.notebooks.metadata import ROOT_PAGE
from .card import Bundle, Child, Link, Turn, page_link, turn_bundle
from .fold import Fold
from .live import Live
from .progress import Progress
from .prose import amounts

PERIOD_S = 0.25
"""Between two updates at least: for each a front end draws all of the display anew."""
TICK_S = 1.0
"""Between two updates while nothing happens, for the clock in the progress line."""

Publish = Callable[[str, dict[str, Any]], None]


class Display:
    """Reads the events of one run. ``conclude`` it before its answer is shown and ``close`` it
    after that. To be used on one asyncio loop.

    ``publish`` takes the type and the content of a message for the human's cell. ``link`` turns a
    notebook's path in the run's folder (``trajectory.ipynb``, ``calls/0.1.ipynb``) into its path
    as seen from the human's notebook; an absolute path is shown, not linked. ``log`` gets one
    plain line when the run starts, a cell ends and the run ends. ``again`` shows once more what
    the cell had shown before the run, which is replaced with the rest. ``now`` gives seconds, and
    ``began`` is when the run began by it, where that is not now. A ``brief`` display has no turns:
    they are cells of the notebook. Without ``cause`` its last line leaves to the cell why there is
    no sure answer.
    """

    def __init__(
        self,
        publish: Publish,
        *,
        now: Callable[[], float] = time.monotonic,
        log: Callable[[str], None] | None = None,
        link: Link,
        again: Callable[[], None] = lambda: None,
        began: float | None = None,
        brief: bool = False,
        cause: bool = True,
    ) -> None:
        self._brief = brief
        self._cause = cause
        self._publish = publish
        self._now = now
        self._log = log
        self._link = link
        self._again = again
        self._id = uuid.uuid4().hex
        self._progress = Progress(now, began)
        self._live = Live(link)
        self._course = Course()
        self._turn: Turn | None = None
        self._fold: Fold | None = None
        self._header: Bundle | None = None
        self._announced = False
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

    def announce(self) -> None:
        """Take the room that the run is shown in, before there is anything to show of it: what
        stands below is to move when the human has just run the cell, and not later."""
        self._announced = True
        plain = "RLM · starting"
        view = f"**RLM** · starting\n\n{self._live.view()}"
        self._send("display_data", {"text/plain": plain, "text/markdown": view}, self._id)

    def close(self, status: str = "stopped") -> None:
        """Publish what is not yet shown, and what belongs below an answer; stop the clock. A run
        without an end of its own has this ``status``. Closing twice does nothing."""
        if self._open:
            self._finish_turn()
            self._stop(status, self._progress.stopped(), None)
        elif self._announced:  # and nothing came of it
            self._announced = False
            self._publish("clear_output", {"wait": False})
            self._again()
        self.conclude()
        fold, self._fold = self._fold, None
        for data, metadata in fold.bundles() if fold is not None and not self._brief else ():
            self._send("display_data", data, metadata=metadata)

    def conclude(self) -> None:
        """Put the header of the whole in the place of all that was shown, once the run is over. To
        be called when the answer is there too: what stands below moves but once."""
        header, self._header = self._header, None
        if header is not None:
            self._publish("clear_output", {"wait": True})
            self._again()
            self._send("display_data", header)

    def _begin(self, event: RunStarted) -> None:
        self._open, self._fold = True, Fold()
        note = self._progress.unheld
        self._noted = bool(note)
        asked = f"RLM · {self._progress.model} · {one_line(event.question)}"
        plain = _line(asked, note)
        self._say(plain)
        kind = "update_display_data" if self._announced else "display_data"
        self._announced = False
        self._send(kind, {"text/plain": plain, "text/markdown": self._view()}, self._id)
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
            case CellDecided(node=events.ROOT):
                turn.decided.append(event)
            case KernelRestarted(node=events.ROOT):
                turn.restarts[event.cell] = event
            case NodeStarted(parent=events.ROOT):
                turn.children[event.node] = Child(event)
            case NodeEnded() if event.node in turn.children:
                turn.children[event.node].ended = event
            case (
                CallEnded()
                | CellRan()
                | CellDecided()
                | CellProposed()
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
        turn.status = self._course.status(turn.replied, turn.cells, turn.decided)
        if not turn.cells:  # those that ran had their lines
            self._say_turn(self._progress.unrun(turn.replied.turn, turn.status))
        if self._brief or not (turn.replied.text.strip() or turn.replied.thoughts or turn.cells):
            return
        shown = turn_bundle(turn, self._link)
        self._send("display_data", shown)
        if self._fold is not None:
            self._fold.add(turn, shown["text/markdown"])

    def _end(self, event: RunEnded) -> None:
        self._finish_turn()
        self._stop(event.status, self._progress.ended(event), event.reason)

    def _stop(self, status: str, totals: str, reason: str | None) -> None:
        """Stop the clock, and make the header of the whole."""
        self._open = False
        self._disarm()
        why = shorten(one_line(reason or ""), 300)
        why = "" if why == status else why
        shown = why if self._cause else ""
        trajectory_link = page_link("trajectory", ROOT_PAGE, self._link)
        status_shown = status if status == "answered" else f"**{status}**"
        children = self._progress.children
        facts = [self._name(), status_shown, amounts(totals), children, trajectory_link]
        markdown = _line(*facts) + (f"\n\n{literal(shown)}" if shown else "")
        trajectory = f"trajectory: {self._link(Path(ROOT_PAGE))}"
        self._say(_line("RLM", status, why, totals, children, trajectory))
        plain = f"{_line('RLM', status, shown, totals, children)}\n{trajectory}"
        self._header = {"text/plain": plain, "text/markdown": markdown}

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
        self._say(_line("RLM", line, note))

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


def _line(*facts: str) -> str:
    return " · ".join(filter(None, facts))
