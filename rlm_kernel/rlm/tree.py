"""The tree of a run: its root and the children of its nodes, and how each of them ends."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial

from ..answers import Answer, answer_fields
from ..endings import to_the_end
from ..errors import CallRefused, LimitReached, LMError, RecordError, RLMError, UsageError
from ..events import NodeEnded, RunEnded, Status, Usage
from ..record.notebooks.metadata import page
from ..record.numbers import counted, duration
from ..repl.protocol import Slot
from ..settings.limits import Ledger
from . import consent
from .boundary import boundary
from .cell_runner import CellRunner
from .loop import Node
from .prompt_slot import PromptSlot
from .run import Run
from .task import Task


@dataclass(frozen=True)
class Outcome:
    """The end of a node or a run. An answer that is not ``confirmed`` is the best so far, or of one
    that was answered, one that is doubted for the ``reason``.
    ``may_pass`` says of a failure that its cause may be gone a little later."""

    status: Status
    answer: Answer | None
    confirmed: bool = False
    reason: str | None = None
    may_pass: bool = False


OURS = Outcome("failed", None, reason="an error of rlm_kernel itself")


async def solve_tree(run: Run, task: Task, repl: CellRunner | None = None) -> Outcome:
    """Answer a question under the run's limits, whole tree; always ends in a ``RunEnded``.

    ``repl`` is a live one to go on in (a session that is lived in); it stays open. Cancelling ends
    the run as interrupted and re-raises. Raises ``ContextError`` where the task's variable is not
    there.
    """
    node, outcome = _node(run, task), OURS
    clock, patience = asyncio.timeout(run.ledger.seconds_left), asyncio.timeout(None)
    try:
        async with patience, clock:
            with run.human.may_hold(clock), run.human.may_end(patience):
                outcome = await _solve(node, repl)
    except TimeoutError as error:
        if patience.expired():
            reason = run.human.not_decided
            return (outcome := Outcome("interrupted", node.best.answer, reason=reason))
        if not clock.expired():
            outcome = Outcome("failed", node.best.answer, reason=f"TimeoutError: {error}")
            raise
        over = Outcome("limit", node.best.answer, reason=str(run.ledger.trip_time()))
        outcome = _answered(node) or over
    except asyncio.CancelledError:
        outcome = _answered(node) or Outcome("interrupted", node.best.answer, reason="interrupted")
        raise
    except UsageError as error:
        outcome = Outcome("failed", None, reason=str(error))
        raise
    finally:
        with suppress(RecordError):  # which is raised again when the record is closed
            run.emit(run_ended(outcome, run.ledger))
    return outcome


async def solve_child(run: Run, parent: str, depth: int, at: PromptSlot, child: str) -> Slot:
    """``calls.Child`` for the calls of ``parent``, once run, parent and its depth are given: a node
    of its own, one deeper."""
    if run.consent().missing:
        raise CallRefused(consent.NOBODY)
    started = time.monotonic()
    source = await asyncio.to_thread(run.from_guest, *at.context, f"context of {child}")
    task = Task(
        question=at.prompt,
        source=source,
        node=child,
        parent=parent,
        call=at.number,
        depth=depth + 1,
        model=run.model(at.call.model, run.root),
        max_turns=at.call.max_turns,
    )
    outcome = await _solve(_node(run, task))
    turns = run.turns_of[child]
    seconds = round(time.monotonic() - started, 3)
    if outcome.status == "answered" and outcome.answer is not None:
        about = {"turns": turns, "seconds": seconds, "notebook": page(child, root=False)}
        return {"value": outcome.answer.json, "about": {"status": outcome.status, **about}}
    if run.ledger.tripped is not None and run.ledger.tripped.shared:
        raise run.ledger.tripped
    took = f"status {outcome.status}, {counted(turns, 'turn')}, {duration(seconds)}"
    best = f"; its best answer so far: {outcome.answer.text}" if outcome.answer else ""
    raise LMError(
        f"the child {child} ended without an answer ({took}): {outcome.reason}{best}", cause="child"
    )


def _node(run: Run, task: Task) -> Node:
    return Node(run, task, partial(solve_child, run, task.node, task.depth))


def _answered(node: Node) -> Outcome | None:
    """Return the outcome of a node that has its answer."""
    sure = node.unsure is None
    answered = Outcome("answered", node.answer, confirmed=sure, reason=node.unsure)
    return None if node.answer is None else answered


async def _solve(node: Node, repl: CellRunner | None = None) -> Outcome:
    """Let a node work until its answer or its end. Emits ``NodeStarted`` and ``NodeEnded``.

    Raises ``CancelledError``, and for the root ``UsageError`` where it cannot begin: there is no
    such variable, no engine, no room for the context.
    """
    outcome, kernel = OURS, AsyncExitStack()
    try:
        with boundary(node.run.folder):
            await node.solve(await _entered(node, repl, kernel))
        outcome = _answered(node) or OURS
    except asyncio.CancelledError:
        outcome = _cancelled(node)
        raise
    except UsageError as error:
        outcome = Outcome("failed", node.best.answer, reason=str(error))
        if node.task.parent is None and not node.begun:
            raise
    except LimitReached as error:
        outcome = Outcome("limit", node.best.answer, reason=f"{error}{node.best.misfit}")
    except RLMError as error:
        outcome = Outcome("failed", node.best.answer, reason=str(error), may_pass=error.may_pass)
    finally:
        try:
            await to_the_end(kernel.aclose())
        finally:
            node.run.ledger.release(node.task.node)
            with suppress(RecordError):  # which is raised again when the record is closed
                node.run.emit(node_ended(node.task.node, outcome, node.rent.usage))
    return outcome


async def _entered(node: Node, repl: CellRunner | None, kernel: AsyncExitStack) -> CellRunner:
    """The REPL that a node works in, which ends with ``kernel`` where none is given."""
    run = node.run
    if repl is None:
        opening = run.open_runner(node.calls, run.setup(node.task.node))
        repl = await kernel.enter_async_context(opening)
    repl.calls, repl.held = node.calls, node.held()
    if node.task.parent is None:
        # Asked for when a child starts: a restart changes it.
        run.sandbox = lambda: repl.sandbox
    kernel.callback(lambda: node.rent.pay(*repl.unpaid()))
    return repl


def _cancelled(node: Node) -> Outcome:
    ledger, depth = node.run.ledger, node.task.depth
    left = ledger.seconds_left if depth == 0 else ledger.seconds_to_work(depth - 1)
    if left is not None and left <= 0:
        return Outcome("limit", node.best.answer, reason=str(ledger.late(depth)))
    return Outcome("interrupted", node.best.answer, reason="interrupted")


def node_ended(node: str, outcome: Outcome, usage: Usage | None = None) -> NodeEnded:
    """Return the record of a node's end; ``usage`` is that of its sandbox."""
    return NodeEnded(
        node=node,
        status=outcome.status,
        confirmed=outcome.confirmed,
        reason=outcome.reason,
        time=time.time(),
        usage=usage or Usage(),
        **answer_fields(outcome.answer),
    )


def run_ended(outcome: Outcome, ledger: Ledger) -> RunEnded:
    """Return the record of a run's end, with what the ledger has of the whole tree."""
    return RunEnded(
        status=outcome.status,
        confirmed=outcome.confirmed,
        reason=outcome.reason,
        usage=ledger.usage,
        turns=ledger.turns,
        calls=ledger.calls,
        seconds=ledger.seconds,
        time=time.time(),
        **answer_fields(outcome.answer),
    )
