"""Each limit: status ``limit``, a valid trajectory, nothing spent after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import ask, ask_here, ask_within, block, calls, check_whole, events, script

from rlm_kernel import Limits, Result, UsageError
from rlm_kernel.errors import LimitReached
from rlm_kernel.events import RunEnded, Usage
from rlm_kernel.record.recording import Recording
from rlm_kernel.reports import show
from rlm_kernel.settings.limits import Budget, Ledger
from rlm_kernel.testing import ScriptedLM

MANY = (
    "print(context)\nr = llm_query_batched([str(i) for i in range(10)])\nFINAL_VAR('all of them')"
)


class Priced(ScriptedLM):
    """Each request costs a cent and says so."""

    async def _reply(self, said: Any, model: str, meter: Any, read: int) -> Any:
        with meter.reserve(0, 0.01):
            meter.book(Usage(requests=1, cost=0.01))
        return await super()._reply(said, model, meter, read)


def _limited(tmp_path: Path, lm: ScriptedLM, limit: str, **limits: Any) -> RunEnded:
    result = ask_here(lm, tmp_path / "run", limits=Limits(**limits))
    return _at_its_limit(result, limit)


def _at_its_limit(result: Result, limit: str) -> RunEnded:
    assert result.status == "limit", result.reason
    assert f"limit reached: {limit}" in str(result.reason)
    assert not result.confirmed
    check_whole(result)
    ended = events(result)[-1]
    assert isinstance(ended, RunEnded)
    assert ended.usage == result.usage
    return ended


def test_turns(tmp_path: Path) -> None:
    lm = script("print(context)", "1 + 1")
    assert _limited(tmp_path, lm, "turns", turns=2).turns == 2


def test_calls_refuses_a_batch_as_a_whole(tmp_path: Path) -> None:
    lm = script("print(context)\nllm_query('one')", MANY)
    ended = _limited(tmp_path, lm, "calls", calls=5)
    assert (ended.calls, lm.prompts) == (1, ["one"])
    assert len(lm.asked) == 2


def test_tokens(tmp_path: Path) -> None:
    lm = script(*(["print(context)"] + [f"print('x' * 3000, {i})" for i in range(9)]))
    ended = _limited(tmp_path, lm, "tokens", tokens=4000)
    assert ended.usage.tokens <= 4000
    assert len(lm.asked) == ended.turns


def test_cost(tmp_path: Path) -> None:
    lm = Priced([block(MANY)], lambda prompt: "ok")
    ended = _limited(tmp_path, lm, "cost", cost=0.05)
    assert ended.usage.cost <= 0.05
    assert ended.usage.requests < 12


def test_seconds_while_a_cell_runs(tmp_path: Path) -> None:
    lm = script("answer['content'] = 'so far'\nprint(context)", "while True: pass")
    result = ask_within(lm, tmp_path / "run", Limits(seconds=3.0))
    assert (result.status, result.response) == ("limit", "so far")
    assert "seconds" in str(result.reason)
    check_whole(result)


def test_seconds_while_an_lm_is_waited_for(tmp_path: Path) -> None:
    lm = ScriptedLM([block("print(context)")], latency_s=600.0)
    ended = _limited(tmp_path, lm, "seconds", seconds=1.0)
    assert ended.turns == 1


def test_seconds_while_the_kernel_starts(tmp_path: Path) -> None:
    result = ask(script("print(context)"), tmp_path / "run", max_seconds=0.01)
    assert (result.status, result.response) == ("limit", None)
    loaded = Recording.open(tmp_path / "run")
    assert (loaded.sealed, loaded.problems) == (True, [])
    assert show.as_json(loaded)["status"] == "limit"


def test_seconds_while_children_run(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, Any]]) -> str:
        asked = messages[1]["content"]
        return block(
            "while True: pass" if "child?" in asked else "rlm_query_batched(['child?'] * 2)"
        )

    result = ask_within(ScriptedLM(turn), tmp_path / "run", Limits(seconds=4.0))
    assert _at_its_limit(result, "seconds").calls == 2


def test_a_limit_that_a_child_trips_ends_the_whole_run(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, Any]]) -> str:
        child = "child?" in messages[1]["content"]
        return block("llm_query_batched(['a'] * 9)" if child else "rlm_query('child?')")

    lm = ScriptedLM(turn)
    ended = _limited(tmp_path, lm, "calls", calls=5)
    assert (ended.calls, lm.prompts, len(lm.asked)) == (1, [], 2)


def test_a_child_out_of_turns_does_not_end_its_parent(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, Any]]) -> str:
        if "child?" in messages[1]["content"]:
            return block(f"print({len(messages)})")
        return block(
            "try:\n    rlm_query('child?')\nexcept RuntimeError:\n    pass\n"
            "FINAL_VAR([context, llm_query('on we go')])"
        )

    result = ask_here(
        ScriptedLM(turn, lambda prompt: "yes"), tmp_path / "run", limits=Limits(turns=2)
    )
    assert (result.status, result.response) == ("answered", "['some text', 'yes']")


def test_an_answer_in_the_turn_that_trips_a_limit_counts(tmp_path: Path) -> None:
    lm = script(
        "try:\n    llm_query_batched(['a'] * 9)\nexcept RuntimeError:\n    pass\nFINAL_VAR(context)"
    )
    result = ask_here(lm, tmp_path / "run", limits=Limits(calls=5))
    assert (result.status, result.response) == ("answered", "some text")


def test_calls_refused_by_a_limit_are_in_the_record(tmp_path: Path) -> None:
    result = ask_here(script(MANY), tmp_path / "run", limits=Limits(calls=5))
    [refused] = calls(result)
    assert refused.error is not None
    assert (refused.error["type"], refused.count) == ("LimitReached", 10)


def test_a_cells_seconds_do_not_end_the_run(tmp_path: Path) -> None:
    lm = script("while True: pass", "FINAL_VAR(context)")
    result = ask(lm, tmp_path / "run", limits=Limits(cell_seconds=0.5))
    assert result.status == "answered"


def test_the_best_answer_of_a_tripped_run_is_kept(tmp_path: Path) -> None:
    lm = script("answer['content'] = 'half of it'\nprint(context)\nllm_query_batched(['a'] * 9)")
    result = ask_here(lm, tmp_path / "run", limits=Limits(calls=5))
    assert (result.response, result.confirmed) == ("half of it", False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"turns": 0},
        {"calls": -1},
        {"cost": -0.1},
        {"seconds": "x"},
        {"turns": 2.5},
        {"depth": True},
        {"turns": None},
        {"cost": float("nan")},
    ],
)
def test_a_limit_out_of_range_is_refused_in_words(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Limits(**wrong)


def test_reservations_in_flight_cannot_overshoot_together() -> None:
    ledger = Ledger(Limits(tokens=100, cost=None))
    with (
        ledger.reserve(60, 5.0),
        pytest.raises(LimitReached, match="spent 110, allowed 100"),
        ledger.reserve(50, 0.0),
    ):
        pass


def test_a_settled_reservation_counts_what_was_used() -> None:
    ledger = Ledger(Limits(tokens=100))
    with ledger.reserve(90, 0.0):
        ledger.book(Usage(requests=1, input_tokens=10))
    with ledger.reserve(90, 0.0):
        pass
    assert ledger.usage.tokens == 10


def test_after_the_first_limit_nothing_is_granted() -> None:
    ledger = Ledger(Limits(calls=1))
    with pytest.raises(LimitReached, match="calls"):
        ledger.count_calls(2)
    with pytest.raises(LimitReached, match="calls"), ledger.reserve(0, 0.0):
        pass


def test_ledgers_that_share_a_budget_spend_it_together() -> None:
    budget = Budget(cost=0.10, spent=0.04)
    first, second = Ledger(Limits(), budget), Ledger(Limits(), budget)
    with first.reserve(0, 0.05):
        with pytest.raises(LimitReached, match=r"total_cost: spent 0\.11, allowed 0\.1"):
            second.reserve(0, 0.02).__enter__()
        first.book(Usage(cost=0.01))
    assert (budget.spent, budget.reserved) == (0.05, 0.0)
    assert (first.tripped, str(second.tripped)) == (None, str(budget.reached))


def test_what_was_spent_before_a_kill_is_not_taken_from_the_budget_again() -> None:
    budget = Budget(cost=1.0, spent=0.5)
    ledger = Ledger(Limits(), budget)
    ledger.carry(Usage(cost=0.5), 1, 0, 0.0)
    assert (ledger.usage.cost, budget.spent, budget.reached) == (0.5, 0.5, None)


def test_time_that_was_spent_before_a_kill_is_named_where_the_limit_is_reached() -> None:
    ledger = Ledger(Limits(seconds=60.0))
    ledger.carry(Usage(), 1, 0, 59.5)
    ledger.count_calls(1)
    ledger.carry(Usage(), 1, 0, 61.5)
    with pytest.raises(LimitReached, match=r"allowed 60, 61\.5 of it before the run was resumed$"):
        ledger.count_calls(1)


def test_the_time_of_a_budget_is_over_for_every_ledger() -> None:
    ledger = Ledger(Limits(seconds=None), Budget(seconds=0.0))
    with pytest.raises(LimitReached, match="total_seconds"):
        ledger.count_calls(1)
    assert Ledger(Limits(seconds=None)).seconds_left is None
