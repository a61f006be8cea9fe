"""The present moment of a run: a block of one height below its progress."""

from __future__ import annotations

from typing import assert_never

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
from ...lm import cells, thoughts
from ...record.markdown import fenced, literal, one_line, quote, shorten
from ...record.numbers import counted
from ...record.outputs import text_of
from .card import Link, child_link
from .prose import inside

LINES = 9
"""Lines of code, of output and of children together."""
OUTPUT_LINES = 4
HEIGHT = "16.5em"
"""Room for them, whatever they are: what stands below must not move with each update."""
LINE_CHARS = 100
PROSE_LINES = 4
PROSE_CHARS = 300
KEPT_CHARS = 30_000
HEAD_CHARS = 1_000
OUTPUT_CHARS = 4_000
CHILDREN = 4


class Live:
    """Takes events; ``view`` may be asked at any moment. Holds the tail of long texts only."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._doing = "starting the kernel"
        self._reply = ""
        self._source = ""
        self._proposed = ""
        self._output = ""
        self._size = ""
        self._asked = 0
        self._done = 0
        self._children: dict[str, str] = {}

    def add(self, event: Event) -> None:
        match event:
            case NodeStarted(depth=depth) if depth:
                self._children[event.node] = shorten(one_line(event.question[:2000]), 120)
            case NodeEnded():
                self._children.pop(event.node, None)
            case Prompted(node=events.ROOT):
                # What the last cell was and gave stays to be looked at meanwhile.
                self._doing = "waiting for the LM" if event.turn else "classifying the question"
                self._asked = 0
            case ReplyDelta(node=events.ROOT):
                self._write(event.text)
            case Replied(node=events.ROOT) if event.turn:
                self._begin("running the turn's cells")
                self._source = next(iter(cells.sources(event.text)), "")
            case CellStarted(node=events.ROOT):
                self._begin(f"running cell {event.cell}")
                self._source = event.source
            case CellProposed():
                self._doing = "a cell waits for you"
                self._proposed = event.source
            case CellDecided():
                self._doing = f"{event.choice} by you"
                self._proposed = ""
            case OutputMade(node=events.ROOT):
                self._put_out(event)
            case CellRan(node=events.ROOT) if event.turn:
                self._doing = f"cell {event.cell}: {event.status}"
            case CallStarted(node=events.ROOT):
                self._asked += event.count
                self._size = literal(event.size)
            case CallEnded(node=events.ROOT):
                self._done += 1
            case (
                NodeStarted()
                | Prompted()
                | ReplyDelta()
                | Replied()
                | CellStarted()
                | OutputMade()
                | CellRan()
                | CallStarted()
                | CallEnded()
                | RunStarted()
                | ContextSet()
                | KernelRestarted()
                | RunEnded()
            ):
                pass
            case _:
                assert_never(event)

    def _begin(self, doing: str) -> None:
        self._doing = doing
        self._reply = self._source = self._output = ""
        self._asked = self._done = 0
        self._size = ""

    def _write(self, text: str) -> None:
        if not self._reply:
            self._begin("writing")
        # A form feed says that the reply begins anew.
        self._reply = "" if text == "\f" else _shorter(self._reply + text)

    def _put_out(self, event: OutputMade) -> None:
        output = event.output
        stream = output.get("output_type") == "stream"
        text = str(output["text"]) if stream else text_of([output], OUTPUT_CHARS) + "\n"
        self._output = (self._output + text)[-OUTPUT_CHARS:]

    def doing(self) -> str:
        """Say in a few words what is going on, as Markdown."""
        if not self._asked:
            return f"*{self._doing}*"
        done = min(self._done, self._asked)
        bar = f'<progress max="{self._asked}" value="{done}"></progress>'
        size = f" · {self._size}" if self._size else ""
        return f"*{self._doing}* · {bar} {done:,} of {self._asked:,} calls answered{size}"

    def view(self) -> str:
        """Return Markdown for a display that is replaced with each update."""
        below = self._below()
        stream = {"output_type": "stream", "name": "stdout", "text": self._output}
        output = text_of([stream], OUTPUT_CHARS)
        shown = _tail(output, OUTPUT_LINES, LINE_CHARS) if output.strip() else ""
        room = LINES - len(below) - shown.count("\n") - bool(shown)
        parts = [self.doing(), "\n".join(below), *self._written(room)]
        if source := self._proposed or self._source:
            parts.append(_code(source, room))
        if shown:
            parts.append(inside(fenced(shown, "")))
        view = "\n\n".join(filter(None, parts))
        return f'<div style="height: {HEIGHT}; overflow: hidden">\n\n{view}\n\n</div>'

    def _written(self, room: int) -> list[str]:
        """Show the reply as far as it is written: its newest block, or the prose before it."""
        said = thoughts.split(self._reply)
        blocks = cells.blocks(said.text)
        if blocks:
            return [_code(blocks[-1].source, room)]
        shown = said.text if said.text.strip() else said.thoughts
        return [quote(_tail(shown, PROSE_LINES, PROSE_CHARS))] if shown.strip() else []

    def _below(self) -> list[str]:
        shown = list(self._children.items())[:CHILDREN]
        lines = [f"- {child_link(node, self._link)} · {literal(text)}" for node, text in shown]
        more = len(self._children) - len(shown)
        if more:
            lines.append(f"- and {more:,} more {'child' if more == 1 else 'children'}")
        return lines


def _shorter(reply: str) -> str:
    """Cut the middle: the beginning tells whether what is written now is a thought."""
    over = len(reply) - KEPT_CHARS
    return reply if over <= 0 else reply[:HEAD_CHARS] + reply[HEAD_CHARS + over :]


def _code(source: str, lines: int) -> str:
    return fenced(_tail(source, lines, LINE_CHARS, mark="# "), "python")


def _tail(text: str, lines: int, chars: int, mark: str = "") -> str:
    """Return the last lines, each of so many characters at most; what is above is counted after
    ``mark``."""
    every = text.rstrip("\n").splitlines()
    kept = every if len(every) <= lines else every[1 - lines :]
    kept = [shorten(line, chars) for line in kept]
    above = len(every) - len(kept)
    return "\n".join([f"{mark}… {counted(above, 'line')} above …"] * (above > 0) + kept)
