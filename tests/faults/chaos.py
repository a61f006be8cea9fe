"""Runs that are struck once at a random moment: a process killed, stopped or frozen, a disk that is
full, descriptors that are used up, a signal, a folder removed.

``python -m tests.faults --chaos [COUNT [ENVIRONMENT [SEED [STROKE]]]]``, as root: strokes in turn,
each after a random request. The same seed strikes after the same requests.
"""

from __future__ import annotations

import contextlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from rlm_kernel.environments.docker.client import connect
from rlm_kernel.events import CallEnded, Replied
from rlm_kernel.testing import FakeEndpoint, Slow
from rlm_kernel.testing.endpoint import Said

from . import leftovers
from .kills import CUT, PROCESSES, Where, shown
from .running import KEY, OURS, Case, cell, command, environment, files, look, sandbox

END_S = 90.0
"""How long a struck run may take; a kernel that is stopped while it starts is waited for 60 s."""
REQUESTS = 16
LINES = 60
"""How much a run may say on standard error, its progress included."""
BATCH = cell("print(llm_query_batched([f'{n} {context}' for n in range(6)]))")
CHILDREN = cell("print(rlm_query_batched(['child'] * 2, [context] * 2))")
CHILD = (cell("print(llm_query('leaf ' + context))"), cell("FINAL_VAR('child ' + context)"))
TURNS = (PROCESSES, BATCH, CHILDREN, cell("FINAL_VAR(f'read {len(context)}')"))
HEAD = "| stroke | after request | exit | s | left | record | problems |"
RULE = "| --- | --- | --- | --- | --- | --- | --- |"


def _reply(request: dict[str, Any]) -> Said:
    messages = request["messages"]
    if not request.get("stream"):
        return Slow(0.2, "fine")
    turns = CHILD if "Question: child" in str(messages[1]["content"]) else TURNS
    number = sum(message["role"] == "assistant" for message in messages)
    return Slow(0.2, turns[min(number, len(turns) - 1)])


@dataclass
class Live:
    """A run under way: its process, the folders it was given and what it has started."""

    process: subprocess.Popen[bytes]
    base: Path
    where: Where

    @property
    def out(self) -> Path:
        return self.base / "work" / "run"

    def started(self, word: str) -> list[psutil.Process]:
        """The processes of the run whose name or command has the word, oldest first."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if word in " ".join([child.name(), *child.cmdline()]):
                        found.append(child)
        return sorted(found, key=lambda child: child.create_time())

    def signal(self, word: str, *numbers: int, pause_s: float = 0.0) -> None:
        """Send signals to the oldest such process, with a pause between two."""
        chosen = self.started(word)[:1]
        for count, number in enumerate(numbers):
            time.sleep(pause_s if count else 0)
            for child in chosen:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.send_signal(number)

    def limit(self, kind: int, most: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self.process.pid, kind, (most, most))

    def fill(self, folder: Path) -> None:
        """Leave no room on the disk of a folder."""
        with contextlib.suppress(OSError), (folder / "full").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))

    def remove(self, folder: Path) -> None:
        """Remove a folder once the record of the run is in it."""
        until = time.monotonic() + END_S
        while not (self.out / "journal.jsonl").exists() and time.monotonic() < until:
            time.sleep(0.01)
        shutil.rmtree(folder, ignore_errors=True)

    def containers(self, do: str) -> None:
        """Do this to the oldest of the run's containers: kill, pause, remove."""
        names = sorted(self.where.sandboxes(self.process.pid))[:1]
        with closing(connect()) as client:
            for name in names:
                container = client.containers.get(name.lstrip("/"))
                container.remove(force=True) if do == "remove" else getattr(container, do)()


@dataclass(frozen=True)
class Stroke:
    """What is done to a run, and how it may end then. ``tells`` must be on standard error.

    ``disk`` names the folder that gets a disk of its own, of so many kilobytes, before it begins.
    """

    name: str
    strike: Callable[[Live], object]
    statuses: tuple[int, ...] = (0,)
    tells: str = ""
    environment: str = ""
    disk: tuple[str, int] | None = None
    leaves: bool = False
    unsent: bool = False
    """Requests may fail before they reach the endpoint; the record has these too."""


def _rlm(*numbers: int, pause_s: float = 0.0) -> Callable[[Live], None]:
    def strike(live: Live) -> None:
        for count, number in enumerate(numbers):
            time.sleep(pause_s if count else 0)
            live.process.send_signal(number)

    return strike


def _container(do: str) -> Callable[[Live], None]:
    return lambda live: live.containers(do)


def _nothing(live: Live) -> None:
    """For a run that meets its fault from the beginning, and for one that meets none."""


def _both(live: Live) -> None:
    live.signal("watchdog", signal.SIGKILL)
    live.process.kill()


KERNEL, WATCHDOG, NURSERY = "ipykernel", "watchdog", "rlm-nursery"
STROKES = (
    Stroke("nothing", _nothing),
    Stroke("kill rlm", _rlm(signal.SIGKILL), (-9,)),
    Stroke("freeze rlm", _rlm(signal.SIGSTOP, signal.SIGCONT, pause_s=2)),
    Stroke("interrupt rlm", _rlm(signal.SIGINT), (130, -2)),
    Stroke("interrupt rlm twice", _rlm(signal.SIGINT, signal.SIGINT, pause_s=0.05), (130, -2)),
    Stroke("terminate rlm", _rlm(signal.SIGTERM), (143, -15)),
    Stroke("hang up rlm", _rlm(signal.SIGHUP), (129, -1)),
    Stroke("kill a kernel", lambda live: live.signal(KERNEL, signal.SIGKILL)),
    Stroke("stop a kernel", lambda live: live.signal(KERNEL, signal.SIGSTOP)),
    Stroke(
        "freeze a kernel",
        lambda live: live.signal(KERNEL, signal.SIGSTOP, signal.SIGCONT, pause_s=3),
    ),
    Stroke("interrupt a kernel", lambda live: live.signal(KERNEL, signal.SIGINT)),
    Stroke("terminate a kernel", lambda live: live.signal(KERNEL, signal.SIGTERM)),
    Stroke("kill the watchdog", lambda live: live.signal(WATCHDOG, signal.SIGKILL)),
    Stroke("stop the watchdog", lambda live: live.signal(WATCHDOG, signal.SIGSTOP)),
    Stroke("kill the watchdog and rlm", _both, (-9,), leaves=True),
    Stroke("kill the nursery", lambda live: live.signal(NURSERY, signal.SIGKILL)),
    Stroke("stop the nursery", lambda live: live.signal(NURSERY, signal.SIGSTOP)),
    Stroke("fill the record's disk", lambda live: live.fill(live.out), (0, 1), disk=("run", 200)),
    Stroke("a small disk of the record", _nothing, (1,), "No space left", disk=("run", 24)),
    Stroke("fill TMPDIR", lambda live: live.fill(live.base / "t"), (0, 1), disk=("t", 4096)),
    Stroke(
        "64 descriptors", lambda live: live.limit(resource.RLIMIT_NOFILE, 64), (0, 1), unsent=True
    ),
    Stroke(
        "24 descriptors", lambda live: live.limit(resource.RLIMIT_NOFILE, 24), (0, 1), unsent=True
    ),
    Stroke("no larger files", lambda live: live.limit(resource.RLIMIT_FSIZE, 4096), (0, 1)),
    Stroke("remove the run's folder", lambda live: live.remove(live.out), (1,), "run"),
    Stroke("empty TMPDIR", lambda live: _emptied(live.base / "t"), (0, 1)),
    Stroke("remove the folder", lambda live: live.remove(live.base / "work"), (1,)),
    Stroke("kill a container", _container("kill"), environment="docker"),
    Stroke("pause a container", _container("pause"), (0, 1), environment="docker"),
    Stroke("remove a container", _container("remove"), environment="docker"),
)  # fmt: skip


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path, True)


@contextmanager
def _disk(base: Path, disk: tuple[str, int] | None) -> Iterator[None]:
    """A disk of the size that the stroke names, mounted on its folder."""
    if disk is None:
        yield
        return
    name, kilobytes = disk
    folder = base / "t" if name == "t" else base / "work" / name
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


@dataclass(frozen=True)
class Struck:
    """What became of a run that was struck; ``status`` is None where it had to be ended."""

    stroke: Stroke
    request: int
    status: int | None
    seconds: float
    left: list[str]
    record: str
    problems: list[str]
    stderr: str

    def row(self) -> str:
        said = "; ".join(self.problems) or "none"
        status = "HANGS" if self.status is None else str(self.status)
        columns = [self.stroke.name, str(self.request), status, f"{self.seconds:.1f}"]
        columns += [", ".join(self.left) or "nothing", self.record, said]
        return f"| {' | '.join(columns)} |"


def strike(stroke: Stroke, request: int, more_s: float, where: Where) -> Struck:
    """Start a run, strike it a little after so many requests, wait for its end and look."""
    leftovers.adopt_orphans()
    case = Case("struck", "", arguments=("--max-cell-seconds", "10"))
    more = {**where.environ, "RLM_TIMEOUT_S": "20"}
    with (
        sandbox() as base,
        _disk(base, stroke.disk),
        FakeEndpoint(_reply) as endpoint,
        (base / "err.txt").open("w+b") as err,
        (base / "out.txt").open("w+b") as out,
    ):
        before, began = leftovers.children(), time.monotonic()
        process = subprocess.Popen(
            command(case, base), cwd=base / "work", stdin=subprocess.DEVNULL, stdout=out,
            stderr=err, env=environment(base, endpoint.base_url, more),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        live = Live(process, base, where)
        while len(endpoint.log) < request and process.poll() is None:
            if time.monotonic() - began > END_S:
                break
            time.sleep(0.01)
        time.sleep(more_s)
        stroke.strike(live)
        status = _ended(process, END_S)
        seconds = time.monotonic() - began
        left, _ = leftovers.left(base / "t", before, where.patience_s)
        left += _sandboxes_left(where, process.pid)
        said = [(base / name).read_text(errors="replace") for name in ("out.txt", "err.txt")]
        return _judged(stroke, request, status, seconds, left, live.out, said, len(endpoint.log))


def _ended(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(seconds)
        return None


def _sandboxes_left(where: Where, pid: int) -> list[str]:
    until = time.monotonic() + leftovers.PATIENCE_S * 2
    while (left := where.sandboxes(pid)) and time.monotonic() < until:
        time.sleep(0.1)
    return sorted(left)


def _judged(
    stroke: Stroke, request: int, status: int | None, seconds: float, left: list[str],
    folder: Path, said: list[str], asked: int,
) -> Struck:  # fmt: skip
    out, err = said
    seen = look(folder)
    problems = [] if status in stroke.statuses else [f"exit {status}, not {stroke.statuses}"]
    problems += ["a traceback of ours"] if OURS.search(err) else []
    problems += [f"{err.count(chr(10))} lines said"] if err.count("\n") > LINES else []
    problems += [] if stroke.tells in err else [f"does not say {stroke.tells!r}: {err[-200:]!r}"]
    problems += ["no answer"] if status == 0 and "read " not in out else []
    problems += [p for p in seen.problems if seen.sealed or not CUT.search(p)]
    problems += [] if stroke.leaves else [f"left: {what}" for what in left]
    if seen.there and (code := shown(folder)):
        problems.append(f"rlm show: exit {code}")
    events = [event for event in seen.events if isinstance(event, CallEnded | Replied)]
    booked = sum(event.usage.requests for event in events)
    if seen.sealed and (booked < asked if stroke.unsent else booked != asked):
        problems.append(f"{booked} requests in the record, {asked} at the endpoint")
    texts = [*said, *(path.read_text(errors="replace") for path in files(folder))]
    problems += ["the key is shown"] if any(KEY in text for text in texts) else []
    record = "sealed" if seen.sealed else f"{len(seen.events)} events" if seen.there else "none"
    return Struck(stroke, request, status, seconds, left, record, problems, err)


def write(count: int, where: Where, seed: int | None = None, only: str = "") -> bool:
    """Strike ``count`` runs, each stroke in turn, and print what became of each."""
    seed = random.randrange(10**6) if seed is None else seed
    chance = random.Random(seed)
    strokes = [s for s in STROKES if s.environment in ("", where.name) and only in s.name]
    if where.name != "local":
        strokes = [s for s in strokes if "kernel" not in s.name and "nursery" not in s.name]
    print(f"{count} runs in {where.name}, seed {seed}\n\n{HEAD}\n{RULE}")
    problems: list[str] = []
    tally: Counter[str] = Counter()
    for n in range(count):
        stroke = strokes[n % len(strokes)]
        struck = strike(stroke, chance.randrange(REQUESTS), chance.random() * 0.4, where)
        print(struck.row(), flush=True)
        if struck.problems:
            tally[stroke.name] += 1
            print(struck.stderr[-4000:], file=sys.stderr)
        problems += [f"{stroke.name}, request {struck.request}: {p}" for p in struck.problems]
    bad = ", ".join(f"{name} {times}" for name, times in tally.items()) or "none"
    print(f"\n{len(problems)} problems; runs with one: {bad}")
    return not problems
