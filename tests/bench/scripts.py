"""What the scripted LM says, the same to both sides. Imports nothing but the standard library.

Both know `answer` as the way to end. No cell is said twice, since ours refuses a repeated one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

MB = 1_000_000
SMALL = "x" * 1000
"""A context."""
BATCH = 1000
CHILDREN = 5
THREAD_ROUNDS = 5
LATENCY_S = 0.1
"""Of the LM that threads ask."""
RECORDED_TURNS = 200
PRINTED = 20_000


def large_text() -> str:
    """A context of 100 MB."""
    return "x" * (100 * MB)


def _cell(code: str) -> str:
    return f"I look at it.\n```repl\n{code}\n```"


def _answer(expression: str) -> str:
    return f'answer["content"] = {expression}\nanswer["ready"] = True'


def turns(count: int, printed: str = "len(context)") -> list[str]:
    """``count`` turns of one cell each, the last of which answers."""
    cells = [_cell(f"print({number}, {printed})") for number in range(count - 1)]
    return [*cells, _cell(f"print({count}, len(context))\n{_answer('str(len(context))')}")]


def queries(size: int, count: int) -> list[str]:
    """One turn that answers with the seconds of ``count`` calls of ``size`` characters."""
    code = f"""import json, time
prompt, seconds = "x" * {size}, []
for _ in range({count}):
    began = time.perf_counter()
    llm_query(prompt)
    seconds.append(time.perf_counter() - began)
print(len(context))
{_answer("json.dumps(seconds)")}"""
    return [_cell(code)]


def batches() -> list[str]:
    """One turn that answers with the seconds of two batches and how many replies were lost."""
    code = f"""import json, time
seconds, lost = [], []
for batch in range(2):
    asked = [f"item {{batch}}.{{i}}" for i in range({BATCH})]
    began = time.perf_counter()
    got = llm_query_batched(asked)
    seconds.append(time.perf_counter() - began)
    lost.append({BATCH} - sum(b == f"reply to {{a}}" for a, b in zip(asked, got)))
print(len(context))
{_answer('json.dumps({"seconds": seconds, "lost": lost})')}"""
    return [_cell(code)]


def threads() -> list[str]:
    """One turn that answers with the seconds in which 10 threads had a reply each, a few times."""
    code = f"""import json, time
from concurrent.futures import ThreadPoolExecutor
seconds = []
for _ in range({THREAD_ROUNDS}):
    began = time.perf_counter()
    with ThreadPoolExecutor(10) as pool:
        got = list(pool.map(llm_query, [f"item {{n}}" for n in range(10)]))
    seconds.append(time.perf_counter() - began)
print(len(context))
{_answer("json.dumps(seconds)")}"""
    return [_cell(code)]


def parent() -> list[str]:
    """One turn that asks children, one after another."""
    code = f"""got = [rlm_query(f"child {{i}}") for i in range({CHILDREN})]
print(len(context))
{_answer("repr(got)")}"""
    return [_cell(code)]


def timed(work: Callable[[], object], repeats: int, *, warm_up: int = 1) -> list[float]:
    """The seconds of each repeat; those of the warm-up are left out."""
    seconds = []
    for _ in range(warm_up + repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds[warm_up:]


def median(seconds: list[float]) -> float:
    return statistics.median(seconds)


def in_sandbox(
    ready: float, cells: list[float], query: float, large_ready: float, large_cells: list[float]
) -> dict[str, float]:
    """What both sides measure in sandboxes, by the names of the table."""
    return {
        "setup": ready,
        "cell": median(cells),
        "query_100": query,
        "large_load": large_ready,
        "large_cell": median(large_cells),
    }
