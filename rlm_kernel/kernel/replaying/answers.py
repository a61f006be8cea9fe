"""Replies from the record to the cells of a notebook that run again."""

from __future__ import annotations

import time
from dataclasses import replace

from ...events import ROOT, CallEnded, Usage
from ...repl.occurrences import Occurrences
from ...repl.protocol import Call, RefusedCall, Slot
from ...replay.replay import Replay
from ...replay.verdict import RecordedCalls
from ...session.session import Session


class Answers:
    """``repl.Calls`` of a replay: answers from the record, and lets the session know of the calls
    under the numbers that cells have here."""

    def __init__(self, replay: Replay, session: Session) -> None:
        self._replay = replay
        self._session = session
        self._cell = 0
        self._calls = replay.calls
        self._occurrences = Occurrences()

    def under(self, cell: int) -> None:
        """Take the calls to come for those of this recorded cell."""
        self._cell, self._calls = cell, self._replay.calls

    def instead(self, cell: int) -> None:
        """Take the calls to come for those of another cell in the place of this one: the same calls
        have the same replies."""
        self._cell = cell
        self._calls = RecordedCalls(self._replay.node, self._replay.verdict)

    async def serve(self, call: Call) -> list[Slot]:
        """See ``repl.Calls``."""
        try:
            slots = await self._calls.serve(replace(call, cell=self._cell))
        except RefusedCall as refused:
            self._remember(call, [refused.slot])
            raise
        self._remember(call, slots)
        return slots

    def _remember(self, call: Call, slots: list[Slot]) -> None:
        _, key, occurrence = self._occurrences.take(call)
        now = time.time()
        number = next(self._session.prelude.numbers.calls)
        for index, slot in enumerate(slots):
            event = CallEnded(
                node=ROOT,
                cell=call.cell,
                call=number,
                op=call.op,  # type: ignore[arg-type]
                index=index,
                count=max(len(call.prompts), 1),
                key=key,
                occurrence=occurrence,
                prompt=call.prompts[index] if call.prompts else call.tool,
                asked=call.model,
                model=None,
                reply=slot.get("value"),
                error=slot.get("error"),
                usage=Usage(),
                child=None,
                started=now,
                seconds=0.0,
                about=slot.get("about", {}),
            )
            self._session.kept.remember(event)
