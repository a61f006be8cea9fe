"""Completion and inspection of our own lines by what there is: files, variables, models, runs."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager

from ..environments.messages import Message
from . import cell_parser
from .cell_parser import Completion, Kind
from .help import help_shown
from .inner_kernel import InnerKernel
from .live_cells.live_cells import LiveCells
from .notebook_session import NotebookSession

MOST = 500
"""The most that is offered."""
_SPECIAL = re.compile(r"([\s'\"\\])")
_HELP = re.compile(r"\s*(?:%%?rlm\?{1,2}|\?{1,2}%%?rlm)\s*")


def asks_for_help(code: str) -> bool:
    """Return whether a cell is ``%%rlm?`` or the like, and nothing else."""
    return _HELP.fullmatch(code) is not None


def inspected(code: str, cursor_pos: int) -> dict[str, Any] | None:
    """Return the content of a reply that tells of our own line at the cursor; None elsewhere."""
    if not cell_parser.is_ours(code, cursor_pos):
        return None
    return {"status": "ok", "found": True, "data": help_shown(), "metadata": {}}


class Completions:
    """Completes our own lines with what may stand there, by what a notebook's session has seen."""

    def __init__(self, notebook: NotebookSession, inner: InnerKernel, live: LiveCells) -> None:
        self._notebook = notebook
        self._inner = inner
        self._live = live
        self._found: dict[Kind, Callable[[str], Awaitable[Iterable[str]]]] = {
            "path": self._paths,
            "variable": self._variables,
            "model": self._models,
            "kernel": self._kernels,
            "run": self._runs,
            "turn": self._turns,
        }

    async def at(self, code: str, cursor_pos: int) -> Completion | None:
        """Return the candidates at the cursor; None on a line that is not ours."""
        words = cell_parser.complete(code, cursor_pos)
        wanted = cell_parser.wanted(code, cursor_pos)
        if wanted is None:
            return words
        found = [] if words is None else list(words.matches)
        for kind in wanted.kinds:
            for name in await self._found[kind](wanted.fragment):
                if name.startswith(wanted.fragment):
                    found.append(f"{wanted.before}{name}")
        start = cursor_pos - len(wanted.before) - len(wanted.fragment)
        return Completion(list(dict.fromkeys(found))[:MOST], start, cursor_pos)

    async def _paths(self, fragment: str) -> Iterable[str]:
        return await asyncio.to_thread(_paths, self._notebook.cwd, fragment)

    async def _variables(self, fragment: str) -> Iterable[str]:
        known, own = self._inner.known, self._notebook.own
        return [*(own.listed() if own else ()), *(known.names if known else ())]

    async def _models(self, fragment: str) -> Iterable[str]:
        force = self._notebook.force()
        caps = [force.caps.of(name) for name in ("model", "sub_model")]
        allowed = [name for cap in caps if cap is not None for name in cap.value]
        seen = [row.model for row in reversed(await self._notebook.runs.rows())]
        named = [force.settings.model, force.settings.sub_model, *allowed, *seen]
        return [name for name in named if name]

    async def _kernels(self, fragment: str) -> Iterable[str]:
        return sorted(await asyncio.to_thread(KernelSpecManager().find_kernel_specs))

    async def _runs(self, fragment: str) -> Iterable[str]:
        rows = await self._notebook.runs.questions()
        numbers = [str(number) for number in range(len(rows), 0, -1)]
        return [*numbers, *(row.path.name for row in reversed(rows) if len(fragment) > 3)]

    async def _turns(self, fragment: str) -> Iterable[str]:
        return list(dict.fromkeys(str(cell.turn) for cell in self._live.last.cells))


def _paths(cwd: Path, fragment: str) -> list[str]:
    """Return paths that begin so, folders with their slash, as they are to be written. Blocks."""
    written = re.sub(r"\\(.)", r"\1", fragment)
    above, begun = os.path.split(written)
    folder = cwd / Path(above).expanduser() if above else cwd
    head = fragment[: len(fragment) - len(_SPECIAL.sub(r"\\\1", begun))]
    try:
        with os.scandir(folder) as entries:
            found = [
                head + _SPECIAL.sub(r"\\\1", entry.name) + ("/" if entry.is_dir() else "")
                for entry in entries
                if entry.name.startswith(begun) and (begun or not entry.name.startswith("."))
            ]
    except OSError:
        return []  # there is no such folder, or none that may be read
    return sorted(found, key=lambda path: (not path.endswith("/"), path))


def completion_reply(found: Completion) -> Message:
    """Return what answers a ``complete_request``."""
    content = {
        "status": "ok",
        "matches": found.matches,
        "cursor_start": found.start,
        "cursor_end": found.end,
        "metadata": {},
    }
    return {"content": content, "metadata": {}}
