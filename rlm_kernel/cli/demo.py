"""``rlm demo``: a question whose answer is known."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex

from rich.console import Console

from ..inputs import contexts
from ..lm import embedded
from ..reports.terminal import standard_error
from ..session.result import Result
from ..settings.resolved import Resolved
from . import demo_text, tour
from .demo_text import Demo
from .fetching import Beside, agreed
from .run import ask, exit_status, report
from .settle import settle
from .statuses import FAILED


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    force = settle(options)
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    made = demo_text.make(seed)
    console = standard_error(highlight=False)
    console.print(f"seed {seed}: a text of {len(made.context):,} characters")
    if force.settings.embedded and embedded.installed():
        _fetch(force, made, console, options.yes)
    result = ask(force, contexts.from_value(made.context), made.question, False)
    report(result, as_json=False)
    right = (result.response or "").strip() == made.answer
    console.print(
        "the answer is right" if right else f"the answer is wrong: it is {made.answer}",
        style="green" if right else "red",
    )
    _say_next(result, console)
    return exit_status(result) if right else FAILED


def _fetch(force: Resolved, made: Demo, console: Console, yes: bool) -> None:
    """Bring the weights that are missing, and give a tour meanwhile."""
    if embedded.available() is None:
        return
    if not agreed(console, yes):
        return
    with Beside() as fetch:
        answer = tour.show(force, made, console).response
        console.print(f"the tour's answer is {answer}; now the model, which is told nothing of it")
        fetch.wait(console)


def _say_next(result: Result, console: Console) -> None:
    run = shlex.quote(os.path.relpath(result.trajectory.parent))
    page = shlex.quote(os.path.relpath(result.trajectory))
    commands = {
        f"rlm why {run}": "what the answer rests on",
        f"rlm replay {run}": "the same cells again, with no model",
        f"jupyter lab {page}": "the run as a notebook",
        'rlm run "QUESTION" --context PATH': "a question of yours",
        "rlm help": "all else",
    }
    width = max(map(len, commands))
    console.print("what to try next:", style="bold")
    widest = 4 + width + max(map(len, commands.values()))
    fits = not console.is_terminal or widest <= console.width
    for command, what in commands.items():
        told = f"{command:{width}}  {what}" if fits else f"{command}\n      {what}"
        console.print(f"  {told}", markup=False, soft_wrap=True)
