"""An error as an LM reads it: the lines that led to it, and what it came of.

Of IPython's traceback the first frame is kept, the innermost one of a cell and the last two; files
are named by the last two parts of their paths. Where its form is another one, what has arrows is
kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_CAUSES = 3
MAX_CAUSE_CHARS = 500
_FRAME = re.compile(
    r"(?:(?P<cell>(?:Cell|Input) In ?\[\d+\](?:, line \d+)?)|File (?P<file>[^\n]+?))"
    r"(?:, in (?P<name>[^\n]+))?"
)
_ARROW = re.compile(r"-+> *\d+ ?(?P<code>.*)")
_RAISED = re.compile(r"^([\w.]+) +Traceback \(most recent call last\)$", re.MULTILINE)
_CHAIN = re.compile(
    r"^(?:(The above exception was the direct cause)|During handling of the above exception).*:$",
    re.MULTILINE,
)
_PLACE = re.compile(r"^[^\n]*\n *\^+(?= *$)", re.MULTILINE)
_NO_SOURCE = "'Could not get source"
_IN_CELL = re.compile(r" \(\d+\.py, line (\d+)\)$")
_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
"""Their frames repeat the line of the one around them, and IPython puts the arrow at another."""


@dataclass
class _Frame:
    """One frame: its file, empty for a cell; its function, empty for none; the line, marked."""

    file: str = ""
    name: str = ""
    arrow: str = ""

    @property
    def text(self) -> str:
        head = ", ".join(filter(None, [self.file, self.name and f"in {self.name}"]))
        return "\n".join(filter(None, [head and f"{head}:", self.arrow]))


def error_text(name: str, message: str, traceback: str) -> str:
    """Return an error as text: what it came of, the frames that led to it, its own line last."""
    *before, last = _CHAIN.split(traceback)
    own = f"{name}: " + _IN_CELL.sub(r" (line \1)", message)
    causes = list(map(_cause, before[::2], before[1::2]))
    kept = [cause for cause in causes if cause and not cause.endswith(own)][-MAX_CAUSES:]
    return "\n".join([*kept, *(_led(last) or _place(last)), own])


def _cause(traceback: str, direct: str | None) -> str:
    raised = _RAISED.search(traceback)
    at = traceback.rfind(f"\n{raised[1]}") if raised else -1
    text = traceback[at:].strip() if at > 0 else traceback.strip().rpartition("\n")[2]
    return f"{'Caused by' if direct else 'While handling'} {text[:MAX_CAUSE_CHARS]}" if text else ""


def _place(traceback: str) -> list[str]:
    """Return the line whose syntax is wrong, with a mark below the place."""
    found = list(_PLACE.finditer(traceback))
    return [found[-1].group()] if found else []


def _led(traceback: str) -> list[str]:
    """Return the texts of the frames that are kept; empty where no line is known of any."""
    frames: list[_Frame] = []
    for frame in _frames(traceback):
        if frame not in frames[-2:]:  # of functions that call one another without end
            frames.append(frame)
    frames = [f for f in frames if not f.name.endswith(_COMPREHENSIONS)] or frames
    if not any(frame.arrow for frame in frames):
        return []
    in_cells = [i for i, frame in enumerate(frames) if not frame.file]
    kept = sorted({0, *in_cells[-1:], *range(len(frames))[-2:]})
    gaps = [i - before > 1 for before, i in zip([-1, *kept], kept, strict=False)]
    return [
        f"…\n{frames[i].text}" if gap else frames[i].text for i, gap in zip(kept, gaps, strict=True)
    ]


def _frames(traceback: str) -> Iterator[_Frame]:
    frame = _Frame()
    for line in traceback.splitlines():
        if (at := _FRAME.fullmatch(line)) is not None:
            yield from filter(_said, [frame])
            file = "" if at["cell"] else "/".join(at["file"].split("/")[-2:])
            name = (at["name"] or "").partition("(")[0].replace(".<locals>", "")
            frame = _Frame(file, name)
        elif (arrow := _ARROW.match(line)) is not None:
            if frame.arrow:
                yield frame
                frame = _Frame()
            frame.arrow = "" if arrow["code"].startswith(_NO_SOURCE) else line
    yield from filter(_said, [frame])


def _said(frame: _Frame) -> bool:
    return bool(frame.text)
