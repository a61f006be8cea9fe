"""The LM's cells in the human's notebook: what is kept of each question, and who is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...environments.messages import Message
from ...errors import UsageError
from ...events import ROOT, Event, KernelRestarted, RunEnded, RunStarted
from ...rlm.consent import Decision, Proposal
from ...session.session import Reader
from ..display.progress import Progress
from ..front_end import Execution, FrontEnd
from .mine import LastQuestion
from .pages import Page, Pages, Told, read
from .proposals import Proposals
from .run_cells import RunCells
from .shown import FIELDS, PROTOCOL, AskingOutputs, ShownCell, bounded

KEPT = 16
"""Questions whose cells a page that opens is sent, the newest."""
QUESTION_CHARS = 2_000_000
"""The most that is sent of the outputs of the cell that asks."""
MOST_TOUCHED = 500


@dataclass
class Asked:
    """A question while it is asked and as it is kept. ``asking`` names this one time that it was
    asked, ``cell`` the notebook's cell that asks, ``session`` the front end that sent it."""

    asking: str
    cell: str
    session: str
    cells: RunCells
    run: str = ""
    state: str = "running"
    count: int | None = None
    shown: AskingOutputs = field(default_factory=AskingOutputs)
    progress: Progress = field(default_factory=lambda: Progress(time.monotonic))
    mine: dict[str, Any] | None = None
    """The cells that take its place in a notebook of the human's own, once it has some."""
    left: list[str] = field(default_factory=list)
    """Keys of the cells that are undone: the kernel has gone back to before them."""
    touched: dict[str, str] = field(default_factory=dict)
    """Sources of cells that the human has changed, by key, of which the LM has not been told."""

    @property
    def goes_on(self) -> bool:
        """Return whether the cell that asks still runs: it does for a while after its run."""
        return self.count is None

    def told(self) -> Told:
        """Return the operation on the cell that asks."""
        return {
            "type": "question",
            **self._named(),
            "session": self.session,
            "state": self.state,
            "line": self.shown.line,
            "progress": self.progress.short(),
            "outputs": bounded(self.shown.outputs, QUESTION_CHARS),
            "count": self.count,
            "mine": self.mine,
        }

    def told_of(self, cell: ShownCell, fields: Collection[str]) -> Told:
        """Return the operation on a cell of the LM's."""
        told = cell.told(fields)
        key = f"{self.run}:{told['key']}"
        return {"type": "cell", **self._named(), "session": self.session, **told, "key": key}

    def removed(self, cell: ShownCell) -> Told:
        return {
            "type": "removed",
            **self._named(),
            "session": self.session,
            "key": f"{self.run}:{cell.key}",
        }

    def undone(self) -> Told:
        """Return the operation on those of its cells that the kernel has gone back before."""
        keys = [f"{self.run}:{key}" for key in self.left]
        return {"type": "undone", **self._named(), "session": self.session, "keys": keys}

    def _named(self) -> Told:
        return {"run": self.run, "asking": self.asking, "after": self.cell}


class LiveCells:
    """Keeps the questions that are asked in a notebook as its pages show them, and tells these."""

    def __init__(self, front_end: FrontEnd, cwd: Path, tell: Callable[[str], None]) -> None:
        self.last = LastQuestion()
        """The question that was asked last, whether or not a page shows it."""
        self._cwd = cwd
        self._tell = tell
        self.on = True
        """If false, questions are shown as where there is no page."""
        self._pages = Pages(front_end.send)
        self._proposals = Proposals(self._pages.tell)
        self._kept: list[Asked] = []
        self._now: Asked | None = None
        self._anew = ""
        self._new: dict[str, set[str]] = {}  # fields by key, of cells that pages are not yet told

    # the comm
    def takes(self, request: Message) -> bool:
        """Return whether a comm's message is for us and not for the inner kernel."""
        return self._pages.takes(request)

    def take(self, request: Message) -> None:
        """Do what a page's message says."""
        match request["msg_type"]:
            case "comm_open":
                if (page := self._pages.open(request)) is not None:
                    self._welcome(page, read(request).get("done"))
            case "comm_close":
                self._pages.close(request)
            case _:
                self._heard(read(request), self._pages.page(request))

    def _welcome(self, page: Page, done: object) -> None:
        """Send a page all that is kept but for the questions that it has whole."""
        whole = done if isinstance(done, list) else []
        self._pages.flush()
        for asked in self._kept:
            if asked.state != "running" and asked.asking in whole:
                continue
            self._pages.tell({**asked.told(), "kept": True}, page)
            for cell in asked.cells.cells.values():
                self._pages.tell({**asked.told_of(cell, FIELDS), "kept": True}, page)
            if asked.left:
                self._pages.tell(asked.undone(), page)
        for told in self._proposals.told:
            self._pages.tell(told, page)
        running = [asked.asking for asked in self._kept if asked.goes_on]
        self._pages.tell({"type": "welcome", "version": PROTOCOL, "running": running}, page)

    def _heard(self, told: Told, page: Page) -> None:
        match told:
            case {"type": "again"}:
                self._welcome(page, told.get("done"))
            case {"type": "touched", "key": str(key), "source": str(source)}:
                run, _, name = key.partition(":")
                for asked in self._kept:
                    if asked.run == run and name in asked.cells.cells:
                        asked.touched[name] = source
            case {"type": "tell", "text": str(text)}:
                try:
                    self._tell(text)
                except UsageError as error:
                    self._pages.tell({"type": "untold", "why": str(error)}, page)
            case {"type": "decided"}:
                self._proposals.take(told)
            case {"type": "anew", "cell": str(cell)}:
                self._anew = cell

    # questions
    def is_anew(self, execution: Execution) -> bool:
        """Return whether the human wants the LM to be asked by this cell though its question is in
        the record."""
        anew, self._anew = self._anew, ""
        return bool(anew) and execution.request["metadata"].get("cellId") == anew

    def ask(self, execution: Execution) -> Reader | None:
        """Begin to show a question in the pages, and return the reader of its events; None where
        no page has its cell. What its cell shows is told to them too, from now on."""
        header, metadata = execution.request["header"], execution.request["metadata"]
        cell = metadata.get("cellId")
        if not (self.on and self._pages and isinstance(cell, str)):
            return None
        asked = Asked(
            asking=str(header["msg_id"]),
            cell=cell[:200],
            session=str(header.get("session", "")),
            cells=RunCells(
                lambda shown, name: self._changed(asked, shown, name),
                lambda shown: self._removed(asked, shown),
            ),
        )
        execution.heard = lambda kind, content: self._asking(asked, kind, content)
        self._now = asked
        return lambda event: self._read(asked, event)

    @property
    def shows(self) -> bool:
        """Return whether a page shows the question that is asked now."""
        return self._now is not None and bool(self._pages)

    async def decide(self, proposal: Proposal) -> Decision:
        """Ask the human in the pages, now or as soon as there is one, for a cell of the question
        that is asked now."""
        asked, where = self._now, {}
        if asked is not None:
            key = asked.cells.next(proposal.turn) if proposal.node == ROOT else ""
            where = {"run": asked.run, "after": asked.cell, "key": f"{asked.run}:{key}"}
        return await self._proposals.decide(proposal, where)

    def _read(self, asked: Asked, event: Event) -> None:
        if isinstance(event, RunStarted):
            asked.run = event.run
            self._kept = [*self._kept, asked][-KEPT:]
            self._pages.tell(asked.told())
        elif isinstance(event, RunEnded):
            asked.state = event.status
        asked.progress.add(event)
        asked.cells(event)

    def end(self, execution: Execution) -> None:
        """Let nothing look as if it went on of the question that this cell asked, if it did."""
        asked, self._now = self._now, None
        if asked is None:
            return
        execution.heard = None
        asked.cells.close()
        asked.count = execution.count
        asked.mine = self.last.mine(self._cwd) if self.last.cells else None
        if asked.state == "running":
            asked.state = "stopped"
        if asked.run:
            self._pages.tell(asked.told())

    def _asking(self, asked: Asked, kind: str, content: dict[str, Any]) -> None:
        if asked.shown.take(kind, content) and asked.run:
            self._pages.put(asked.asking, asked.told)

    def _changed(self, asked: Asked, cell: ShownCell, name: str) -> None:
        if not asked.run:
            return
        key = f"{asked.asking}:{cell.key}"
        self._new.setdefault(key, set()).add(name)
        self._pages.put(key, lambda: asked.told_of(cell, self._new.pop(key, ())))

    def _removed(self, asked: Asked, cell: ShownCell) -> None:
        self._pages.tell(asked.removed(cell))

    def do(self, what: str) -> bool:
        """Let the pages ``fold`` or ``remove`` the cells of the last question; return whether there
        are any."""
        if not (self._pages and self._kept):
            return False
        self._pages.tell({"type": "do", "what": what, "run": self._kept[-1].run})
        return True

    def went_back(self, event: KernelRestarted) -> None:
        """Let the cells that the kernel has gone back before look undone."""
        self.last(event)
        for asked in self._kept:
            asked.left = asked.cells.after(event.back_to or 0) or asked.left
            if asked.left:
                self._pages.tell(asked.undone())

    # what the human did
    def touched(self, run: str) -> list[tuple[int, str]]:
        """Return turn and source of the cells of a run that the human has changed, and of which
        this has not been said before."""
        for asked in reversed(self._kept):
            if asked.run == run:
                changed, asked.touched = asked.touched, {}
                cells = asked.cells.cells
                return [(cells[key].turn, source) for key, source in sorted(changed.items())]
        return []
