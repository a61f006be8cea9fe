"""Standard error, without which a run goes on, and standard output, without which it says so."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from rich.console import Console

from ..errors import RLMError


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


def standard_error(**options: Any) -> Console:
    """A console for progress and messages; ``options`` are those of ``rich.console.Console``."""
    if sys.stderr is None:
        return Console(stderr=True, **options)
    heard: Any = _Unheard(sys.stderr)
    return Console(file=heard, **options)


def write_answer(text: str, where: str) -> None:
    """Write to standard output. Raises ``RLMError``, which says ``where`` the answer is too."""
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")
        sys.stdout.flush()
    except OSError as error:
        _forget_output()
        raise RLMError(
            f"the answer cannot be written to standard output ({error}); it is in {where}"
        ) from error


def _forget_output() -> None:
    """What is still to be written would be tried again, and fail again, when Python ends."""
    if sys.stdout is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
