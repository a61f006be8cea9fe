"""An answer that was given is given, and its record sealed, whatever goes wrong after it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asking import ask, ask_here, check_whole, events, of, script

from rlm_kernel import RLM, Result
from rlm_kernel.environments import launch
from rlm_kernel.environments.kernel import Kernel
from rlm_kernel.events import NodeEnded, RunEnded
from rlm_kernel.inputs.contexts import from_value
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.repl import guest_client
from rlm_kernel.rlm.cell_runner import CellRunner
from rlm_kernel.session.event_loop import engine
from rlm_kernel.session.session import Session
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import FakeRepl

AFTER = {
    "refuses the seed": "guest.seed = None",
    "dies at the seed": "guest.seed = lambda number: os._exit(3)",
    "hangs at the seed": "guest.seed = lambda number: time.sleep(600)",
    "has no guest": "sys.modules['rlm_guest'] = None",
    "runs no code": "get_ipython().run_cell = None",
    "takes no context": "guest.set_context = None",
    "is as it was": "",
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_client, "SMALL_SECONDS", 1.0, raising=False)


def _tasks() -> set[str]:
    async def running() -> set[str]:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        return {repr(task.get_coro()) for task in tasks}

    return engine().run(running())


def test_what_a_kept_kernel_does_after_an_answer_costs_neither_it_nor_the_next() -> None:
    before = _tasks()
    imports = "print(context)\nimport os, sys, time, rlm_guest as guest"
    lm = script(*(f"{imports}\n{after}\nFINAL_VAR(context)" for after in AFTER.values()))
    with RLM(model=lm, persistent=True) as rlm:
        for what in AFTER:
            result = rlm.completion(what)
            assert (result.response, result.status, result.confirmed) == (what, "answered", True)
            check_whole(result)
    assert _tasks() <= before


def _answered(result: Result) -> None:
    assert (result.response, result.status, result.confirmed) == ("SOME TEXT", "answered", True)
    assert of(NodeEnded, events(result))[-1].status == "answered"
    assert of(RunEnded, events(result))[-1].status == "answered"
    check_whole(result)


FINISH = "print(context)\nFINAL_VAR(context.upper())"


@pytest.mark.parametrize("error", [RuntimeError("not closed"), OSError(5, "no engine")], ids=str)
def test_a_kernel_that_cannot_be_closed_does_not_take_the_answer_with_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    close = Kernel.close

    async def refuse(kernel: Kernel) -> None:
        await close(kernel)
        raise error

    monkeypatch.setattr(Kernel, "close", refuse)
    _answered(ask(script(FINISH), tmp_path / "run"))
    assert "could not be ended" in caplog.text


def test_a_kernel_whose_end_hangs_does_not_take_the_answer_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    close = Kernel.close

    async def hang(kernel: Kernel) -> None:
        await close(kernel)
        await asyncio.Event().wait()

    monkeypatch.setattr(Kernel, "close", hang)
    monkeypatch.setattr(launch, "CLOSE_SECONDS", 1.0, raising=False)
    _answered(ask(script(FINISH), tmp_path / "run"))
    assert "could not be ended" in caplog.text


def test_a_time_limit_that_strikes_while_the_kernel_ends_does_not_take_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = FakeRepl.opener()

    @asynccontextmanager
    async def outlasts_the_run(*given: Any) -> AsyncIterator[CellRunner]:
        async with closing(*given) as repl:
            yield repl
        await asyncio.sleep(3.5)

    monkeypatch.setattr(FakeRepl, "opener", lambda ends: outlasts_the_run)
    _answered(ask_here(script(FINISH), tmp_path / "run", max_seconds=3.0))


def test_an_interrupt_after_the_answer_leaves_a_whole_record_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = asyncio.Event()
    close = Kernel.close

    async def slowly(kernel: Kernel) -> None:
        closing.set()
        await close(kernel)

    monkeypatch.setattr(Kernel, "close", slowly)

    async def interrupted() -> Result:
        session = Session(in_force({"out": tmp_path / "run"}), Tools(), root=script(FINISH))
        asking = asyncio.ensure_future(session.ask(from_value("some text"), "What?"))
        await closing.wait()
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
        await session.close()
        assert session.trajectory is not None
        return Result("SOME TEXT", "answered", True, None, None, session.trajectory)  # type: ignore[arg-type]

    _answered(engine().run(interrupted()))


def test_an_interrupt_at_the_seed_leaves_a_sealed_record_and_no_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeding = asyncio.Event()
    end = guest_client.GuestClient.end

    async def told(self: guest_client.GuestClient) -> list[str] | None:
        seeding.set()
        return await end(self)

    monkeypatch.setattr(guest_client.GuestClient, "end", told)
    before = _tasks()

    async def interrupted() -> Path:
        session = Session(in_force({}), Tools(), persistent=True, root=script(FINISH))
        asking = asyncio.ensure_future(session.ask(from_value("some text"), "What?"))
        await seeding.wait()
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
        await session.close()
        assert session.trajectory is not None
        return session.trajectory

    trajectory = engine().run(interrupted())
    _answered(Result("SOME TEXT", "answered", True, None, None, trajectory))  # type: ignore[arg-type]
    assert _tasks() <= before


def test_a_record_of_the_cells_by_hand_that_is_gone_costs_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def asked() -> Result:
        lm = script(FINISH)
        session = Session(in_force({}), Tools(), persistent=True, cwd=Path.cwd(), root=lm)
        try:
            kernel = await session.repl()
            await kernel.run("llm_query('hi')", cell=1, author="human")
            by_hand = session.by_hand.trajectory
            assert by_hand is not None
            shutil.rmtree(by_hand.parent)
            by_hand.parent.touch()  # a file: nothing can be written there
            return await session.ask(from_value("x" * 100_000), "What?")
        finally:
            await asyncio.gather(session.close(), return_exceptions=True)

    before = _tasks()
    result = engine().run(asked())
    assert (result.response, result.status) == ("X" * 100_000, "answered")
    check_whole(result)
    assert "by hand" in caplog.text
    assert _tasks() <= before
