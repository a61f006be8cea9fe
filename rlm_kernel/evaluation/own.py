"""Tasks of the user's own, asked of the same systems and told in the same table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..batch import Task, Tasks, make_tasks, read_tasks
from .baselines import size_of
from .grid import OURS
from .rules import RULES, answer_chars


def own_tasks(path: Path, systems: Sequence[str]) -> Tasks:
    """Return the tasks of a file, each once for every system. Blocks.

    A line has the fields of a batch's task; ``expected`` must be there, ``rule`` and
    ``answer_chars`` may be. Raises ``UsageError`` which names every line that is wrong.
    """
    tasks = read_tasks(path, _problem).tasks
    return make_tasks([each for task in tasks for each in _asked(task, path, systems)])


def _problem(fields: Mapping[str, Any]) -> str | None:
    if fields.get("expected") is None:
        return "there is no expected: give the right answer, a text, a number or a list of them"
    rule, most = fields.get("rule"), fields.get("answer_chars", 1)
    if rule is not None and rule not in RULES:
        return f"rule={rule!r}: give {', '.join(RULES)}, or leave it out"
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        return f"answer_chars={most!r}: give a whole number of at least 1"
    others = fields.get("others", [])
    if not isinstance(others, list) or not all(isinstance(each, str) for each in others):
        return f"others={others!r}: give a list of the answers that are wrong"
    if rule == "number" and not isinstance(fields["expected"], int | float):
        return f"expected={fields['expected']!r}: the rule number wants a number"
    if rule in ("list", "order", "parts") and not isinstance(fields["expected"], list):
        return f"expected={fields['expected']!r}: the rule {rule} wants a list"
    return None


def _asked(task: Task, path: Path, systems: Sequence[str]) -> Iterator[dict[str, Any]]:
    chars = size_of(task)
    more = {
        "set": task.fields.get("set", path.stem),
        "kind": task.fields.get("kind", task.id),
        "length": f"1e{round(math.log10(max(chars, 1)))}",
        "chars": chars,
    }
    if task.context_path is not None:
        more["context_path"] = str(task.context_path)
    if "rule" in task.fields:
        more["answer_chars"] = task.fields.get("answer_chars", answer_chars(task.expected))
    for system in systems:
        name = task.id if system == OURS else f"{task.id}-{system}"
        yield {**task.fields, **more, "id": name, "system": system}
