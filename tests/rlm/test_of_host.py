"""What a cell may ask beside LMs: what is left to use, and the human."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from asking import ask, ask_here, calls, check_whole, script

from rlm_kernel import Limits, Result, on_host
from rlm_kernel.cli.asking import human_at
from rlm_kernel.cli.screen import Screen
from rlm_kernel.errors import CallRefused, LimitReached
from rlm_kernel.inputs.contexts import from_value
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.record import trajectory
from rlm_kernel.replay.replay import replay
from rlm_kernel.replay.verdict import Verdict
from rlm_kernel.reports.terminal import Terminal
from rlm_kernel.rlm import sub_lm
from rlm_kernel.rlm.human import MOST_QUESTIONS, QUESTION_CHARS, AskHuman, Human
from rlm_kernel.session.event_loop import engine
from rlm_kernel.session.session import Session
from rlm_kernel.settings.limits import Budget, Ledger
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import FakeRepl, ScriptedLM


def _replayed(out: Path) -> Verdict:
    return engine().run(replay(trajectory.load(out), lambda text: None))


def test_limits_left_says_what_may_still_be_used(tmp_path: Path) -> None:
    lm = script(
        "llm_query_batched(['a', 'b'])\nprint(context)",
        "left = limits_left()\nFINAL_VAR(str(left))",
    )
    limits = Limits(turns=7, calls=10, tokens=None, cost=2.0, seconds=None)
    result = ask_here(lm, tmp_path / "run", limits=limits)
    assert result.response == str(
        {"calls": 8, "cost": 2.0, "seconds": None, "tokens": None, "turns": 5}
    )


def test_limits_left_goes_by_what_is_used_held_and_left_to_the_runs_together() -> None:
    ledger = Ledger(Limits(tokens=1000, cost=1.0, seconds=None), Budget(cost=0.5))
    with ledger.reserve(400, 0.2):
        assert (ledger.left["tokens"], ledger.left["cost"]) == (600, 0.3)
    assert (ledger.left["tokens"], ledger.left["cost"]) == (1000, 0.5)
    with pytest.raises(LimitReached):
        ledger.count_calls(2001)
    assert ledger.left["calls"] == 2000


def test_a_replay_answers_from_the_record_what_depends_on_the_moment(tmp_path: Path) -> None:
    source = (
        "try:\n    said = ask_human('Which one?')\n"
        "except CallRefused as error:\n    said = str(error)\n"
        "print(context, limits_left(), said)\nFINAL_VAR(said)"
    )
    result = ask(script(f"from rlm_tools import CallRefused\n{source}"), tmp_path / "run")
    assert "no human is there" in str(result.response)
    assert [(call.op, call.prompt) for call in calls(result)] == [
        ("tool", "Which one?"),
        ("tool", "limits_left"),
    ]
    check_whole(result)
    assert _replayed(tmp_path / "run").sentence.startswith("equal: 1 cell run again, 2 calls")


def test_a_dict_that_a_call_gives_is_shown_the_same_in_a_replay(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, str]]) -> str:
        child = "deeper" in messages[1]["content"]
        root = "print(told(), rlm_query('deeper?'), limits_left())\nFINAL_VAR('shown here')"
        source = "FINAL_VAR({'b': 1, 'a': 2})" if child else root
        return f"```python\nprint(context)\n{source}\n```"

    tools = {"told": on_host(lambda: {"second": 2, "first": {"z": 1, "y": 2}})}
    result = ask(ScriptedLM(turn), tmp_path / "run", tools=tools)
    assert result.response == "shown here"
    verdict = _replayed(tmp_path / "run")
    assert (verdict.result, verdict.differences) == ("equal", [])


def test_a_tool_that_was_sent_may_ask_too(tmp_path: Path) -> None:
    lm = script("print(context)\nFINAL_VAR(spare())")
    result = ask(lm, tmp_path / "run", tools={"spare": _spare}, limits=Limits(calls=3))
    assert result.response == "3"


def _spare() -> object:
    return limits_left()["calls"]  # type: ignore[name-defined]  # noqa: F821


# the human
def _asked(lm: ScriptedLM, out: Path, human: AskHuman, limits: Limits | None = None) -> Result:
    async def asked() -> Result:
        force = in_force({"out": out}, limits=limits)
        session = Session(force, Tools(), root=lm, open_runner=FakeRepl.opener())
        session.ask_human = human
        try:
            return await session.ask(from_value("some text"), "What is it?")
        finally:
            await session.close()

    return engine().run(asked())


def _human(*replies: str) -> tuple[AskHuman, list[str]]:
    heard: list[str] = []

    async def ask(question: str) -> str:
        heard.append(question)
        return replies[len(heard) - 1]

    return ask, heard


def test_the_human_s_reply_is_a_str_in_the_cell_and_in_the_record(tmp_path: Path) -> None:
    human, heard = _human("the second")
    lm = script("print(context)\nFINAL_VAR(ask_human('Which Cormorant?'))")
    result = _asked(lm, tmp_path / "run", human)
    assert (result.response, heard) == ("the second", ["Which Cormorant?"])
    assert [(c.prompt, c.reply, c.usage.requests) for c in calls(result)] == [
        ("Which Cormorant?", "the second", 0)
    ]
    check_whole(result)


def test_a_child_may_ask_the_root_s_human(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, str]]) -> str:
        child = "deeper" in messages[1]["content"]
        source = "ask_human('Which?')" if child else "rlm_query('deeper?')"
        return f"```python\nprint(context)\nFINAL_VAR({source})\n```"

    human, heard = _human("this one")
    assert _asked(ScriptedLM(turn), tmp_path / "run", human).response == "this one"
    assert heard == ["Which?"]


def test_the_time_in_which_the_human_thinks_is_not_the_run_s(tmp_path: Path) -> None:
    async def slow(question: str) -> str:
        await asyncio.sleep(1.5)
        return "well"

    lm = script("print(context)\nsaid = ask_human('Which?')\nFINAL_VAR(said + '!')")
    result = _asked(lm, tmp_path / "run", slow, Limits(seconds=1.2))
    assert (result.status, result.response) == ("answered", "well!")


def test_after_the_reply_the_run_has_the_time_that_it_had_before(tmp_path: Path) -> None:
    human, _ = _human("well")
    endless = "print(ask_human('Which?'))\nimport time\nfor _ in range(20):\n    time.sleep(0.05)"
    lm = script(endless)
    result = _asked(lm, tmp_path / "run", human, Limits(seconds=0.6))
    assert (result.status, result.reason and "seconds" in result.reason) == ("limit", True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("x" * (QUESTION_CHARS + 1), "2,001 characters; 2,000 is the most"),
        ("  ", "takes one question"),
        (["which?"], "takes one question"),
    ],
)
async def test_a_question_that_is_none_is_refused(question: object, why: str) -> None:
    human, heard = _human("never")
    with pytest.raises(CallRefused, match=why):
        await Human(human, Ledger(Limits())).reply(question)
    assert heard == []


@pytest.mark.anyio
async def test_a_run_asks_one_at_a_time_and_so_often_at_most() -> None:
    at_once = most = 0

    async def ask(question: str) -> str:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return question

    human = Human(ask, Ledger(Limits()))
    said = await asyncio.gather(*(human.reply(str(n)) for n in range(MOST_QUESTIONS)))
    assert said == [str(n) for n in range(MOST_QUESTIONS)]
    assert most == 1
    with pytest.raises(CallRefused, match="20 times"):
        await human.reply("once more")


# at a terminal
@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], int]]:
    master, slave = os.openpty()
    with os.fdopen(slave) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        yield lambda line: os.write(master, line)
    os.close(master)


def _screen() -> tuple[Screen, StringIO]:
    shown = StringIO()
    return Screen(Terminal(file=shown, force_terminal=True, width=100)), shown


@pytest.mark.anyio
async def test_a_line_typed_on_the_terminal_is_the_reply(typing: Callable[[bytes], int]) -> None:
    screen, shown = _screen()
    typing(b"typed ahead\n")
    ask = human_at(screen)
    assert ask is not None
    with screen.showing():
        asked = asyncio.create_task(ask("Which \x1b]0;title\x07one?"))
        await asyncio.sleep(0)
        screen._say("meanwhile")
        typing("Żółw\n".encode())
        assert await asyncio.wait_for(asked, 10) == "Żółw"
    assert "\x1b]0;" not in shown.getvalue()
    assert shown.getvalue().index("one?") < shown.getvalue().index("meanwhile")


@pytest.mark.anyio
async def test_a_question_at_the_terminal_is_taken_back(typing: Callable[[bytes], int]) -> None:
    screen, _ = _screen()
    ask = human_at(screen)
    assert ask is not None
    asked = asyncio.create_task(ask("Which one?"))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    for line in (b"\n", b"\x04"):  # Enter alone, and the end of input
        again = asyncio.create_task(Human(ask, Ledger(Limits())).reply("Which one?"))
        await asyncio.sleep(0)
        typing(line)
        with pytest.raises(CallRefused, match="no reply"):
            await asyncio.wait_for(again, 10)


def test_where_there_is_no_terminal_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, _ = _screen()
    monkeypatch.setattr("sys.stdin", StringIO("piped\n"))
    assert human_at(screen) is None
    assert human_at(Screen(Terminal(file=StringIO()))) is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            "llm_map(['x'] * 20, 'Which?', votes=2)",
            "20 rows with 2 votes each: 40 sub-calls of",
        ),
        ("llm_query_batched(['x'] * 40)", "40 prompts: 40 sub-calls of about 4,010"),
    ],
)
@pytest.mark.parametrize("reply", ["yes", "No"])
def test_before_a_very_large_call_the_human_is_asked_and_may_refuse_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, said: str, reply: str
) -> None:
    monkeypatch.setattr(sub_lm, "LARGE", 30)
    source = (
        f"print(context)\ntry:\n    n = len({call})\n"
        "except ValueError as e:\n    n = str(e)\nprint(n)\nFINAL_VAR(n)"
    )
    lm, (human, heard) = script(source, "FINAL_VAR(n)"), _human(reply)
    result = _asked(lm, tmp_path / "run", human)
    assert len(heard) == 1
    assert said in heard[0]
    assert len(lm.prompts) == (40 if reply == "yes" else 0)
    refused = str(result.response).startswith("the human did not allow")
    assert refused == (reply == "No")


def test_a_large_call_that_a_limit_refuses_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sub_lm, "LARGE", 30)
    source = "print(context)\nllm_query_batched(['x'] * 40)"
    lm, (human, heard) = script(source, "FINAL_VAR('done')"), _human()
    _asked(lm, tmp_path / "run", human, Limits(calls=35))
    assert (heard, lm.prompts) == ([], [])
