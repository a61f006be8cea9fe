"""The public REPL without a kernel: as far as the loop sees, it does as a kernel does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import ask, ask_here, block, calls, cells, check_whole, script
from nobody import Nobody

from rlm_kernel import LMError, Result
from rlm_kernel.events import Output
from rlm_kernel.inputs.contexts import from_value
from rlm_kernel.record.outputs import text_of
from rlm_kernel.repl.protocol import Call, Slot
from rlm_kernel.repl.running_cell import Ran
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import FakeRepl, ScriptedLM

STORY = (
    "n = len(context)\nprint(n)",
    "n + 1",
    "first = 1\n1 / 0",
    "answer['content'] = 'a draft'",
    "one, two = llm_query('a'), llm_query_batched(['b', 'bad'])\nprint(one, two)",
    "FINAL_VAR('two')",
)


def _sub(prompt: str) -> str | Exception:
    return LMError("busy", cause="server", attempts=1) if prompt == "bad" else f"<{prompt}>"


@pytest.mark.parametrize("asking", [ask, ask_here])
def test_cells_end_as_in_a_kernel(tmp_path: Path, asking: Callable[..., Result]) -> None:
    result = asking(script(*STORY, sub=_sub), tmp_path / "run")
    assert (result.status, result.response) == ("answered", "['<b>', 'Error: busy']")
    ran = cells(result)
    assert [cell.status for cell in ran] == ["ok", "ok", "error", "ok", "ok", "ok"]
    assert [text_of(cell.outputs, 500) for cell in ran[:2]] == ["9", "10"]
    assert "ZeroDivisionError: division by zero" in text_of(ran[2].outputs, 500)
    assert [call.reply for call in calls(result)] == ["<a>", "<b>", None]
    check_whole(result)


@pytest.mark.parametrize("asking", [ask, ask_here])
def test_a_child_has_names_and_a_context_of_its_own(
    tmp_path: Path, asking: Callable[..., Result]
) -> None:
    def turn(messages: list[dict[str, Any]]) -> str:
        if "Question: child?" in messages[1]["content"]:
            return block("print(context)\nmine = sum(context)\nFINAL_VAR(mine)")
        return block("print(context)\nmine = rlm_query('child?', [1, 2, 3])\nFINAL_VAR(mine)")

    result = asking(ScriptedLM(turn), tmp_path / "run")
    assert (result.status, result.response) == ("answered", "6")
    assert [cell.source.count("sum") for cell in cells(result, "0.1")] == [1]


def test_a_scripted_cell_ends_as_it_says_and_does_not_run(tmp_path: Path) -> None:
    died = Ran(status="died", outputs=[], seconds=1.0, restarted="killed", lost=["x"])
    lm = script("import os; os._exit(1)", "print(context)\nFINAL_VAR(context)")
    result = ask_here(lm, tmp_path / "run", ends={"import os; os._exit(1)": died})
    assert result.response == "some text"
    assert [cell.status for cell in cells(result)] == ["died", "ok"]


def test_a_cancelled_cell_cancels_the_calls_that_it_waits_for() -> None:
    class Waiting:
        def __init__(self) -> None:
            self.asked, self.cancelled = asyncio.Event(), asyncio.Event()

        async def serve(self, call: Call) -> list[Slot]:
            self.asked.set()
            try:
                return await asyncio.get_running_loop().create_future()
            finally:
                self.cancelled.set()

    async def run() -> bool:
        calls = Waiting()
        repl = FakeRepl(calls)
        await repl.set_context(from_value("some text"))
        running = asyncio.ensure_future(repl.run("llm_query('a')", cell=1))
        await asyncio.wait_for(calls.asked.wait(), 20)
        running.cancel()
        await asyncio.wait({running}, timeout=20)
        assert running.cancelled()
        return calls.cancelled.is_set()

    assert engine().run(run())


def test_what_a_reader_of_outputs_raises_is_raised_where_the_cell_is_awaited() -> None:
    def refuse(output: Output) -> None:
        raise OSError("the disk is full")

    async def run() -> None:
        repl = FakeRepl(Nobody())
        await repl.set_context(from_value("some text"))
        await repl.run("print(context)", cell=1, on_output=refuse)

    with pytest.raises(OSError, match="the disk is full"):
        engine().run(run())
