"""A kernel made ready for a question: its context, and the record of what happened in it before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import KernelDied
from ..events import ContextInfo, ContextSet, Event, KernelRestarted
from ..inputs.contexts import Source
from ..record.blobs import in_folder, owned
from .cell_runner import CellRunner
from .memory import Memory
from .run import Run
from .task import Task


async def set_up(
    run: Run, task: Task, memory: Memory, repl: CellRunner
) -> tuple[ContextInfo, bool]:
    """Give the kernel its context, and return what that is and whether the kernel is a new one.

    A kernel that an earlier question has spoiled may refuse it: then another one is given it.
    """
    fresh = await _revived(run, task, repl)
    await memory.restore(repl)
    try:
        return await give(run, repl, task.source, task.variable), fresh
    except KernelDied:
        if fresh or not await _revived(run, task, repl):
            raise
    await memory.restore(repl)
    return await give(run, repl, task.source, task.variable), True


async def _revived(run: Run, task: Task, repl: CellRunner) -> bool:
    """Replace the kernel where it is of no more use, and record that; return whether it was."""
    lost = repl.names
    gone = await repl.revive(context=task.variable is not None)
    if gone is None:
        return False
    now = time.time()
    run.emit(KernelRestarted(node=task.node, cell=0, reason=gone, lost=lost, time=now))
    return True


async def give(
    run: Run, repl: CellRunner, source: Source | None, variable: str | None
) -> ContextInfo:
    """Give the kernel its ``context``: the source, or the value of a variable that is there.

    What the record needs to find it again is in the run's folder afterwards. Raises
    ``ContextError`` where there is no such variable.
    """
    if variable is not None:
        info, copy = await repl.adopt(variable)
        if copy is None:
            return info
        _, text = await asyncio.to_thread(run.kept, copy)
    else:
        assert source is not None, "a task has a source or a variable"
        kept, text = await asyncio.to_thread(run.kept, source)
        info = await repl.set_context(kept)
    spec = await asyncio.to_thread(owned, run.recorded(info.spec, text), run.folder)
    return replace(info, spec=spec)


async def carry(prelude: Sequence[Event], folder: Path, emit: Callable[[Event], None]) -> None:
    """Emit the events of a prelude for the record in ``folder``, which holds their contexts
    afterwards.

    A context that no cell could see, because another one came at once, is left out, and one that
    changed nothing. One event after another: all outputs of a session may be much.
    """
    for at in range(len(prelude)):
        event = await asyncio.to_thread(_carried, prelude, at, folder)
        if event is not None:
            emit(event)


def _carried(prelude: Sequence[Event], at: int, folder: Path) -> Event | None:
    """Blocks: it may link or copy files."""
    event = prelude[at]
    if isinstance(event, ContextSet):
        after = prelude[at + 1] if at + 1 < len(prelude) else None
        if _replaces(after) or _stays(event):
            return None
    return in_folder(event, folder)


def _replaces(event: Event | None) -> bool:
    return isinstance(event, ContextSet) and "variable" not in event.context.spec


def _stays(event: ContextSet) -> bool:
    """Return whether the context is what the variable ``context`` held already."""
    return event.context.spec.get("variable") == "context"
