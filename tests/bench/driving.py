"""How many runs one process drives: ``python -m tests.bench.driving [COUNT ...] [--out FOLDER]``.

A simulation. This process drives a batch at a Modal of our own with realistic latencies, whose
sandboxes are real kernels in processes; an LM answers after as long as a strong one takes. The
driver has a core for itself, the kernels, the service and the LM share the other: so the driver's
core shows what driving costs, at each number of live runs. Writes ``driving.json`` and
``driving.png``.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlm_kernel.batch import Plan, run_batch
from rlm_kernel.environments.modal import sdk
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import FakeEndpoint, Slow

TURNS, SUB_CALLS = 4, 50
TURN_S, SUB_CALL_S = 15.0, 3.0
"""Means; each reply takes half to one and a half times as long."""
LATENCY = {"create": 1.5, "exec": 0.2, "stdio": 0.02, "other": 0.05, "jitter": 0.5}
LAG_LOOK_S = 0.05
CELLS = [
    "print(len(context))",
    f"got = llm_query_batched([f'{{n}}: ' + context[:1000] for n in range({SUB_CALLS})])\n"
    "print(len(got))",
    "print(context[:200], len(set(got)))",
    "FINAL_VAR(len(got))",
]


# the other core: service and LM
def _reply(request: dict[str, Any]) -> Slow:
    messages = request["messages"]
    spread = 0.5 + random.random()
    if not any(message["role"] == "system" for message in messages):
        return Slow(SUB_CALL_S * spread, "a short reply to a question about a part")
    number = sum(message["role"] == "assistant" for message in messages)
    return Slow(TURN_S * spread, f"I look.\n```python\n{CELLS[number]}\n```")


def serve() -> None:
    """The service and the LM; prints what reaches them, and ends with its standard input."""
    from ..plane import ControlPlane, Latency

    with ControlPlane("process", latency=Latency(**LATENCY)) as plane, FakeEndpoint(_reply) as lm:
        print(json.dumps({**plane.environment, "RLM_BASE_URL": lm.base_url}), flush=True)
        sys.stdin.read()


@contextmanager
def _served(cores: set[int]) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "tests.bench.driving", "--serve"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())
        finally:
            server.stdin.close()
            server.wait(60)


# the driver
class Watch:
    """Of the time between ``begin`` and ``end``: what each kind of thread computed, and how late
    the event loop was."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self._running = True
        self._threads: dict[int, tuple[str, float]] = {}

    async def _look(self) -> None:
        while self._running:
            due = time.perf_counter() + LAG_LOOK_S
            await asyncio.sleep(LAG_LOOK_S)
            self.lags.append(time.perf_counter() - due)
            if len(self.lags) % 20 == 0:  # threads end with their kernel: look while they live
                self._threads |= _threads()

    def begin(self) -> None:
        self._began, self._total = time.perf_counter(), sum(os.times()[:2])
        self._before = _threads()
        self._looking, _ = engine().start(self._look())

    def end(self) -> dict[str, Any]:
        self._running = False
        self._looking.result(5)
        seconds = time.perf_counter() - self._began
        self._threads |= _threads()
        used: Counter[str] = Counter()
        for thread, (kind, computed) in self._threads.items():
            used[kind] += computed - self._before.get(thread, ("", 0.0))[1]
        used["the rest"] += sum(os.times()[:2]) - self._total - used.total()
        lags = sorted(self.lags)
        return {
            "seconds": seconds,
            "core": {kind: value / seconds for kind, value in used.items() if value > 0},
            "lag_median": lags[len(lags) // 2],
            "lag_99": lags[int(len(lags) * 0.99)],
        }


KINDS = {
    "rlm-engine": "runs and LM requests",
    "rlm-run": "pipes to the kernels",
    "rlm-read_pipe": "pipes to the kernels",
    "rlm-write_pipe": "pipes to the kernels",
    "rlm-modal": "pipes to the kernels",
    "thread_inner": "Modal's SDK",  # as synchronicity leaves its name
}


def _threads() -> dict[int, tuple[str, float]]:
    """The kind of each thread of this process, and the processor seconds it has used."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    found = {}
    for task in os.listdir("/proc/self/task"):
        try:
            stat = Path(f"/proc/self/task/{task}/stat").read_text()
        except OSError:  # it has just ended
            continue
        user, system = stat.rpartition(")")[2].split()[11:13]
        name = names.get(int(task), "")
        kind = next((k for part, k in KINDS.items() if part in name.lower()), "the rest")
        found[int(task)] = (kind, (int(user) + int(system)) / os.sysconf("SC_CLK_TCK"))
    return found


def drive(count: int, rounds: float, folder: Path) -> dict[str, Any]:
    """``count`` live runs, until each has been followed by as many as there are rounds."""
    tasks = [
        {"id": f"{count}-{n}", "question": "How many parts?", "context": "words " * 2000}
        for n in range(int(count * rounds))
    ]
    watch = Watch()
    watch.begin()
    summary = run_batch(
        tasks,
        folder / str(count),
        Plan(concurrency=count, notebook=False),
        model="simulated",
        environment="modal",
        **{"max_in_flight": 10_000},
    )
    measured = watch.end()
    ended = Counter(f"{r.status} {r.reason or ''}"[-400:] for r in summary.results.results)
    seconds = [result.seconds for result in summary.results.results]
    return {
        "runs": count,
        "ended": ended,
        "run_seconds": sum(seconds) / len(seconds),
        "live": sum(seconds) / measured["seconds"],  # at the end fewer are left
        **measured,
    }


def draw(levels: list[dict[str, Any]], path: Path) -> float:
    """The picture; returns how many live runs would fill the driver's core."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = [level["live"] for level in levels]
    full = sum(runs) / sum(sum(level["core"].values()) for level in levels)
    kinds = [kind for kind in dict.fromkeys(KINDS.values())] + ["the rest"]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.8), constrained_layout=True)
    shares = [[100 * level["core"].get(kind, 0.0) for level in levels] for kind in kinds]
    colours = ["#0072B2", "#E69F00", "#009E73", "#999999"]
    left.stackplot(runs, shares, labels=kinds, colors=colours, alpha=0.9)
    left.plot([0, full], [0, 100], color="black", linestyle="--", linewidth=1)
    left.annotate(f"full at about {full:,.0f}, by this line", (full, 100), ha="right", va="bottom")
    left.set(
        xlabel="live runs, on average",
        ylabel="driver's core, %",
        xlim=(0, full * 1.05),
        ylim=(0, 112),
    )
    left.legend(loc="upper left", frameon=False)
    right.plot(runs, [1000 * level["lag_99"] for level in levels], marker="o", label="99 of 100")
    right.plot(runs, [1000 * level["lag_median"] for level in levels], marker="o", label="median")
    right.set(xlabel="live runs, on average", ylabel="delay of the event loop, ms", xlim=(0, None))
    right.set_ylim(0, None)
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    return full


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.driving", description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[5, 10, 20, 30, 40])
    parser.add_argument("--rounds", type=float, default=1.5, help="runs for each live one")
    parser.add_argument("--out", type=Path, default=Path("driving"))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve()
        return 0
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("this needs two cores: one for the driver and one for all else")
    options.out.mkdir(parents=True, exist_ok=True)
    levels = []
    with _served(set(cores[1:])) as environment, tempfile.TemporaryDirectory() as folder:
        os.sched_setaffinity(0, {cores[0]})
        os.environ.update(environment, RLM_API_KEY="none")
        _work_in(Path(folder))
        sdk.check()  # the SDK's import is paid once
        for count in options.counts:
            levels.append(drive(count, options.rounds, Path(folder)))
            print(json.dumps(levels[-1]), flush=True)
    (options.out / "driving.json").write_text(json.dumps(levels, indent=1))
    full = draw(levels, options.out / "driving.png")
    print(f"one core drives about {full:,.0f} runs at once")
    return 0


def _work_in(folder: Path) -> None:
    """The sandboxes are processes of this machine: they get no folder at its top, and no other
    user."""
    from rlm_kernel.environments.modal.provisioner import ModalProvisioner

    changes = {"work": str(folder / "work"), "user": (os.getuid(), os.getgid())}
    shape = ModalProvisioner._shape
    ModalProvisioner._shape = lambda self: dataclasses.replace(shape(self), **changes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
