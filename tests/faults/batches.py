"""A batch of many tasks against an endpoint that fails now and then, killed by ``kill -9`` in the
middle and gone on with: whether each task is accounted for once, and what is asked again.

Every prompt is unlike all others, so that a request whose reply was given twice is seen.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlm_kernel.testing import CutStream, FakeEndpoint, Say, Slow, Status
from rlm_kernel.testing.endpoint import Said

from . import leftovers
from .resumes import journalled, name_of
from .running import cell, environment, look, sandbox

END_S = 3000.0
SHARE = 0.15
"""Of the requests that meet a fault, at most twice in a row."""
ASK = """
parts = llm_query_batched([f"part {{i}} of task {n} of {{len(context)}}" for i in range({parts})])
print(len(parts), parts[0])
"""
DIE = "import os, signal\nprint('going')\nos.kill(os.getpid(), signal.SIGKILL)"
ANSWER = "print(len(parts))\nFINAL_VAR({answer})"


def kind(n: int) -> str:
    """What becomes of a task, by its number."""
    if n % 40 == 7:
        return "failed"
    if n % 50 == 9:
        return "limit"
    return "wrong" if n % 10 == 3 else "right"


def dies(n: int) -> bool:
    """Whether the task's kernel is killed once, by its first cell."""
    return n % 25 == 4


@dataclass
class Server:
    """The LM, and the names of the requests that it gave a whole reply to."""

    given: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    _tries: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_for(self, count: int, given_up: Callable[[], bool]) -> None:
        limit = time.monotonic() + END_S
        while len(self.given) < count and not given_up() and time.monotonic() < limit:
            time.sleep(0.01)

    def __call__(self, request: dict[str, Any]) -> Said:
        name = name_of(request)
        n = _number(request)
        with self._lock:
            self._tries[name] += 1
            chance = random.Random(f"{name} {self._tries[name]}")
            reply = _reply(request, n)
            if kind(n) == "failed" and "turn 2" in name:
                return self._fault("500 for ever", Status(500, retry_after=0))
            usage = {
                "prompt_tokens": chance.randrange(200, 4000),
                "completion_tokens": chance.randrange(20, 400),
                "cost": chance.randrange(1, 99) / 2**16,
            }
            if self._tries[name] <= 2 and chance.random() < SHARE:
                return self._chosen(chance, reply, usage if request.get("stream") else None)
            self.given.append(name)
        return Slow(chance.random() * 0.3 + (chance.random() < 0.03), Say(reply, usage=usage))

    def _chosen(self, chance: random.Random, reply: str, usage: dict[str, Any] | None) -> Said:
        """Only a stream is cut: of another reply that was, nobody knows what it cost."""
        which = chance.choice(["429", "500", "slow, then 503"] + ["cut"] * (usage is not None))
        if which == "cut":
            return self._fault(which, CutStream(chance.randrange(1, len(reply)), reply, usage))
        if which in ("429", "500"):
            return self._fault(which, Status(int(which), retry_after=0))
        return self._fault(which, Slow(0.5, Status(503, retry_after=0)))

    def _fault(self, name: str, said: Said) -> Said:
        self.faults[name] += 1
        return said


def _number(request: dict[str, Any]) -> int:
    texts = [str(m["content"]) for m in request["messages"] if m["role"] == "user"]
    found = re.search(r"task (\d+)", texts[0])
    assert found is not None, texts[0]
    return int(found[1])


def _reply(request: dict[str, Any], n: int) -> str:
    if not request.get("stream"):
        return f"{len(request['messages'][-1]['content'])} characters"
    said = [str(m["content"]) for m in request["messages"] if m["role"] == "assistant"]
    ask = cell(ASK.format(n=n, parts=3 + n % 4))
    if kind(n) == "limit":
        return ask
    if dies(n):
        return [cell(DIE), ask, cell(ANSWER.format(answer=n))][min(len(said), 2)]
    answer = n + 1 if kind(n) == "wrong" else n
    return cell(ANSWER.format(answer=answer)) if said else ask


@dataclass(frozen=True)
class Seen:
    """What was there at the kill and what is there at the end."""

    tasks: int
    lines_at_kill: list[str]
    live_at_kill: int
    known: list[str]
    before: list[str]
    server: Server
    status: int
    results: list[dict[str, Any]]
    left: list[str]
    told: dict[str, float]
    problems_of_runs: list[str]

    @property
    def again(self) -> list[str]:
        """Requests whose reply was in a record at the kill and that were given once more."""
        return sorted(set(self.known) & set(self.server.given[len(self.before) :]))

    @property
    def twice(self) -> int:
        return sum(count - 1 for count in Counter(self.server.given).values())

    @property
    def in_flight(self) -> int:
        return len(self.before) - len(set(self.known))

    def rows(self) -> list[tuple[str, object]]:
        statuses = Counter(result["status"] for result in self.results)
        right = sum(result["correct"] is True for result in self.results)
        ids = Counter(result["id"] for result in self.results)
        return [
            ("tasks", self.tasks),
            (
                "results at the kill, runs begun without one",
                f"{len(self.lines_at_kill)}, {self.live_at_kill}",
            ),
            ("results at the end", len(self.results)),
            ("tasks with exactly one result", sum(count == 1 for count in ids.values())),
            ("how they ended", ", ".join(f"{n} {name}" for name, n in statuses.most_common())),
            ("right", f"{right} of {statuses['answered']} answers"),
            ("went on after an end of their run", sum(r["attempts"] > 1 for r in self.results)),
            ("faults", ", ".join(f"{n} × {name}" for name, n in self.server.faults.items())),
            ("kernels killed", sum(dies(n) for n in range(1, self.tasks + 1))),
            ("replies given", len(self.server.given)),
            ("given, and not in a record at the kill", self.in_flight),
            ("given twice", self.twice),
            ("of them in a record at the kill", len(self.again)),
            ("cost: results, endpoint", "${results:.6f}, ${endpoint:.6f}".format(**self.told)),
            ("exit status of the second", self.status),
            ("left running", ", ".join(self.left) or "nothing"),
        ]

    def problems(self) -> list[str]:
        ids = sorted(int(result["id"]) for result in self.results)
        found = [] if ids == list(range(1, self.tasks + 1)) else ["a task has not one result"]
        for result in self.results:
            n, correct = int(result["id"]), result["correct"]
            ended = {"right": "answered", "wrong": "answered"}.get(kind(n), kind(n))
            if result["status"] != ended:
                found.append(f"task {n}: {result['status']}, not {ended}: {result['reason']}")
            elif ended == "answered" and correct != (kind(n) == "right"):
                found.append(f"task {n}: correct={correct}")
        found += [f"asked again: {name}" for name in self.again]
        if self.twice > self.in_flight:
            found.append(f"{self.twice} replies were given twice, {self.in_flight} were in flight")
        if self.status != 1:
            found.append(f"exit status {self.status}, not 1")
        return found + [f"left: {what}" for what in self.left] + self.problems_of_runs


def batch(count: int, keep: Path | None = None) -> Seen:
    """Run the tasks four at a time, kill, go on, look."""
    leftovers.adopt_orphans()
    server = Server()
    with sandbox() as base, FakeEndpoint(server, cumulative=True) as endpoint:
        work = base / "work"
        tasks = [
            {"question": f"What is task {n}?", "context": "x" * (n % 17 + 1), "expected": n}
            for n in range(1, count + 1)
        ]
        (work / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
        environ = environment(base, endpoint.base_url, {"RLM_RETRIES": "5", "RLM_MAX_TURNS": "4"})
        rlm = [sys.executable, "-m", "rlm_kernel", "batch", "tasks.jsonl", "-o", "results"]
        rlm += ["--concurrency", "4"]
        started = leftovers.children()
        with (work / "err.txt").open("wb") as err:
            process = subprocess.Popen(
                rlm, cwd=work, env=environ, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=err,
            )  # fmt: skip
            server.wait_for(count * 3, lambda: process.poll() is not None)
            process.kill()
            process.wait(60)
        leftovers.left(base / "t", started)
        before = list(server.given)
        lines = _lines(work / "results" / "results.jsonl")
        runs = [path for path in (work / "results" / "runs").iterdir() if path.is_dir()]
        known = [name for run in runs for name in journalled(run)]
        done = subprocess.run(
            rlm, cwd=work, env=environ, capture_output=True, text=True, timeout=END_S, check=False
        )
        print(done.stderr, file=sys.stderr)
        left, _ = leftovers.left(base / "t", started)
        results = [json.loads(line) for line in _lines(work / "results" / "results.jsonl")]
        told = {
            "results": sum(result["cost"] or 0.0 for result in results),
            "endpoint": endpoint.totals().cost,
        }
        bad = [
            f"{run.name}: {problem}"
            for run in sorted((work / "results" / "runs").iterdir())
            for problem in look(run).problems
        ]
        if keep is not None:
            shutil.copytree(work / "results", keep)
        return Seen(
            count, lines, len(runs) - len(lines), known, before, server, done.returncode, results,
            left, told, bad,
        )  # fmt: skip


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def write(count: int, keep: str | None = None) -> bool:
    """Run ``count`` tasks and print what was seen; ``keep`` is where the folder is copied to."""
    started = time.monotonic()
    seen = batch(count, None if keep is None else Path(keep))
    print("| what | |\n| --- | --- |")
    for name, value in seen.rows():
        print(f"| {name} | {value} |")
    problems = seen.problems()
    print(f"\n{time.monotonic() - started:.0f} s, {len(problems)} problems")
    print("".join(f"- {problem}\n" for problem in problems), end="")
    return not problems
