"""Facts that a strong LM is told beside its question and the outputs of its cells, in few words:
what it may use, what is there already, what a cell took and made, which sub-calls failed and why.

An LM keeps to limits that it knows. Each fact is told when it matters, and never a second time.
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import LimitReached, LMError
from ..events import ContextInfo
from ..record.notebooks.prose import LEFT, MADE
from ..record.numbers import counted, money
from ..record.outputs import cut
from ..settings.limits import Limits

SLOW_SECONDS = 1.0
"""Cells that were faster and asked nobody are told without their time."""
MOST_MADE = 6
MOST_CHILDREN = 3
MOST_INDEXES = 8
MOST_THERE = 20
MOST_EXCHANGES = 6
SHOWN_CHARS = 200
"""The most of an earlier question, and of its answer."""
FAILED = "{failed} of {count} sub-LM calls of this cell failed ({causes}). {advice}"
MAY_PASS = "Asking those again may help."
WILL_STAY = "Asking the same again will not help."
CAUSES: dict[str, str] = {
    "unreachable": "the sub-LM could not be reached",
    "timeout": "no reply in time",
    "auth": "the sub-LM is closed to this run",
    "model": "there is no such model",
    "window": "too long for the sub-LM",
    "bad_request": "the sub-LM refused the request",
    "rate_limit": "the sub-LM took no more requests",
    "server": "the sub-LM failed",
    "cut": "the reply broke off",
    "garbage": "the reply could not be read",
    "endless": "the reply had no end",
    "proxy": "the sub-LM could not be reached",
    "redirect": "the sub-LM could not be reached",
    "empty": "the reply was empty",
    "refusal": "the sub-LM refused to answer",
    "interrupted": "stopped before the reply came",
}
"""Why a sub-LM gave no reply, in words for an LM, by the ``errors.Cause``."""
Left = Mapping[str, "float | None"]
"""What may still be used of calls, tokens, cost and seconds; None where there is no limit."""


Failure = tuple["int | None", Mapping[str, Any]]
"""A prompt's index in its batch, None of a single call; the error."""


@dataclass(frozen=True)
class Exchange:
    """A question that was answered in the same kernel before. ``name`` is the variable that its
    answer is bound to; empty where there is none."""

    question: str
    answer: str
    name: str = ""


@dataclass(frozen=True)
class ChildRan:
    """The end of a child: its node, if it gave an answer, its turns, its seconds from the call to
    the answer."""

    node: str
    answered: bool
    turns: int
    seconds: float


def means(limits: Limits, left: Left, depth: int, info: ContextInfo) -> str:
    """Return what an LM may use, of a run of which so much is ``left``, and what is in its
    kernel."""
    words = [allowance(limits, left, depth)]
    if depth:
        words.insert(0, f"You are a child at depth {depth} of {limits.depth}.")
    if depth >= limits.depth:
        words.append("Here `rlm_query` is a plain sub-call.")
    if info.python is not None:
        modules = ", ".join(info.modules) or "nothing but the standard library"
        words.append(f"Python {info.python} with {modules}.")
    return " ".join(words)


def allowance(limits: Limits, left: Left, depth: int = 0) -> str:
    """Return what a node at this depth may use from now on, of a run of which so much is
    ``left``."""
    shared = ", ".join(_amounts(left))
    with_all = f" and, together with the rest of the run, {shared}"
    turns = counted(limits.turns, "turn") + (with_all if depth else f", {shared}" if shared else "")
    return f"You have {turns}, {limits.cell_seconds:g} s a cell (waiting for LMs does not count)."


def _amounts(left: Left) -> list[str]:
    """Return what is left, in words; nothing of what has no limit."""
    calls, tokens, cost, seconds = (left[n] for n in ("calls", "tokens", "cost", "seconds"))
    said = [
        None if calls is None else counted(int(calls), "sub-call"),
        None if tokens is None else counted(int(tokens), "token"),
        None if cost is None else money(cost),
        None if seconds is None else f"{_round(seconds):,} s",
    ]
    return [words for words in said if words is not None]


def _round(seconds: float) -> int:
    """Return the seconds up to the next ten, where they are many."""
    step = 10 if seconds > 100 else 1
    return math.ceil(seconds / step) * step


def nearly_used(limits: Limits, left: Left, turns: int, over: LimitReached | None) -> str:
    """Return what is left, from the half on; of turns there are so many. Where a limit is ``over``
    the LM is told that instead."""
    if over is not None:
        return ""
    allowed = {name: getattr(limits, name) for name in left}
    scarce = {n: v if v is not None and v < allowed[n] / 2 else None for n, v in left.items()}
    said = _amounts(scarce)
    if turns < limits.turns / 2:
        said.insert(0, counted(turns, "turn"))
    return f"{LEFT}{' · '.join(said)}." if said else ""


# what a cell did
def took(seconds: float, calls: int, waited: float) -> str:
    """Return how long a cell ran and its sub-calls took; empty where that is soon told."""
    asked = [f"{counted(calls, 'sub-call')} in {waited:.1f} s"] if calls else []
    ran = [f"{seconds:.1f} s"] if seconds >= SLOW_SECONDS else []
    return ", ".join([*ran, *asked])


def children(ran: Sequence[ChildRan]) -> str:
    """Return how a cell's children ended, one by one where they are few."""
    if len(ran) > MOST_CHILDREN:
        answered = sum(child.answered for child in ran)
        turns, longest = sum(c.turns for c in ran), max(c.seconds for c in ran)
        return (
            f"{answered} of {len(ran)} children answered, in {counted(turns, 'turn')} together; "
            f"the longest took {longest:.1f} s."
        )
    told = [
        f"Child {c.node} {'answered' if c.answered else 'ended without an answer'} after "
        f"{counted(c.turns, 'turn')}, {c.seconds:.1f} s."
        for c in ran
    ]
    return " ".join(told)


def made(sources: Iterable[str], variables: Iterable[str]) -> str:
    """Return which variables cells made or changed, each with its type and size; what is there
    in passing is left out."""
    passing = bound_in_passing(sources)
    shown = [each for each in variables if name_of(each) not in passing]
    more = f" and {len(shown) - MOST_MADE} more" if len(shown) > MOST_MADE else ""
    return f"{MADE}{'; '.join(shown[-MOST_MADE:])}{more}." if shown else ""


def failures(failed: Sequence[Failure], count: int) -> str:
    """Return which of a cell's ``count`` sub-calls failed and why; prompts of a batch count from
    0."""
    by_cause: dict[str, list[int]] = {}
    for index, error in failed:
        by_cause.setdefault(_why(error), []).extend([] if index is None else [index])
    told = "; ".join(f"{_prompts(indexes)}{why}" for why, indexes in by_cause.items())
    may_pass = any(error.get("cause") in LMError.PASSING for _, error in failed)
    advice = MAY_PASS if may_pass else WILL_STAY
    return FAILED.format(failed=len(failed), count=count, causes=told, advice=advice)


def _why(error: Mapping[str, Any]) -> str:
    if error.get("type") == "LMError" and error.get("cause") in CAUSES:
        return CAUSES[error["cause"]]
    return cut(str(error.get("message")), SHOWN_CHARS)


def _prompts(indexes: Sequence[int]) -> str:
    shown = ", ".join(map(str, indexes[:MOST_INDEXES]))
    more = f" and {len(indexes) - MOST_INDEXES} more" if len(indexes) > MOST_INDEXES else ""
    return f"prompt{'s' if indexes[1:] else ''} {shown}{more}: " if indexes else ""


# what is there
def conversation(exchanges: Sequence[Exchange], names: Sequence[str]) -> str:
    """Return the newest questions that were answered before, with their answers and those of the
    ``names`` that there are which hold them."""
    lines = [
        f"- {cut(each.question, SHOWN_CHARS)} -> {cut(each.answer, SHOWN_CHARS)}"
        + (f" (in `{each.name}`)" if each.name in names else "")
        for each in exchanges[-MOST_EXCHANGES:]
    ]
    older = len(exchanges) - len(lines)
    if older:
        lines.insert(0, f"- ({counted(older, 'older question')})")
    head = "Questions that you answered in this kernel before, oldest first:"
    return "\n".join([head, *lines]) if exchanges else ""


def variables_there(variables: Sequence[str], sources: Iterable[str]) -> str:
    """Return the variables that cells with these ``sources`` made, each with its type and size;
    what is there in passing is left out."""
    passing = bound_in_passing(sources)
    shown = [each for each in variables if name_of(each) not in passing][-MOST_THERE:]
    return f"Variables that are there already: {'; '.join(shown)}." if shown else ""


def name_of(shown: str) -> str:
    """Return the name of a variable that is shown with its type."""
    return shown.partition(":")[0]


def bound_in_passing(sources: Iterable[str]) -> set[str]:
    """Return the names that these cells bind in loops and imports alone."""
    bound: Counter[str] = Counter()
    passing: Counter[str] = Counter()
    for source in sources:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # it has IPython's own words
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound[node.id] += 1
            elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
                passing.update(_stored(node.target))
            elif isinstance(node, ast.alias):
                imported = [(node.asname or node.name).partition(".")[0]]
                bound.update(imported)
                passing.update(imported)
    return {name for name, count in passing.items() if bound[name] == count}


def _stored(target: ast.expr) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]
