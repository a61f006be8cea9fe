"""``rlm run``: ask a question, show its progress, print the answer."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import shlex
from collections.abc import Awaitable, Callable
from typing import Any

from ..inputs import contexts
from ..inputs.contexts import Source
from ..inputs.tools import Tools
from ..reports.terminal import standard_error
from ..session.event_loop import engine
from ..session.session import Result, Session
from ..settings.limit_options import limit_raised
from ..settings.resolved import Resolved
from .screen import Screen
from .settle import settle
from .statuses import ANSWERED, FAILED, INTERRUPTED, LIMIT
from .terminal import write_answer

_STATUS = {"answered": ANSWERED, "failed": FAILED, "limit": LIMIT, "interrupted": INTERRUPTED}


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    force = settle(options)
    source = contexts.from_path(options.context, encoding=options.encoding)
    result = ask(force, source, options.question, options.quiet)
    return tell(result, options.json)


Work = Callable[[Session, Screen], Awaitable[Result]]


def ask(force: Resolved, source: Source, question: str, quiet: bool) -> Result:
    """Ask a question with progress on standard error."""
    return carry_out(force, quiet, lambda session, screen: session.ask(source, question, [screen]))


def carry_out(force: Resolved, quiet: bool, asked: Work) -> Result:
    """Do what is asked with progress on standard error, and say where its trajectory is."""
    console = standard_error(quiet=quiet)
    screen = Screen(console)
    session = Session(force, Tools())

    async def work() -> Result:
        try:
            return await asked(session, screen)
        finally:
            await asyncio.shield(session.close())

    try:
        with screen.showing():
            return engine().run(work())
    finally:
        if session.trajectory is not None and session.trajectory.exists():
            console.print(
                f"trajectory: {session.trajectory}", style="dim", markup=False, soft_wrap=True
            )


def tell(result: Result, as_json: bool) -> int:
    """Print how it ended; returns the exit status."""
    report(result, as_json)
    return exit_status(result)


def exit_status(result: Result) -> int:
    """Return the exit status that says how a run ended."""
    return _STATUS[result.status] if result.unrecorded is None else FAILED


def report(result: Result, as_json: bool) -> None:
    """Print the answer on standard output; why there is none, or no sure one, on standard error."""
    shown = json.dumps(_as_json(result)) if as_json else result.response
    if shown is not None:
        write_answer(shown, str(result.trajectory))
    if not result.confirmed:
        best = "no answer" if result.response is None else "the answer above is unconfirmed"
        standard_error(markup=False, highlight=False, soft_wrap=True).print(
            f"rlm: {best}: {result.reason}{_remedy(result)}", style="yellow"
        )
    if result.unrecorded is not None:
        standard_error(markup=False, highlight=False, soft_wrap=True).print(
            f"rlm: the run is not recorded: {result.unrecorded}", style="red"
        )


def _remedy(result: Result) -> str:
    """Return the end of a sentence that says how to go on after the limit that was reached."""
    option = limit_raised(str(result.reason)) if result.status == "limit" else ""
    if not option:
        return ""
    fork = f"rlm fork {shlex.quote(str(result.trajectory.parent))} {option}"
    return f"; {fork} goes on from there, with your word to the model as --note TEXT"


def _as_json(result: Result) -> dict[str, Any]:
    return {
        **dataclasses.asdict(result),
        "cost": result.cost,
        "trajectory": str(result.trajectory),
    }
