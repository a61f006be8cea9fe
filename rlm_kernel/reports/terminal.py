"""The one way to the human's terminal, for all that is not ours: it is shown and never obeyed.

A cell's output, an LM's text, an endpoint's error, a file's name or a log record may hold escape
sequences: they would write to the clipboard, draw links and titles, or hide what was said before.
Our own colours and live displays are made here, behind the gate.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ..record.filters import for_terminal
from .gate import checked_output, gated, ungated

_COMMAND = re.compile(r"`[^`]*`")
_HELD = "\0"


class Terminal(Console):
    """A console of which only the styles and the control codes of what is drawn are obeyed."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else _harmless(segment)


def _harmless(segment: Segment) -> Segment:
    style = segment.style
    if style is not None and style.link:  # nothing of ours is one
        style = style.update_link(None)
    return Segment(for_terminal(segment.text), style)


class _Unheard:
    """A stream of which nothing depends: what cannot be written is forgotten. Rich would end the
    process for a pipe that nobody reads, on whatever thread it writes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Checked:
    """Standard output that raises ``RLMError`` where it cannot be written to."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with checked_output():
            return self._stream.write(text)

    def flush(self) -> None:
        with checked_output():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def live(display: AbstractContextManager[object]) -> Iterator[None]:
    """Show a live display of Rich's. It takes over both streams and would obey the colours and
    links that are printed meanwhile."""
    with display, gated():
        yield


def print_sentence(console: Console, text: str, style: str = "") -> None:
    """Print a text in lines that end between words at a terminal, in one line elsewhere; no path
    is broken, nor a command between backticks: it is to be copied."""
    if console.is_terminal:
        text = "\n".join(_wrapped(line, console.width) for line in text.splitlines())
    console.print(Text(text, style), soft_wrap=True)


def _wrapped(line: str, width: int) -> str:
    held = _COMMAND.sub(lambda command: command[0].replace(" ", _HELD), line)
    filled = textwrap.fill(held, width, break_long_words=False, break_on_hyphens=False)
    return filled.replace(_HELD, " ")


def standard_error(**options: Any) -> Terminal:
    """Return a console for progress and messages; ``options`` are those of
    ``rich.console.Console``."""
    if sys.stderr is None:
        return Terminal(stderr=True, **options)
    heard: Any = _Unheard(ungated(sys.stderr))
    return Terminal(file=heard, **options)


def standard_output(**options: Any) -> Terminal:
    """Return a console for what a command is asked to show; ``options`` as for ``standard_error``.

    Printing raises ``RLMError`` where the stream cannot be written to.
    """
    if sys.stdout is None:
        return Terminal(**options)
    checked: Any = _Checked(ungated(sys.stdout))
    return Terminal(file=checked, **options)
