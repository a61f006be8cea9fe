"""What the host answers to the guest: a cell's calls, the report of its end, what a context is."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from ..endings import all_of
from ..errors import CallRefused, LimitReached
from ..remote.guest.globals import BATCHES, CHILD_STARTING, OPS
from ..remote.guest.images import CALL_BYTES
from ..remote.guest.wire import MAX_PAYLOAD, SNAPSHOT_BYTES
from . import broker
from .guest_client import GuestClient
from .protocol import Call, RefusedCall, Slot, asks_each, check, refusal
from .running_cell import RunningCell

AT_ONCE = 8
"""Rounds of the event loop in which a call that asks nobody is answered."""
ENDED = (
    "the cell that started this code has ended: calls are served only while their cell runs. Wait "
    "for threads and tasks before the cell ends."
)


class GuestRequests:
    """``broker.Answerer`` of one REPL. ``cell`` is the cell that runs, ``client`` speaks to the
    kernel that is there now; both are set by the REPL."""

    def __init__(self) -> None:
        self.cell: RunningCell | None = None
        self.client: GuestClient | None = None
        self._serving: set[asyncio.Task[Slot]] = set()
        self._loops = itertools.count(1)

    def takes(self, header: dict[str, Any]) -> int:
        """See ``broker.Answerer``: children's contexts and images are taken while their cell
        runs, the copy of a variable that was asked for, and the file of an answer."""
        op = header.get("op")
        if op in CHILD_STARTING or (op in OPS and header.get("images") is not None):
            most = MAX_PAYLOAD if op in CHILD_STARTING else CALL_BYTES
            return most if self._of_running_cell(header) is not None else 0
        if header.get("op") == "context" and self.client is not None:
            return self.client.takes()
        if header.get("op") == "ran":
            cell = self._of_running_cell(header)
            return SNAPSHOT_BYTES if cell is not None and not cell.report else 0
        return 0

    async def answer(self, request: broker.Request) -> dict[str, Any]:
        """See ``broker.Answerer``."""
        if request.op in ("context", "find", "form"):
            if self.client is not None:
                self.client.told(request)
            return {"value": None}
        cell = self._of_running_cell(request.header)
        if request.op == "ran":
            if cell is not None:
                cell.end(request.header, request.payload)
            return {"value": None}
        if cell is None:
            return refusal(ENDED)
        try:
            call = check(request, cell.held.prompt_chars, cell.held.batch)
        except CallRefused as error:
            return refusal(str(error))
        if call is None:
            return refusal(f"a malformed call: {str(request.op)[:50]!r}")
        call, waits = replace(call, cell=cell.number), bool(request.header.get("main"))
        if not asks_each(request.header):
            return await self._serve(cell, call, waits=waits)
        call = replace(call, ahead=next(self._loops))
        singles = (replace(call, prompts=[prompt]) for prompt in call.prompts)
        served = await all_of(self._serve(cell, single, waits=waits) for single in singles)
        return {"value": list(served)}

    def stop(self) -> None:
        """Refuse the calls under way: their cell was interrupted, or their kernel ends."""
        for serving in self._serving:
            serving.cancel()

    async def stopped(self, seconds: float) -> None:
        """Wait for the end of the calls that were refused, for so many seconds at most: children
        close their kernels, and what is recorded of them belongs into the run's record."""
        if self._serving:
            await asyncio.wait(self._serving, timeout=seconds)

    def _of_running_cell(self, header: dict[str, Any]) -> RunningCell | None:
        mine = self.cell is not None and header.get("cell") == self.cell.run
        return self.cell if mine else None

    async def _serve(self, cell: RunningCell, call: Call, *, waits: bool) -> Slot:
        """Return the reply to a call; the cell's clock stands still meanwhile if it ``waits``."""
        serving = asyncio.create_task(self._reply(cell, call))
        self._serving.add(serving)
        try:
            for _ in range(AT_ONCE):  # a refusal stops no clock: there is no end to them
                if not serving.done():
                    await asyncio.sleep(0)
            with cell.clock.waiting() if waits and not serving.done() else nullcontext():
                await asyncio.wait({serving})
            return refusal("the cell was interrupted") if serving.cancelled() else serving.result()
        finally:
            if not serving.done():  # the caller hung up
                serving.cancel()
                await asyncio.wait({serving})
            self._serving.discard(serving)

    async def _reply(self, cell: RunningCell, call: Call) -> Slot:
        """Return the reply to a call. Never raises: an error that is not the call's own ends the
        cell where it is awaited."""
        try:
            slots = await cell.calls.serve(call)
        except RefusedCall as refused:
            return refused.slot
        except (LimitReached, CallRefused) as error:
            return refusal(str(error), type(error).__name__)
        except Exception as error:  # noqa: BLE001 (raised where the cell is awaited)
            assert self.client is not None
            self.client.kernel.fail(error)
            return refusal(f"the run ends: {type(error).__name__}", "LMError", cause="interrupted")
        return {"value": slots} if call.op in BATCHES else slots[0]
