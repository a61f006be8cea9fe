"""Two sums of what a run used: the one that `rlm show` gives, and the endpoint's own log.

By hand, with a line for every story and seed: ``python -m tests.accounting [SEED ...]``.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rlm_kernel import RLM, Limits, Result
from rlm_kernel.testing import CutStream, Exchange, FakeEndpoint, Say, Status
from rlm_kernel.testing.endpoint import Said

CONTEXT = "a context that is not to the point"
FAULTS_IN_A_ROW = 3
"""Fewer than a client's tries, so that no call is given up."""

# Turns by the story's name, the last one again if it is asked for more.
BATCHES = """```python
asked = [f"batch {batch}, item {{i}} of {{context[:9]}}" for i in range(100)]
got = llm_query_batched(asked)
good = globals().get("good", 0) + sum(a == f"read: {{b}}" for a, b in zip(got, asked))
print(good)
```"""
MANY = """```python
good = 0
for batch in range(20):
    asked = [f"batch {batch}, item {i} of {context[:9]}" for i in range(100)]
    got = llm_query_batched(asked)
    good += len(got) == 100 and sum(a == f"read: {b}" for a, b in zip(got, asked))
FINAL_VAR(good)
```"""
PARENT = """```python
got = rlm_query_batched([f"story {story} {{i}}" for i in range(3)], [context] * 3)
FINAL_VAR(sum(int(answer) for answer in got))
```"""
LEAF = """```python
asked = f"leaf of {{context[:9]}}, {story}"
FINAL_VAR(1 if llm_query(asked) == f"read: {{asked}}" else 0)
```"""
GOOD = "```python\nprint(len(context))\nFINAL_VAR(good)\n```"
ANSWERS = {"batches": "200", "many": "2000", "tree": "9"}


def turn(story: str, number: int) -> str:
    """What the LM says in a turn of a node whose question is ``story <story>``."""
    if story == "many":
        return MANY
    if story == "batches":
        return BATCHES.format(batch=number) if number <= 2 else GOOD
    return (PARENT if story.count(" ") < 2 else LEAF).format(story=story)


class Script:
    """The LM behind the endpoint: the stories, random usage, and faults at ``share`` of the
    requests. What a request gets depends on the seed, its messages and how often it was sent."""

    def __init__(self, seed: int, share: float) -> None:
        self._seed = seed
        self._share = share
        self._sent: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def __call__(self, request: dict[str, Any]) -> Said:
        key = json.dumps(request["messages"])
        self._sent[key] += 1
        chance = random.Random(f"{self._seed} {self._sent[key]} {key}")
        reply = _reply(request)
        if self._sent[key] <= FAULTS_IN_A_ROW and chance.random() < self._share:
            return self._fault(chance, reply)
        return Say(reply, usage=_usage(chance))

    def _fault(self, chance: random.Random, reply: str) -> Said:
        name = chance.choice(["429", "500", "cut"])
        self.faults[name] += 1
        if name == "cut":
            return CutStream(chance.randrange(len(reply)), reply, usage=_usage(chance))
        return Status(int(name), retry_after=0)


def _usage(chance: random.Random) -> dict[str, Any]:
    # A cost in powers of two adds up to the same in any order.
    return {
        "prompt_tokens": chance.randrange(1, 5000),
        "completion_tokens": chance.randrange(1, 2000),
        "cost": chance.randrange(1, 999) / 2**24,
    }


def _reply(request: dict[str, Any]) -> str:
    messages = request["messages"]
    if not request.get("stream"):
        return f"read: {messages[-1]['content']}"
    text = next(m["content"] for m in messages if m["role"] == "user")
    story = re.search(r"story (\w+(?: \d)*)", text)
    assert story is not None, text
    return turn(story[1], 1 + sum(m["role"] == "assistant" for m in messages))


@dataclass(frozen=True)
class Sums:
    """Of one run: what was answered, what each side says, and the faults that there were."""

    result: Result
    shown: dict[str, Any]
    log: list[Exchange]
    told: dict[str, float]
    faults: Counter[str]

    @property
    def ours(self) -> dict[str, float]:
        return _sum(self.shown["usage"])

    @property
    def of_nodes(self) -> dict[str, float]:
        """What the nodes used themselves, added up."""
        rows = [_sum(node["own"]) for node in self.shown["nodes"]]
        return {name: sum(row[name] for row in rows) for name in rows[0]}


def _sum(usage: dict[str, Any]) -> dict[str, float]:
    return {name: usage[name] for name in ("requests", "input_tokens", "output_tokens", "cost")}


def account(story: str, seed: int, folder: Path, *, share: float = 0.1) -> Sums:
    """Let an RLM go through a story and ask both sides what it used."""
    script = Script(seed, share)
    limits = Limits(depth=2, tokens=None, cost=None)
    with FakeEndpoint(script, cumulative=True) as endpoint:
        with RLM("fake-model", base_url=endpoint.base_url, limits=limits, out=folder) as rlm:
            result = rlm.completion(CONTEXT, f"story {story}")
        told = endpoint.totals()
    return Sums(result, show(folder), endpoint.log, _sum(vars(told)), script.faults)


def show(folder: Path) -> dict[str, Any]:
    """What ``rlm show --json`` says."""
    command = [sys.executable, "-m", "rlm_kernel", "show", "--json", str(folder)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def _table(run: Callable[[str, int], Sums], seeds: list[int]) -> tuple[Table, bool]:
    table = Table("story", "seed", "answer", "faults", "of", "rlm show", "the log", "equal")
    equal = True
    for seed in seeds:
        for story in ANSWERS:
            sums = run(story, seed)
            faults = " ".join(f"{name}:{count}" for name, count in sorted(sums.faults.items()))
            for name, theirs in sums.told.items():
                same = sums.ours[name] == theirs
                equal = equal and same
                row = [story, str(seed), str(sums.result.response), faults, name]
                table.add_row(*row, f"{sums.ours[name]:,}", f"{theirs:,}", "yes" if same else "NO")
    return table, equal


def main(arguments: list[str]) -> int:
    seeds = [int(seed) for seed in arguments] or [random.randrange(10**6)]
    with tempfile.TemporaryDirectory() as base:
        table, equal = _table(lambda s, n: account(s, n, Path(base, f"{s}-{n}")), seeds)
    Console(width=120).print(table)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
