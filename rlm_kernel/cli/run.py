"""``rlm run``: ask a question, show its progress, print the answer."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import shlex
from collections.abc import Awaitable, Callable
from typing import Any

from ..errors import UsageError
from ..inputs.contexts import Source
from ..inputs.forms import WAYS, Form, form_of_option
from ..inputs.tools import Tools
from ..lm.model import LM
from ..record import checks
from ..record.evidence import lines, summed
from ..record.outputs import cut
from ..remote.guest.forms.type_expressions import UnknownName
from ..reports.terminal import print_sentence, standard_error
from ..session.event_loop import engine
from ..session.result import SHOWN
from ..session.session import Result, Session
from ..settings.limit_options import limit_raised
from ..settings.resolved import Resolved, unknown_variables
from .asking import decides_at, human_at
from .screen import Screen
from .settle import context_of, settle
from .statuses import ANSWERED, FAILED, INTERRUPTED, LIMIT
from .terminal import write_answer

_STATUS = {"answered": ANSWERED, "failed": FAILED, "limit": LIMIT, "interrupted": INTERRUPTED}


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    if not options.question.strip():
        raise UsageError("the question is empty: say what you want to know about the context")
    force = settle(options)
    source = context_of(options, force)
    form = None if options.answer is None else _form(options.answer)
    result = ask(force, source, options.question, options.quiet, form)
    return tell(result, options.json, formed=form is not None)


def _form(text: str) -> Form:
    try:
        return form_of_option(text)
    except UnknownName as error:
        raise UsageError(f"--answer={text!r}: {error}, and no such file; {WAYS}") from None


Work = Callable[[Session, Screen], Awaitable[Result]]


def ask(
    force: Resolved, source: Source, question: str, quiet: bool, form: Form | None = None
) -> Result:
    """Ask a question with progress on standard error."""

    def asked(session: Session, screen: Screen) -> Awaitable[Result]:
        return session.ask(source, question, [screen], form=form)

    return carry_out(force, quiet, asked)


def carry_out(force: Resolved, quiet: bool, asked: Work, root: LM | None = None) -> Result:
    """Do what is asked with progress on standard error, and say where its trajectory is. ``root``
    is the LM, where it is not the one in force."""
    console = standard_error(quiet=quiet)
    for sentence in unknown_variables():
        print_sentence(console, f"rlm: {sentence}", "yellow")
    screen = Screen(console)
    session = Session(force, Tools(), root=root)
    session.ask_human = None if quiet else human_at(screen)
    session.decide = None if quiet else decides_at(screen)

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


def tell(result: Result, as_json: bool, *, formed: bool = False) -> int:
    """Print how it ended, as ``report`` does; returns the exit status."""
    report(result, as_json, formed=formed)
    return exit_status(result)


def exit_status(result: Result) -> int:
    """Return the exit status that says how a run ended."""
    return _STATUS[result.status] if result.unrecorded is None else FAILED


def report(result: Result, as_json: bool, *, formed: bool = False) -> None:
    """Print the answer on standard output; why there is none, or no sure one, on standard error.
    Where it was to be ``formed`` and is not, it goes there too: who reads it is promised a form."""
    unfit = formed and not result.confirmed and result.value is None
    shown = json.dumps(_as_json(result)) if as_json else None if unfit else result.response
    if shown is not None:
        write_answer(shown, str(result.trajectory))
    if result.file is not None and not as_json:
        standard_error(markup=False, highlight=False, soft_wrap=True).print(
            f"rlm: with the answer: {result.file}", style="dim"
        )
    if result.evidence and not as_json:
        told = "\n".join([summed(result.evidence), *map("  {}".format, lines(result.evidence))])
        standard_error(markup=False, highlight=False, soft_wrap=True).print(told, style="dim")
    for line in checks.lines(result.checks) if not as_json else ():
        standard_error(markup=False, highlight=False, soft_wrap=True).print(line, style="dim")
    if not result.confirmed:
        best = "no answer" if shown is None else "the answer above is unconfirmed"
        print_sentence(standard_error(), f"rlm: {best}: {result.reason}{_remedy(result)}", "yellow")
        if shown is None and result.response is not None:
            print_sentence(standard_error(), f"rlm: the best so far: {cut(result.response, SHOWN)}")
    if result.unrecorded is not None:
        standard_error(markup=False, highlight=False, soft_wrap=True).print(
            f"rlm: the run is not recorded: {result.unrecorded}", style="red"
        )


def _remedy(result: Result) -> str:
    """Return the end of a sentence that says how to go on with a run that was stopped."""
    option = limit_raised(str(result.reason)) if result.status == "limit" else ""
    if not option and result.status != "interrupted":
        return ""
    fork = " ".join(["rlm fork", shlex.quote(str(result.trajectory.parent)), option]).rstrip()
    return f"; `{fork}` goes on from there, with your word to the model as --note TEXT"


def _as_json(result: Result) -> dict[str, Any]:
    plain = dataclasses.asdict(dataclasses.replace(result, answer=None))
    del plain["answer"]
    return {
        **plain,
        "tokens": result.usage.tokens,
        "cost": result.cost,
        "trajectory": str(result.trajectory),
        "file": None if result.file is None else str(result.file),
    }
