"""One task of a batch: answered in a run of its own, and the result made of the run's end."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from ..answers import answer_of
from ..errors import ContextError, RecordError, RLMError, UsageError
from ..events import Event, RunEnded, Status, Usage
from ..record import journal
from ..record.files import JOURNAL
from ..record.notebooks.metadata import ROOT_PAGE
from ..replay import continuation
from ..replay.continuation import Continuation
from ..replay.reopen import ended_before, left_out, reopen
from ..rlm.boundary import boundary
from ..session.session import Session
from ..settings.resolved import LIMIT_NAMES, Resolved
from .folder import Folder
from .plan import Score, scored
from .results import TaskResult, is_total
from .tasks import Task

T = TypeVar("T")
INTERRUPTED: Final = "interrupted"


class Load(Protocol):
    """Calls what blocks in a thread."""

    def __call__(self, work: Callable[..., T], *given: Any) -> Awaitable[T]: ...


class TaskRun:
    """One task's run. ``ended`` is its end, None until ``carry_out`` has returned; ``path`` is the
    run's folder.

    Reads the run's events, for their last. Another way of answering a task overrides ``answer``
    and ``look_up``.
    """

    def __init__(self, task: Task, folder: Folder, session: Session, load: Load) -> None:
        self.task = task
        self.ended: RunEnded | None = None
        self.folder = folder
        self.path = folder.run(task)
        self.session = session
        self.load = load
        self.began = time.time()

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunEnded):
            self.ended = event

    async def carry_out(self, again: bool) -> bool:
        """Let the task be answered, ``again`` whatever its record says of an end. Return whether
        it failed for a cause that may pass.

        Whatever goes wrong in the run is a failed run. Raises ``UsageError`` for a setting that is
        wrong, for every task then; and ``CancelledError`` where the caller is cancelled.
        """
        caller = asyncio.current_task()
        assert caller is not None
        try:
            with boundary(self.path):
                return await self.answer(again)
        except asyncio.CancelledError:
            if caller.cancelling():
                self.ended = self.ended or _end(INTERRUPTED, INTERRUPTED)
                raise
            # Something in the run was cancelled that nobody stopped.
            self.ended = _failed(self.ended, "it was cancelled from within")
            return False
        except RLMError as error:
            if isinstance(error, UsageError) and not isinstance(error, ContextError):
                raise
            self.ended = _failed(self.ended, str(error))
            return error.may_pass

    async def answer(self, again: bool) -> bool:
        """Answer it from the beginning, or from its record on, and set ``ended``. Return whether it
        failed for a cause that may pass."""
        path = self.path
        self.ended = None if again else await self.load(_final, path)
        if self.ended is not None:
            return False
        if path.is_symlink():
            raise RecordError(f"{path}: it is a link, which may lead out of the batch's folder")
        force = self.settings()
        if await self.load(reopen, path):
            run = await self.load(_resumed, path)
            result = await self.session.go_on(run, [self], force=force)
        else:
            task = dataclasses.replace(self.task, exclude=force.settings.exclude)
            source = await self.load(task.source)
            result = await self.session.ask(
                source, self.task.question, [self], force=force, form=self.task.form
            )
        if result.unrecorded is not None:
            why = [result.reason] if result.reason else []
            raise RecordError("; ".join([*why, result.unrecorded]))
        return result.may_pass

    def settings(self) -> Resolved:
        """Return what is in force for this task: its folder, and limits of its own."""
        force = self.session.force
        changed = {LIMIT_NAMES[name]: value for name, value in self.task.limits.items()}
        return dataclasses.replace(
            force,
            settings=dataclasses.replace(force.settings, out=self.path),
            limits=dataclasses.replace(force.limits, **changed),
        )

    async def result(self, score: Score) -> TaskResult:
        """Return the result, with its score. What it cannot be made of fails this task alone.
        Raises ``UsageError`` for what is no score, for any task."""
        assert self.ended is not None
        result = _bare_result(self.task, self.ended, self.began)
        try:
            with boundary(self.path):
                result = await self.load(self.look_up, result, self.ended)
                if result.unfinished:
                    return result
                correct = await self.load(scored, score, self.task, self.ended.answer)
                return dataclasses.replace(result, correct=correct)
        except UsageError:
            raise
        except RLMError as error:
            return dataclasses.replace(result, status="failed", reason=str(error))

    def look_up(self, result: TaskResult, ended: RunEnded) -> TaskResult:
        """Return the result with what the run's folder says. Blocks."""
        usage = ended.usage + left_out(self.path)
        trajectory = self.path / ROOT_PAGE
        shown = trajectory.relative_to(self.folder.path).as_posix()
        return dataclasses.replace(
            result,
            cost=None if usage.unpriced else usage.cost,
            tokens=usage.tokens,
            attempts=1 + len(ended_before(self.path)),
            trajectory=shown if trajectory.exists() else None,
        )


OpenTaskRun: TypeAlias = Callable[[Task, Folder, Session, Load], TaskRun]


def _bare_result(task: Task, ended: RunEnded, began: float) -> TaskResult:
    given = answer_of(ended)
    return TaskResult(
        id=task.id,
        question=task.question,
        status=ended.status,
        answer=ended.answer,
        value=given and given.json,
        type=given.type if given else None,
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
        evidence=[dataclasses.asdict(one) for one in ended.evidence],
        task=task.rest,
    )


def _resumed(folder: Path) -> Continuation:
    """Read the record of a run that is to be resumed. Blocks. Raises ``RecordError`` for whatever
    is wrong with the record: no setting is."""
    try:
        return continuation.resume(folder)
    except UsageError as error:
        raise RecordError(str(error)) from error


def _failed(last: RunEnded | None, reason: str) -> RunEnded:
    """Return the end of a run that could not be carried out, or not be recorded; what was answered
    stays."""
    last = last or _end("failed", reason)
    return dataclasses.replace(last, status="failed", reason=reason)


def _end(status: Status, reason: str) -> RunEnded:
    """Return the end of a run that never began."""
    return RunEnded(
        status=status,
        answer=None,
        confirmed=False,
        reason=reason,
        usage=Usage(),
        turns=0,
        calls=0,
        seconds=0.0,
        time=time.time(),
    )


def _final(folder: Path) -> RunEnded | None:
    """Return the end of the run there, where that stands: its process was killed before it could
    say so in the results. One that failed is tried again, since the record does not tell whether
    its cause may pass. Blocks."""
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
