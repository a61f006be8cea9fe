"""Standard output: the answer and what else a command was asked for, or an error that says so."""

from __future__ import annotations

import os
import sys

from ..errors import RLMError
from ..record.filters import for_terminal
from ..reports.terminal import ungated


def write_answer(text: str, where: str) -> None:
    """Write to standard output: byte for byte, but to a terminal what it would not obey.

    Raises ``RLMError``, which says ``where`` the answer is too.
    """
    try:
        _write(text)
    except OSError as error:
        raise RLMError(
            f"the answer cannot be written to standard output ({error}); it is in {where}"
        ) from error


def write_line(text: str) -> None:
    """Write a line as ``write_answer`` does. Raises ``RLMError``, and ``BrokenPipeError`` where
    nobody reads any more."""
    try:
        _write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RLMError(f"standard output cannot be written to: {error}") from error


def _write(text: str) -> None:
    if sys.stdout is None:
        raise OSError("it is closed")
    out, encoding = ungated(sys.stdout), "utf-8"
    if out.isatty():  # which takes other bytes than its own encoding's for commands, too
        text, encoding = for_terminal(text), out.encoding
    try:
        out.flush()
        out.buffer.write(text.encode(encoding, "backslashreplace") + b"\n")
        out.flush()
    except OSError:
        _forget_output()
        raise


def _forget_output() -> None:
    """What is still to be written would be tried again, and fail again, when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
