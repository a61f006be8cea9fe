"""A kernel's parts for cells that run in this process: its stream, its errors, its context."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

from ..inputs.contexts import Source
from ..remote.guest.values import opened


class Stream:
    """The file that the cell's ``print`` writes to."""

    def __init__(self, show: Callable[[str, dict[str, Any]], object]) -> None:
        self._show = show

    def write(self, text: str) -> int:
        self._show("stream", {"name": "stdout", "text": text})
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def loaded(source: Source) -> tuple[Any, list[str]]:
    """Return the value of a context, and notes on how it was read."""
    if source.path is not None and source.kind != "folder":
        return opened(source.spec(), str(source.path))
    handle, path = tempfile.mkstemp(prefix="rlm-fake-")
    with os.fdopen(handle, "wb") as file:
        file.write(source.data or b"")
    if source.kind == "folder":
        return opened({**source.spec(), "files": path}, str(source.path))
    return opened({**source.spec(), "remove": True}, path)


def error_content(error: Exception, source: str) -> dict[str, Any]:
    """Return the error as a kernel's message tells it, with the line of the cell."""
    trace = traceback.extract_tb(error.__traceback__)
    at = [frame.lineno or 0 for frame in trace if frame.filename == "<cell>"]
    lines = source.splitlines()
    arrow = [f"----> {at[0]} {lines[at[0] - 1]}"] if at and at[0] <= len(lines) else []
    name = type(error).__name__
    return {"ename": name, "evalue": str(error), "traceback": [*arrow, f"{name}: {error}"]}
