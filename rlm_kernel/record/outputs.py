"""What a cell put out: from the kernel's messages to notebook outputs, and to text for the LM."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from ..events import Output
from .displays import display_text
from .filters import CLEANERS, safe
from .tracebacks import error_text

ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]"
)
"""Colours and moves of the cursor; titles, links and other strings; what is left of either."""
CUT_TYPES = ("text/plain", "text/markdown", "text/latex")
"""MIME types that can be cut anywhere; of the others all or nothing is kept."""
MAX_RICH_CHARS = 8_000_000
MAX_ERRORS = 20
"""Errors of one cell that are kept although there is no room; a cell has one that is its own."""
MAX_LINES = 1_000
_BESIDE = (
    "status", "execute_input", "comm_open", "comm_msg", "comm_close", "debug_event",
    "iopub_welcome", "shutdown_reply",
)  # fmt: skip
"""Messages that are no output, and that nobody misses where the cell's outputs are read."""


class _Text:
    """A stream's text: its beginning and its end, with what lay between counted."""

    def __init__(self, keep: int) -> None:
        self._half = max(keep // 2, 1)
        self.head = ""
        self.tail = ""
        self.cut = 0

    def add(self, text: str) -> None:
        room = self._half - len(self.head)
        if room > 0:
            self.head += text[:room]
            text = text[room:]
        self.tail += text
        over = len(self.tail) - self._half
        if over > self._half:  # trimmed seldom, so that many small writes stay cheap
            self.cut += over
            self.tail = self.tail[over:]

    def text(self) -> str:
        over = max(len(self.tail) - self._half, 0) if self.cut else 0
        gap = self.cut + over
        if not gap:
            return self.head + self.tail
        return f"{self.head}\n… {gap:,} characters not kept …\n{self.tail[over:]}"


@dataclass
class _Kept:
    """One output; of a stream ``text`` is the text. ``area`` is the widget whose it is."""

    output: Output
    text: _Text | None
    area: str
    display_id: object

    def nbformat(self) -> Output:
        return dict(self.output, text=self.text.text()) if self.text else self.output


class Collector:
    """Builds a cell's outputs from the messages it caused, in bounded memory.

    At most ``max_chars`` of each stream block and text, ``max_outputs`` outputs and ``max_size``
    characters of displays are kept at a time; the rest is counted and said. What is cleared leaves
    its room: a picture that is drawn again and again is there as it was last.

    Displays are made harmless as they come in. With ``trust_html`` HTML, SVG, Markdown and LaTeX
    stay as the cell made them and may run scripts where they are shown; JavaScript and widgets
    are not kept even then.
    """

    def __init__(
        self,
        max_chars: int = 200_000,
        max_outputs: int = 500,
        max_size: int = 32_000_000,
        trust_html: bool = False,
    ) -> None:
        self._max_chars = max_chars
        self._max_outputs = max_outputs
        self._room = max_size
        self._trust_html = trust_html
        self._items: list[_Kept] = []
        self._dropped: Counter[str] = Counter()  # by area
        self._areas = _Areas()
        self._clear_next: set[str] = set()  # areas that are cleared when something comes for them
        self._errors = 0

    def add(self, kind: str, content: dict[str, Any]) -> Output | None:
        """Take an iopub message; returns the output it made, if it made a new one."""
        area = self._areas.now
        if kind == "clear_output":
            self._clear_next.add(area)
            if not content.get("wait"):
                self._clear(area)
            return None
        if kind == "comm_msg":
            self._areas.take(content)
            return None
        if kind == "update_display_data":
            self._update(content)
            return None
        output = _output(kind, content, self._max_chars, self._trust_html)
        if output is None:
            return None
        if area in self._clear_next:
            self._clear(area)
        return self._keep(output, area, content.get("transient", {}).get("display_id"))

    def _clear(self, area: str) -> None:
        self._clear_next.discard(area)
        cleared = [kept.output for kept in self._items if kept.area == area]
        self._room += sum(map(_size, cleared))
        self._errors -= sum(output["output_type"] == "error" for output in cleared)
        self._items = [kept for kept in self._items if kept.area != area]
        del self._dropped[area]

    def _keep(self, output: Output, area: str, display_id: object) -> Output | None:
        text = None
        full = len(self._items) >= self._max_outputs
        if output["output_type"] == "stream":
            text = self._block(output["name"], area, anywhere=full)
            if text is not None:
                text.add(output["text"])
                return output
            text = _Text(self._max_chars)
            text.add(output["text"])
        # An error is the last thing a cell says; it must survive a flood of displays.
        room = self._room - _size(output)
        full = full or room < 0
        if full and (output["output_type"] != "error" or self._errors >= MAX_ERRORS):
            self._dropped[area] += 1
            return None
        self._errors += output["output_type"] == "error"
        self._room = room
        self._items.append(_Kept(output=output, text=text, area=area, display_id=display_id))
        return output

    def _block(self, name: str, area: str, *, anywhere: bool) -> _Text | None:
        """Return the stream's block that goes on: the last output, or where there is no room for
        another one the last of its kind, so that the end of the stream is kept."""
        for kept in reversed(self._items if anywhere else self._items[-1:]):
            if kept.text is not None and (kept.output["name"], kept.area) == (name, area):
                return kept.text
        return None

    def _update(self, content: dict[str, Any]) -> None:
        new = _output("display_data", content, self._max_chars, self._trust_html)
        display_id = content.get("transient", {}).get("display_id")
        for kept in self._items if new is not None and display_id else ():
            if kept.display_id != display_id:
                continue
            assert new is not None
            room = self._room + _size(kept.output) - _size(new)
            if room < 0:
                self._dropped[kept.area] += 1
            else:
                kept.output.update(data=new["data"], metadata=new["metadata"])
                self._room = room

    @property
    def outputs(self) -> list[Output]:
        """The outputs so far, as nbformat wants them."""
        kept = [item.nbformat() for item in self._items]
        if dropped := self._dropped.total():
            note = f"… {dropped:,} more outputs not kept …\n"
            kept.append({"output_type": "stream", "name": "stderr", "text": note})
        return kept


class _Areas:
    """The choice of the area that takes what a cell puts out: a widget's, inside of
    ``with output:``, or the cell's own, which has no name. ``clear_output`` clears that one."""

    MOST = 100
    """Widgets that are told apart; the others' outputs count as the cell's own."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._entered: list[str] = []

    @property
    def now(self) -> str:
        return self._entered[-1] if self._entered else ""

    def take(self, content: dict[str, Any]) -> None:
        """Take a widget's message: its output area has the message id of what it takes."""
        data = content.get("data")
        state = data.get("state") if isinstance(data, dict) else None
        if not isinstance(state, dict) or "msg_id" not in state:
            return
        area = str(content.get("comm_id"))[:100]
        if area in self._entered:
            self._entered.remove(area)
        if state["msg_id"] and (area in self._known or len(self._known) < self.MOST):
            self._known.add(area)
            self._entered.append(area)


def _output(kind: str, content: dict[str, Any], most: int, trust_html: bool) -> Output | None:
    """Return the nbformat output of one message, untrusted parts left out; None for one that is
    none."""
    if kind == "stream":
        return {
            "output_type": "stream",
            "name": content["name"],
            "text": content["text"],
        }
    if kind == "error":
        return {
            "output_type": "error",
            "ename": cut(content["ename"], most),
            "evalue": cut(content["evalue"], most),
            "traceback": _traced(content["traceback"], most),
        }
    if kind in _BESIDE:
        return None
    if kind not in ("display_data", "execute_result"):
        said = f"rlm: a message of type {cut(kind, 100)!r} is not shown\n"
        return {"output_type": "stream", "name": "stderr", "text": said}
    data, metadata = _bundle(content, most, trust_html)
    output: Output = {"output_type": kind, "data": data, "metadata": metadata}
    if kind == "execute_result":
        output["execution_count"] = content.get("execution_count")
    return output


def _traced(lines: list[str], most: int) -> list[str]:
    """Return the lines of a traceback; one text with its middle cut where they are too long."""
    if len(lines) <= MAX_LINES and sum(map(len, lines)) <= most:
        return lines
    return [cut("\n".join(lines), most)]


def _bundle(
    content: dict[str, Any], most: int, trust_html: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a display's data and metadata, or a line that says what is not shown."""
    data = {m: _kept(m, v, most) for m, v in content["data"].items() if m in CLEANERS}
    data = {mime: value for mime, value in data.items() if value is not None}
    metadata = content.get("metadata", {})
    if not trust_html:  # after the cut, which could turn the middle of a line into its beginning
        data, metadata = safe(data, metadata)
    if data:
        return data, metadata
    left_out = cut(", ".join(content["data"]), 1_000) or "nothing"
    return {"text/plain": f"[output of type {left_out}: not shown]"}, {}


def _kept(mime: str, value: Any, most: int) -> Any:
    """Return the value as far as a notebook is to keep it; None if too large."""
    if mime in CUT_TYPES:
        return cut(value, most)
    return value if len(str(value)) <= MAX_RICH_CHARS else None


def _size(output: Output) -> int:
    """Count the characters of a display."""
    return sum(len(str(value)) for value in output.get("data", {}).values())


# -- text for the LM ------------------------------------------------------------------------------
def cut(text: str, size: int) -> str:
    """Return ``text`` in at most ``size`` characters: head and tail, and how many were cut between.

    A size too small for the note gives the first ``size`` characters.
    """
    if len(text) <= size:
        return text
    note = f"\n… {len(text):,} characters in all, cut to {size:,} …\n"
    room = size - len(note)
    if room < 2:
        return text[:size]
    head = (room * 2) // 3
    return text[:head] + note + text[len(text) - (room - head) :]


def text_of(outputs: list[Output], size: int) -> str:
    """Return the outputs as the LM reads them, in at most ``size`` characters.

    The error, if any, is never cut away: it has up to half of the room and stands last.
    """
    error = "\n".join(_error_text(o) for o in outputs if o["output_type"] == "error")
    error = cut(error, max(size // 2, 1))
    rest = "".join(_shown(o) for o in outputs if o["output_type"] != "error").rstrip("\n")
    rest = cut(rest, max(size - len(error) - 1, 0))
    return "\n".join(part for part in (rest, error) if part)


def _shown(output: Output) -> str:
    if output["output_type"] == "stream":
        return _overwritten(ANSI.sub("", output["text"]))
    data = output["data"]
    text = display_text(data)
    if text is None:
        return f"[{', '.join(data)}]\n"
    image = next((f" ({m})" for m in data if m.startswith("image/")), "")
    return f"{text}{image}\n"


def _overwritten(text: str) -> str:
    """Return the text after carriage returns, as a terminal would show it; a progress bar is one
    line."""
    if "\r" not in text:
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)


def _error_text(output: Output) -> str:
    """Return the error with the frames that led to it."""
    traceback = ANSI.sub("", "\n".join(output["traceback"]))
    return error_text(str(output["ename"]), str(output["evalue"]), traceback)
