"""What a kernel is given before the first turn, and the record of what it had been given before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import CallRefused, RecordError
from ..events import CellRan, ContextInfo, ContextSet, Event
from ..inputs.contexts import Source, find
from ..record.blobs import in_folder, owned
from ..repl.occurrences import Occurrences
from ..repl.protocol import Call, Slot, slot_of
from ..repl.repl import Repl
from ..replay.memory import NodeMemory
from .run import Run


async def give(run: Run, repl: Repl, source: Source | None, variable: str | None) -> ContextInfo:
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


async def relive(repl: Repl, past: NodeMemory, folder: Path) -> None:
    """Bring a new kernel to where it was before the question of a record in ``folder``.

    Raises ``RecordError`` for a context that cannot be found again.
    """
    calls, repl.calls = repl.calls, _Recalled(past)
    try:
        for event in past.prelude:
            if isinstance(event, ContextSet):
                await _set_again(repl, event.context.spec, folder)
            elif isinstance(event, CellRan) and event.status != "interrupted":
                await repl.run(
                    event.source,
                    cell=event.cell,
                    author=event.author,
                    seconds=repl.held.again(event.status, event.seconds),
                    inputs=event.inputs,
                )
    finally:
        repl.calls = calls


class _Recalled:
    """``repl.Calls`` for a prelude: its calls are in the record already, and cost nothing."""

    def __init__(self, past: NodeMemory) -> None:
        self._past = past
        self._occurrences = Occurrences()

    async def serve(self, call: Call) -> list[Slot]:
        known = self._past.calls.get(self._occurrences.take(call), {})
        if len(known) < max(len(call.prompts), 1):
            raise CallRefused(
                f"cell {call.cell}, from before the question, makes a {call.op} that is not in the "
                "record"
            )
        return [slot_of(known[index]) for index in sorted(known)]


async def _set_again(repl: Repl, spec: dict[str, Any], folder: Path) -> None:
    variable = spec.get("variable")
    if variable is not None:
        await repl.adopt(str(variable))
        return
    source, reason = find(spec, folder)
    if source is None:
        raise RecordError(f"a context of the record cannot be found again: {reason}")
    await repl.set_context(source)


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
    """Whether the context is what the variable ``context`` held already."""
    return event.context.spec.get("variable") == "context"
