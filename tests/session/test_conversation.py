"""A follow-up question knows what was asked before it in the same kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import block, events, of, script

from rlm_kernel import RLM, Limits, Result
from rlm_kernel.events import Prompted, RunStarted
from rlm_kernel.rlm import facts
from rlm_kernel.rlm.facts import Exchange
from rlm_kernel.testing import ScriptedLM

QUESTIONS = {
    "How many words?": "words = context.split()\nfor word in words: pass\nFINAL_VAR(len(words))",
    "Which is the longest?": "FINAL_VAR(max(words, key=len))",
    "And the shortest?": "print(context)\nfound = {'shortest': min(words, key=len)}",
    "Who wrote it?": "FINAL_VAR('nobody says so')",
    "What did I ask first?": "FINAL_VAR(1)",
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _asked(lm: ScriptedLM, **more: Any) -> list[Result]:
    with RLM(model=lm, persistent=True, **more) as rlm:
        return [rlm.completion("a little text", question) for question in QUESTIONS]


def test_the_fifth_question_is_told_the_four_before_it_and_what_they_made() -> None:
    lm = ScriptedLM([block(source) for source in QUESTIONS.values()])
    results = _asked(lm, limits=Limits(turns=1))
    first, last = (str(lm.asked[n][1]["content"]) for n in (0, 4))
    assert "before" not in first
    head, _, rest = last.partition("Questions that you answered in this kernel before")
    assert "a little text" in head
    lines = [
        "- How many words? -> 3",
        "- Which is the longest? -> little",
        "- And the shortest? -> (no answer: limit)",
        "- Who wrote it? -> nobody says so",
    ]
    assert rest.split("\n\n")[0].splitlines()[1:] == lines
    shown = "Variables that are there already: words: list of length 3; found: dict of length 1."
    assert shown in rest
    assert "Question: What did I ask first?" in rest
    [started] = of(RunStarted, events(results[4]))
    assert [told["answer"] for told in started.settings["conversation"]][:2] == ["3", "little"]


def test_a_fork_of_a_follow_up_is_told_the_same(tmp_path: Path) -> None:
    lm = ScriptedLM([block(source) for source in QUESTIONS.values()])
    last = _asked(lm, limits=Limits(turns=1))[4]
    other = script("FINAL_VAR(2)")
    with RLM(model=other, out=tmp_path / "fork", max_turns=1) as rlm:
        forked = rlm.fork(last.trajectory, 5)
    assert forked.response == "2"
    was, now = (of(Prompted, events(result))[0].messages for result in (last, forked))
    assert now == was


def test_questions_without_a_kernel_of_their_own_are_told_nothing_of_each_other() -> None:
    lm = script("FINAL_VAR(context)", "FINAL_VAR(context)")
    with RLM(model=lm) as rlm:
        for question in ("one?", "two?"):
            rlm.completion("some text", question)
    assert "before" not in lm.asked[1][1]["content"]


def test_long_conversations_are_told_in_short() -> None:
    exchanges = [Exchange(f"{n} {'q' * 500}", "a" * 500, f"v{n}") for n in range(20)]
    told = facts.conversation(exchanges, ["v19"])
    assert "- (14 older questions)" in told
    assert told.count("(in `") == 1
    assert len(told) < 6 * 430 + 100
