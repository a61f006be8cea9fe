"""Evaluations by an LM that knows the tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from asking import block

from rlm_kernel import batch, evaluation
from rlm_kernel.batch import Summary, open_session
from rlm_kernel.evaluation import Grid
from rlm_kernel.evaluation.lengths import parsed
from rlm_kernel.session.event_loop import engine
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import ScriptedLM

NAMES = ("needles/value", "needles/changed")


def knowing(tasks: batch.Tasks, sub: Callable[[str], Any] = lambda prompt: "Dijon") -> ScriptedLM:
    """An author that knows the tasks, and a sub-LM that says the same each time."""

    def turn(messages: list[dict[str, Any]]) -> str:
        text = "\n".join(str(message["content"]) for message in messages)
        gold = next(t.expected for t in tasks.tasks if t.question in text)
        return block(f"gold = {gold!r} if context else None\nFINAL_VAR(gold)")

    return ScriptedLM(turn, sub)


def small_grid(**more: Any) -> Grid:
    """Return a grid of two kinds at two lengths."""
    return Grid(**{"names": NAMES, "lengths": parsed("1e3,2e3"), "seeds": 1, **more})


def evaluated(out: Path, given: Grid, lm: ScriptedLM | None = None, **plan: Any) -> Summary:
    """Build the tasks of a grid in ``out``, and carry them out."""
    made = evaluation.build(given, out)
    lm = lm or knowing(made.tasks)
    how = evaluation.plan(**{"concurrency": 4, "notebook": False, **plan})
    session = open_session(in_force(), how, root=lm)
    return engine().run(evaluation.evaluate(made.tasks, out, session, how))
