"""``rlm batch``: many questions at once."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from .. import batch
from ..batch import Batch, Counts, Plan, Summary
from ..batch.results import RESULTS
from ..errors import UsageError
from ..reports.terminal import print_sentence, standard_error
from ..session.event_loop import engine
from .batch_screen import BatchScreen, outcomes, sentence
from .settle import settle
from .statuses import ANSWERED, FAILED, INTERRUPTED, LIMIT
from .terminal import write_line


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    plan = _plan(options)
    force = settle(options)
    tasks = batch.read_tasks(options.tasks)
    console = standard_error(quiet=options.quiet)
    session = batch.open_session(force, plan)
    with BatchScreen(console) as screen, stopping_well() as stopping:
        asked = batch.run(tasks, options.output, session, plan, screen, stopping.append)
        summary = engine().run(asked)
    return _tell(summary, stopping[0].counts, options.json, console)


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(
        concurrency=number(int, options.concurrency, "--concurrency"),
        retries=number(int, options.task_retries, "--task-retries"),
        retry_failed=options.retry_failed,
        total_cost=number(float, options.total_cost, "--total-cost"),
        total_seconds=number(float, options.total_seconds, "--total-seconds"),
        notebook=not options.no_notebook,
    )


def number(kind: Any, text: str | None, option: str) -> Any:
    """Return an option's number, None where it was not given. Raises ``UsageError``."""
    try:
        return None if text is None else kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"{option}={text!r}: give {what}") from None


@contextmanager
def stopping_well() -> Iterator[list[Batch]]:
    """Let the first interrupt stop the batch that is put into the list, so that it ends well; the
    second one, or one before there is a batch, interrupts as usual."""
    batches: list[Batch] = []
    usual, running = signal.getsignal(signal.SIGINT), engine()

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, usual)
        if not batches:
            raise KeyboardInterrupt
        running.soon(batches[0].stop)

    signal.signal(signal.SIGINT, stop)
    try:
        yield batches
    finally:
        signal.signal(signal.SIGINT, usual)


def _tell(summary: Summary, counts: Counts, as_json: bool, console: Console) -> int:
    """Print where the results are on standard output, what they come to on standard error."""
    if as_json:
        write_line(json.dumps(_as_json(summary)))
    else:
        write_line(str(summary.results.folder / RESULTS))
    console.print(outcomes(summary.results))
    print_sentence(console, sentence(summary, counts), "dim")
    return status_of(summary)


def status_of(summary: Summary) -> int:
    """Return the exit status of a batch that has ended."""
    if summary.stopped is not None:
        return INTERRUPTED if summary.stopped == "interrupted" else LIMIT
    return ANSWERED if summary.answered else FAILED


def _as_json(summary: Summary) -> dict[str, Any]:
    results = summary.results
    return {
        "folder": str(results.folder),
        "tasks": len(results.results),
        "outcomes": {name: len(group) for name, group in results.by_outcome().items()},
        "right": sum(results.scored),
        "scored": len(results.scored),
        "cost": results.cost,
        "tokens": sum(result.tokens for result in results.results),
        "stopped": summary.stopped,
        "notebook": None if summary.notebook is None else str(summary.notebook),
    }
