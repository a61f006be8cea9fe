"""A kernel brought to where it was before a recorded question: its prelude runs again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import CallRefused, RecordError
from ..events import CallEnded, CellRan, ContextSet, Event
from ..inputs.contexts import find
from ..record.nodes import slot_of
from ..repl.occurrences import CallId, Occurrences
from ..repl.protocol import Call, RefusedCall, Slot, whole_refusal
from ..rlm.cell_runner import CellRunner

Answers = Callable[[CallId], Mapping[int, CallEnded]]


async def restore(
    repl: CellRunner, prelude: Iterable[Event], answers: Answers, folder: Path
) -> None:
    """Run a prelude again in a new kernel, its contexts from the record in ``folder``.

    Raises ``RecordError`` for a context that cannot be found again.
    """
    calls, repl.calls = repl.calls, _Recalled(answers)
    held = repl.held
    try:
        for event in prelude:
            if isinstance(event, ContextSet):
                await _set_again(repl, event.context.spec, folder)
            elif isinstance(event, CellRan) and event.status != "interrupted":
                wanted = None if event.wanted is None else json.loads(event.wanted)
                repl.held = replace(held, wanted=wanted)
                await repl.run(
                    event.source,
                    cell=event.cell,
                    author=event.author,
                    seconds=repl.held.again(event.status, event.seconds),
                    inputs=event.inputs,
                )
    finally:
        repl.calls, repl.held = calls, held


class _Recalled:
    """``repl.Calls`` for a prelude: its calls are in the record already, and cost nothing."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._occurrences = Occurrences()

    async def serve(self, call: Call) -> list[Slot]:
        known, wanted = self._answers(self._occurrences.take(call)), max(len(call.prompts), 1)
        slots = [slot_of(known[index]) for index in sorted(known)]
        if (refused := whole_refusal(slots, wanted)) is not None:
            raise RefusedCall(refused)
        if len(known) < wanted:
            raise CallRefused(
                f"cell {call.cell}, from before the question, makes a {call.op} that is not in the "
                "record"
            )
        return slots


async def _set_again(repl: CellRunner, spec: dict[str, Any], folder: Path) -> None:
    variable = spec.get("variable")
    if variable is not None:
        await repl.adopt(str(variable))
        return
    source, reason = find(spec, folder)
    if source is None:
        raise RecordError(f"a context of the record cannot be found again: {reason}")
    await repl.set_context(source)
