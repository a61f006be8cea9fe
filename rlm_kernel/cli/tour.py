"""A run to look at while the weights of the embedded LM load: its replies were written beforehand,
its cells run as any others."""

from __future__ import annotations

import re
from dataclasses import replace

from rich.console import Console

from ..inputs import contexts
from ..session.session import Result
from ..settings.resolved import Resolved
from ..testing import ScriptedLM
from .demo_text import GOOD, Demo
from .run import carry_out

READING_SECONDS = 1.5
"""Before each reply, so that the one before can be read."""
_BEFORE = "a tour of a run while the model loads: its replies were written beforehand"
_CELLS = (
    ("I look at how the input begins.", "print(context[:300])"),
    (
        "Each review is a line. I take those of the product.",
        "here = [line for line in context.splitlines() if {product!r} in line]\n"
        "print(len(here), here[0])",
    ),
    (
        "Whether one is positive is a matter of meaning: I ask a smaller model about each.",
        "table = llm_map(here, 'Is this review positive?', labels=['yes', 'no'])\n"
        "print(table.counts())",
    ),
    ("That is the answer.", "FINAL_VAR(table.counts()['yes'])"),
)


def show(force: Resolved, made: Demo, console: Console) -> Result:
    """Answer the demonstration's question by a script, as ``rlm run`` would show it."""
    console.print(_BEFORE, style="bold", markup=False, highlight=False, soft_wrap=True)
    beside = replace(force, settings=replace(force.settings, out=None))  # that is the run's to come
    return carry_out(
        beside,
        False,
        lambda session, screen: session.ask(
            contexts.from_value(made.context), made.question, [screen]
        ),
        root=_lm(made),
    )


def _lm(made: Demo) -> ScriptedLM:
    [product] = re.findall("the ([A-Z].*) are", made.question)
    turns = [f"{said}\n```python\n{cell.format(product=product)}\n```" for said, cell in _CELLS]

    def judge(prompt: str) -> str:
        return "yes" if any(sentence in prompt for sentence in GOOD) else "no"

    return ScriptedLM(turns, judge, latency_s=READING_SECONDS)
