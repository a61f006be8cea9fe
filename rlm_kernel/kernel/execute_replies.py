"""What a front end is told at the end of a request."""

from __future__ import annotations

import time
from typing import Any

from ..environments.messages import Message
from ..events import ROOT, CellRan
from ..repl.running_cell import Author, Ran
from .cell_parser import Completion

ExecuteReply = tuple[dict[str, Any], dict[str, Any]]
"""The content and the metadata of an ``execute_reply``."""


def done(count: int) -> ExecuteReply:
    """Of a cell that ended well."""
    empty: dict[str, Any] = {"user_expressions": {}, "payload": []}
    return {"status": "ok", "execution_count": count, **empty}, {}


def ename(ran: Ran) -> str | None:
    return None if ran.reply is None else ran.reply["content"].get("ename")


def cell_ran(cell: int, code: str, ran: Ran, author: Author = "human") -> CellRan:
    """The record of a cell for what is asked later. Notices are for the LM."""
    return CellRan(
        ROOT,
        cell,
        0,
        code,
        author,
        ran.status,
        ran.outputs,
        ran.notices if author == "lm" else [],
        ran.answer,
        ran.execution_count,
        ran.seconds,
        time.time(),
        ran.inputs,
    )


def death(reason: str, names: list[str]) -> str:
    lost = ", ".join(names) or "none"
    return (
        f"{reason}. A new kernel was started; it has the context, if one was given by path. "
        f"Variables that were lost: {lost}"
    )


def completion(found: Completion) -> Message:
    content = {
        "status": "ok",
        "matches": found.matches,
        "cursor_start": found.start,
        "cursor_end": found.end,
        "metadata": {},
    }
    return {"content": content, "metadata": {}}
