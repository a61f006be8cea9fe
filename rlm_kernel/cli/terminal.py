"""Writing to standard output: the answer and what else a command was asked for."""

from __future__ import annotations

import sys

from ..errors import RLMError
from ..record.filters import for_terminal
from ..reports.gate import checked_output, forget_output, ungated


def write_answer(text: str, where: str) -> None:
    """Write to standard output: byte for byte, but to a terminal what it would not obey.

    Raises ``RLMError``, which says ``where`` the answer is too.
    """
    try:
        _write(f"{text}\n")
    except OSError as error:
        forget_output()
        raise RLMError(
            f"the answer cannot be written to standard output ({error}); it is in {where}"
        ) from error


def write_line(text: str) -> None:
    """``write_text`` with the end of a line."""
    write_text(f"{text}\n")


def write_text(text: str) -> None:
    """Write as ``write_answer`` does. Raises ``RLMError``, and ``BrokenPipeError`` where nobody
    reads any more."""
    with checked_output():
        _write(text)


def _write(text: str) -> None:
    if sys.stdout is None:
        raise OSError("it is closed")
    out, encoding = ungated(sys.stdout), "utf-8"
    if out.isatty():  # which takes other bytes than its own encoding's for commands, too
        text, encoding = for_terminal(text), out.encoding
    out.flush()
    out.buffer.write(text.encode(encoding, "backslashreplace"))
    out.flush()
