"""The human's own calls: ``llm_query`` and its kin in a cell that no LM wrote.

They are metered against limits of their own and recorded, together with all that happens in the
kernel, from the first such call on; what happened before it stands there as the prelude.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from ..answers import Answer
from ..endings import to_the_end
from ..errors import CallRefused, LimitReached, LMError, RLMError
from ..events import ROOT, CallEnded, Event, NodeStarted, Usage
from ..lm.models import Models
from ..record.outputs import cut
from ..record.recorder import Recorder
from ..repl.occurrences import Occurrences
from ..repl.protocol import MOST_REFUSED, REFUSED_CHARS, Call, RefusedCall, Slot, refusal
from ..replay.prelude import Prelude
from ..rlm.calls import LiveCalls
from ..rlm.kernel_setup import carry
from ..rlm.run import Run
from ..rlm.tree import Outcome, node_ended, run_ended, solve_child
from ..settings.limits import Ledger, Limits
from .lending import Lent
from .recorded_run import RecordedRun

Begin = Callable[[Models], Awaitable[RecordedRun]]


class HumanCalls:
    """``repl.Calls`` of a persistent kernel between two questions.

    ``begin`` makes the run and its record when they are first needed; ``lend`` gives the LMs that
    are set now, which stay open as long as the record does or others are set.
    """

    QUESTION = "Cells by hand"

    def __init__(self, begin: Begin, lend: Callable[[], Awaitable[Lent]], prelude: Prelude) -> None:
        self._begin = begin
        self._lend = lend
        self._lent: Lent | None = None
        self._prelude = prelude
        self._run: Run | None = None
        self._recorder: Recorder | None = None
        self._calls: LiveCalls | None = None
        self._opening = asyncio.Lock()
        self._answer: Answer | None = None
        self._before = Usage()  # of records that are sealed
        self._refused = Occurrences()

    @property
    def usage(self) -> Usage:
        """The usage of all calls of the session."""
        return self._before + self.recorded_usage

    @property
    def recorded_usage(self) -> Usage:
        """The usage of the calls in the record that is not sealed yet."""
        return self._run.ledger.usage if self._run else Usage()

    @property
    def trajectory(self) -> Path | None:
        return self._recorder.trajectory if self._recorder else None

    async def serve(self, call: Call) -> list[Slot]:
        """See ``repl.Calls``. No LM, or a wrong setting, is an error in the cell."""
        try:
            async with self._opening:
                calls = await self._ready()
        except (LimitReached, CallRefused):
            raise
        except RLMError as error:
            cause = error.cause if isinstance(error, LMError) else "unreachable"
            slot = refusal(str(error), "LMError", cause=cause)
            self._remember_refusal(call, slot)
            raise RefusedCall(slot) from error
        return await calls.serve(call)

    def _remember_refusal(self, call: Call, slot: Slot) -> None:
        """Record the error that a cell got, so that it gets it in a replay too."""
        _, key, occurrence = self._refused.take(call)
        if self._refused.total > MOST_REFUSED:
            return
        event = CallEnded(
            node=ROOT,
            cell=call.cell,
            call=next(self._prelude.numbers.calls),
            op=call.op,  # type: ignore[arg-type]
            index=0,
            count=max(len(call.prompts), 1),
            key=key,
            occurrence=occurrence,
            prompt=cut(call.prompts[0], REFUSED_CHARS) if call.prompts else call.tool,
            asked=call.model,
            model=None,
            reply=None,
            error=slot["error"],
            usage=Usage(),
            child=None,
            started=time.time(),
            seconds=0.0,
        )
        self._prelude(event)
        self.follow(event)

    def answered(self, answer: Answer) -> None:
        """A human's cell called ``FINAL_VAR``: the record's answer, until a later one."""
        self._answer = answer

    def follow(self, event: Event) -> None:
        """Record what a human's cell did in the kernel, if there is a record."""
        if self._recorder is not None:
            self._recorder(event)

    async def follow_all(self, events: Sequence[Event]) -> None:
        """Record what a question did, whose contexts are in its own folder."""
        if self._recorder is not None:
            await carry(events, self._recorder.folder, self._recorder)

    def relimit(self, limits: Limits) -> None:
        """Let other limits hold from now on."""
        if self._run is not None:
            self._run.limits = _unhurried(limits)
            self._run.ledger.relimit(self._run.limits)

    async def close(self) -> None:
        """Seal the record, if there is one."""
        if self._lent is not None:
            self._lent.give_back()
        if self._run is None or self._recorder is None:
            return
        run, recorder = self._run, self._recorder
        self._before = self.usage
        self._run = self._recorder = self._calls = None
        outcome = Outcome("interrupted", None, reason="the session ended")
        if self._answer is not None:
            outcome = Outcome("answered", self._answer, confirmed=True)
        self._answer = None
        try:
            run.emit(node_ended(ROOT, outcome))
            run.emit(run_ended(outcome, run.ledger))
        finally:
            await to_the_end(recorder.close())

    async def _ready(self) -> LiveCalls:
        before, self._lent = self._lent, await self._lend()
        if before is not None:
            before.give_back()
        models = self._lent.models
        calls = self._calls or await self._open(models)
        assert self._run is not None
        self._run.root, self._run.sub = models.root, models.sub
        return calls

    def _started(self, run: Run) -> NodeStarted:
        return NodeStarted(
            node=ROOT,
            parent=None,
            depth=0,
            call=None,
            question=self.QUESTION,
            model=run.sub.name,
            context=None,
            time=time.time(),
        )

    async def _open(self, models: Models) -> LiveCalls:
        begun = await self._begin(models)
        run, recorder = begun.run, begun.recorder
        run.limits = _unhurried(run.limits)
        run.ledger = Ledger(run.limits)
        try:
            recorder(self._started(run))
            await carry(self._prelude.events, run.folder, recorder)
        except BaseException:
            await to_the_end(recorder.close())
            raise
        self._run, self._recorder = run, recorder
        child = partial(solve_child, run, ROOT, 0)
        numbers, memory = self._prelude.numbers, run.memory(ROOT)
        self._calls = LiveCalls(
            run=run,
            node=ROOT,
            depth=0,
            child=child,
            numbers=numbers,
            memory=memory,
            by_hand=True,
        )
        return self._calls


def _unhurried(limits: Limits) -> Limits:
    """A session may last for days; its calls are bounded in number and cost all the same."""
    return dataclasses.replace(limits, seconds=None)
