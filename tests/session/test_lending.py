"""Which questions share LMs, and when LMs are closed."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from asking import block
from serving import FINISH, Serving

from rlm_kernel import RLM, Result
from rlm_kernel.inputs.contexts import from_value
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.session.event_loop import engine
from rlm_kernel.session.session import Session
from rlm_kernel.settings.resolved import LIMIT_NAMES, Layer, Settings, in_force
from rlm_kernel.testing import FakeEndpoint

CALLS = block("print(context)\nFINAL_VAR(llm_query('hi'))")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _with(session: Session, **settings: Any) -> None:
    # Of a file, which may set what is of a sandbox though cells run in none.
    session.force = in_force(config=[Layer("a file", settings)])


CHANGED: dict[str, Any] = {
    "network": "bridge",
    "memory": "4g",
    "cpus": 1.0,
    "pids": 99,
    "tmpfs": "2g",
    "image": "another",
    "packages": ("numpy",),
    "mounts": ("/tmp",),
    "children": "shared",
    "pass_env": ("HOME",),
    "nursery": "off",
    "app": "another",
    "transport": "http",
    "gpu": "L4",
    "region": "eu",
    "secrets": ("one",),
    "sandbox_seconds": 60,
    "temperature": 0.5,
    "output_tokens": 99,
    "prompt": "strong",
    "timeout_s": 9.0,
    "retries": 1,
    "max_in_flight": 2,
    "max_turns": 3,
    "max_cost": 1.0,
}


def test_no_setting_starts_a_second_embedded_server(serving: type[Serving]) -> None:
    async def every_setting() -> None:
        session = Session(in_force({}), Tools())
        for name, value in CHANGED.items():
            _with(session, **{name: value})
            await session.check()
            assert (serving.started, serving.alive) == (1, 1), name
        await session.close()

    engine().run(every_setting())
    assert (serving.most, serving.alive) == (1, 0)
    known = {field.name for field in dataclasses.fields(Settings)} | set(LIMIT_NAMES)
    assert set(CHANGED) <= known


def test_two_objects_at_once_share_the_embedded_server(serving: type[Serving]) -> None:
    with RLM() as one, RLM(children="shared", timeout_s=9.0) as two:
        assert one.completion("a").response == "A"
        assert two.completion("b").response == "B"
        assert serving.alive == 1
    assert (serving.most, serving.alive) == (1, 0)


def test_the_embedded_server_ends_when_another_lm_is_named(serving: type[Serving]) -> None:
    async def both() -> None:
        session = Session(in_force({}), Tools())
        await session.check()
        assert serving.alive == 1
        _with(session, base_url=serving.endpoint.base_url, model="other")
        await session.check()
        assert serving.alive == 0
        await session.close()

    engine().run(both())


async def _connected(endpoint: FakeEndpoint, wanted: bool) -> None:
    async with asyncio.timeout(10):
        while bool(endpoint.connections) is not wanted:
            await asyncio.sleep(0.01)


def test_connections_that_no_question_uses_any_more_are_closed() -> None:
    async def alternate(one: FakeEndpoint, two: FakeEndpoint) -> None:
        session = Session(in_force({}), Tools(), persistent=True, cwd=Path.cwd())
        try:
            for endpoint, other in ((one, two), (two, one), (one, two)):
                _with(session, base_url=endpoint.base_url, model="m")
                result = await session.ask(from_value("text"), "What?")
                assert result.response == CALLS
                await _connected(endpoint, True)
                await _connected(other, False)
        finally:
            await session.close()

    with FakeEndpoint(lambda _: CALLS) as one, FakeEndpoint(lambda _: CALLS) as two:
        engine().run(alternate(one, two))


def test_the_lms_of_the_cells_by_hand_stay_open_as_long_as_their_record(tmp_path: Path) -> None:
    async def alternate(by_hand: FakeEndpoint, asked: FakeEndpoint) -> Result:
        session = Session(in_force({}), Tools(), persistent=True, cwd=tmp_path)
        try:
            _with(session, base_url=by_hand.base_url, model="m")
            repl = await session.repl()
            ran = await repl.run("llm_query('hi')", cell=1, author="human")
            assert ran.status == "ok"
            _with(session, base_url=asked.base_url, model="m")
            result = await session.ask(from_value("text"), "What?")
            await _connected(by_hand, True)
            await session.kept.restarted("for a test", [])
            await session.check()
            await _connected(by_hand, False)
            return result
        finally:
            await session.close()

    with FakeEndpoint(lambda _: "hi") as one, FakeEndpoint(lambda _: FINISH) as two:
        assert engine().run(alternate(one, two)).response == "TEXT"
