"""The peer's side. Run by its own interpreter: ``python -m tests.bench.peer CASE ENVIRONMENT``,
for the case ``docker`` with an image in the place of the environment, for ``modal`` with nothing.

Prints one line of JSON: name -> number, seconds where nothing else is said.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rlm.core.rlm as core
from rlm import RLM
from rlm.clients.base_lm import BaseLM
from rlm.core.types import ModelUsageSummary, UsageSummary
from rlm.environments import get_environment
from rlm.logger import RLMLogger

from . import scripts

ENVIRONMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "local": ("local", {}),
    "ipython": ("ipython", {"kernel_mode": "in_process"}),
    "subprocess": ("ipython", {"kernel_mode": "subprocess"}),
}


class Scripted(BaseLM):
    """Turns in their order; any plain prompt gets a short reply. Each RLM makes one of its own."""

    latency_s = 0.0

    def __init__(self, turns: list[str]) -> None:
        super().__init__(model_name="scripted")
        self._turns = iter(turns)

    def completion(self, prompt: Any) -> str:
        if isinstance(prompt, list):
            return next(self._turns)
        time.sleep(self.latency_s)
        return "a reply"

    async def acompletion(self, prompt: Any) -> str:
        return self.completion(prompt)

    def get_usage_summary(self) -> UsageSummary:
        return UsageSummary(model_usage_summaries={"scripted": self.get_last_usage()})

    def get_last_usage(self) -> ModelUsageSummary:
        return ModelUsageSummary(total_calls=1, total_input_tokens=1, total_output_tokens=1)


def complete(name: str, script: list[str], context: str = scripts.SMALL, **more: Any) -> str:
    """One completion; RLMs below the first are told the shortest script."""
    environment, options = ENVIRONMENTS[name]
    made: Iterator[list[str]] = iter([script])
    original = core.get_client
    core.get_client = lambda *_: Scripted(next(made, scripts.turns(1)))
    try:
        rlm = RLM(
            backend_kwargs={"model_name": "scripted"},
            environment=environment,
            environment_kwargs=options,
            max_iterations=len(script),
            **more,
        )
        return str(rlm.completion(context).response)
    finally:
        core.get_client = original


def set_up(name: str, context: str) -> tuple[float, Any]:
    """An environment that has its context, and the seconds that this took."""
    environment, options = ENVIRONMENTS[name]
    began = time.perf_counter()
    repl = get_environment(environment, {**options, "context_payload": context})
    return time.perf_counter() - began, repl


def _set_up_seconds(name: str, context: str) -> float:
    return scripts.median([_repl(name, context, 0)[0] for _ in range(3)])


def first(name: str) -> dict[str, float]:
    complete(name, scripts.turns(3))
    return {}


def completion(name: str) -> dict[str, float]:
    return {
        "completion": scripts.median(scripts.timed(lambda: complete(name, scripts.turns(3)), 5))
    }


def _repl(name: str, context: str, cells: int, *, warm_up: int = 0) -> tuple[float, list[float]]:
    """The seconds until an environment has its context, and of each trivial cell in it."""
    ready, repl = set_up(name, context)
    try:
        seconds = scripts.timed(lambda: repl.execute_code("x = 1 + 1"), cells, warm_up=warm_up)
        if cells and repl.execute_code("print(len(context))").stdout.strip() != str(len(context)):
            raise SystemExit(f"{name}: the context of {len(context)} characters is not there")
    finally:
        repl.cleanup()
    return ready, seconds


def _query_seconds(name: str, size: int, count: int) -> float:
    return scripts.median(json.loads(complete(name, scripts.queries(size, count))))


def cell(name: str) -> dict[str, float]:
    return {
        "setup": _set_up_seconds(name, scripts.SMALL),
        "cell": scripts.median(_repl(name, scripts.SMALL, 200, warm_up=20)[1]),
    }


def queries(name: str) -> dict[str, float]:
    return {
        "query_100": _query_seconds(name, 100, 200),
        "query_10mb": _query_seconds(name, 10 * scripts.MB, 5),
    }


def docker(image: str) -> dict[str, float]:
    """In containers of an image, which has what would be installed into each of them otherwise."""
    ENVIRONMENTS["docker"] = ("docker", {"image": image})
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RLM_DOCKER_WORKSPACE_DIR"] = folder  # else it is made where we stand
        ready, seconds = _repl("docker", scripts.SMALL, 10, warm_up=2)
        large_ready, large_seconds = _repl("docker", scripts.large_text(), 1)
        query = _query_seconds("docker", 100, 100)
    return scripts.in_sandbox(ready, seconds, query, large_ready, large_seconds)


def modal(_: str) -> dict[str, float]:
    """Without the context of 100 MB: the peer puts a context into a command, and the SDK refuses
    what is over 64 KiB, some 45 kB of text."""
    ENVIRONMENTS["modal"] = ("modal", {})
    ready, seconds = _repl("modal", scripts.SMALL, 10, warm_up=2)
    query = _query_seconds("modal", 100, 20)
    Scripted.latency_s = scripts.LATENCY_S
    threads = scripts.median(json.loads(complete("modal", scripts.threads())))
    measured = {"setup": ready, "cell": scripts.median(seconds), "query_100": query}
    return {**measured, "threads": threads}


def batches(name: str) -> dict[str, float]:
    environment, options = ENVIRONMENTS[name]
    rlm = RLM(
        backend="openai",
        backend_kwargs={"model_name": "fake-model", "api_key": "none", "base_url": sys.argv[3]},
        environment=environment,
        environment_kwargs=options,
    )
    got = json.loads(rlm.completion(scripts.SMALL).response)
    return {"batch": scripts.median(got["seconds"]), "lost": sum(got["lost"])}


def large(name: str) -> dict[str, float]:
    text = scripts.large_text()
    whole = scripts.timed(lambda: complete(name, scripts.turns(1), text), 3)
    return {"large_load": _set_up_seconds(name, text), "large": scripts.median(whole)}


def long(name: str) -> dict[str, float]:
    return {"long": scripts.median(scripts.timed(lambda: complete(name, scripts.turns(101)), 3))}


def children(name: str) -> dict[str, float]:
    def run() -> None:
        complete(name, scripts.parent(), max_depth=2)

    return {"children": scripts.median(scripts.timed(run, 2, warm_up=0))}


def record(name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        script = scripts.turns(scripts.RECORDED_TURNS, f'"y" * {scripts.PRINTED}')
        seconds = scripts.timed(
            lambda: complete(name, script, logger=RLMLogger(log_dir=folder)), 1, warm_up=0
        )
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {"record_time": seconds[0], "record_bytes": size}


CASES: dict[str, Callable[[str], dict[str, float]]] = {
    work.__name__: work
    for work in (
        first,
        completion,
        cell,
        queries,
        batches,
        large,
        long,
        children,
        record,
        docker,
        modal,
    )
}

if __name__ == "__main__":
    print(json.dumps(CASES[sys.argv[1]](sys.argv[2])))
