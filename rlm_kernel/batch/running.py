"""The tasks of a batch on their way: so many runs at once on one event loop, each with a kernel and
a trajectory of its own, all with the same LMs."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ContextError, RecordError, RLMError, UsageError
from ..events import Event, RunEnded, Usage
from ..record import journal
from ..record.files import JOURNAL
from ..record.notebooks.metadata import ROOT_PAGE
from ..replay import continuation
from ..replay.continuation import Continuation
from ..replay.reopen import ended_before, left_out, reopen
from ..reports import listing
from ..rlm.boundary import boundary
from ..session.session import Session
from ..settings.resolved import LIMIT_NAMES, Resolved
from .folder import Folder
from .plan import Plan, scored
from .results import TaskResult, is_total
from .tasks import Task

T = TypeVar("T")
INTERRUPTED = "interrupted"
LOADERS = 8
"""Threads that load contexts and read records, apart from those that the runs share: a slow one
keeps no record from being written."""


@dataclass
class Counts:
    """How far a batch has come. ``before`` of ``total`` were done at an earlier time; ``right`` of
    ``scored`` answers were right; ``cost`` is the known part of it, in US dollars, and ``unpriced``
    the requests beside it whose price is not known; when it is ``stopping`` no more runs are
    begun."""

    total: int
    before: int = 0
    live: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    right: float = 0.0
    scored: int = 0
    cost: float = 0.0
    unpriced: int = 0
    stopping: bool = False

    @property
    def done(self) -> int:
        return self.statuses.total()

    def take(self, result: TaskResult) -> None:
        self.statuses[result.status] += 1
        if result.correct is not None:
            self.right += float(result.correct)
            self.scored += 1


Watch = Callable[[Counts], None]


@dataclass(frozen=True)
class _Job:
    """``again`` says that its run is gone on with, whatever its record says of an end."""

    task: Task
    again: bool
    retries: int


class Batch:
    """Made for one ``carry_out``. ``stopped`` says why not all tasks were run: ``"interrupted"`` or
    the name of the limit that they share. ``watch`` is told of each change."""

    def __init__(
        self, folder: Folder, tasks: list[Task], session: Session, plan: Plan, watch: Watch
    ) -> None:
        self.stopped: str | None = None
        self.reason = ""
        self.counts = Counts(len(tasks), before=len(folder.results))
        self._folder = folder
        self._session = session
        self._plan = plan
        self._watch = watch
        self._budget = session.budget
        self._running: set[asyncio.Task[Any]] = set()
        """The workers whose run is live; others are writing a result, which is not to be lost."""
        self._loading = ThreadPoolExecutor(min(plan.concurrency, LOADERS), "rlm-batch")
        self._writing = ThreadPoolExecutor(1, "rlm-results")
        self._waiting = deque(
            _Job(task, task.id in folder.again, plan.retries)
            for task in tasks
            if task.id not in folder.results
        )

    def stop(self) -> None:
        """End the live runs as interrupted, and begin no more."""
        self._stop(INTERRUPTED, INTERRUPTED)
        for worker in self._running:
            worker.cancel()

    def _stop(self, what: str, why: str) -> None:
        if self.stopped is None:
            self.stopped, self.reason = what, why
            self.counts.stopping = True

    async def carry_out(self) -> None:
        """Run what is left to run, and write a result for every task.

        Whatever a run or a score raises is a failed run. Cancelling it ends the live runs as
        ``stop`` does, leaves those that were not begun without a result, and is raised again.
        Raises ``UsageError`` for a setting that proves to be wrong and ``RecordError`` where
        results cannot be written: the folder can be gone on with.
        """
        for result in self._folder.results.values():
            self.counts.take(result)
        try:
            self._budget.spent += await self._load(self._spent_before)
            await self._run_all()
            await self._write(*(self._skipped(job.task) for job in self._waiting))
        finally:
            for pool in (self._loading, self._writing):
                await asyncio.shield(asyncio.to_thread(pool.shutdown))

    def _spent_before(self) -> float:
        """What runs of this folder have cost, those without a result included."""
        costs = [result.cost or 0.0 for result in self._folder.results.values()]
        for job in self._waiting:
            folder = self._folder.run(job.task)
            if (folder / JOURNAL).exists():
                usage = (listing.read(folder).usage or Usage()) + left_out(folder)
                costs.append(usage.cost)
        return sum(costs)

    async def _run_all(self) -> None:
        self._changed()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._plan.concurrency, len(self._waiting))):
                    group.create_task(self._work())
        except BaseExceptionGroup as several:  # the others were cancelled for the first one
            raise several.exceptions[0] from several

    async def _work(self) -> None:
        while self._waiting and self.stopped is None:
            if (over := self._budget.reached) is not None:
                self._stop(over.limit, str(over))
                return
            job = self._waiting.popleft()
            self.counts.live += 1
            self._changed()
            try:
                result = await self._result(job)
            finally:
                self.counts.live -= 1
            if result is not None:
                await self._write(result)
            self._changed()

    def _changed(self) -> None:
        self.counts.cost = self._budget.spent
        self.counts.unpriced = self._budget.unpriced
        self._watch(self.counts)

    async def _write(self, *results: TaskResult) -> None:
        for result in results:
            self.counts.take(result)
        writing = asyncio.get_running_loop().run_in_executor(
            self._writing, self._folder.append, results
        )
        await asyncio.shield(writing)
        self._folder.results |= {result.id: result for result in results}

    async def _load(self, work: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._loading, work, *given)

    # one task
    async def _result(self, job: _Job) -> TaskResult | None:
        """How its run ended; None where it is to be tried again, behind all others."""
        began, ends, worker = time.time(), _Ends(), asyncio.current_task()
        assert worker is not None
        self._running.add(worker)
        try:
            with boundary(self._folder.run(job.task)):
                passing = await self._run(job, ends)
        except asyncio.CancelledError:
            if worker.cancelling():
                self._stop(INTERRUPTED, INTERRUPTED)
                ends.last = ends.last or _ended(INTERRUPTED, INTERRUPTED)
            else:  # something in the run was cancelled that nobody stopped
                ends.last = _failed(ends.last, "it was cancelled from within")
            passing = False
        except RLMError as error:
            if isinstance(error, UsageError) and not isinstance(error, ContextError):
                raise  # a setting is wrong, for every task
            ends.last = _failed(ends.last, str(error))
            passing = error.may_pass
        finally:
            self._running.discard(worker)
        assert ends.last is not None
        if is_total(ends.last.status, ends.last.reason) and (over := self._budget.reached):
            self._stop(over.limit, str(over))
        if passing and job.retries and self.stopped is None and self._budget.reached is None:
            self._waiting.append(dataclasses.replace(job, again=True, retries=job.retries - 1))
            return None
        return await self._told(job.task, ends.last, began)

    async def _run(self, job: _Job, ends: _Ends) -> bool:
        """Let it be answered, from the beginning or from its record on; whether it failed for a
        cause that may pass."""
        task, folder = job.task, self._folder.run(job.task)
        ends.last = None if job.again else await self._load(_final, folder)
        if ends.last is not None:
            return False
        if folder.is_symlink():
            raise RecordError(f"{folder}: it is a link, which may lead out of the batch's folder")
        force = self._force(task, folder)
        if await self._load(reopen, folder):
            run = await self._load(_resumed, folder)
            result = await self._session.go_on(run, [ends], force=force)
        else:
            source = await self._load(task.source)
            result = await self._session.ask(source, task.question, [ends], force=force)
        if result.unrecorded is not None:
            why = [result.reason] if result.reason else []
            raise RecordError("; ".join([*why, result.unrecorded]))
        return result.may_pass

    def _force(self, task: Task, folder: Path) -> Resolved:
        force = self._session.force
        changed = {LIMIT_NAMES[name]: value for name, value in task.limits.items()}
        return dataclasses.replace(
            force,
            settings=dataclasses.replace(force.settings, out=folder),
            limits=dataclasses.replace(force.limits, **changed),
        )

    async def _told(self, task: Task, ended: RunEnded, began: float) -> TaskResult:
        """The result, with its score. What it cannot be made of fails this task alone."""
        result = _bare_result(task, ended, began)
        try:
            with boundary(self._folder.run(task)):
                result = await self._load(self._looked_up, task, result, ended)
                if result.unfinished:
                    return result
                correct = await self._load(scored, self._plan.score, task, ended.answer)
                return dataclasses.replace(result, correct=correct)
        except UsageError:
            raise  # the score is none, for any task
        except RLMError as error:
            return dataclasses.replace(result, status="failed", reason=str(error))

    def _looked_up(self, task: Task, result: TaskResult, ended: RunEnded) -> TaskResult:
        """The result with what the run's folder says. Blocks."""
        folder = self._folder.run(task)
        usage = ended.usage + left_out(folder)
        trajectory = folder / ROOT_PAGE
        return dataclasses.replace(
            result,
            cost=None if usage.unpriced else usage.cost,
            tokens=usage.tokens,
            attempts=1 + len(ended_before(folder)),
            trajectory=_relative(trajectory, self._folder.path) if trajectory.exists() else None,
        )

    def _skipped(self, task: Task) -> TaskResult:
        return TaskResult(
            id=task.id,
            question=task.question,
            status="skipped",
            expected=task.expected,
            reason=f"skipped: {self.reason}",
            task=task.rest,
        )


class _Ends:
    """Reads a run's events for its end."""

    def __init__(self) -> None:
        self.last: RunEnded | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunEnded):
            self.last = event


def _bare_result(task: Task, ended: RunEnded, began: float) -> TaskResult:
    return TaskResult(
        id=task.id,
        question=task.question,
        status=ended.status,
        answer=ended.answer,
        confirmed=ended.confirmed,
        expected=task.expected,
        reason=ended.reason,
        cost=None if ended.usage.unpriced else ended.usage.cost,
        tokens=ended.usage.tokens,
        calls=ended.calls,
        turns=ended.turns,
        seconds=round(ended.seconds, 3),
        began=min(began, ended.time),
        ended=ended.time,
        task=task.rest,
    )


def _resumed(folder: Path) -> Continuation:
    """Blocks. Raises ``RecordError`` for whatever is wrong with the record: no setting is."""
    try:
        return continuation.resume(folder)
    except UsageError as error:
        raise RecordError(str(error)) from error


def _failed(last: RunEnded | None, reason: str) -> RunEnded:
    """The end of a run that could not be carried out, or not be recorded; what was answered
    stays."""
    last = last or _ended("failed", reason)
    return dataclasses.replace(last, status="failed", reason=reason)


def _ended(status: Any, reason: str) -> RunEnded:
    """The end of a run that never began."""
    return RunEnded(status, None, False, reason, Usage(), 0, 0, 0.0, time.time())


def _final(folder: Path) -> RunEnded | None:
    """How the run there ended, where that stands: its process was killed before it could say so in
    the results. One that failed is tried again, since the record does not tell whether its cause
    may pass. Blocks."""
    if not (folder / JOURNAL).exists():
        return None
    ending = journal.ending(folder / JOURNAL, 2)
    last = ending.events[-1] if ending.events and ending.sealed else None
    if not isinstance(last, RunEnded) or last.status not in ("answered", "limit"):
        return None
    if is_total(last.status, last.reason):
        return None
    # Long texts are in files of their own, which only the whole record brings back.
    whole = journal.read(folder / JOURNAL).events[-1]
    return whole if isinstance(whole, RunEnded) else None


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix()
