"""Live answers to the calls of one node's cells: sub-LMs, children, tools."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..endings import all_of, within
from ..errors import CallRefused, LimitReached, LMError, RunFailed
from ..events import CallEnded, CallStarted, Usage
from ..lm.attempts import cut_short
from ..record.blobs import in_folder
from ..record.equality import as_recorded
from ..record.nodes import slot_of
from ..record.outputs import cut
from ..remote.guest.globals import BATCHES
from ..remote.guest.maps.checked import figures
from ..remote.guest.maps.checks import ASK, TELL
from ..repl.occurrences import CallId, Occurrences
from ..repl.protocol import (
    MOST_REFUSED,
    REFUSED_CHARS,
    Call,
    RefusedCall,
    Slot,
    is_refused,
    refusal,
    whole_refusal,
)
from . import prompts
from .boundary import boundary
from .facts import ChildRan, Failure
from .memory import Memory, Numbers
from .prompt_slot import Asked, PromptSlot
from .run import CALLED_BY, CallMeter, Run
from .sub_lm import SubLM

Child = Callable[[PromptSlot, str], Awaitable[Slot]]
"""Starts the child of this name for a prompt; returns its answer and what is known of it. Raises
``LMError`` where it ended without one."""


_Ask = Callable[[PromptSlot, Asked], Awaitable[Slot]]
_Own = Callable[[Mapping[str, Any]], Awaitable[object]]
"""Answers calls of a function of ours that asks no LM."""


def _by_limit(slot: Slot) -> Slot | None:
    """Return the slot of a call that a limit refused as a whole, None for any other."""
    return slot if is_refused(slot) and "limit" in slot["error"] else None


def _as_recorded(slot: Slot) -> Slot:
    """Return the slot as a replay finds it, or a cell that shows a dict would differ then."""
    return {**slot, "value": as_recorded(slot["value"])} if "value" in slot else slot


class LiveCalls:
    """``repl.Calls`` for a node of a live run, or for a human's own cells."""

    def __init__(
        self,
        run: Run,
        node: str,
        depth: int,
        child: Child,
        numbers: Numbers,
        memory: Memory,
        *,
        by_hand: bool = False,
    ) -> None:
        self._run = run
        self._node = node
        self._depth = depth
        self._child = child
        self._numbers = numbers
        self._memory = memory
        self._by_hand = by_hand
        self._occurrences = Occurrences()
        self._refusals: Counter[int] = Counter()
        self.failed: defaultdict[int, list[Failure]] = defaultdict(list)
        """By cell, the prompts that failed."""
        self.seconds: defaultdict[int, float] = defaultdict(float)
        """By cell, how long its calls took; those at the same time each on its own."""
        self.children: defaultdict[int, list[ChildRan]] = defaultdict(list)
        """By cell, how its children ended."""
        self.made: Counter[int] = Counter()
        self._sub = SubLM(run, depth)
        self.cut = self._sub.cut
        self.incomplete: set[int] = set()
        """Cells that have a batch of which a limit refused a part."""
        self.turns_left: int | None = None
        """The turns that its node has after this one."""
        self._own: dict[str, _Own] = {
            "limits_left": self._limits_left,
            "ask_human": self._ask_human,
            ASK: self._judged,
            TELL: self._checked,
        }

    async def serve(self, call: Call) -> list[Slot]:
        """Return one slot a prompt. Raises ``RefusedCall`` for the whole call."""
        taken = self._occurrences.take(call)
        known = self._memory.answers(taken)
        made = self._numbered(call, taken, known)
        count = len(made)
        if len(known) == 1 and (refused := _by_limit(slot_of(known[min(known)]))) is not None:
            self._run.emit(known[min(known)])
            raise RefusedCall(refused)
        missing = await self._with_earlier([at for at in made if at.index not in known])
        new = [at for at in missing if at.earlier is None]
        size = await self._admit(made[0], new) if call.op != "tool" and new else ""
        began = CallStarted(node=self._node, cell=call.cell, op=call.op, count=count, size=size)
        self._run.emit(began)
        await self._recall(call, known.values())
        clock = time.monotonic()
        asked = iter(await all_of(map(self._slot, missing)))
        self.seconds[call.cell] += time.monotonic() - clock
        slots = [slot_of(known[i]) if i in known else next(asked) for i in range(count)]
        if (refused := whole_refusal(slots, count)) is not None:
            raise RefusedCall(refused)
        if any(map(_by_limit, slots)):
            self.incomplete.add(call.cell)
        return slots

    def _numbered(
        self, call: Call, taken: CallId, known: Mapping[int, CallEnded]
    ) -> list[PromptSlot]:
        """The prompts of a call with its number, the remembered one where some are ``known``."""
        number = known[min(known)].call if known else next(self._numbers.calls)
        return [
            PromptSlot(
                call=call,
                number=number,
                key=taken.key,
                occurrence=taken.occurrence,
                index=index,
            )
            for index in range(max(len(call.prompts), 1))
        ]

    async def _recall(self, call: Call, known: Iterable[CallEnded]) -> None:
        """Record what the run that this one goes on from was answered, children with all below."""
        for event in known:
            await self._record_again(event)
            if event.op != "tool":
                self._book(call, int(event.about.get("row", event.index)), slot_of(event))
                self.cut[call.cell] += cut_short(event.finish)
                self.made[call.cell] += 1

    async def recall_cell(self, cell: int) -> None:
        """Record the calls of a cell that does not run again, as ``_recall`` does."""
        for event in self._memory.calls_of(cell):
            await self._record_again(event)

    async def _record_again(self, event: CallEnded) -> None:
        for below in self._memory.subtree(event.child):
            self._run.emit(await asyncio.to_thread(in_folder, below, self._run.folder))
        self._run.emit(replace(event, usage=Usage()))

    def _book(self, call: Call, index: int, slot: Slot) -> None:
        if "error" in slot:
            at = index if call.op in BATCHES else None
            self.failed[call.cell].append((at, slot["error"]))

    async def _admit(self, first: PromptSlot, missing: Sequence[PromptSlot]) -> str:
        """Book the call, or record why all of it is refused; return its size in words, if it is
        worth telling."""
        ledger, options, size = self._run.ledger, first.call.options, ""
        try:
            if (closed := ledger.closed(self._depth)) is not None:
                raise closed
            size = await self._sub.admit(first.call, missing, by_hand=self._by_hand)
            ledger.count_calls(len(missing) * (options.votes if options is not None else 1))
        except RefusedCall as refused:
            slot = refused.slot
        except CallRefused as error:
            slot = refusal(str(error))
        except LimitReached as error:
            slot = self._refused_by(error)
        else:
            self.made[first.call.cell] += len(missing)
            return size
        raise self._refused(first, slot)

    async def _with_earlier(self, missing: list[PromptSlot]) -> list[PromptSlot]:
        """Return the prompts, those of a map's items with what an earlier run was answered, where
        the map names one. Records why all of it is refused where there is none."""
        if not missing or missing[0].call.options is None:
            return missing
        try:
            known = await self._sub.earlier(missing[0].call)
        except CallRefused as error:
            raise self._refused(missing[0], refusal(str(error))) from error
        return [replace(at, earlier=known.get(at.prompt)) for at in missing]

    def _refused(self, first: PromptSlot, slot: Slot) -> RefusedCall:
        """Record that all of a call is refused; return the error."""
        self._emit(first, Asked(CallMeter(self._run.ledger)), slot, time.time(), 0.0)
        return RefusedCall(slot)

    def _refused_by(self, error: LimitReached) -> Slot:
        """Return the error of a call that a limit refused. An LM that has calls left can write it
        otherwise; a human can raise the limit."""
        if error.limit != "calls" or self._by_hand:
            return refusal(str(error), "LimitReached", limit=error.limit)
        words = prompts.calls_left(int(error.wanted), int(error.allowed - error.spent))
        return refusal(words, limit=error.limit)

    async def _slot(self, at: PromptSlot) -> Slot:
        """Answer a prompt, and record that whatever happened on the way."""
        asked = Asked(CallMeter(self._run.ledger))
        slot = refusal("cancelled before it was answered", "LMError", cause="interrupted")
        started, clock = time.time(), time.monotonic()
        try:
            ledger, depth = self._run.ledger, self._depth
            left = None if at.call.op == "tool" else ledger.seconds_to_work(depth)
            with boundary():
                async with within(left, lambda: ledger.late(depth)) as end:
                    with self._run.human.may_hold(end):
                        slot = _as_recorded(await self._way(at.call)(at, asked))
        except LMError as error:
            slot = self._failed(error)
        except LimitReached as error:
            slot = self._refused_by(error)
        except CallRefused as error:
            slot = refusal(str(error))
        except RunFailed as error:
            slot = refusal(str(error), "LMError", cause="garbage")
        finally:
            seconds = time.monotonic() - clock
            self._emit(at, asked, slot, started, seconds)
        if asked.child is not None:
            turns = self._run.turns_of[asked.child]
            ended = ChildRan(asked.child, answered="value" in slot, turns=turns, seconds=seconds)
            self.children[at.call.cell].append(ended)
        if at.call.op != "tool":
            self._book(at.call, at.row, slot)
        return slot

    def _failed(self, error: LMError) -> Slot:
        """Return the slot of a call that failed, in the words of whoever wrote the cell."""
        told = str(error) if self._by_hand else error.told
        detail = None if told == str(error) else str(error)
        return refusal(told, "LMError", cause=error.cause, attempts=error.attempts, detail=detail)

    def _emit(
        self, at: PromptSlot, asked: Asked, slot: Slot, started: float, seconds: float
    ) -> None:
        call, prompt = at.call, at.prompt
        if is_refused(slot):
            prompt = cut(prompt, REFUSED_CHARS)
            self._refusals[call.cell] += 1
            if self._refusals[call.cell] > MOST_REFUSED:
                return
        self._run.emit(
            CallEnded(
                node=self._node,
                cell=call.cell,
                call=at.number,
                op=call.op,  # type: ignore[arg-type]
                index=at.index,
                count=max(len(call.prompts), 1),
                key=at.key,
                occurrence=at.occurrence,
                prompt=prompt,
                asked=call.model,
                model=asked.model,
                reply=slot.get("value"),
                error=slot.get("error"),
                usage=asked.meter.usage,
                child=asked.child,
                started=started,
                seconds=seconds,
                finish=asked.finish,
                thoughts=asked.thoughts,
                about={**slot.get("about", {}), **at.place},
                images=asked.images,
                options=at.options,
            )
        )

    # who is asked
    def _way(self, call: Call) -> _Ask:
        if call.op == "tool":
            return self._ask_tool
        if not call.op.startswith("rlm"):
            return self._sub.prompt if call.options is None else self._sub.row
        return self._ask_child if self._depth < self._run.limits.depth else self._sub.inlined

    async def _ask_tool(self, at: PromptSlot, asked: Asked) -> Slot:
        if (own := self._own.get(at.call.tool)) is not None:
            return {"value": await own(at.call.arguments["kwargs"])}
        CALLED_BY.set((*CALLED_BY.get(), self._run))  # each prompt's task has variables of its own
        return await self._run.tools.call(at.call.tool, at.call.arguments)

    async def _limits_left(self, given: Mapping[str, Any]) -> dict[str, float | None]:
        return {"turns": self.turns_left, **self._run.ledger.left}

    async def _ask_human(self, given: Mapping[str, Any]) -> str:
        return await self._run.human.reply(given.get("question"))

    async def _judged(self, given: Mapping[str, Any]) -> str:
        return await self._run.human.judged(given.get("question"))

    async def _checked(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take what a check found: the record has it as the reply."""
        if figures(given) is None:
            raise CallRefused("check: these are no figures of a check")
        return given

    async def _ask_child(self, at: PromptSlot, asked: Asked) -> Slot:
        begun = self._memory.begun_child(at.prompt, at.context[1].sha256)
        asked.child = child = begun or f"{self._node}.{next(self._numbers.children)}"
        asked.model = self._run.model(at.call.model, self._run.root).name
        async with self._run.child_slots(self._depth + 1):
            return await self._child(at, child)
