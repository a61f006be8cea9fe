"""A run as a person at a terminal sees it: live where there is one, plain lines otherwise."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.syntax import Syntax
from rich.text import Text

from ..events import (
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
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
    Usage,
)
from ..lm.fences import without_code
from ..record import decisions, restarts
from ..record.headings import REPEATED, Course
from ..record.numbers import counted, duration, spent, unheld
from ..record.outputs import cut, text_of
from ..reports.terminal import live

SHOWN_CHARS = 1200
CODE_LINES = 16


@dataclass
class _Turn:
    replied: Replied
    ran: list[CellRan] = field(default_factory=list)
    decided: list[CellDecided] = field(default_factory=list)


class _Live(Live):
    """Live lines that can be held, so that they are not drawn over what is typed, and that are not
    drawn in the midst of what is printed above them: who prints has ``drawing``."""

    held = False

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.drawing = threading.RLock()

    def hold(self) -> None:
        """Draw them once more, and not again while they are ``held``."""
        self.refresh()
        self.held = True

    def refresh(self) -> None:
        # Never waited for: Rich has a lock of its own here, which who prints takes second. And
        # what is printed brings these lines with it.
        if not self.held and self.drawing.acquire(blocking=False):
            try:
                super().refresh()
            finally:
                self.drawing.release()


class Screen:
    """Reads a run's events and writes progress to ``console`` (standard error)."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._usage = Usage()
        self._settings: Mapping[str, Any] = {}
        self._unheld = False
        """True once it was said that the limit on cost cannot hold."""
        self._turn = 0
        self._calls = 0
        self._asked = 0
        self._done = 0
        self._nodes = 0
        self._reply = ""
        self._doing = "starting"
        self._turns: dict[str, _Turn] = {}  # by node, as long as it is not over
        self._courses: dict[str, Course] = {}
        self._live: _Live | None = None
        self._held: list[tuple[RenderableType, bool]] | None = None
        """The words for after the human's reply, while a question is there."""

    @property
    def is_live(self) -> bool:
        """Return whether it is drawn on a terminal."""
        return self._console.is_terminal

    def showing(self) -> AbstractContextManager[object]:
        """Return the context manager that shows the display while the run goes on."""
        if not self._console.is_terminal:
            return nullcontext()
        self._live = _Live(
            get_renderable=self._now, console=self._console, refresh_per_second=4, transient=True
        )
        return live(self._live)

    @contextmanager
    def asking(self, text: str) -> Iterator[None]:
        """Show a text, and nothing else in the body, where the human types a reply."""
        if text:
            self._say(Text(text, "bold yellow"), soft_wrap=False)
        self._held = []
        if self._live is not None:
            self._live.hold()
        try:
            yield
        finally:
            held, self._held = self._held, None
            if self._live is not None:
                self._live.held = False
            for what, soft_wrap in held:
                self._say(what, soft_wrap=soft_wrap)

    def __call__(self, event: Event) -> None:
        """Take one event; anything it says stands above the live lines."""
        match event:
            case RunStarted():
                self._settings = event.settings
                self._say(Text(f"rlm · {event.settings['model']} · {event.question}", "bold"))
                self._add(Usage())
            case NodeStarted():
                self._nodes += 1
                if event.depth:
                    self._say(Text(f"  child {event.node}: {cut(event.question, 200)}", "dim"))
                elif event.context is not None:
                    for remark in event.context.remarks:
                        self._say(Text(f"  context: {cut(remark, 300)}", "yellow"))
            case ReplyDelta():
                self._reply = "" if event.text == "\f" else self._reply + event.text
                self._doing = _writing(event.turn)
            case Replied():
                self._turn = max(self._turn, event.turn)
                if event.turn:
                    self._turns[event.node] = _Turn(event)
                    self._say_prose(event)
                self._add(event.usage)
                self._reply = ""
            case CellStarted():
                self._doing = f"turn {event.turn}: running the cell"
                self._say(Text(f"[{event.node}] cell {event.cell}", "bold cyan"))
                self._say_code(event.source)
            case CallStarted():
                self._asked += event.count
                if event.size:
                    self._say(Text(f"  {event.size}", "dim"))
            case CallEnded():
                self._done += 1
                self._calls += event.op != "tool"
                self._add(event.usage)
                self._doing = f"turn {self._turn}: sub-calls {self._done} of {self._asked}"
            case CellRan():
                if event.node in self._turns:
                    self._turns[event.node].ran.append(event)
                self._ran(event)
            case CellProposed():
                self._doing = f"turn {event.turn}: waiting for you"
            case CellDecided():
                if event.node in self._turns:
                    self._turns[event.node].decided.append(event)
                if event.choice != "accepted":
                    self._say(Text(f"  {decisions.sentence(event)}", "yellow"))
            case KernelRestarted():
                self._say(Text(f"  {restarts.sentence(event, 'kernel restarted')}", "yellow"))
            case RunEnded():
                self._say(Text(f"{event.status} · {self._totals()}", "bold"))
            case Prompted() | NodeEnded():
                if (turn := self._turns.pop(event.node, None)) is not None:
                    self._tell_unrun(event.node, turn)
                if isinstance(event, Prompted):
                    self._doing = _waiting(event.turn)
            case OutputMade():
                pass

    def _tell_unrun(self, node: str, turn: _Turn) -> None:
        """Say of a turn that ran nothing new why; of a reply that never came the run's end does."""
        if not (turn.replied.text or turn.replied.thoughts or turn.replied.finish):
            return
        status = self._courses.setdefault(node, Course()).status(
            turn.replied, turn.ran, turn.decided
        )
        if not turn.ran or status.startswith(REPEATED):
            self._say(Text(f"[{node}] turn {turn.replied.turn}: {status}", "cyan"))

    def _add(self, usage: Usage) -> None:
        """Count it, and say once where a limit on cost is not one any more."""
        self._usage += usage
        if not self._unheld and (said := unheld(self._usage, self._settings)):
            self._unheld = True
            self._say(Text(f"  note: {said}", "yellow"))

    def _ran(self, event: CellRan) -> None:
        text = text_of(event.outputs, SHOWN_CHARS)
        if text:
            self._say(Text(text, "" if event.status == "ok" else "red"))
        for notice in event.notices:
            self._say(Text(f"  note: {cut(notice, 300)}", "yellow"))
        if not self._console.is_terminal:
            self._say(Text(f"  {event.status} in {event.seconds:.1f} s · {self._totals()}", "dim"))

    def _say(self, what: RenderableType, *, soft_wrap: bool = True) -> None:
        if self._held is not None:
            self._held.append((what, soft_wrap))
            return
        with nullcontext() if self._live is None else self._live.drawing:
            self._console.print(what, soft_wrap=soft_wrap)

    def _say_prose(self, replied: Replied) -> None:
        """Say what the LM wrote around its code, which is shown as it runs. A small LM writes a
        query, or nothing but the answer: its cell has both."""
        if self._settings.get("prompt") == "small":
            return
        prose = without_code(replied.text)
        if prose:
            self._say(Text(f"[{replied.node}] {cut(prose, SHOWN_CHARS)}", "italic"))

    def _say_code(self, source: str) -> None:
        if self._console.is_terminal:
            code = Syntax(source, "python", background_color="default", word_wrap=True)
            self._say(code, soft_wrap=False)
        else:
            self._say(Text(source))

    def _totals(self) -> str:
        sizes = [counted(self._turn, "turn"), counted(self._calls, "sub-call"), spent(self._usage)]
        return " · ".join([*sizes, duration(time.monotonic() - self._started)])

    def _now(self) -> RenderableType:
        """Return the live lines: what is being written, what is being done, what it has cost."""
        if self._held is not None:
            return Text("> ")
        # They say themselves how they wrap: Rich draws them as what is printed above them is, of
        # which the terminal wraps the lines, and then takes too few back.
        status = Text(
            f"⏵ {self._doing} · {self._totals()}", "green", no_wrap=False, overflow="fold"
        )
        if not self._reply:
            return status
        tail = "\n".join(self._reply.splitlines()[-CODE_LINES:])
        return Group(Text(tail, "dim", no_wrap=True, overflow="ellipsis"), status)


def _writing(turn: int) -> str:
    return f"turn {turn}: writing" if turn else "reading the question"


def _waiting(turn: int) -> str:
    return f"turn {turn}: waiting for the LM" if turn else "reading the question"
