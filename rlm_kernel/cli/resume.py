"""``rlm resume``, ``rlm fork`` and ``rlm rerun``: runs that go on from a record."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from ..events import CallEnded, Event
from ..inputs.tools import Tools
from ..record.numbers import counted
from ..replay import continuation
from ..replay.continuation import Continuation
from ..reports.terminal import standard_error
from ..session.branching import branch
from ..session.session import Result, Session
from .paths import check_runs
from .run import carry_out, exit_status, report, tell
from .screen import Screen
from .settle import context_of, settle


def resume(options: argparse.Namespace) -> int:
    """Do ``rlm resume``; return the exit status."""
    check_runs(options.path)
    return go_on(continuation.resume(options.path), options)


def fork(options: argparse.Namespace) -> int:
    """Do ``rlm fork``; return the exit status."""
    check_runs(options.path)
    edit = None if options.edit is None else _source(options.edit)
    if edit is not None and options.at is None:
        raise UsageError("--edit needs --at: which cell is it in place of?")
    if options.branches is not None:
        return _branches(options, edit)
    return go_on(continuation.fork(options.path, options.at, edit=edit, note=options.note), options)


def _branches(options: argparse.Namespace, edit: str | None) -> int:
    """Go on several times at once, and print what came of each; 0 where one was answered."""
    forks = [
        continuation.fork(options.path, options.at, edit=edit, note=options.note)
        for _ in range(max(options.branches, 1))
    ]
    force = settle(options, below=[forks[0].spoken], last=[forks[0].place])
    console = standard_error(quiet=options.quiet)
    results: list[Result] = []

    async def work(session: Session, screen: Screen) -> Result:
        results.extend(await branch(session, forks, [], console.print, force, Tools()))
        return results[0]

    carry_out(force, options.quiet, work)
    for number, result in enumerate(results, 1):
        standard_error(markup=False, highlight=False, soft_wrap=True).print(
            f"branch {number} ({result.status}): {result.trajectory}"
        )
        report(result, options.json, formed=forks[0].form is not None)
    return min(map(exit_status, results))


def _source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"--edit {path}: cannot be read as UTF-8 text: {error}") from error


def rerun(options: argparse.Namespace) -> int:
    """Do ``rlm rerun``; return the exit status."""
    check_runs(options.path)
    source = context_of(options, settle(options))
    return go_on(continuation.rerun(options.path, source), options)


def go_on(run: Continuation, options: argparse.Namespace) -> int:
    """Carry it out as `rlm run` does a question, and say what was asked anew."""
    force = settle(options, below=[run.spoken], last=[run.place])
    calls: list[CallEnded] = []

    def heard(event: Event) -> None:
        # Not from the journal: that of a resumed run has the calls from before it was stopped.
        if isinstance(event, CallEnded) and event.op != "tool":
            calls.append(event)

    result = carry_out(
        force, options.quiet, lambda session, screen: session.go_on(run, [screen, heard])
    )
    status = tell(result, options.json, formed=run.form is not None)
    if not options.quiet:
        asked = sum(call.usage.requests > 0 for call in calls)
        standard_error(highlight=False).print(
            f"{counted(len(calls) - asked, 'call')} answered from the record, {asked} asked anew",
            style="dim",
        )
    return status
