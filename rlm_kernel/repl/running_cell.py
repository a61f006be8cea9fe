"""One cell while it runs, with its clock, its input and the guest's report; and how it ended."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from ..answers import Answer
from ..environments.messages import Message
from ..events import CellStatus, Output
from ..settings.limits import CellLimits
from .frames import Payload
from .protocol import MAX_NOTICE, Attached, Calls, as_answer, as_attached, as_text, as_texts

Author = Literal["lm", "human"]


class Clock:
    """A cell's running time. It stands still while the cell's main thread waits for an LM, and ends
    all the same once ``left`` returns no seconds."""

    def __init__(self, seconds: float, left: Callable[[], float] = CellLimits.left) -> None:
        self._seconds = seconds
        self._left = left
        self._spent = 0.0
        self._since = time.monotonic()
        self._waiting = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Stand still in the body, of which several may run at a time."""
        if self._waiting == 0:
            self._spent += time.monotonic() - self._since
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._since = time.monotonic()

    @property
    def left(self) -> float:
        """Return the seconds that are left, infinity without a limit."""
        now = time.monotonic()
        running = 0.0 if self._waiting else now - self._since
        return min(self._seconds - self._spent - running, self._left())

    async def over_before(self, work: asyncio.Future[Any]) -> bool:
        """Return once the work is done or the time is over; true where it is over first."""
        while not work.done():
            left = self.left
            if left <= 0:
                return True
            await asyncio.wait({work}, timeout=None if left == math.inf else max(left, 0.05))
        return False


class RunningCell:
    """One cell from its start to its end. Its record has it as ``number``, the guest knows it as
    ``run``: a session's questions each count their cells from 1. ``calls`` answers what it asks,
    within what it is ``held`` to; ``inputs`` are typed for it as it asks for lines."""

    def __init__(
        self,
        number: int,
        run: int,
        calls: Calls,
        held: CellLimits,
        *,
        seconds: float = math.inf,
        inputs: Sequence[str | None] = (),
    ) -> None:
        self.number = number
        self.run = run
        self.calls = calls
        self.held = held
        self.clock = Clock(seconds, CellLimits.left if math.isinf(seconds) else held.left)
        self.report: dict[str, Any] = {}
        """What the guest told of its end; empty where it told nothing."""
        self.wanted: dict[str, Any] | None = None
        """The form that its answer must have."""
        self.attached = b""
        """The bytes of the file that belongs to its answer."""
        self.typed: list[str | None] = []
        """The lines typed so far, None for one that was asked for hidden."""
        self.asked_hidden = False
        self.to_type = list(inputs)

    def end(self, report: dict[str, Any], payload: Payload) -> None:
        """Take what the guest tells of its end; a second report is forged."""
        if not self.report:
            self.report, self.attached = report, payload.read()

    def told_of(self, *, ended_well: bool) -> dict[str, Any]:
        """Return the fields of ``Ran`` that its guest and its human know, checked."""
        report = self.report
        answer, draft = (as_answer(report.get(key)) for key in ("answer", "draft"))
        return {
            "notices": as_texts(report.get("notices")),
            "answer": answer if ended_well else None,
            "draft": draft or (None if ended_well else answer),
            "refused": as_text(report.get("refused"), MAX_NOTICE),
            "attached": as_attached(report.get("answer") or report.get("draft"), self.attached),
            "concurrent": bool(report.get("concurrent")),
            "called": bool(report.get("called")),
            "named": as_text(report.get("named"), MAX_NOTICE),
            "word": as_text(report.get("word"), MAX_NOTICE),
            "doubt": as_text(report.get("doubt"), MAX_NOTICE),
            "unsure": as_text(report.get("unsure"), MAX_NOTICE),
            "wanted": self.wanted,
            "inputs": self.typed,
        }

    def told(self, author: Author, **more: Any) -> dict[str, Any]:
        """Return what the guest is told of the cell, in the metadata of its request."""
        most = {
            "prompt_chars": self.held.prompt_chars,
            "batch": self.held.batch,
            "ahead": self.held.ahead and author == "lm",
        }
        self.wanted = self.held.wanted if author == "lm" else None
        told = {"cell": self.run, "author": author, "most": most, "wanted": self.wanted}
        return {**more, **told}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """The end of a cell. ``draft`` is an answer it named without ending well or being ready, or one
    that was ``refused``, for this reason; ``called`` says that it gave one, and then perhaps
    failed; ``named`` the variable and ``word`` the text that a literal in the call stood for,
    ``doubt`` why the answer may be none, and ``unsure`` why the call says that it may be wrong;
    ``variables`` are all ``names`` with their types and
    sizes, ``made`` those that it made or changed; ``lost`` the names that went with a kernel that
    died or was replaced, ``back_to`` the cell after which the kernel stands again, None for a new
    one; ``reply`` is the kernel's own, None if there is none; ``inputs`` and
    ``concurrent`` are as in ``CellRan``; ``attached`` is the file of its answer or draft,
    ``wanted`` the form that it had to have."""

    status: CellStatus
    outputs: list[Output]
    seconds: float
    notices: list[str] = field(default_factory=list)
    answer: Answer | None = None
    draft: Answer | None = None
    refused: str | None = None
    execution_count: int | None = None
    names: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    restarted: str | None = None
    back_to: int | None = None
    lost: list[str] = field(default_factory=list)
    reply: Message | None = None
    inputs: list[str | None] = field(default_factory=list)
    concurrent: bool = False
    called: bool = False
    named: str | None = None
    word: str | None = None
    doubt: str | None = None
    unsure: str | None = None
    attached: Attached | None = None
    wanted: dict[str, Any] | None = None
