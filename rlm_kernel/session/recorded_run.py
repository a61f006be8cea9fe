"""A run together with its record: begun, announced, answered, sealed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..endings import at_no_cost
from ..errors import RecordError
from ..events import ROOT, Event, KernelRestarted, RunStarted
from ..inputs.forms import Form
from ..record.checks import checks_of
from ..record.notebooks.metadata import OWNER
from ..record.recorder import Recorder
from ..record.summary import summarise
from ..record.versions import versions
from ..rlm.cell_runner import CellRunner
from ..rlm.facts import Exchange
from ..rlm.run import Run
from ..rlm.task import Task
from ..rlm.tree import Outcome, solve_tree
from ..settings.resolved import Resolved
from .result import Result, told
from .run_folders import drop_empty
from .settings_record import announced

RESUMED = "the run was stopped here, and goes on from its record"


@dataclass
class RecordedRun:
    """A run whose events go to its ``recorder``. ``conversation`` is what was asked in its kernel
    before. ``owner`` marks the process whose kernel it is asked in, where that outlives the
    question. ``outcome`` is there once it was solved, and ``unrecorded`` says once it is sealed why
    its record is not whole, if so."""

    run: Run
    recorder: Recorder
    conversation: Sequence[Exchange] = ()
    owner: str | None = None
    outcome: Outcome | None = None
    unrecorded: str | None = None

    async def announce(
        self,
        force: Resolved,
        question: str,
        *,
        trust_html: bool,
        asked: Mapping[str, Any] | None = None,
        origin: Mapping[str, Any] | None = None,
        form: Form | None = None,
        noted: Mapping[str, Any] | None = None,
    ) -> None:
        """Record the question and the settings that hold for it; ``asked`` are those that the
        notebook itself sets, ``origin`` is what the run goes on from, ``form`` what its answer
        must be, ``noted`` what the face adds."""
        settings = await asyncio.to_thread(announced, self.run, force, trust_html=trust_html)
        if self.owner is not None:
            settings[OWNER] = self.owner
        settings |= noted or {}
        if origin is not None:
            settings["origin"] = dict(origin)
        if form is not None:
            settings["answer"] = form.recorded
        if asked is not None:
            settings["asked"] = dict(asked)
        if self.conversation:
            settings["conversation"] = [asdict(exchange) for exchange in self.conversation]
        started = RunStarted(
            run=self.run.folder.name,
            question=question,
            settings=settings,
            versions=versions(),
            time=time.time(),
        )
        self.run.emit(started)

    def resume(self, events: Sequence[Event], *, since: float) -> None:
        """Go on in the record that has these events: what they cost is spent, since the run began
        at the Unix time ``since``, and the record says that it was stopped."""
        spent = summarise(events)
        last = max(getattr(event, "time", 0.0) for event in events)
        self.run.ledger.carry(spent.usage, spent.turns, spent.calls, last - since)
        now = time.time()
        self.run.emit(KernelRestarted(node=ROOT, cell=0, reason=RESUMED, lost=[], time=now))

    async def solve(self, task: Task, repl: CellRunner | None = None) -> None:
        """Answer the task; see ``solve_tree``. Raises ``RecordError`` as soon as nothing can be
        recorded any more."""
        self.outcome = await self.recorder.attended(solve_tree(self.run, task, repl))

    async def seal(self, in_use: str | None) -> None:
        """Seal the record, without the working folders that no cell wrote to; one may be
        ``in_use``. That it cannot be sealed is raised where there is no outcome to tell."""
        with at_no_cost("a working folder that no cell wrote to is still there"):
            drop_empty(self.recorder.folder / "files", in_use)
        try:
            await self.recorder.close()
        except RecordError as error:
            if self.outcome is None:
                raise
            self.unrecorded = str(error)

    def result(self, question: str, form: Form | None) -> Result:
        """Return what the one who asked is told."""
        outcome = self.outcome
        assert outcome is not None, "solve it first"
        return Result(
            **told(outcome.answer, form, self.run.folder),
            status=outcome.status,
            confirmed=outcome.confirmed,
            reason=outcome.reason,
            usage=self.run.ledger.usage,
            trajectory=self.recorder.trajectory,
            question=question,
            may_pass=outcome.may_pass,
            unrecorded=self.unrecorded,
            checks=tuple(checks_of(self.recorder.root_events, ROOT)),
            turns=self.run.ledger.turns,
            calls=self.run.ledger.calls,
        )
