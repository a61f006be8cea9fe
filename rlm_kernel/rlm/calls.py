"""Live answers to the calls of one node's cells: sub-LMs, children, tools."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..endings import all_of
from ..errors import CallRefused, LimitReached, LMError, RunFailed
from ..events import CallEnded, CallStarted, Usage
from ..lm.attempts import cut_short
from ..record.blobs import in_folder
from ..record.outputs import cut
from ..repl.frames import Payload
from ..repl.occurrences import CallId, Occurrences
from ..repl.protocol import (
    MOST_REFUSED,
    REFUSED_CHARS,
    Call,
    Slot,
    is_refused,
    refusal,
    slot_of,
)
from . import prompts
from .answer_check import SharedWords
from .boundary import boundary
from .memory import Memory, Numbers
from .run import CALLED_BY, CallMeter, Run, inlined

Child = Callable[[str, int, str, str | None, tuple[str, Payload]], Awaitable[Any]]
"""Starts a child: node, call, question, model asked for, context; returns its answer as JSON data.
Raises ``LMError`` where it ended without one."""


@dataclass(frozen=True)
class PromptSlot:
    """One prompt of a call, or the call of a tool: where it stands in the record."""

    call: Call
    number: int
    key: str
    occurrence: int
    index: int

    @property
    def prompt(self) -> str:
        """The prompt; of a tool its name."""
        return self.call.prompts[self.index] if self.call.prompts else self.call.tool


@dataclass
class _Asked:
    """The facts about a prompt's answer, as they become known."""

    meter: CallMeter
    model: str | None = None
    child: str | None = None
    finish: str | None = None
    thoughts: str = ""


_Ask = Callable[[PromptSlot, _Asked], Awaitable[Slot]]


class LiveCalls:
    """``repl.Calls`` for a node of a live run, or for a human's own cells."""

    def __init__(
        self, run: Run, node: str, depth: int, child: Child, numbers: Numbers, memory: Memory
    ) -> None:
        self._run = run
        self._node = node
        self._depth = depth
        self._child = child
        self._numbers = numbers
        self._memory = memory
        self._occurrences = Occurrences()
        self._refused: Counter[int] = Counter()
        self.failed: Counter[int] = Counter()
        self.made: Counter[int] = Counter()
        self.cut: Counter[int] = Counter()
        """By cell, the replies that a provider cut short."""
        self.shared: defaultdict[int, SharedWords] = defaultdict(SharedWords)
        self.last_error = ""

    async def serve(self, call: Call) -> list[Slot]:
        """Return one slot a prompt. Raises ``LimitReached`` and ``CallRefused`` for the whole
        call."""
        taken = self._occurrences.take(call)
        known = self._memory.answers(taken)
        made = self._numbered(call, taken, known)
        count = len(made)
        if call.op != "tool" and len(known) < count:
            self._count(made[0], count - len(known))
        self._run.emit(CallStarted(node=self._node, cell=call.cell, op=call.op, count=count))
        if call.op.startswith("llm"):
            self.shared[call.cell].take(call.prompts)
        await self._recall(call, known.values())
        asking = [self._slot(prompt) for prompt in made if prompt.index not in known]
        asked = iter(await all_of(asking))
        slots = [slot_of(known[i]) if i in known else next(asked) for i in range(count)]
        if self._run.ledger.tripped is not None and any("error" in slot for slot in slots):
            raise self._run.ledger.tripped
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
                self._book(call.cell, slot_of(event))
                self.cut[call.cell] += cut_short(event.finish)
                self.made[call.cell] += 1

    def _book(self, cell: int, slot: Slot) -> None:
        if "error" in slot:
            self.failed[cell] += 1
            self.last_error = slot["error"]["message"]

    def _count(self, first: PromptSlot, count: int) -> None:
        """Book the call, or record that the limit refused all of it."""
        try:
            self._run.ledger.count_calls(count)
        except LimitReached as error:
            slot = refusal(str(error), "LimitReached")
            self._emit(first, _Asked(CallMeter(self._run.ledger)), slot, time.time(), 0.0)
            raise
        self.made[first.call.cell] += count

    async def _slot(self, at: PromptSlot) -> Slot:
        """Answer a prompt, and record that whatever happened on the way."""
        asked = _Asked(CallMeter(self._run.ledger))
        slot = refusal("cancelled before it was answered", "LMError", cause="interrupted")
        started, clock = time.time(), time.monotonic()
        try:
            with boundary():
                slot = await self._way(at.call)(at, asked)
        except LMError as error:
            slot = refusal(str(error), "LMError", cause=error.cause, attempts=error.attempts)
        except (LimitReached, CallRefused) as error:
            slot = refusal(str(error), type(error).__name__)
        except RunFailed as error:
            slot = refusal(str(error), "LMError", cause="garbage")
        finally:
            self._emit(at, asked, slot, started, time.monotonic() - clock)
        if at.call.op != "tool":
            self._book(at.call.cell, slot)
        return slot

    def _emit(
        self, at: PromptSlot, asked: _Asked, slot: Slot, started: float, seconds: float
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
            )
        )

    # who is asked
    def _way(self, call: Call) -> _Ask:
        if call.op == "tool":
            return self._ask_tool
        if not call.op.startswith("rlm"):
            return self._ask_sub
        return self._ask_child if self._depth < self._run.limits.depth else self._ask_inlined

    async def _ask_tool(self, at: PromptSlot, asked: _Asked) -> Slot:
        CALLED_BY.set((*CALLED_BY.get(), self._run))  # each prompt's task has variables of its own
        return await self._run.tools.call(at.call.tool, at.call.arguments)

    async def _ask_sub(self, at: PromptSlot, asked: _Asked) -> Slot:
        return await self._complete(at.call, at.prompt, asked)

    async def _complete(self, call: Call, prompt: str, asked: _Asked) -> Slot:
        model = self._run.model(call.model, self._run.sub)
        asked.model = model.name
        whole = await model.client.complete(
            model.name, [prompts.message("user", prompt)], asked.meter, sampling=model.sampling
        )
        reply = whole.spoken()
        asked.model, asked.finish, asked.thoughts = reply.model, reply.finish, reply.thoughts
        if reply.only_thought:
            cut = ", and was cut off before its end" if reply.cut_short else ""
            text = f"{reply.model!r} replied with thoughts and no answer{cut}"
            raise LMError(text, cause="empty", attempts=1)
        self.cut[call.cell] += reply.cut_short
        return {"value": reply.text}

    async def _ask_inlined(self, at: PromptSlot, asked: _Asked) -> Slot:
        """At the depth limit: a plain sub-call with the context in the prompt, if it fits."""
        call = at.call
        if not call.given[at.index]:
            return await self._complete(call, at.prompt, asked)
        text = inlined(*call.contexts[at.index], self._run.prompt_chars)
        prompt = "" if text is None else prompts.inlined(at.prompt, text)
        if text is None or len(prompt) > self._run.prompt_chars:
            raise CallRefused(
                f"no child may be started at depth {self._depth + 1} (the limit is "
                f"{self._run.limits.depth}) and this context does not fit a plain prompt of "
                f"{self._run.prompt_chars:,} characters: use llm_query_batched on pieces"
            )
        return await self._complete(call, prompt, asked)

    async def _ask_child(self, at: PromptSlot, asked: _Asked) -> Slot:
        call, context = at.call, at.call.contexts[at.index]
        begun = self._memory.begun_child(at.prompt, context[1].sha256)
        asked.child = child = begun or f"{self._node}.{next(self._numbers.children)}"
        asked.model = self._run.model(call.model, self._run.root).name
        async with self._run.child_slots(self._depth + 1):
            return {"value": await self._child(child, at.number, at.prompt, call.model, context)}
