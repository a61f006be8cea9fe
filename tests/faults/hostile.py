"""A batch in ``docker`` of which five runs are hostile, twice killed by ``kill -9`` and gone on
with: whether the others are answered, and what the driver's memory and descriptors did meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlm_kernel.testing import FakeEndpoint, Say
from rlm_kernel.testing.endpoint import Said
from tests.modals import image

from . import leftovers
from .batches import _number as number_of
from .running import cell, environment, sandbox

END_S = 900.0
MOST_MIB = 500
"""Resident memory of the driver at any second; it has some 150 with nothing hostile."""
MOST_FILES = 500
MOST_LINES = 20
SAMPLE_S = 1.0

LINE = """
import json, struct, threading, time
guest = __import__("rlm_guest")._guest
def told(work, *given):
    try:
        work(*given)
    except OSError as error:
        print(type(error).__name__)
def all_at_once(work, count):
    threads = [threading.Thread(target=told, args=(work,)) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
def framed(header, payload):
    head = json.dumps(header).encode()
    return struct.pack(">IQ", len(head), payload) + head
"""
MALFORMED = """
k = get_ipython().kernel
k.session.send(
    k.iopub_socket, "stream", {"name": "stdout", "text": 5}, parent=k.get_parent("shell")
)
"""
PROMPTS = """
def ask():
    sock = guest.broker._connect()
    for _ in range(10):
        header = {"op": "llm_query", "cell": 1, "main": True, "model": None}
        sock.sendall(framed({**header, "prompts": ["y" * 20_000_000]}, 0))
        sock.recv(1 << 16)
all_at_once(ask, 4)
"""
PAYLOADS = """
def flood():
    sock = guest.broker._connect()
    header = {"op": "rlm_query", "cell": 1, "main": True, "model": None, "prompts": ["x"]}
    given = {"given": [True], "contexts": [{"kind": "text", "size": 4 << 30}]}
    sock.sendall(framed({**header, **given}, 4 << 30))
    for _ in range(700):
        sock.sendall(bytes(1 << 20))
    time.sleep(5)
all_at_once(flood, 4)
"""
CONNECTIONS = """
held = []
def hold():
    while len(held) < 1500:
        held.append(guest.broker._connect())
thread = threading.Thread(target=told, args=(hold,), daemon=True)
thread.start()
thread.join(10)
time.sleep(5)
"""
ESCAPES = r"""
print("\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x07\x1bP$q\x1b\\ \x9b2J")
raise ValueError("\x1b]8;;http://evil.test\x07link\x1b]8;;\x07")
"""
COSTS = "an endpoint that reports an infinite cost, and an output of unforeseen form"
UNFORESEEN = """
k = get_ipython().kernel
k.session.send(
    k.iopub_socket, "display_data", {"data": [1], "metadata": 5, "transient": None},
    parent=k.get_parent("shell"),
)
"""
HOSTILE = {
    3: ("a malformed message", [MALFORMED]),
    6: (COSTS, [UNFORESEEN]),
    9: ("refused prompts of 20 MB", [LINE + PROMPTS]),
    12: ("payloads of 4 GiB, and 1,500 connections", [LINE + PAYLOADS, LINE + CONNECTIONS]),
    15: ("escape sequences", [ESCAPES]),
}
"""What is tried, by the number of the task, and its cells."""
ASK = "parts = llm_query_batched([f'part {{i}} of task {n}' for i in range(3)])\nprint(len(parts))"


class Server:
    """The LM: an honest task asks three things and answers; a hostile one tries what it can."""

    def __init__(self, hostile: Collection[int]) -> None:
        self._hostile = hostile

    def __call__(self, request: dict[str, Any]) -> Said:
        if not request.get("stream"):
            return Say("fine", usage={"prompt_tokens": 20, "completion_tokens": 5, "cost": 0.001})
        n = number_of(request)
        said = sum(message["role"] == "assistant" for message in request["messages"])
        tries, cells = HOSTILE[n] if n in self._hostile else ("", [ASK.format(n=n)])
        reply = cell(cells[said]) if said < len(cells) else cell(f"FINAL_VAR({n})")
        cost = float("inf") if tries == COSTS else 0.001
        return Say(reply, usage={"prompt_tokens": 200, "completion_tokens": 20, "cost": cost})


@dataclass
class Watch:
    """What the driver had, second by second: MiB of memory and open descriptors."""

    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self, pid: int) -> None:
        place = Path(f"/proc/{pid}")
        status = (place / "status").read_text()
        resident = next((x for x in status.splitlines() if x.startswith("VmRSS:")), "VmRSS: 0 kB")
        self.memory.append(int(resident.split()[1]) >> 10)
        self.files.append(len(list((place / "fd").iterdir())))

    @contextmanager
    def over(self, pid: int) -> Iterator[None]:
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(SAMPLE_S):
                try:
                    self.look(pid)
                except OSError:
                    return  # it has ended

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(10)


@dataclass(frozen=True)
class Seen:
    """What came of the batch."""

    count: int
    hostile: Collection[int]
    starts: list[int | None]
    results: dict[int, dict[str, Any]]
    watch: Watch
    stderr: str
    left: list[str]
    seconds: float

    @property
    def lines(self) -> list[str]:
        return self.stderr.splitlines()

    def rows(self) -> list[tuple[str, object]]:
        honest = [n for n in range(1, self.count + 1) if n not in self.hostile]
        answered = sum(self._status(n) == "answered" for n in honest)
        tried = [
            (f"task {n}: {what}", f"{self._status(n)} {self._reason(n)}")
            for n, (what, _) in HOSTILE.items()
            if n in self.hostile
        ]
        return [
            ("honest tasks, answered", f"{len(honest)}, {answered}"),
            *tried,
            ("exit statuses of the three", ", ".join(map(str, self.starts))),
            ("MiB of the driver, second by second", " ".join(map(str, self.watch.memory))),
            ("descriptors of the driver", " ".join(map(str, self.watch.files))),
            ("lines on standard error", len(self.lines)),
            ("left running", ", ".join(self.left) or "nothing"),
            ("seconds", round(self.seconds)),
        ]

    def _status(self, n: int) -> str:
        return str(self.results.get(n, {}).get("status", "no result"))

    def _reason(self, n: int) -> str:
        return str(self.results.get(n, {}).get("reason") or "")

    def problems(self) -> list[str]:
        found = [
            f"task {n}, an honest one: {self._status(n)}"
            for n in range(1, self.count + 1)
            if n not in self.hostile and self._status(n) != "answered"
        ]
        found += [f"task {n}: no result" for n in self.hostile if n not in self.results]
        if max(self.watch.memory) > MOST_MIB:
            found.append(f"{max(self.watch.memory)} MiB of memory, {MOST_MIB} at most")
        if max(self.watch.files) > MOST_FILES:
            found.append(f"{max(self.watch.files)} open files, {MOST_FILES} at most")
        if len(self.lines) >= MOST_LINES:
            found.append(f"{len(self.lines)} lines on standard error, fewer than {MOST_LINES}")
        if "\x1b]" in self.stderr or "\x9b" in self.stderr:
            found.append("escape sequences on standard error")
        return found + [f"left: {what}" for what in self.left]


def batch(count: int, hostile: Collection[int]) -> Seen:
    """Run the tasks four at a time; kill twice, go on each time; look."""
    leftovers.adopt_orphans()
    began = time.monotonic()
    with sandbox() as base, FakeEndpoint(Server(hostile), cumulative=True) as endpoint:
        work, results = base / "work", base / "work" / "results" / "results.jsonl"
        tasks = [{"question": f"What is task {n}?", "context": "x"} for n in range(1, count + 1)]
        (work / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
        more = {
            "RLM_ENVIRONMENT": "docker",
            "RLM_IMAGE": image(),
            "RLM_CELL_SECONDS": "30",
            "RLM_MAX_TURNS": "4",
            "RLM_MAX_SECONDS": "120",
        }
        environ = environment(base, endpoint.base_url, more)
        rlm = [sys.executable, "-m", "rlm_kernel", "batch", "tasks.jsonl", "-o", "results"]
        rlm += ["--concurrency", "4"]
        before, watch, starts = leftovers.children(), Watch(), []
        for upto in (count // 4, count // 2, None):
            with (work / "err.txt").open("ab") as err:
                process = subprocess.Popen(
                    rlm, cwd=work, env=environ, stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=err,
                )  # fmt: skip
                with watch.over(process.pid):
                    starts.append(_end(process, results, upto))
        left, _ = leftovers.left(base / "t", before)
        told = [json.loads(line) for line in _lines(results)]
        stderr = (work / "err.txt").read_text(errors="replace")
        return Seen(
            count, hostile, starts, {int(t["id"]): t for t in told}, watch, stderr, left,
            time.monotonic() - began,
        )  # fmt: skip


def _end(process: subprocess.Popen[bytes], results: Path, upto: int | None) -> int | None:
    """The exit status of the batch, which is killed once so many tasks have a result."""
    limit = time.monotonic() + END_S
    while process.poll() is None and time.monotonic() < limit:
        if upto is not None and len(_lines(results)) >= upto:
            break
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
    return process.wait(60)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def write(count: int, *hostile: str) -> bool:
    """Run ``count`` tasks and print what was seen. Hostile are those of the numbers, or all that
    can be."""
    seen = batch(count, [int(n) for n in hostile] or [n for n in HOSTILE if n <= count])
    print("| what | |\n| --- | --- |")
    for name, value in seen.rows():
        print(f"| {name} | {value} |")
    problems = seen.problems()
    print(f"\n{len(problems)} problems")
    print("".join(f"- {problem}\n" for problem in problems), end="")
    print("".join(f"  {line[:200]}\n" for line in seen.lines[:40]), end="")
    return not problems
