"""A run as a person at a terminal sees it: live where there is one, plain lines otherwise."""

from __future__ import annotations

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
from ..record.headings import REPEATED, Course
from ..record.numbers import counted, unheld
from ..record.outputs import cut, text_of
from ..reports.terminal import live

SHOWN_CHARS = 1200
CODE_LINES = 16


@dataclass
class _Turn:
    replied: Replied
    ran: list[CellRan] = field(default_factory=list)


class _Live(Live):
    """Live lines that can be held, so that they are not drawn over what is typed."""

    held = False

    def hold(self) -> None:
        """Draw them once more, and not again while they are ``held``."""
        self.refresh()
        self.held = True

    def refresh(self) -> None:
        if not self.held:
            super().refresh()


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
    def asking(self, question: str) -> Iterator[None]:
        """Show a question, and nothing else in the body, where the human types a reply."""
        self._say(Text(f"The LM asks: {question}", "bold yellow"))
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
            case ReplyDelta():
                self._reply = "" if event.text == "\f" else self._reply + event.text
                self._doing = f"turn {event.turn}: writing"
            case Replied():
                self._turn = max(self._turn, event.turn)
                if event.turn:
                    self._turns[event.node] = _Turn(event)
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
            case KernelRestarted():
                self._say(Text(f"  kernel restarted: {event.reason}", "yellow"))
            case RunEnded():
                self._say(Text(f"{event.status} · {self._totals()}", "bold"))
            case Prompted() | NodeEnded():
                if (turn := self._turns.pop(event.node, None)) is not None:
                    self._tell_unrun(event.node, turn)
            case OutputMade():
                pass

    def _tell_unrun(self, node: str, turn: _Turn) -> None:
        """Say of a turn that ran nothing new why."""
        status = self._courses.setdefault(node, Course()).status(turn.replied, turn.ran)
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
        if self._held is None:
            self._console.print(what, soft_wrap=soft_wrap)
        else:
            self._held.append((what, soft_wrap))

    def _say_code(self, source: str) -> None:
        if self._console.is_terminal:
            code = Syntax(source, "python", background_color="default", word_wrap=True)
            self._say(code, soft_wrap=False)
        else:
            self._say(Text(source))

    def _totals(self) -> str:
        usage = self._usage
        cost = f"${usage.cost:.4f}" + (" + unpriced" if usage.unpriced else "")
        seconds = time.monotonic() - self._started
        return (
            f"{counted(self._turn, 'turn')} · {counted(self._calls, 'sub-call')} · "
            f"{counted(usage.tokens, 'token')} · {cost} · {seconds:.1f} s"
        )

    def _now(self) -> RenderableType:
        """Return the live lines: what is being written, what is being done, what it has cost."""
        if self._held is not None:
            return Text("> ")
        status = Text(f"⏵ {self._doing} · {self._totals()}", "green")
        if not self._reply:
            return status
        tail = "\n".join(self._reply.splitlines()[-CODE_LINES:])
        return Group(Text(tail, "dim"), status)
