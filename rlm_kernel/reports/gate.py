"""The way to the standard streams for what is plain text: see ``terminal``, without Rich."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from ..errors import RLMError
from ..record.filters import for_terminal


class _Gate:
    """A text stream from which nothing that is written reaches a terminal as a command."""

    def __init__(self, stream: TextIO) -> None:
        self.ungated = stream

    def write(self, text: str) -> int:
        self.ungated.write(for_terminal(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ungated, name)


@contextmanager
def gated() -> Iterator[None]:
    """Let print, logging, warnings, tracebacks and argparse write through the gate: on standard
    error always, on standard output where it is a terminal. What is piped stays as it is."""
    os.environ["PYTHON_COLORS"] = "0"  # of Python's own tracebacks and help, from 3.13 on
    kept = sys.stdout, sys.stderr
    gates: list[Any] = [None if stream is None else _Gate(stream) for stream in kept]
    if sys.stdout is not None and sys.stdout.isatty():
        sys.stdout = gates[0]
    sys.stderr = gates[1]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept


def ungated(stream: Any) -> Any:
    """Return the stream itself, for what is made harmless elsewhere."""
    return stream.ungated if isinstance(stream, _Gate) else stream


def flush_output() -> None:
    """Write what standard output still holds. Raises as ``checked_output`` does."""
    if sys.stdout is not None:
        with checked_output():
            sys.stdout.flush()


@contextmanager
def checked_output() -> Iterator[None]:
    """Raise ``RLMError`` where the body cannot write to standard output, ``BrokenPipeError`` where
    nobody reads it any more; what was still to be written is dropped."""
    try:
        yield
    except OSError as error:
        forget_output()
        if isinstance(error, BrokenPipeError):
            raise
        raise RLMError(f"standard output cannot be written to: {error}") from error


def forget_output() -> None:
    """Drop what standard output still holds: Python would try again at its end, and fail again."""
    if sys.stdout is None:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
