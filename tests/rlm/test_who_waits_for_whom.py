"""Time limits and their causes, signals, and calls that would wait for themselves."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import ask, ask_here, ask_within, block, cells, check_whole, events, of, script

from rlm_kernel import RLM, Limits, Result, UsageError, on_host
from rlm_kernel.endings import within
from rlm_kernel.events import RunEnded
from rlm_kernel.record import journal
from rlm_kernel.record.outputs import text_of
from rlm_kernel.repl import guest_client
from rlm_kernel.session import event_loop as engines
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import ScriptedLM

SECONDS = 20.0
FINISH = "print(context)\nFINAL_VAR(context.upper())"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# a time that is over, and others
@pytest.mark.parametrize("seconds", [60, "none"])
def test_a_timeout_from_below_is_not_told_as_the_runs_time_limit(
    tmp_path: Path, seconds: object
) -> None:
    late = script(TimeoutError("the disk of the LM"))
    result = ask_here(late, tmp_path / "run", max_seconds=seconds)
    assert result.status == "failed"
    assert str(result.reason) == "TimeoutError: the disk of the LM"
    assert of(RunEnded, events(result))[-1].reason == result.reason
    check_whole(result)


def test_the_runs_own_time_is_told_as_that(tmp_path: Path) -> None:
    sleeps = script("print(context)\nimport time\ntime.sleep(60)", "1 + 1")
    result = ask_within(sleeps, tmp_path / "run", Limits(seconds=1.5))
    assert (result.status, str(result.reason)[:22]) == ("limit", "limit reached: seconds")


def test_a_tools_timeout_is_the_tools_own(tmp_path: Path) -> None:
    def slow() -> None:
        raise TimeoutError("no stock")

    lm = script("print(context)\nslow()", FINISH)
    result = ask(lm, tmp_path / "run", tools={"slow": on_host(slow)})
    assert "slow raised TimeoutError: no stock" in text_of(cells(result)[0].outputs, 500)
    assert result.response == "SOME TEXT"


def test_a_guest_that_does_not_load_in_time_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_client, "LOAD_SECONDS", 0.0)
    monkeypatch.setattr(
        guest_client.GuestClient._run, "__kwdefaults__", {"may_refuse": False, "seconds": 0.0}
    )
    result = ask(script(FINISH), tmp_path)
    assert (result.status, "within 0 s" in str(result.reason)) == ("failed", True)


@pytest.mark.anyio
async def test_only_the_clock_itself_is_late() -> None:
    with pytest.raises(TimeoutError, match="of the body"):
        async with within(10, lambda: KeyError("late")):
            raise TimeoutError("of the body")
    with pytest.raises(KeyError, match="late"):
        async with within(0, lambda: KeyError("late")):
            await asyncio.Event().wait()
    async with within(None, lambda: KeyError("late")):
        await asyncio.sleep(0)


# signals
def test_a_signals_handler_needs_no_lock_of_what_it_interrupted() -> None:
    told = threading.Event()
    engine()
    before = signal.signal(signal.SIGUSR1, lambda *_: engine().soon(told.set))
    try:
        with engines._lock:  # the signal comes in the midst of ``engine()``
            os.kill(os.getpid(), signal.SIGUSR1)
            assert told.wait(SECONDS)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_a_signals_handler_raises_ends_the_question(tmp_path: Path) -> None:
    def ring(*_: object) -> None:
        raise ZeroDivisionError("time is up")

    def reply(prompt: str) -> str:
        os.kill(os.getpid(), signal.SIGUSR1)
        return block("import time\ntime.sleep(600)")

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with RLM(model=ScriptedLM(reply), out=tmp_path / "run") as rlm:
            with pytest.raises(ZeroDivisionError, match="time is up"):
                rlm.completion("some text")
            (ended,) = of(RunEnded, journal.read(tmp_path / "run" / "journal.jsonl").events)
            assert ended.status == "interrupted"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_process_that_was_forked_under_the_lock_has_an_engine() -> None:
    with engines._lock:
        child = os.fork()
        if child == 0:  # pragma: no cover
            signal.alarm(int(SECONDS))
            os._exit(engine().run(_seven()))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7


async def _seven() -> int:
    return 7


# calls that would wait for themselves
def _in_a_tool(use: Callable[[RLM], Any]) -> str:
    """What a cell is told of an async tool that uses the RLM that it is a tool of."""

    async def tool() -> str:
        return str(use(rlm))

    lm = script("print(context)\nprint(tool())", FINISH)
    with RLM(model=lm, tools={"tool": on_host(tool)}, max_seconds=SECONDS) as rlm:
        return text_of(cells(rlm.completion("some text"))[0].outputs, 2000)


@pytest.mark.parametrize(
    "use",
    [
        lambda rlm: rlm.completion("x"),
        lambda rlm: rlm.resume("x"),
        lambda rlm: rlm.fork("x"),
        lambda rlm: rlm.rerun("x", "y"),
        lambda rlm: rlm.close(),
        lambda rlm: rlm.__exit__(None, None, None),
    ],
    ids=["completion", "resume", "fork", "rerun", "close", "exit"],
)
def test_a_blocking_call_on_the_engines_own_thread_is_refused(use: Callable[[RLM], Any]) -> None:
    async def tool() -> None:
        with pytest.raises(UsageError, match=r"await rlm\.acompletion"):
            use(RLM(model=script()))

    engine().run(tool())


def test_a_blocking_call_in_an_async_tool_says_what_to_use() -> None:
    assert "await rlm.acompletion(...)" in _in_a_tool(lambda rlm: rlm.completion("x").response)


def _asked_by_a_tool(persistent: bool, tool: Callable[[RLM], Any]) -> tuple[Result, str]:
    def reply(messages: list[dict[str, Any]]) -> str:
        inside = "inside" in str(messages)
        return block(FINISH if inside else "print(context)\nx = tool()\nprint(x)\nFINAL_VAR(x)")

    settings = {"persistent": persistent, "max_seconds": SECONDS}
    with RLM(model=ScriptedLM(reply), tools={"tool": tool(lambda: rlm)}, **settings) as rlm:
        result = rlm.completion("some text")
        return result, text_of(cells(result)[0].outputs, 2000)


def test_an_async_tool_may_await_the_rlm_that_it_is_a_tool_of() -> None:
    def made(rlm: Callable[[], RLM]) -> Any:
        async def tool() -> str:
            return str((await rlm().acompletion("inside")).response)

        return on_host(tool)

    assert _asked_by_a_tool(False, made)[0].response == "INSIDE"


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_a_question_that_a_tool_asks_in_the_same_kernel_is_refused(is_async: bool) -> None:
    def made(rlm: Callable[[], RLM]) -> Any:
        async def aio() -> str:
            return str((await rlm().acompletion("inside")).response)

        def plain() -> str:
            return str(rlm().completion("inside").response)

        return on_host(aio if is_async else plain)

    _, said = _asked_by_a_tool(True, made)
    assert "asked by a tool of the one that is being answered" in said


def test_many_tools_at_once_may_each_ask_and_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than asyncio has threads for: one that waits must not keep another from working."""
    many = min(32, (os.cpu_count() or 1) + 4) + 2
    all_in = threading.Barrier(many)

    def tool() -> int:
        all_in.wait(SECONDS)
        return int(engine().run(_answered()))

    async def _answered() -> int:
        return await asyncio.to_thread(lambda: 7)

    lm = script(
        "print(context)\nfrom concurrent.futures import ThreadPoolExecutor as Pool\n"
        f"with Pool({many}) as pool:\n"
        f"    n = sum(pool.map(lambda _: tool(), range({many})))\n"
        "FINAL_VAR(n)"
    )
    with RLM(model=lm, tools={"tool": on_host(tool)}, max_seconds=SECONDS) as rlm:
        assert rlm.completion("some text").response == str(7 * many)
