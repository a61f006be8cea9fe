"""The limits of a question are its own, also in a kernel that earlier questions have lived in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from asking import block, calls, cells, events, of
from serving import Serving

from rlm_kernel import RLM, Limits, Result
from rlm_kernel.events import NodeEnded, NodeStarted, Usage
from rlm_kernel.inputs.contexts import from_value
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.record.outputs import text_of
from rlm_kernel.session.event_loop import engine
from rlm_kernel.session.session import Session
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import ScriptedLM

LONG = "import time\nkept = 1\ntime.sleep(60)"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Paid(ScriptedLM):
    """Each request costs a cent; knows how many were under way at once."""

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.now = self.most = 0
        super().__init__(lambda messages: self.turns.pop(0))

    async def _reply(self, said: Any, model: str, meter: Any, read: int) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            for _ in range(20):
                await asyncio.sleep(0)
            with meter.reserve(0, 0.01):
                meter.book(Usage(cost=0.01))
            return await super()._reply(said, model, meter, read)
        finally:
            self.now -= 1


def _limit(name: str) -> Callable[[Result, Paid], bool]:
    return lambda result, lm: f"limit reached: {name}" in str(result.reason)


def _said(text: str) -> Callable[[Result, Paid], bool]:
    return lambda result, lm: any(
        text in text_of(cell.outputs, 2000) for cell in cells(result) if cell.turn
    )


def _at_once(most: int) -> Callable[[Result, Paid], bool]:
    return lambda result, lm: lm.most <= most


def _children_at_once(most: int) -> Callable[[Result, Paid], bool]:
    def seen(result: Result, lm: Paid) -> bool:
        live = peak = 0
        for event in events(result):
            live += isinstance(event, NodeStarted) - isinstance(event, NodeEnded)
            peak = max(peak, live)
        return peak - 1 <= most

    return seen


@dataclass(frozen=True)
class Case:
    """Turns that meet a limit, and what shows that it was met; without it they answer."""

    limits: dict[str, Any]
    turns: list[str]
    met: Callable[[Result, Paid], bool]
    settings: dict[str, Any] = field(default_factory=dict)


DONE = "FINAL_VAR('it is ' + 'done')"
BATCH = f"print(context)\nr = llm_query_batched(list('abcdefgh'))\n{DONE}"
CHILDREN = f"print(context)\nr = rlm_query_batched(['a', 'b'])\n{DONE}"
CHILD = f"print(context)\n{DONE}"
CASES = {
    "turns": Case({"turns": 2}, ["print(context)", "1 + 1", DONE], _limit("turns")),
    "depth": Case(
        {"depth": 0},
        [f"print(context)\nrlm_query('hi')\n{DONE}", CHILD],
        lambda result, lm: len(of(NodeStarted, events(result))) == 1,
    ),
    "calls": Case({"calls": 7}, [BATCH, DONE], _said("8 prompts, 7 sub-calls left")),
    "tokens": Case({"tokens": 10}, [CHILD, CHILD], _limit("tokens")),
    "cost": Case({"cost": 0.015}, ["print(context)", "1 + 1", DONE], _limit("cost")),
    "seconds": Case(
        {"seconds": 1.0},
        [f"print(context)\nimport time\ntime.sleep(3)\n{DONE}", "1 + 1"],
        _limit("seconds"),
    ),
    "cell_seconds": Case(
        {"cell_seconds": 0.5},
        [f"print(context)\nimport time\ntime.sleep(3)\n{DONE}", CHILD],
        lambda result, lm: (
            [cell.status for cell in cells(result) if cell.turn] == ["timeout", "ok"]
        ),
    ),
    "in_flight": Case({"in_flight": 2}, [BATCH], _at_once(2)),
    "kernels": Case({"kernels": 1}, [CHILDREN, CHILD, CHILD], _children_at_once(1)),
    "prompt": Case(
        {},
        [f"print(context)\nllm_query('x' * 5000)\n{DONE}", CHILD],
        _said("the sub-LM takes 2,250 at most"),
        {"window": 1000},
    ),
}

BY_CHANCE = ("kernels",)
"""Where a question without the limit may keep to it all the same."""


def test_every_limit_is_the_questions_own_in_one_kernel_that_is_kept() -> None:
    """Each is met by a question that has it, and not by the same one after it that has not."""
    lm = Paid()

    async def asked(session: Session, case: Case, **limits: Any) -> Result:
        lm.most, lm.turns = 0, [block(turn) for turn in case.turns]
        settings = case.settings if limits or not case.limits else {}
        force = in_force(settings, limits=replace(Limits(), **limits))
        return await session.ask(from_value("some text"), "What?", force=force)

    async def through_all() -> None:
        session = Session(in_force({}), Tools(), persistent=True, root=lm)
        try:
            for name, case in CASES.items():
                limited = await asked(session, case, **case.limits)
                assert case.met(limited, lm), (name, limited)
                free = await asked(session, replace(case, settings={}))
                assert (free.response, free.status) == ("it is done", "answered"), (name, free)
                assert name in BY_CHANCE or not case.met(free, lm), name
        finally:
            await session.close()

    engine().run(through_all())
    assert set(CASES) >= set(vars(Limits()))


def test_a_limit_of_the_environment_and_of_the_object_holds_in_a_kept_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, given in (("argument", {"limits": Limits(cell_seconds=0.5)}), ("variable", {})):
        monkeypatch.setenv("RLM_MAX_CELL_SECONDS", "0.5")
        lm = ScriptedLM([block(LONG), block(CHILD)])
        with RLM(model=lm, persistent=True, **given) as rlm:
            result = rlm.completion("text")
        assert [cell.status for cell in cells(result)] == ["timeout", "ok"], name


def test_how_large_a_batch_may_be_follows_the_lm_of_the_question(
    serving: type[Serving], tmp_path: Path
) -> None:
    many = f"print(context)\nr = llm_query_batched(['a'] * 300)\n{DONE}"

    async def both() -> list[Result]:
        serving.endpoint.reply = lambda request: block(many)
        session = Session(in_force({}), Tools(), persistent=True, cwd=tmp_path)
        embedded = in_force({"max_turns": 1})
        named = in_force({"base_url": serving.endpoint.base_url, "model": "m", "max_turns": 1})
        try:
            return [
                await session.ask(from_value("text"), "What?", force=force)
                for force in (named, embedded, named)
            ]
        finally:
            await session.close()

    results = engine().run(both())
    own = [sum(1 for call in calls(result) if call.usage.requests) for result in results]
    assert own == [300, 0, 300]
    assert _said("a batch of 300 prompts; 200 is the most")(results[1], Paid())
