"""Snapshots: a kernel goes back to after a cell, in whatever environment it runs."""

from __future__ import annotations

import asyncio

import pytest
from environments import Bench, Opener

pytestmark = pytest.mark.anyio
LOOK = "print(next(squares), n, random.random())"
ALIVE = """import os
try:
    os.kill(left, 0); print("alive")
except (NameError, OSError) as error:
    print(type(error).__name__)
"""


async def _taken(kernel: Bench, source: str) -> str:
    """What a cell put out, once the snapshot after it is there."""
    said = await kernel.said(source)
    task = kernel.repl.snapshots.task
    assert task is not None
    await asyncio.wait({task})
    assert kernel.repl.snapshots.at(kernel.cell) is not None, kernel.repl.snapshots.lost
    return said


async def test_a_kernel_goes_back_and_is_a_whole_kernel_again(opened: Opener) -> None:
    async with opened(snapshots="on") as kernel:
        key = "get_ipython().kernel.session.key"
        await _taken(kernel, "import random; squares = (i * i for i in range(9)); n = [1]")
        first, before = await _taken(kernel, LOOK), await kernel.said(key)
        left = "import subprocess; n.append(2)\nleft = subprocess.Popen(['sleep', '60'], "
        pid = await kernel.said(left + "start_new_session=True).pid; left")
        for _ in range(2):
            assert await kernel.repl.go_back(1) is None
            assert await _taken(kernel, LOOK) == first
        assert await kernel.said(f"left = {pid}\n{ALIVE}") == "ProcessLookupError"
        assert await kernel.said(key) != before
        await kernel.give("another")
        assert await kernel.said("llm_query(context)") == "'<another>'"
        assert (await kernel.briefly("while True: pass")).restarted is None
        assert await kernel.said("n") == "[1]"


async def test_a_cell_that_kills_its_kernel_costs_that_cell_where_a_snapshot_can_wake(
    opened: Opener,
) -> None:
    async with opened(snapshots="on") as kernel:
        await kernel.give("kept")
        await _taken(kernel, "n = [1]; ones = iter(n)")
        for code in (3, 4):
            died = await kernel.run(f"print(1); n.append(2)\nimport os; os._exit({code})")
            assert (died.status, died.back_to, died.lost) == ("died", 1, [])
            assert f"exit code {code}" in str(died.restarted)
        assert await _taken(kernel, "print(n, next(ones), llm_query('on'))") == "[1] 1 <on>"
        pids = [each.pid for each in kernel.repl.snapshots.kept]
        died = await kernel.run(f"import os\nfor pid in {pids}: os.kill(pid, 9)\nos._exit(3)")
        assert (died.status, died.back_to, died.lost) == ("died", None, ["n", "ones"])
        assert await kernel.said("context") == "'kept'"
