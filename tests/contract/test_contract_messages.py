"""What a cell sends on its kernel's sockets, how one that awaits ends, and a line in the first."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nbformat
import pytest
from environments import SECONDS, Bench, bench
from faults.fuzz import cell
from faults.odd import MESSAGES, Odd, made

from rlm_kernel.errors import RecordError
from rlm_kernel.events import Output
from rlm_kernel.repl.protocol import Call, Slot
from rlm_kernel.repl.running_cell import Ran

pytestmark = pytest.mark.anyio

QUICK = 30
"""``make fuzz`` sends 200."""
AWAITS = {
    "a sleep": "await asyncio.sleep(60)",
    "a group of tasks": "await asyncio.gather(asyncio.sleep(60), asyncio.Event().wait())",
    "an async generator": """
async def slowly():
    while True:
        await asyncio.sleep(30)
        yield 1
async for each in slowly(): pass""",
    "a thread": "await asyncio.to_thread(__import__('threading').Event().wait, 3)",
    "a call": "await llm_query.aio('x')",
    "nothing any more": "await asyncio.sleep(0)\nimport time; time.sleep(60)",
    "a task that awaits nothing": """
async def blocks():
    import time; time.sleep(60)
await asyncio.gather(blocks(), blocks())""",
    "a loop": "await asyncio.sleep(0)\nwhile True: pass",
}


@pytest.fixture(scope="module")
async def odd() -> list[Odd]:
    return made(MESSAGES, QUICK, 7)


async def test_odd_messages_cost_no_kernel_and_the_next_cell_is_right(
    kernel: Bench, odd: list[Odd]
) -> None:
    await kernel.run("kept = 40")
    for message in odd:
        ran = await kernel.run(cell(message))
        assert ran.restarted is None, message
        shown = [nbformat.from_dict(output) for output in ran.outputs]
        nbformat.v4.new_code_cell(outputs=shown)  # it validates them
        assert await kernel.said("print(kept + 2)") == "42", message


async def _never(call: Call) -> list[Slot]:
    await asyncio.Event().wait()
    return []


async def _interrupted(kernel: Bench, source: str) -> Ran:
    """A cell that was interrupted while it awaits; without the interrupt it never ends."""
    began = asyncio.Event()
    running = asyncio.ensure_future(
        kernel.repl.run(
            f"import asyncio\nkept = 'here'\nprint('began', flush=True)\n{source}",
            cell=1000,
            on_output=lambda output: began.set(),
        )
    )
    async with asyncio.timeout(30):
        await began.wait()
        if "llm_query" in source:
            await kernel.calls.asked.wait()
        await kernel.repl.interrupt()
        return await running


@pytest.mark.parametrize("source", AWAITS.values(), ids=AWAITS)
async def test_a_cell_that_awaits_ends_when_it_is_interrupted_and_its_names_stay(
    kernel: Bench, source: str
) -> None:
    kernel.calls.serving = _never
    ran = await _interrupted(kernel, source)
    assert (ran.status, ran.restarted) == ("error", None)
    assert await kernel.said("kept") == "'here'"


async def test_a_cell_that_awaits_beyond_its_time_keeps_its_kernel(
    kernel: Bench,
) -> None:
    ran = await kernel.briefly("import asyncio\nkept = 'here'\nawait asyncio.sleep(60)")
    assert (ran.status, ran.restarted) == ("timeout", None)
    assert await kernel.said("kept") == "'here'"


async def test_the_first_cell_can_ask_for_a_line(environment: str, tmp_path: Path) -> None:
    async with bench(environment, tmp_path) as kernel, asyncio.timeout(60):
        for line in ("one", "two"):
            ran = await kernel.repl.run("print(input())", cell=1, inputs=[line])
            assert [output["text"] for output in ran.outputs] == [f"{line}\n"]
            assert (await kernel.run("import os; os._exit(1)")).restarted is not None


def _full(output: Output) -> None:
    raise RecordError("the record cannot be written")


async def _refused(call: Call) -> list[Slot]:
    raise RecordError("the record cannot be written")


@pytest.mark.parametrize("source", ["print(1)", "llm_query('x')", "import asyncio; print(1)"])
@pytest.mark.parametrize(
    "goes_on", ["import time; time.sleep(60)", "import asyncio; await asyncio.sleep(60)"]
)
async def test_a_cell_ends_at_once_where_it_cannot_be_recorded(
    kernel: Bench, source: str, goes_on: str
) -> None:
    kernel.calls.serving = _refused
    failing = None if "llm_query" in source else _full
    await kernel.run("kept = 'here'")
    guarded = f"try:\n    {source}\nexcept Exception: pass\n{goes_on}"
    async with asyncio.timeout(SECONDS):
        with pytest.raises(RecordError, match="the record cannot be written"):
            await kernel.repl.run(guarded, cell=1, on_output=failing)
    assert await kernel.said("kept") == "'here'"
