"""Our side: ``python -m tests.bench.ours CASE``, the same work through our public faces.

The case ``docker`` is given an image, ``modal`` a transport, ``batches`` an address.

Prints one line of JSON: name -> number, seconds where nothing else is said. Our record is always
on, also where the peer keeps none.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlm_kernel import RLM, Limits, Result
from rlm_kernel.testing import ScriptedLM

from . import scripts

ROOMY = {"window": 100_000_000}  # tokens: nothing is refused or compacted for its length


def complete(
    script: list[str],
    context: object = scripts.SMALL,
    latency_s: float = 0.0,
    **more: Any,
) -> Result:
    """One completion; children are told the shortest script."""
    said = iter(script)

    def turn(messages: list[dict[str, Any]]) -> str:
        child = "child " in str(messages[1]["content"])
        return scripts.turns(1)[0] if child else next(said)

    limits = Limits(turns=len(script) + 1, tokens=None)
    lm = ScriptedLM(turn, lambda _: "a reply", latency_s=latency_s)
    with RLM(lm, limits=limits, **more) as rlm:
        return _answered(rlm.completion(context, "the question"))


def _answered(result: Result) -> Result:
    if result.status != "answered":
        raise SystemExit(f"the run {result.status}: {result.reason}")
    return result


def first() -> dict[str, float]:
    complete(scripts.turns(3))
    return {}


def completion() -> dict[str, float]:
    return {"completion": scripts.median(scripts.timed(lambda: complete(scripts.turns(3)), 5))}


async def _repl(
    context: object, cells: int, *, warm_up: int = 0, environment: str = "local", **sandbox: Any
) -> tuple[float, list[float]]:
    """The seconds until a REPL has its context, and of each trivial cell in it, the warm-up left
    out."""
    from rlm_kernel.environments.kernel_config import KernelConfig
    from rlm_kernel.inputs import contexts
    from rlm_kernel.repl.guest_client import KernelSetup
    from rlm_kernel.repl.repl import open_repl
    from tests.nobody import Nobody

    spot = KernelConfig(Path.cwd(), environment, sandbox=sandbox)
    began = time.perf_counter()
    async with open_repl(Nobody(), KernelSetup(spot)) as repl:
        await repl.set_context(await asyncio.to_thread(contexts.from_value, context))
        ready = time.perf_counter() - began
        seconds = []
        for number in range(warm_up + cells):
            began = time.perf_counter()
            await repl.run("x = 1 + 1", cell=number)
            seconds.append(time.perf_counter() - began)
    return ready, seconds[warm_up:]


def _ready(context: object) -> float:
    """The seconds until a REPL has its context."""
    return scripts.median([asyncio.run(_repl(context, 0))[0] for _ in range(3)])


def _query(size: int, count: int, **more: Any) -> float:
    """The seconds of a call of that many characters."""
    result = complete(scripts.queries(size, count), **ROOMY, **more)
    return scripts.median(json.loads(str(result.response)))


def cell() -> dict[str, float]:
    _, seconds = asyncio.run(_repl(scripts.SMALL, 200, warm_up=20))
    return {"setup": _ready(scripts.SMALL), "cell": scripts.median(seconds)}


def queries() -> dict[str, float]:
    return {"query_100": _query(100, 200), "query_10mb": _query(10 * scripts.MB, 5)}


def docker() -> dict[str, float]:
    return _in_sandbox(environment="docker", image=sys.argv[2])


def _in_sandbox(**place: Any) -> dict[str, float]:
    ready, seconds = asyncio.run(_repl(scripts.SMALL, 100, warm_up=20, **place))
    large_ready, large_seconds = asyncio.run(_repl(scripts.large_text(), 20, **place))
    query = _query(100, 100, **place)
    return scripts.in_sandbox(ready, seconds, query, large_ready, large_seconds)


def modal() -> dict[str, float]:
    place = {"environment": "modal", "transport": sys.argv[2]}
    asked = complete(scripts.threads(), latency_s=scripts.LATENCY_S, **place)
    threads = scripts.median(json.loads(str(asked.response)))
    return {**_in_sandbox(**place), "threads": threads}


def batches() -> dict[str, float]:
    got: dict[str, float] = {}
    for in_flight in (64, 256):
        limits = Limits(calls=10_000, in_flight=in_flight)
        with RLM("fake-model", base_url=sys.argv[2], limits=limits) as rlm:
            result = _answered(rlm.completion(scripts.SMALL, "the question"))
        told = json.loads(str(result.response))
        got[f"batch_{in_flight}"] = scripts.median(told["seconds"])
        got[f"lost_{in_flight}"] = sum(told["lost"])
    return got


def large() -> dict[str, float]:
    text = scripts.large_text()
    whole = scripts.timed(lambda: complete(scripts.turns(1), text), 3)
    return {"large_load": _ready(text), "large": scripts.median(whole)}


def long() -> dict[str, float]:
    return {"long": scripts.median(scripts.timed(lambda: complete(scripts.turns(101)), 3))}


def children() -> dict[str, float]:
    return {"children": scripts.median(scripts.timed(lambda: complete(scripts.parent()), 2))}


def record() -> dict[str, float]:
    folder = Path("recorded")
    script = scripts.turns(scripts.RECORDED_TURNS, f'"y" * {scripts.PRINTED}')
    seconds = scripts.timed(lambda: complete(script, out=folder, **ROOMY), 1, warm_up=0)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"record_time": seconds[0], "record_bytes": size}


CASES: dict[str, Callable[[], dict[str, float]]] = {
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
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # runs go to rlm-runs there
        measured = CASES[sys.argv[1]]()
        os.chdir("/")
    print(json.dumps(measured))
