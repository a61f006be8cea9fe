"""Each limit: one turn to finish, then status ``limit``, a valid trajectory, no more spent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asking import ask, ask_here, ask_within, block, calls, cells, check_whole, events, script, told

from rlm_kernel import RLM, Limits, Result, UsageError
from rlm_kernel.errors import LimitReached
from rlm_kernel.events import RunEnded, Usage
from rlm_kernel.record import trajectory
from rlm_kernel.record.recording import Recording
from rlm_kernel.replay.replay import replay
from rlm_kernel.reports import show
from rlm_kernel.session.event_loop import engine
from rlm_kernel.settings import limits
from rlm_kernel.settings.limit_options import limit_raised
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


def test_calls_refuses_a_batch_as_a_whole_and_the_run_goes_on(tmp_path: Path) -> None:
    again = "FINAL_VAR(llm_query_batched(list('abcd'))[-1] + '!')"
    lm = script("print(context)\nllm_query('one')", MANY, again)
    result = ask_here(lm, tmp_path / "run", limits=Limits(calls=5))
    assert (result.status, result.response) == ("answered", "<d>!")
    assert lm.prompts == ["one", *"abcd"]
    said = "CallRefused: 10 prompts, 4 sub-calls left: put several pieces into one prompt"
    assert said in told(lm, 3)
    assert "last turn" not in told(lm, 3)
    check_whole(result)


def test_three_thousand_prompts_against_a_limit_of_two_thousand_end_with_an_answer(
    tmp_path: Path,
) -> None:
    lines = "lines = context.splitlines()\nprint(len(lines))\n"
    lm = script(
        f"{lines}labels = llm_query_batched([f'Which kind? {{line}}' for line in lines])",
        "fifty = ['\\n'.join(lines[i : i + 50]) for i in range(0, len(lines), 50)]\n"
        "FINAL_VAR(len(llm_query_batched(fifty)))",
    )
    context = "\n".join(f"question {n}" for n in range(3000))
    result = ask_here(lm, tmp_path / "run", context)
    assert (result.status, result.response, len(lm.prompts)) == ("answered", "60", 60)
    assert "3,000 prompts, 2,000 sub-calls left" in told(lm, 2)


def test_without_any_calls_left_the_run_goes_on_with_code(tmp_path: Path) -> None:
    lm = script("print(context)\nr = llm_query('a')", "llm_query('b')", "FINAL_VAR(r * 2)")
    result = ask_here(lm, tmp_path / "run", limits=Limits(calls=1))
    assert (result.status, result.response) == ("answered", "<a><a>")
    assert "1 prompt, no sub-calls left" in told(lm, 3)


def test_tokens(tmp_path: Path) -> None:
    lm = script(*(["print(context)"] + [f"print('x' * 3000, {i})" for i in range(9)]))
    ended = _limited(tmp_path, lm, "tokens", tokens=4000)
    assert ended.usage.tokens <= 4000
    assert len(lm.asked) == ended.turns


def test_cost(tmp_path: Path) -> None:
    lm = Priced([block(MANY), block("1 + 1")], lambda prompt: "ok")
    ended = _limited(tmp_path, lm, "cost", cost=0.05)
    assert ended.usage.cost <= 0.05
    assert ended.usage.requests < 12


@pytest.mark.parametrize("limit", [{"cost": 0.08}, {"tokens": 6000}])
def test_a_limit_leaves_one_turn_to_finish_with_what_there_is(
    tmp_path: Path, limit: dict[str, Any]
) -> None:
    name, most = next(iter(limit.items()))
    spend = (
        "print(context)\nr = []\nfor n in range(30):\n    r += llm_query_batched(['x' * 900] * 2)"
    )
    more = "try:\n    llm_query('more')\nexcept RuntimeError as error:\n    e = error\n"
    finish = f"{more}FINAL_VAR([len(r) > 1, type(e).__name__])"
    lm = Priced([block(spend), block(finish)], lambda prompt: "y" * 900)
    result = ask_here(lm, tmp_path / "run", limits=Limits(**limit))
    assert (result.status, result.response) == ("answered", "[True, 'LimitReached']")
    assert f"Limit reached: {name}: spent" in told(lm, 2)
    assert "This is your last turn" in told(lm, 2)
    assert getattr(result.usage, name) <= most
    check_whole(result)


def test_replies_that_came_before_a_limit_are_kept_in_their_batch(tmp_path: Path) -> None:
    lm = Priced([block(MANY), block("FINAL_VAR([x for x in r if x == 'ok'])")], lambda p: "ok")
    result = ask_here(lm, tmp_path / "run", limits=Limits(cost=0.08))
    assert result.status == "answered"
    assert "'ok'" in str(result.response)
    assert "sub-LM calls of this cell failed" in told(lm, 2)
    verdict = engine().run(replay(trajectory.load(tmp_path / "run"), lambda text: None))
    assert verdict.differences == []


def test_a_turn_that_a_limit_refuses_is_the_last_one(tmp_path: Path) -> None:
    answer = block("FINAL_VAR('a' + 'b')")  # twice: this LM thinks before it is refused
    lm = Priced([block("print(context)"), block("1 + 1"), answer, answer])
    result = ask_here(lm, tmp_path / "run", limits=Limits(cost=0.035))
    assert (result.status, result.response, result.usage.cost) == ("answered", "ab", 0.03)
    assert ["This is your last turn" in told(lm, n) for n in (1, 2, 3, 4)] == [False] * 3 + [True]


def test_seconds_while_a_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEPT_SECONDS_SHARE", 0.7)
    so_far = "answer['content'] = 'so far'\nprint(context)"
    lm = script(so_far, "while True: pass", "answer['content'] += '!'")
    result = ask_within(lm, tmp_path / "run", Limits(seconds=6.0))
    assert (result.status, result.response) == ("limit", "so far!")
    assert cells(result)[1].status == "timeout"
    assert "The cell was stopped: the time of the run is nearly over." in cells(result)[1].notices
    assert "seconds" in str(result.reason)
    check_whole(result)


def test_seconds_leave_a_turn_to_finish_with_the_replies_that_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEPT_SECONDS_SHARE", 0.7)

    class Slow(ScriptedLM):
        async def complete(self, *args: Any, **more: Any) -> Any:
            await asyncio.sleep(60.0 if "slow" in args[1][-1]["content"] else 0.0)
            return await super().complete(*args, **more)

    asking = "print(context)\nr = llm_query_batched(['quick', 'slow'])"
    lm = Slow([block(asking), block("FINAL_VAR(r[0] + '!')")], lambda prompt: prompt)
    result = ask_here(lm, tmp_path / "run", limits=Limits(seconds=4.0))
    assert (result.status, result.response) == ("answered", "quick!")
    assert "Limit reached: seconds" in told(lm, 2)
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


def test_a_limit_that_a_child_trips_leaves_a_last_turn_to_it_and_to_its_parent(
    tmp_path: Path,
) -> None:
    def turn(messages: list[dict[str, Any]]) -> str:
        child, last = "child?" in messages[1]["content"], len(messages) > 2
        if child:
            return block("FINAL_VAR('part')" if last else "llm_query_batched(['a'] * 9)")
        return block(
            "FINAL_VAR(r + ' of it')" if last else "r = rlm_query('child?')\nprint(context)"
        )

    lm = Priced(turn, lambda prompt: "ok")
    result = ask_here(lm, tmp_path / "run", limits=Limits(cost=0.10))
    assert (result.status, result.response) == ("answered", "part of it")
    assert result.usage.cost <= 0.10
    assert len(lm.asked) == 4


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
    asking = "try:\n    llm_query('a')\nexcept RuntimeError:\n    pass\nFINAL_VAR(context)"
    lm = Priced([block(asking)])
    result = ask_here(lm, tmp_path / "run", limits=Limits(cost=0.015))
    assert (result.status, result.response) == ("answered", "some text")


def test_calls_refused_by_a_limit_are_in_the_record(tmp_path: Path) -> None:
    result = ask_here(script(MANY, "FINAL_VAR(1)"), tmp_path / "run", limits=Limits(calls=5))
    [refused] = calls(result)
    assert refused.error is not None
    assert (refused.error["type"], refused.error["limit"]) == ("CallRefused", "calls")
    assert refused.count == 10


def test_a_cells_seconds_do_not_end_the_run(tmp_path: Path) -> None:
    lm = script("while True: pass", "FINAL_VAR(context)")
    result = ask(lm, tmp_path / "run", limits=Limits(cell_seconds=0.5))
    assert result.status == "answered"


def test_the_best_answer_of_a_tripped_run_is_kept(tmp_path: Path) -> None:
    lm = Priced(
        [block("answer['content'] = 'half of it'\nprint(context)\nllm_query_batched(['a'] * 9)")]
        * 2
    )
    result = ask_here(lm, tmp_path / "run", limits=Limits(cost=0.05))
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
        pytest.raises(LimitReached, match="spent 0, wanted 110 more, allowed 100"),
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
    ledger = Ledger(Limits(tokens=1))
    with pytest.raises(LimitReached, match="tokens"), ledger.reserve(2, 0.0):
        pass
    with pytest.raises(LimitReached, match="tokens"):
        ledger.count_calls(1)
    with pytest.raises(LimitReached, match="tokens"), ledger.reserve(0, 0.0):
        pass


def test_too_many_calls_are_refused_and_fewer_are_granted() -> None:
    ledger = Ledger(Limits(calls=5))
    ledger.count_calls(1)
    with pytest.raises(LimitReached, match="calls: spent 1, wanted 9 more, allowed 5"):
        ledger.count_calls(9)
    ledger.count_calls(4)
    assert (ledger.calls, ledger.tripped) == (5, None)


def test_what_is_kept_is_for_the_last_turn_of_its_node() -> None:
    ledger = Ledger(Limits(tokens=1000))
    ledger.keep("0", Usage(input_tokens=50, output_tokens=25))
    with ledger.reserve(850, 0.0):
        pass
    refused = "tokens: spent 0, wanted 900 more, allowed 1,000, 150 of it kept for a last turn"
    with pytest.raises(LimitReached, match=refused), ledger.reserve(900, 0.0):
        pass
    with ledger.reserve(1000, 0.0, last_of="0"):
        pass
    with pytest.raises(LimitReached), ledger.reserve(900, 0.0, last_of="0.1"):
        pass


def test_children_are_to_finish_before_their_parents_and_all_within_the_limit() -> None:
    ledger = Ledger(Limits(seconds=100.0))
    left = [ledger.seconds_to_work(depth) or 0.0 for depth in range(4)]
    assert [round(seconds) for seconds in left] == [80, 70, 65, 62]
    assert Ledger(Limits(seconds=3600.0)).seconds_to_work(0) == pytest.approx(3480.0, abs=1.0)
    assert Ledger(Limits(seconds=None)).seconds_to_work(0) is None


def test_ledgers_that_share_a_budget_spend_it_together() -> None:
    budget = Budget(cost=0.10, spent=0.04)
    first, second = Ledger(Limits(), budget), Ledger(Limits(), budget)
    with first.reserve(0, 0.05):
        with pytest.raises(
            LimitReached, match=r"total_cost: spent 0\.04, wanted 0\.07 more, allowed 0\.1"
        ):
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


@pytest.mark.parametrize(
    ("limit", "allowed", "option"),
    [
        ("turns", 20, "--max-turns 40"),
        ("tokens", 5_000_000, "--max-tokens 10000000"),
        ("cost", 0.05, "--max-cost 0.1"),
        ("seconds", 3600.0, "--max-seconds 7200"),
        ("total_cost", 1.0, ""),
    ],
)
def test_the_way_on_names_the_option_with_twice_the_limit(
    limit: str, allowed: float, option: str
) -> None:
    error = LimitReached(
        limit, spent=allowed, allowed=allowed, wanted=allowed / 10, kept=allowed / 4
    )
    assert limit_raised(str(error)) == option


@pytest.mark.parametrize(
    ("limit", "allowed", "wanted", "option"),
    [
        ("tokens", 10, 1544, "--max-tokens 3088"),
        ("cost", 0.0, 0.0031, "--max-cost 0.0062"),
        ("calls", 3, 24, "--max-calls 48"),
    ],
)
def test_the_way_on_names_an_option_that_is_enough_for_what_was_wanted(
    limit: str, allowed: float, wanted: float, option: str
) -> None:
    error = LimitReached(limit, spent=0, allowed=allowed, wanted=wanted)
    assert limit_raised(str(error)) == option


def test_a_run_that_a_limit_ended_before_its_first_cell_goes_on_from_the_beginning(
    tmp_path: Path,
) -> None:
    dead = ask_here(Priced([block("1")] * 2), tmp_path / "run", limits=Limits(cost=0.0))
    assert dead.status == "limit", dead.reason
    with RLM(model=ScriptedLM([block("FINAL_VAR(len(context))")]), out=tmp_path / "fork") as rlm:
        with pytest.raises(UsageError, match="it has none, and 1 goes on from the beginning"):
            rlm.fork(dead.trajectory, at=3)
        fork = rlm.fork(dead.trajectory, note="finish")
    assert (fork.status, fork.response) == ("answered", "9")


def test_a_fork_of_a_run_that_died_of_a_limit_does_not_die_of_it_again_at_once(
    tmp_path: Path,
) -> None:
    asking = "r = [len(context)]\nr += llm_query_batched(['x'] * 9)"
    dead = ask_here(
        Priced([block(asking), block("1 + 1")]), tmp_path / "run", limits=Limits(cost=0.05)
    )
    assert (dead.status, dead.response) == ("limit", None)
    lm = Priced([block("FINAL_VAR(r[0] + 1)")])
    with RLM(model=lm, out=tmp_path / "fork", max_cost=0.05) as rlm:
        fork = rlm.fork(dead.trajectory, note="finish")
    assert (fork.status, fork.response) == ("answered", "10")
    assert "You have 20 turns, 2,000 sub-calls" in told(lm, 1)
    assert "The human says: finish" in told(lm, 1)
    assert lm.prompts == [], "what the LM was told of is not asked again"
