"""Runs ended by ``kill -9`` at random moments and resumed: what is asked of the LM again.

Every sub-call's prompt is unlike all others and every reply is a nonce, so that a request which is
made twice is seen, and an answer shows whose replies it was made of.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlm_kernel.events import CallEnded, Replied, RunEnded
from rlm_kernel.record import journal, trajectory
from rlm_kernel.testing import FakeEndpoint, Slow
from rlm_kernel.testing.endpoint import Said

from . import leftovers
from .running import Case, cell, command, environment, look, sandbox

END_S = 120.0
REQUESTS = 76
HEAD = "| killed after | journalled | in flight | asked again | status | answer | notebooks |"
RULE = "| --- | --- | --- | --- | --- | --- | --- |"
BATCH = cell("""
got = llm_query_batched([f"batch {i} of {len(context)}" for i in range(30)])
print(got[:2])
""")
THREADS = cell("""
import threading
def ask(i):
    print("thread", i, llm_query(f"thread {i}"))
    kept[i] = llm_query(f"thread {i} again")
kept = {}
threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(kept))
""")
CHILDREN = cell("""
below = rlm_query_batched([f"child {i}" for i in range(3)], [context + str(i) for i in range(3)])
print(below)
""")
RANDOM = cell(
    "import random\ndrawn = random.random()\nopen('note', 'x').write('once')\nprint(drawn)"
)
END = cell("""
FINAL_VAR("|".join([*got, *(kept[i] for i in range(6)), *below, str(drawn)]))
""")
TURNS = (BATCH, RANDOM, THREADS, CHILDREN, END)
CHILD = (
    cell("parts = llm_query_batched([f'{context} part {i}' for i in range(8)])\nprint(parts)"),
    cell("FINAL_VAR('+'.join(parts))"),
)


class Asked:
    """The LM, and every request that it got: turns by their text, prompts as they are."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self._nonces = random.Random(1)

    def wait_for(self, count: int, given_up: Callable[[], bool]) -> None:
        """Until so many requests have come."""
        limit = time.monotonic() + END_S
        while len(self.requests) < count and not given_up() and time.monotonic() < limit:
            time.sleep(0.005)

    def __call__(self, request: dict[str, Any]) -> Said:
        messages = request["messages"]
        with self._lock:
            name = name_of(request)
            self.requests.append(name)
            nonce = f"{self._nonces.randrange(10**9):09}"
        if not request.get("stream"):
            return Slow(0.15, f"<{messages[-1]['content'][:9]} {nonce}>")
        number = sum(message["role"] == "assistant" for message in messages)
        turns = CHILD if "Question: child" in str(messages[1]["content"]) else TURNS
        return Slow(0.3, turns[min(number, len(turns) - 1)])


def name_of(request: dict[str, Any]) -> str:
    """The same of a request that is made again."""
    messages = request["messages"]
    if not request.get("stream"):
        return str(messages[-1]["content"])
    number = sum(message["role"] == "assistant" for message in messages)
    question = str(messages[1]["content"]).partition("Question: ")[2].split("\n")[0]
    return f"turn {number + 1} of {question!r}"


@dataclass(frozen=True)
class Resumed:
    """What one kill and what came after it showed. ``again`` are requests whose reply was in the
    record at the kill; ``twice`` counts those that were made twice, ``in_flight`` those that had
    no reply in the record then."""

    after: str
    journalled: int
    in_flight: int
    again: list[str]
    twice: int
    status: str
    problems: list[str]
    notebooks: int

    def row(self) -> str:
        columns = [self.after, str(self.journalled), str(self.in_flight)]
        answer = "; ".join(self.problems) or "whole"
        columns += [str(self.twice), self.status, answer, str(self.notebooks)]
        return f"| {' | '.join(columns)} |"


def journalled(folder: Path) -> list[str]:
    """The requests whose replies a record holds."""
    path = folder / "journal.jsonl"
    if not path.exists() or path.stat().st_size == 0:
        return []
    names, questions = [], {}
    for event in journal.read(path).events:
        if isinstance(event, CallEnded) and event.error is None and event.child is None:
            names.append(event.prompt)
        elif isinstance(event, Replied) and event.finish is not None:
            names.append(f"turn {event.turn} of {questions[event.node]!r}")
        elif event.kind == "node_started":
            questions[event.node] = event.question  # type: ignore[union-attr]
    return names


def resume(requests: int, more_s: float) -> Resumed:
    """Start a run of some 75 requests, kill it a little after so many of them, resume it, look.

    Not after so many seconds: how far a run is then says more of the machine than of the run.
    """
    leftovers.adopt_orphans()
    asked = Asked()
    with sandbox() as base, FakeEndpoint(asked) as endpoint:
        environ = environment(base, endpoint.base_url, {})
        with (base / "work" / "err.txt").open("wb") as err:
            process = subprocess.Popen(
                command(Case("killed", ""), base), cwd=base / "work", env=environ, stderr=err,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        asked.wait_for(requests, lambda: process.poll() is not None)
        time.sleep(more_s)
        process.kill()
        process.wait(END_S)
        before, folder = list(asked.requests), base / "work" / "run"
        known = journalled(folder)
        words = [sys.executable, "-m", "rlm_kernel", "resume", "run", "--json", "--quiet"]
        done = subprocess.run(
            words, cwd=base / "work", env=environ, capture_output=True, text=True, timeout=END_S,
            check=False,
        )  # fmt: skip
        later = asked.requests[len(before) :]
        status, problems = _judged(folder, done, bool(known))
        again = sorted(set(known) & set(later))
        twice = sum(count - 1 for count in Counter(asked.requests).values())
        in_flight = len(before) - len(known)
        if again:
            problems.append(f"asked again: {again[:3]}")
        if twice > in_flight:
            problems.append(f"{twice} requests twice, {in_flight} were in flight")
        seen = look(folder)
        after = f"request {requests} and {more_s:.2f} s"
        return Resumed(after, len(known), in_flight, again, twice, status, problems, seen.notebooks)


def _judged(
    folder: Path, done: subprocess.CompletedProcess[str], began: bool
) -> tuple[str, list[str]]:
    """How it ended, and what is not as it must be."""
    if done.returncode == 2 and not began:
        return "not begun", []  # said so: the question is to be asked again
    if done.returncode != 0:
        return f"exit {done.returncode}", [done.stderr.strip()[-300:]]
    result = json.loads(done.stdout)
    record = journal.read(folder / "journal.jsonl")
    problems = [str(problem) for problem in record.problems]
    problems += [] if record.sealed else ["the record has no seal"]
    problems += look(folder).problems
    given = {e.reply for e in record.events if isinstance(e, CallEnded) and e.child is None}
    pieces = [p for part in result["response"].split("|")[:-1] for p in part.split("+")]
    problems += [f"{piece!r} is no recorded reply" for piece in pieces if piece not in given]
    if len(pieces) != 30 + 6 + 3 * 8:
        problems.append(f"{len(pieces)} pieces in the answer")
    ended = record.events[-1]
    own = sum(e.usage.requests for e in record.events if isinstance(e, CallEnded | Replied))
    if isinstance(ended, RunEnded) and ended.usage.requests != own:
        problems.append(f"{ended.usage.requests} requests in the total, {own} in the events")
    problems += trajectory.load(folder).problems
    return str(result["status"]), problems


def write(count: int, seed: int | None = None) -> bool:
    """Kill and resume ``count`` runs and print what each showed."""
    seed = random.randrange(10**6) if seed is None else seed
    chance = random.Random(seed)
    print(f"{count} runs of {REQUESTS} requests, each killed and resumed, seed {seed}\n")
    print(f"{HEAD}\n{RULE}")
    problems = []
    for n in range(count):
        resumed = resume(int((n + chance.random()) * REQUESTS / count), chance.random() * 0.4)
        print(resumed.row(), flush=True)
        problems += [f"{resumed.after}: {text}" for text in resumed.problems]
    print(f"\n{len(problems)} problems" + "".join(f"\n- {problem}" for problem in problems))
    return not problems
