"""Tasks for a batch, and an LM that knows them and counts what it was asked."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asking import block

from rlm_kernel.batch import TaskResult
from rlm_kernel.batch.results import read_results
from rlm_kernel.testing import Say
from rlm_kernel.testing.endpoint import Said

COST = 0.0625
"""US dollars for each reply of ``Counted``; a power of two adds up exactly."""
FIRST = (
    "got = llm_query_batched([f'part {{i}} of task {n}' for i in range(2)])\nprint(context, got)"
)
LAST = "print(len(got))\nFINAL_VAR({n})"
REQUESTS = 4
"""Of each task: two turns, two sub-calls."""


def tasks(count: int, **more: Any) -> list[dict[str, Any]]:
    """``What is task 1?``, to which the answer is 1, and so on."""
    return [
        {"question": f"What is task {n}?", "context": f"text of {n}", "expected": n, **more}
        for n in range(1, count + 1)
    ]


def write_tasks(folder: Path, given: list[dict[str, Any]]) -> Path:
    path = folder / "tasks.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in given))
    return path


def number(messages: list[dict[str, Any]]) -> int:
    """Of the task that the messages are about."""
    found = re.search(
        r"task (\d+)", next(str(m["content"]) for m in messages if m["role"] == "user")
    )
    assert found is not None
    return int(found[1])


def turn(messages: list[dict[str, Any]]) -> str:
    """What the LM writes."""
    asked_before = any(message["role"] == "assistant" for message in messages)
    return block((LAST if asked_before else FIRST).format(n=number(messages)))


class Counted:
    """``turn`` and sub-calls behind an endpoint, each reply at a price. ``given`` counts the
    replies by what they were to; ``instead`` may say something else to a request, by its name.
    ``reached`` is set when ``wanted`` replies were given."""

    def __init__(self, instead: Callable[[str], Said | None] = lambda name: None) -> None:
        self.given: Counter[str] = Counter()
        self.instead = instead
        self.reached = threading.Event()
        self.wanted = -1
        self._lock = threading.Lock()

    def __call__(self, request: dict[str, Any]) -> Said:
        messages = request["messages"]
        name = str(messages[-1]["content"])
        if request.get("stream"):
            replies = sum(message["role"] == "assistant" for message in messages)
            name = f"turn {replies + 1} of task {number(messages)}"
        with self._lock:
            if (said := self.instead(name)) is not None:
                return said
            self.given[name] += 1
            if self.given.total() >= self.wanted > 0:
                self.reached.set()
        text = turn(messages) if request.get("stream") else f"<{name}>"
        return Say(text, {"prompt_tokens": 10, "completion_tokens": 5, "cost": COST})


def results_of(folder: Path) -> dict[str, TaskResult]:
    """By id; each id must have one line."""
    found, size = read_results(folder / "results.jsonl")
    assert size == (folder / "results.jsonl").stat().st_size
    assert len({result.id for result in found}) == len(found)
    return {result.id: result for result in found}
