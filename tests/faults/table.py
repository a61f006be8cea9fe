"""The table of all cases, as Markdown."""

from __future__ import annotations

import re
import sys

from . import cells, endpoints, inputs, limits, replies, usage
from .running import Seen, run

GROUPS = {
    "the endpoint": endpoints.CASES,
    "the context": inputs.CASES,
    "replies": replies.CASES,
    "cells": cells.CASES,
    "usage": usage.CASES,
    "limits": limits.CASES,
}
SHOWN_CHARS = 320
HEAD = "| case | message, as it was shown | to | exit | trajectory | left running | s |"
RULE = "| --- | --- | --- | --- | --- | --- | --- |"


def row(seen: Seen) -> str:
    """One line of the table."""
    case, trajectory = seen.case, seen.trajectory
    message = _cell(seen.message, case.phrase) if case.phrase else "(none: it was tried again)"
    whole = trajectory.sealed and not trajectory.problems
    count = trajectory.notebooks
    valid = f"valid, {count} notebook{'s' * (count != 1)}" if whole else "**NOT VALID**"
    if not trajectory.there:
        valid = "none: no run began"
    columns = [case.name, message, case.to, str(seen.status), valid, ", ".join(seen.left)]
    columns[-1] = columns[-1] or "nothing"
    if case.limit:
        columns[4] += f"; {seen.spent_after} requests after the limit"
    return f"| {' | '.join([*columns, f'{seen.seconds:.1f}'])} |"


def _cell(text: str, phrase: str) -> str:
    """The message in one line of bounded length, with its key phrase in it."""
    text = re.sub(r"\s+", " ", text.replace("|", "\\|")).strip()
    if len(text) <= SHOWN_CHARS:
        return text
    start = max(text.find(phrase) - SHOWN_CHARS // 2, 0)
    shown = text[start : start + SHOWN_CHARS]
    return f"{'…' * (start > 0)}{shown}{'…' * (start + SHOWN_CHARS < len(text))}"


def write(only: str = "") -> bool:
    """Run the cases whose name has ``only`` in it and print their rows; whether all is well."""
    problems = []
    for group, cases in GROUPS.items():
        chosen = [case for case in cases if only in f"{group}: {case.name}"]
        if chosen:
            print(f"\n### {group}\n\n{HEAD}\n{RULE}")
        for case in chosen:
            seen = run(case)
            print(row(seen), flush=True)
            wrong = seen.problems()
            problems += [f"{group}: {case.name}: {text}" for text in wrong]
            if wrong:
                print(seen.stderr, file=sys.stderr)
    print(f"\n{len(problems)} problems" + "".join(f"\n- {problem}" for problem in problems))
    return not problems
