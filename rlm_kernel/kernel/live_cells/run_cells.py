"""The cells of one run, made of its events as they come."""

from __future__ import annotations

import time
from collections.abc import Callable
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
    Usage,
)
from ...lm import cells, thoughts
from ...record.markdown import printable
from ...record.notebooks.prose import without_blocks
from ...record.numbers import counted, duration, money
from ...record.outputs import cut
from ..display.prose import words
from .shown import ShownCell, put_out

SOURCE_CHARS = 100_000
PROSE_CHARS = 20_000
REPLY_CHARS = 400_000
"""The most that is read of a reply while it is written."""

REST = 4
"""How long nothing is read of a reply that is being written, by how long the reading took."""

Changed = Callable[[ShownCell, str], None]
"""Is told of a cell that is new or otherwise, and of which of its ``FIELDS``."""


class RunCells:
    """A reader of events: the root's prose and cells. ``changed`` is told of each change,
    ``removed`` of a cell that was written and will not be run."""

    def __init__(self, changed: Changed, removed: Callable[[ShownCell], None]) -> None:
        self.cells: dict[str, ShownCell] = {}
        self.ran: list[CellRan] = []
        """The LM's cells that ran, in their order."""
        self._changed = changed
        self._removed = removed
        self._turn = _Turn(0)

    def __call__(self, event: Event) -> None:
        match event:
            case Prompted(node=events.ROOT) if event.turn:
                self._settle()
                self._turn = _Turn(event.turn)
            case ReplyDelta(node=events.ROOT) if event.turn:
                self._write(event.text)
            case Replied(node=events.ROOT) if event.turn:
                self._replied(event)
            case CellStarted(node=events.ROOT) if event.turn:
                self._start(event)
            case OutputMade(node=events.ROOT):
                self._put_out(event)
            case CallStarted(node=events.ROOT):
                self._turn.asked += event.count
                self._badge()
            case CallEnded(node=events.ROOT):
                self._call(event)
            case CellRan(node=events.ROOT) if event.turn:
                self._end(event)
            case NodeEnded(node=events.ROOT):
                self._settle()
            case (
                Prompted()
                | ReplyDelta()
                | Replied()
                | CellStarted()
                | OutputMade()
                | CallStarted()
                | CallEnded()
                | CellRan()
                | NodeEnded()
                | RunStarted()
                | NodeStarted()
                | ContextSet()
                | CellDecided()
                | CellProposed()
                | KernelRestarted()
                | RunEnded()
            ):
                pass
            case _:
                assert_never(event)

    def next(self, turn: int) -> str:
        """Return the key of the cell that is the next to run in this turn."""
        return f"{turn:04}-{len(self._turn.started) + 1:02}"

    def close(self) -> None:
        """Let nothing look as if it went on."""
        self._settle()
        for cell in self.cells.values():
            if cell.state in ("writing", "running"):
                self._set(cell, state="stopped")

    def after(self, number: int) -> list[str]:
        """Return the keys of the cells that came after the kernel's cell of this number, and of the
        prose from there on."""
        ran = [cell for cell in self.cells.values() if (cell.number or 0) > number]
        if not ran:
            return []
        turn, first = min((cell.turn, cell.key) for cell in ran)
        begun = any(c.turn == turn and c.number and c.number <= number for c in self.cells.values())
        return sorted(key for key in self.cells if key >= (first if begun else f"{turn:04}-00"))

    # what is written
    def _write(self, text: str) -> None:
        # A form feed says that the reply begins anew.
        reply = "" if text == "\f" else self._turn.reply + text
        self._turn.reply = reply[:REPLY_CHARS]
        began = time.monotonic()
        if began >= self._turn.rests_until:
            self._show(self._turn.reply)
            # A reply is read anew with each piece of it: the longer it is, the more seldom.
            self._turn.rests_until = time.monotonic() + REST * (time.monotonic() - began)

    def _replied(self, event: Replied) -> None:
        self._turn.reply = event.text
        self._turn.seconds, self._turn.usage = event.seconds, event.usage
        self._show(event.text)

    def _show(self, reply: str) -> None:
        said = thoughts.split(reply).text
        blocks = cells.blocks(said)
        # A fence whose beginning alone has come is no prose: it would leave an empty cell.
        begun = said.partition("```")[0].rstrip("`")
        self._say(cells.prose(said) if blocks else begun)
        for number, block in enumerate(blocks[: cells.MAX_CELLS], 1):
            if number > len(self._turn.started):
                self._set(self._cell(number), source=code(block.source))

    def _say(self, prose: str) -> None:
        text = words(cut(prose.strip(), PROSE_CHARS))
        if text or self._key(0) in self.cells:
            self._set(self._cell(0), source=text, state="ok")

    # what is run
    def _start(self, event: CellStarted) -> None:
        self._turn.started.append(event.source)
        self._turn.cell = event.cell
        self._turn.asked = self._turn.answered = 0
        self._turn.running = self._cell(len(self._turn.started))
        self._set(self._turn.running, source=code(event.source), state="running", outputs=[])
        self._badge()

    def _put_out(self, event: OutputMade) -> None:
        if (cell := self._turn.running) is not None:
            put_out(cell.outputs, event.output)
            self._changed(cell, "outputs")

    def _call(self, event: CallEnded) -> None:
        self._turn.answered += event.op != "tool"
        self._turn.usage += event.usage
        self._badge()

    def _end(self, event: CellRan) -> None:
        self.ran.append(event)
        if (cell := self._turn.running) is None:
            return
        self._turn.running = None
        self._turn.seconds += event.seconds
        cell.number = event.cell
        self._set(cell, outputs=event.outputs, count=event.execution_count, state=event.status)
        self._set(cell, badge=self._turn.badge(event.status))
        self._turn.seconds, self._turn.usage = 0.0, Usage()  # of the turn's next cell

    def _badge(self) -> None:
        if (cell := self._turn.running) is not None:
            self._set(cell, badge=self._turn.badge("running"))

    def _settle(self) -> None:
        """End a turn: code that was written and not run is part of what was said, as in the
        record."""
        turn = self._turn
        said = thoughts.split(turn.reply).text
        left = [key for key, cell in self.cells.items() if _of(cell, turn, "writing")]
        if left:
            self._say(without_blocks(said, turn.started))
        for key in left:
            self._removed(self.cells.pop(key))

    # cells
    def _key(self, number: int) -> str:
        return f"{self._turn.number:04}-{number:02}"

    def _cell(self, number: int) -> ShownCell:
        """Return the turn's cell of this number, new if need be; 0 is what it says."""
        key = self._key(number)
        if key not in self.cells:
            kind = "code" if number else "markdown"
            badge = f"turn {self._turn.number}" if number else ""
            self.cells[key] = ShownCell(key, self._turn.number, kind, badge=badge)  # type: ignore[arg-type]
            self._changed(self.cells[key], "state")
            self._changed(self.cells[key], "badge")
        return self.cells[key]

    def _set(self, cell: ShownCell, **values: object) -> None:
        for name, value in values.items():
            if getattr(cell, name) != value:
                setattr(cell, name, value)
                self._changed(cell, name)


class _Turn:
    """The turn that goes on: what it wrote, what its cells take."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.reply = ""
        self.rests_until = 0.0
        self.started: list[str] = []
        self.cell = 0
        """The number in the record of the cell that was started last, which is not the kernel's."""
        self.running: ShownCell | None = None
        self.seconds = 0.0
        self.usage = Usage()
        self.asked = 0
        self.answered = 0

    def badge(self, status: str) -> str:
        """Return in a line which cell it is, by the number by which records, ``%rlm back`` and our
        other words name it, and what the turn has taken so far."""
        parts = [f"turn {self.number}", f"cell {self.cell}", "" if status == "ok" else status]
        parts += [self._calls(status)]
        parts += [money(self.usage.cost) if self.usage.cost else ""]
        parts += [duration(self.seconds) if status != "running" else ""]
        return " · ".join(filter(None, parts))

    def _calls(self, status: str) -> str:
        if status == "running" and self.asked:
            return f"{min(self.answered, self.asked):,} of {self.asked:,} calls"
        return counted(self.answered, "call") if self.answered else ""


def _of(cell: ShownCell, turn: _Turn, state: str) -> bool:
    return cell.turn == turn.number and cell.kind == "code" and cell.state == state


def code(source: str) -> str:
    """Return the source as it stands in a notebook."""
    return printable(source)[:SOURCE_CHARS]
