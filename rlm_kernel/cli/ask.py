"""``rlm run`` and ``rlm demo``: ask a question, show its progress, print the answer."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from ..inputs import contexts
from ..inputs.contexts import Source
from ..inputs.tools import Tools
from ..reports.terminal import standard_error
from ..session.event_loop import engine
from ..session.session import Result, Session
from ..settings.resolved import Resolved
from . import demo
from .options import place_options, settle
from .screen import Screen
from .statuses import ANSWERED, FAILED, INTERRUPTED, LIMIT
from .terminal import write_answer

_STATUS = {"answered": ANSWERED, "failed": FAILED, "limit": LIMIT, "interrupted": INTERRUPTED}


def add(commands: Any) -> None:
    _run_parser(commands)
    _demo_parser(commands)


def answer_options(parser: argparse.ArgumentParser) -> None:
    """Who answers, where, at what cost, and how it is told."""
    parser.add_argument("--model", help="the LM that writes the cells")
    parser.add_argument("--sub-model", help="the LM that llm_query asks")
    parser.add_argument("--base-url", metavar="URL", help="any OpenAI-compatible endpoint")
    place_options(parser)
    parser.add_argument("--prompt", metavar="STYLE", help="strong or small")
    for name, what in (
        ("turns", "LM replies in each node"),
        ("depth", "levels of children"),
        ("calls", "sub-calls and children"),
        ("tokens", "tokens, in and out, or none"),
        ("cost", "US dollars, or none"),
        ("seconds", "seconds for the run, or none"),
        ("cell-seconds", "running seconds for a cell"),
    ):
        parser.add_argument(f"--max-{name}", metavar="N", help=what)
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")


def out_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", help="the run's folder; by default under rlm-runs")


def _run_parser(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="answer a question about a context",
        description="Answer QUESTION about the context. Only the answer goes to standard output. "
        "Exit status: 0 answered, 1 failed, 2 wrong usage, 3 a limit was reached, 130 interrupted.",
    )
    run.set_defaults(work=_run)
    run.add_argument("question", metavar="QUESTION")
    run.add_argument(
        "--context", required=True, metavar="PATH", help="a file, a folder, or - for standard input"
    )
    run.add_argument("--encoding", help="of a text context; found out by default")
    answer_options(run)
    out_option(run)


def _demo_parser(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="answer a question about a text made from a seed, and check the answer",
        description="Make a text of over 200,000 characters and a question about it from a seed, "
        "answer it as `rlm run` would, and compare with the right answer, which the LM never sees.",
    )
    demo.set_defaults(work=_demo)
    demo.add_argument("--seed", type=int, help="by default a new one each time")
    place_options(demo)


def _run(options: argparse.Namespace) -> int:
    force = settle(options, "question", "context", "encoding", "json", "quiet")
    source = contexts.from_path(options.context, encoding=options.encoding)
    result = _ask(force, source, options.question, options.quiet)
    return tell(result, options.json)


Work = Callable[[Session, Screen], Awaitable[Result]]


def _ask(force: Resolved, source: Source, question: str, quiet: bool) -> Result:
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


def _demo(options: argparse.Namespace) -> int:
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    made = demo.make(seed)
    console = standard_error(highlight=False)
    console.print(f"seed {seed}: a text of {len(made.context):,} characters")
    result = _ask(settle(options, "seed"), contexts.from_value(made.context), made.question, False)
    _report(result, as_json=False)
    right = (result.response or "").strip() == made.answer
    console.print(
        "the answer is right" if right else f"the answer is wrong: it is {made.answer}",
        style="green" if right else "red",
    )
    return _status(result) if right else FAILED


def tell(result: Result, as_json: bool) -> int:
    """Print how it ended; returns the exit status."""
    _report(result, as_json)
    return _status(result)


def _status(result: Result) -> int:
    return _STATUS[result.status] if result.unrecorded is None else FAILED


def _report(result: Result, as_json: bool) -> None:
    """The answer on standard output; why there is none, or no sure one, on standard error."""
    shown = json.dumps(_as_json(result)) if as_json else result.response
    if shown is not None:
        write_answer(shown, str(result.trajectory))
    if not result.confirmed:
        raising = "; --max-... sets the limits (rlm run --help)" if result.status == "limit" else ""
        best = "no answer" if result.response is None else "the answer above is unconfirmed"
        standard_error(markup=False, highlight=False, soft_wrap=True).print(
            f"rlm: {best}: {result.reason}" + raising, style="yellow"
        )

    if result.unrecorded is not None:
        standard_error(markup=False, highlight=False, soft_wrap=True).print(
            f"rlm: the run is not recorded: {result.unrecorded}", style="red"
        )


def _as_json(result: Result) -> dict[str, Any]:
    return {
        **dataclasses.asdict(result),
        "cost": result.cost,
        "trajectory": str(result.trajectory),
    }
