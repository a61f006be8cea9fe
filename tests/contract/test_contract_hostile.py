"""Cells that loop, die, flood, hide and reach out: what the kernel does, and what is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from pathlib import Path

import pytest
from environments import Bench, Opener, bench, shown

from rlm_kernel.answers import Answer
from rlm_kernel.inputs import contexts
from rlm_kernel.record.outputs import Collector
from rlm_kernel.repl.protocol import Call, Slot

pytestmark = pytest.mark.anyio

SWALLOW = """
import time
while True:
    try:
        while True: time.sleep(0.01)
    except BaseException:
        pass
"""


async def _held(kernel: Bench, release: asyncio.Event) -> None:
    async def wait(call: Call) -> list[Slot]:
        await release.wait()
        return [{"value": "late"} for _ in call.prompts]

    kernel.calls.serving = wait


async def _started(kernel: Bench, source: str) -> tuple[asyncio.Task[object], Collector]:
    """A cell that has begun to run: it prints first."""
    began, collector = asyncio.Event(), Collector()
    task = asyncio.ensure_future(
        kernel.repl.run(
            f"print('began')\n{source}",
            cell=1000,
            collector=collector,
            on_output=lambda output: began.set(),
        )
    )
    async with asyncio.timeout(30):
        await began.wait()
    return task, collector


async def _cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_cancelled_cell_is_interrupted_and_its_names_stay(kernel: Bench) -> None:
    await kernel.run("kept = 'still here'")
    task, collector = await _started(kernel, "while True: pass")
    await _cancelled(task)
    assert collector.outputs[0]["text"] == "began\n"
    assert await kernel.said("kept") == "'still here'"


async def test_a_cancelled_cell_cancels_its_calls(kernel: Bench) -> None:
    await _held(kernel, asyncio.Event())
    task = asyncio.ensure_future(kernel.run("llm_query('never')"))
    async with asyncio.timeout(30):
        await kernel.calls.asked.wait()
    await _cancelled(task)
    assert kernel.calls.cancelled.is_set()
    kernel.calls.serving = lambda call: asyncio.sleep(0, [{"value": "again"}])
    assert await kernel.said("llm_query('x')") == "'again'"


@pytest.mark.impatient
async def test_a_cancelled_cell_that_will_not_stop_gets_a_new_kernel(kernel: Bench) -> None:
    await kernel.give("the context")
    task, _ = await _started(kernel, SWALLOW)
    await _cancelled(task)
    assert await kernel.said("context") == "'the context'"


async def test_a_cell_over_its_time_is_stopped_and_its_names_stay(kernel: Bench) -> None:
    await kernel.run("kept = 1")
    ran = await kernel.briefly("print('began')\nwhile True: pass")
    assert (ran.status, ran.restarted, shown(ran).splitlines()[0]) == ("timeout", None, "began")
    assert await kernel.said("kept") == "1"


async def test_a_sleeping_cell_over_its_time_is_stopped(kernel: Bench) -> None:
    assert (await kernel.briefly("import time; time.sleep(600)")).status == "timeout"
    assert (await kernel.briefly("import asyncio; await asyncio.sleep(600)")).status == "timeout"
    assert (await kernel.briefly("!sleep 600")).status == "timeout"
    assert await kernel.said("1") == "1"


async def test_an_answer_of_a_cell_over_its_time_is_only_a_draft(kernel: Bench) -> None:
    ran = await kernel.briefly("FINAL_VAR('too soon')\nwhile True: pass")
    assert (ran.status, ran.answer, ran.draft) == ("timeout", None, Answer.of_text("too soon"))


async def test_the_clock_stands_still_while_the_cell_waits_for_an_lm(kernel: Bench) -> None:
    release = asyncio.Event()
    await _held(kernel, release)
    asyncio.get_running_loop().call_later(2.0, release.set)
    ran = await kernel.briefly("llm_query('slow')")
    assert (ran.status, shown(ran)) == ("ok", "'late'")


async def test_the_clock_runs_on_while_only_a_thread_waits(kernel: Bench) -> None:
    await _held(kernel, asyncio.Event())
    ran = await kernel.briefly(
        "import threading\nthreading.Thread(target=llm_query, args=('slow',)).start()\n"
        "while True: pass"
    )
    assert ran.status == "timeout"


async def test_the_clock_runs_on_while_only_a_forked_process_waits(kernel: Bench) -> None:
    await _held(kernel, asyncio.Event())
    ran = await kernel.briefly(
        "import multiprocessing, warnings\nwarnings.simplefilter('ignore')\n"
        "p = multiprocessing.get_context('fork').Process(target=llm_query, args=('slow',))\n"
        "p.start()\nwhile True: pass"
    )
    assert ran.status == "timeout"


@pytest.mark.impatient
async def test_a_cell_that_swallows_the_interrupt_gets_a_new_kernel(kernel: Bench) -> None:
    await kernel.give("the context")
    await kernel.run("%reset -f\nlost_name = 1")
    before = kernel.repl.kernel
    ran = await kernel.briefly(SWALLOW)
    assert (ran.status, ran.lost) == ("timeout", ["lost_name"])
    assert "did not stop" in str(ran.restarted)
    assert kernel.repl.kernel is not before
    assert await kernel.said("print(context, llm_query('a'))") == "the context <a>"


async def test_a_kernel_that_ends_itself_comes_back_with_context_and_guest(opened: Opener) -> None:
    async with opened(tools={"table": [1, 2]}) as kernel:
        await kernel.give({"k": "v"})
        await kernel.run("one, two = 1, 2")
        ran = await kernel.run("print('last words', flush=True)\nimport os; os._exit(7)")
        assert (ran.status, ran.answer, ran.lost) == ("died", None, ["one", "two"])
        assert "exit code 7" in str(ran.restarted)
        assert await kernel.said("print(context, table, llm_query('a'))") == "{'k': 'v'} [1, 2] <a>"
        assert (await kernel.run("one")).status == "error"


async def test_a_kernel_killed_by_a_signal_says_which(kernel: Bench) -> None:
    ran = await kernel.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert (ran.status, "signal 9" in str(ran.restarted)) == ("died", True)


async def test_a_kernel_that_died_between_two_cells_is_replaced(kernel: Bench) -> None:
    await kernel.give("here")
    await kernel.run("import os, threading\nthreading.Timer(0.2, os._exit, args=(3,)).start()")
    async with asyncio.timeout(30):
        await asyncio.shield(kernel.repl.kernel._died)  # type: ignore[arg-type]
    ran = await kernel.run("context")
    assert ran.status == "died"
    assert await kernel.said("context") == "'here'"


async def test_a_kernel_that_died_between_two_questions_is_replaced(kernel: Bench) -> None:
    await kernel.run("import os, threading\nthreading.Timer(0.2, os._exit, args=(3,)).start()")
    async with asyncio.timeout(30):
        await asyncio.shield(kernel.repl.kernel._died)  # type: ignore[arg-type]
    info = await kernel.give("the next question's")
    assert info.length == 19
    assert await kernel.said("len(context)") == "19"


async def test_a_closed_stdout_is_open_again(kernel: Bench) -> None:
    await kernel.run("import sys\nsys.stdout.close()\nsys.stderr.close()")
    assert await kernel.said("print('heard')") == "heard"
    await kernel.run("import io\nsys.stdout = io.StringIO()")
    assert await kernel.said("print('heard')") == "heard"


async def test_closed_descriptors_do_not_silence_the_kernel(opened: Opener) -> None:
    async with opened() as kernel:
        await kernel.run("import os\nos.close(1); os.close(2); os.close(0)")
        assert await kernel.said("print('heard')") == "heard"


async def test_a_hundred_megabytes_of_print_are_bounded_and_counted(kernel: Bench) -> None:
    ran = await kernel.run("for _ in range(1000):\n    print('x' * 100_000)\nprint('the end')")
    text = ran.outputs[0]["text"]
    assert ran.status == "ok"
    assert len(text) < 250_000
    assert text.endswith("the end\n")
    left_out = 1000 * 100_001 + len("the end\n") - 200_000
    assert f"{left_out:,} characters not kept" in text


async def test_an_expression_of_thirty_megabytes_is_bounded(kernel: Bench) -> None:
    ran = await kernel.run("'x' * 30_000_000")
    assert ran.status == "ok"
    assert len(str(ran.outputs)) < 250_000


async def test_an_error_of_thirty_megabytes_is_bounded(kernel: Bench) -> None:
    ran = await kernel.run("raise ValueError('x' * 30_000_000)")
    assert ran.status == "error"
    assert len(str(ran.outputs)) < 1_000_000


async def test_five_thousand_displays_are_bounded_and_the_error_survives(kernel: Bench) -> None:
    ran = await kernel.run("for i in range(5000):\n    display(i)\n1 / 0")
    assert ran.status == "error"
    assert len(ran.outputs) < 600
    assert "4,500 more outputs not kept" in str(ran.outputs)
    assert shown(ran).endswith("ZeroDivisionError: division by zero")


async def test_images_are_bounded_in_all(kernel: Bench) -> None:
    ran = await kernel.run(
        "from IPython.display import Image\n"
        "for i in range(50):\n"
        "    display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + bytes(1_000_000), format='png'))"
    )
    assert ran.status == "ok"
    assert len(str(ran.outputs)) < 40_000_000


async def test_what_a_cell_left_running_is_gone_with_its_kernel(
    environment: str, tmp_path: Path
) -> None:
    seconds = [f"600.{secrets.randbelow(10**9):09}{new}" for new in (0, 1)]
    async with bench(environment, tmp_path) as kernel:
        await kernel.said(
            "import subprocess\n"
            f"for new, seconds in enumerate({seconds}):\n"
            "    subprocess.Popen(['sleep', seconds], start_new_session=bool(new))"
        )
        assert sorted(seconds) == sorted(_sleeping(seconds))
    async with asyncio.timeout(10):
        while _sleeping(seconds):
            await asyncio.sleep(0)


def _sleeping(seconds: list[str]) -> list[str]:
    """Which of these live, wherever on this machine they run."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().decode(errors="replace").split("\0"))
    return [line[1] for line in lines if line[0].endswith("sleep") and line[1] in seconds]


async def test_a_variable_of_the_host_is_not_seen(
    environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-4711")
    monkeypatch.setenv("RLM_CANARY", "canary-4711")
    async with bench(environment, tmp_path) as kernel:
        said = await kernel.said(
            "import os\nprint(os.environ.get('OPENAI_API_KEY'), os.environ.get('RLM_CANARY'))\n"
            "print('4711' in str(dict(os.environ)))"
        )
        assert said.splitlines() == ["None None", "False"]


async def test_two_kernels_at_once_do_not_meet(environment: str, tmp_path: Path) -> None:
    async with (
        bench(environment, tmp_path / ".." / tmp_path.name) as one,
        bench(environment, tmp_path) as two,
    ):
        await asyncio.gather(one.give("first"), two.give("second"))
        await asyncio.gather(one.run("mine = context"), two.run("mine = context * 2"))
        said = await asyncio.gather(
            one.said("print(mine, context, llm_query('a'))"),
            two.said("print(mine, context, llm_query('b'))"),
        )
        assert said == ["first first <a>", "secondsecond second <b>"]
        assert [len(kernel.calls.seen) for kernel in (one, two)] == [1, 1]


async def test_a_big_value_from_memory_leaves_no_copy_behind(
    environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with bench(environment, tmp_path) as kernel:
        await kernel.repl.set_context(contexts.from_value("x" * 1_000_000))
    assert [name for name in os.listdir(tmp_path) if name.startswith("rlm-")] == []
