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
from ..lm.model import seen
from ..record.blobs import in_folder
from ..record.equality import as_recorded
from ..record.nodes import slot_of
from ..record.outputs import cut
from ..repl.occurrences import CallId, Occurrences
from ..repl.protocol import (
    MOST_REFUSED,
    REFUSED_CHARS,
    Call,
    Image,
    RefusedCall,
    Slot,
    is_refused,
    refusal,
    whole_refusal,
)
from . import prompts
from .answer_check import SharedWords
from .boundary import boundary
from .facts import ChildRan, Failure
from .memory import Memory, Numbers
from .prompt_slot import Asked, PromptSlot, as_parts
from .run import CALLED_BY, CallMeter, Run, inlined

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
        self._refused: Counter[int] = Counter()
        self.failed: defaultdict[int, list[Failure]] = defaultdict(list)
        """By cell, the prompts that failed."""
        self.seconds: defaultdict[int, float] = defaultdict(float)
        """By cell, how long its calls took; those at the same time each on its own."""
        self.children: defaultdict[int, list[ChildRan]] = defaultdict(list)
        """By cell, how its children ended."""
        self.made: Counter[int] = Counter()
        self.cut: Counter[int] = Counter()
        """By cell, the replies that a provider cut short."""
        self.incomplete: set[int] = set()
        """Cells that have a batch of which a limit refused a part."""
        self.shared: defaultdict[int, SharedWords] = defaultdict(SharedWords)
        self.turns_left: int | None = None
        """The turns that its node has after this one."""
        self._own: dict[str, _Own] = {
            "limits_left": self._limits_left,
            "ask_human": self._ask_human,
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
        if call.op != "tool" and len(known) < count:
            self._admit(made[0], count - len(known))
        self._run.emit(CallStarted(node=self._node, cell=call.cell, op=call.op, count=count))
        if call.op.startswith("llm"):
            self.shared[call.cell].take(call.prompts)
        await self._recall(call, known.values())
        asking = [self._slot(prompt) for prompt in made if prompt.index not in known]
        began = time.monotonic()
        asked = iter(await all_of(asking))
        self.seconds[call.cell] += time.monotonic() - began
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
            for below in self._memory.subtree(event.child):
                self._run.emit(await asyncio.to_thread(in_folder, below, self._run.folder))
            self._run.emit(replace(event, usage=Usage()))
            if event.op != "tool":
                self._book(call, event.index, slot_of(event))
                self.cut[call.cell] += cut_short(event.finish)
                self.made[call.cell] += 1

    def _book(self, call: Call, index: int, slot: Slot) -> None:
        if "error" in slot:
            at = index if call.op.endswith("_batched") else None
            self.failed[call.cell].append((at, slot["error"]))

    def _admit(self, first: PromptSlot, count: int) -> None:
        """Book the call, or record why all of it is refused."""
        ledger = self._run.ledger
        try:
            if (closed := ledger.closed(self._depth)) is not None:
                raise closed
            ledger.count_calls(count)
        except LimitReached as error:
            slot = self._refused_by(error)
            self._emit(first, Asked(CallMeter(ledger)), slot, time.time(), 0.0)
            raise RefusedCall(slot) from error
        self.made[first.call.cell] += count

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
            self._book(at.call, at.index, slot)
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
            self._refused[call.cell] += 1
            if self._refused[call.cell] > MOST_REFUSED:
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
                about=slot.get("about", {}),
                images=asked.images,
            )
        )

    # who is asked
    def _way(self, call: Call) -> _Ask:
        if call.op == "tool":
            return self._ask_tool
        if not call.op.startswith("rlm"):
            return self._ask_sub
        return self._ask_child if self._depth < self._run.limits.depth else self._ask_inlined

    async def _ask_tool(self, at: PromptSlot, asked: Asked) -> Slot:
        if (own := self._own.get(at.call.tool)) is not None:
            return {"value": await own(at.call.arguments["kwargs"])}
        CALLED_BY.set((*CALLED_BY.get(), self._run))  # each prompt's task has variables of its own
        return await self._run.tools.call(at.call.tool, at.call.arguments)

    async def _limits_left(self, given: Mapping[str, Any]) -> dict[str, float | None]:
        return {"turns": self.turns_left, **self._run.ledger.left}

    async def _ask_human(self, given: Mapping[str, Any]) -> str:
        return await self._run.human.reply(given.get("question"))

    async def _ask_sub(self, at: PromptSlot, asked: Asked) -> Slot:
        for image in at.images:
            asked.images.append(await asyncio.to_thread(self._run.keep_image, image))
        return await self._complete(at.call, at.prompt, asked, at.images)

    async def _complete(
        self, call: Call, prompt: str, asked: Asked, images: Sequence[Image] = ()
    ) -> Slot:
        model = self._run.model(call.model, self._run.sub)
        asked.model = model.name
        parts = await asyncio.to_thread(as_parts, images) if images else []
        message = {"role": "user", "content": seen(prompt, parts)}
        sampling = model.sampling
        if call.schema is not None:
            sampling = replace(sampling, schema=call.schema)
        whole = await model.client.complete(model.name, [message], asked.meter, sampling=sampling)
        reply = whole.spoken()
        asked.model, asked.finish, asked.thoughts = reply.model, reply.finish, reply.thoughts
        if reply.fault is not None:
            raise LMError(reply.fault, cause="empty", attempts=1)
        self.cut[call.cell] += reply.cut_short
        return {"value": reply.text}

    async def _ask_inlined(self, at: PromptSlot, asked: Asked) -> Slot:
        """At the depth limit: a plain sub-call with the context in the prompt, if it fits."""
        call = at.call
        if not call.given[at.index]:
            return await self._complete(call, at.prompt, asked)
        text = inlined(*at.context, self._run.prompt_chars)
        prompt = "" if text is None else prompts.inlined(at.prompt, text)
        if text is None or len(prompt) > self._run.prompt_chars:
            raise CallRefused(
                f"no child may be started at depth {self._depth + 1} (the limit is "
                f"{self._run.limits.depth}) and this context does not fit a plain prompt of "
                f"{self._run.prompt_chars:,} characters: use llm_query_batched on pieces"
            )
        return await self._complete(call, prompt, asked)

    async def _ask_child(self, at: PromptSlot, asked: Asked) -> Slot:
        begun = self._memory.begun_child(at.prompt, at.context[1].sha256)
        asked.child = child = begun or f"{self._node}.{next(self._numbers.children)}"
        asked.model = self._run.model(at.call.model, self._run.root).name
        async with self._run.child_slots(self._depth + 1):
            return await self._child(at, child)
