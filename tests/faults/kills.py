"""Runs ended by ``kill -9`` at random moments: what they leave behind."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlm_kernel.environments.docker.client import connect
from rlm_kernel.environments.docker.strays import HOST_LABEL, labelled
from rlm_kernel.testing import FakeEndpoint, Slow
from rlm_kernel.testing.endpoint import Said
from tests.modals import image, use_plane

from . import leftovers
from .running import Case, Trajectory, cell, command, environment, look, sandbox

GONE_S = 10.0
CUT = re.compile(r"line \d+ is cut|the record is empty")
"""Problems of a record that a kill may leave: the line being written, or no line yet."""
HEAD = "| killed after | events | notebooks | problems | `rlm show` | gone after | left |"
RULE = "| --- | --- | --- | --- | --- | --- | --- |"

PROCESSES = cell("""import subprocess, sys
wait = [sys.executable, "-c", "import time; time.sleep(600)"]
started = [subprocess.Popen(wait), subprocess.Popen(wait, start_new_session=True)]
print(len(started), len(context))""")
BATCH = cell(
    "replies = llm_query_batched([f'{n} {context}' for n in range(40)])\nprint(replies[:3])"
)
CHILDREN = cell("print(rlm_query_batched(['child'] * 3, [context] * 3))")
CHILD = cell("""import subprocess
subprocess.Popen(["sleep", "600"], start_new_session=True)
FINAL_VAR(llm_query("leaf " + context))""")
ROUND = (BATCH, CHILDREN)


def _reply(request: dict[str, Any]) -> Said:
    messages = request["messages"]
    if not request.get("stream"):
        return Slow(0.1, "fine")
    if "Question: child" in str(messages[1]["content"]):
        return Slow(0.2, CHILD)
    number = sum(message["role"] == "assistant" for message in messages)
    return Slow(0.2, ROUND[number % 2] if number else PROCESSES)


@dataclass(frozen=True)
class Where:
    """The environment that the runs are in: local, docker, modal-exec or modal-http."""

    name: str = "local"

    @property
    def environ(self) -> dict[str, str]:
        name, _, transport = self.name.partition("-")
        more = {}
        if name == "docker":
            more = {"RLM_IMAGE": image()}
        elif name == "modal":
            more = {**use_plane().environment, "RLM_TRANSPORT": transport}
        return {"RLM_ENVIRONMENT": name, **more}

    @property
    def patience_s(self) -> float:
        """The seconds in which all of a run is gone: the reaper of its sandboxes looks for 5 s
        whether one comes that was being made."""
        return leftovers.PATIENCE_S if self.name == "local" else leftovers.PATIENCE_S * 4

    def sandboxes(self, pid: int) -> set[str]:
        """Those that a process made, running or not."""
        if self.name == "local":
            return set()
        if self.name != "docker":
            return set(use_plane().running())
        with closing(connect()) as client:
            made = labelled(client, "rlm_kernel=1")
        return {each["Names"][0] for each in made if f".{pid}." in each["Labels"][HOST_LABEL]}


@dataclass(frozen=True)
class Killed:
    """What one kill left. ``shown`` is the exit status of ``rlm show``, None without a record."""

    after_s: float
    trajectory: Trajectory
    shown: int | None
    gone_s: float
    left: list[str]

    def problems(self) -> list[str]:
        found = [p for p in self.trajectory.problems if not CUT.search(p)]
        found += [f"left: {what}" for what in self.left]
        return found + ([f"rlm show: exit status {self.shown}"] if self.shown else [])

    def row(self) -> str:
        seen = self.trajectory
        problems = ", ".join(seen.problems) or "none"
        shown = {None: "no run yet", 0: "reads it"}.get(self.shown, f"exit {self.shown}")
        if not seen.there:
            problems = "no run yet"
        columns = [f"{self.after_s:.2f} s", str(len(seen.events)), str(seen.notebooks), problems]
        columns += [shown, f"{self.gone_s:.1f} s", ", ".join(self.left) or "nothing"]
        return f"| {' | '.join(columns)} |"


def kill(after_s: float, where: Where) -> Killed:
    """Start a run of some 30 s, kill it and look."""
    leftovers.adopt_orphans()
    case = Case("killed", "", arguments=("--max-turns", "14"))
    more = where.environ  # what this starts is no child of the run
    with sandbox() as base, FakeEndpoint(_reply) as endpoint:
        before = leftovers.children()
        with (base / "work" / "err.txt").open("wb") as err:
            process = subprocess.Popen(
                command(case, base), cwd=base / "work", stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=err,
                env=environment(base, endpoint.base_url, more),
            )  # fmt: skip
        time.sleep(after_s)
        process.kill()
        process.wait(GONE_S)
        left, gone_s = leftovers.left(base / "t", before, GONE_S)
        began = time.monotonic()
        while (more := where.sandboxes(process.pid)) and gone_s < GONE_S:
            time.sleep(0.05)
            gone_s += time.monotonic() - began
            began = time.monotonic()
        left += sorted(more)
        folder = base / "work" / "run"
        return Killed(after_s, look(folder), shown(folder), gone_s, left)


def shown(folder: Path) -> int | None:
    if not (folder / "journal.jsonl").exists():
        return None
    words = [sys.executable, "-m", "rlm_kernel", "show", str(folder)]
    return subprocess.run(words, capture_output=True, timeout=60, check=False).returncode


def write(count: int, where: Where, most_s: float = 10.0, seed: int | None = None) -> bool:
    """Kill ``count`` runs, each in its own part of the time, and print what each left."""
    seed = random.randrange(10**6) if seed is None else seed
    chance = random.Random(seed)
    print(f"{count} runs of some 30 s, each killed in the first {most_s:g} s, seed {seed}\n")
    print(f"{HEAD}\n{RULE}")
    problems = []
    for n in range(count):
        killed = kill(0.3 + (n + chance.random()) * (most_s - 0.3) / count, where)
        print(killed.row(), flush=True)
        problems += [f"{killed.after_s:.2f} s: {text}" for text in killed.problems()]
    print(f"\n{len(problems)} problems" + "".join(f"\n- {problem}" for problem in problems))
    return not problems
