"""``rlm demo``: a question whose answer is known."""

from __future__ import annotations

import argparse
import secrets

from ..inputs import contexts
from ..reports.terminal import standard_error
from . import demo_text
from .run import ask, exit_status, report
from .settle import settle
from .statuses import FAILED


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    made = demo_text.make(seed)
    console = standard_error(highlight=False)
    console.print(f"seed {seed}: a text of {len(made.context):,} characters")
    result = ask(settle(options), contexts.from_value(made.context), made.question, False)
    report(result, as_json=False)
    right = (result.response or "").strip() == made.answer
    console.print(
        "the answer is right" if right else f"the answer is wrong: it is {made.answer}",
        style="green" if right else "red",
    )
    return exit_status(result) if right else FAILED
