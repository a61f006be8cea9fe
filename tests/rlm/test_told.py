"""The facts that a strong LM is told beside its question and its outputs, in few words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import ask, ask_here, block, script, told

from rlm_kernel import Limits, LMError
from rlm_kernel.repl.running_cell import Ran
from rlm_kernel.rlm import facts, prompts
from rlm_kernel.rlm.feedback import shares
from rlm_kernel.testing import ScriptedLM

LOOK = "print(context)"
DONE = "FINAL_VAR(context)"


def test_the_first_message_says_what_may_be_used(tmp_path: Path) -> None:
    lm = script(f"{LOOK}\n{DONE}")
    ask_here(lm, tmp_path / "run", limits=Limits(turns=7, calls=30, cost=0.5, cell_seconds=9))
    said = "You have 7 turns, 30 sub-calls, 5,000,000 tokens, $0.5000, 3,600 s, 9 s a cell"
    assert said in told(lm, 1)
    assert "waiting for LMs does not count" in told(lm, 1)


def test_what_has_no_limit_is_not_told(tmp_path: Path) -> None:
    lm = script(f"{LOOK}\n{DONE}")
    ask_here(lm, tmp_path / "run", limits=Limits(tokens=None, cost=None, seconds=None))
    assert "You have 20 turns, 2,000 sub-calls, 120 s a cell" in told(lm, 1)


def _by_depth(lines: dict[int, str]) -> ScriptedLM:
    def turn(messages: list[dict[str, Any]]) -> str:
        depth = str(messages[1]["content"]).count("depth? ")
        return block(lines[depth] if len(messages) == 2 else DONE)

    return ScriptedLM(turn, lambda prompt: "plain")


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_node_is_told_its_depth_and_when_a_child_is_none(tmp_path: Path, depth: int) -> None:
    lm = _by_depth({n: f"{LOOK}\nprint(rlm_query('depth? ' * {n + 1}))" for n in range(3)})
    ask_here(lm, tmp_path / "run", limits=Limits(depth=depth))
    firsts = [messages[1]["content"] for messages in lm.asked if len(messages) == 2]
    assert len(firsts) == depth + 1
    assert ["Here `rlm_query` is a plain sub-call" in first for first in firsts] == [
        at == depth for at in range(depth + 1)
    ]
    for at in range(1, depth + 1):
        assert f"You are a child at depth {at} of {depth}. " in firsts[at]
        assert "together with the rest of the run" in firsts[at]
    assert "You are a child" not in firsts[0]
    assert len({str(messages[0]) for messages in lm.asked}) == 1, "one prefix for all"


def test_python_and_the_packages_of_the_kernel_are_told(tmp_path: Path) -> None:
    lm = script(f"import sys\n{LOOK}\nFINAL_VAR('%d.%d' % sys.version_info[:2])")
    result = ask(lm, tmp_path / "run")
    assert f"Python {result.response} with " in told(lm, 1)
    assert "yaml" in told(lm, 1)


def test_the_system_message_says_where_outputs_are_cut(tmp_path: Path) -> None:
    for window, most in ((None, "20,000"), (8000, "7,000")):
        lm = script(f"{LOOK}\n{DONE}")
        ask_here(lm, tmp_path / str(window), window=window)
        assert f"Output over {most} characters is cut" in lm.asked[0][0]["content"]


def test_a_slow_cell_and_sub_calls_are_told_with_their_seconds(tmp_path: Path) -> None:
    lm = script("slow", "print(llm_query_batched(['a', 'b']))", "print(1)", DONE)
    slow = Ran(status="ok", outputs=[], seconds=12.34)
    ask_here(lm, tmp_path / "run", ends={"slow": slow})
    assert "Output (12.3 s):\n(no output)" in told(lm, 2)
    assert "Output (2 sub-calls in 0.0 s):\n['<a>', '<b>']" in told(lm, 3)
    assert "Output:\n1" in told(lm, 4)


def test_variables_that_a_cell_made_or_changed_are_told_but_not_those_of_loops(
    tmp_path: Path,
) -> None:
    making = "words = context.split()\nfor letter in words: total = len(letter)"
    lm = script(making, "words.append('x')", "print(total)", DONE)
    ask_here(lm, tmp_path / "run")
    assert "Made: words: list of length 2; total: int." in told(lm, 2)
    assert "Made: words: list of length 3." in told(lm, 3)
    assert "Made" not in told(lm, 4)


def test_many_variables_are_told_as_a_number(tmp_path: Path) -> None:
    lm = script("\n".join(f"v{n} = {n}" for n in range(20)), DONE, DONE)
    ask_here(lm, tmp_path / "run")
    assert "v19: int and 14 more." in told(lm, 2)


def test_what_is_left_is_told_from_the_half_on(tmp_path: Path) -> None:
    asking = "llm_query_batched(list('abcd'))"
    lm = script(LOOK, asking, "1 + 1", "2 + 2", DONE)
    ask_here(lm, tmp_path / "run", limits=Limits(turns=6, calls=6))
    assert "Left:" not in told(lm, 2)
    assert "Left: 2 sub-calls." in told(lm, 3)
    assert "Left: 2 sub-calls." in told(lm, 4)
    assert "Left: 2 turns · 2 sub-calls." in told(lm, 5)


def test_failed_prompts_are_told_by_their_place_and_cause(tmp_path: Path) -> None:
    causes = {"b": "timeout", "c": "timeout", "d": "refusal"}

    def sub(prompt: str) -> str | Exception:
        cause = causes.get(prompt)
        if cause is None:
            return "ok"
        return LMError("Set RLM_TIMEOUT_S at http://127.0.0.1:8000", cause=cause)  # type: ignore[arg-type]

    lm = script("r = llm_query_batched(list('abcd'))\nprint(context)", DONE, sub=sub)
    ask_here(lm, tmp_path / "run")
    said = "(prompts 1, 2: no reply in time; prompt 3: the sub-LM refused to answer)"
    assert f"3 of 4 sub-LM calls of this cell failed {said}. Asking those again may help." in told(
        lm, 2
    )


def test_a_failure_that_ended_its_cell_is_told_once(tmp_path: Path) -> None:
    def sub(prompt: str) -> Exception:
        return LMError("down", cause="server")

    caught = "try:\n    llm_query('b')\nexcept Exception:\n    pass"
    lm = script(f"{LOOK}\nllm_query('a')", caught, DONE, sub=sub)
    ask(lm, tmp_path / "run")
    assert "LMError" in told(lm, 2)
    assert "sub-LM calls of this cell failed" not in told(lm, 2)
    assert "1 of 1 sub-LM calls of this cell failed (the sub-LM failed)." in told(lm, 3)


def test_children_are_told_with_their_turns_and_time(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, Any]]) -> str:
        if "child?" in messages[1]["content"]:
            return block(DONE if len(messages) > 2 else LOOK)
        return block(DONE if len(messages) > 2 else f"{LOOK}\nr = rlm_query('child?', 'some')")

    lm = ScriptedLM(turn)
    ask_here(lm, tmp_path / "run")
    assert "Child 0.1 answered after 2 turns, 0." in told(lm, 4)


def test_room_that_short_outputs_do_not_need_is_for_the_long_ones(tmp_path: Path) -> None:
    lm = script(block("print('x' * 18_000)", *(f"print({n})" for n in range(11))), DONE, DONE)
    ask_here(lm, tmp_path / "run")
    assert "x" * 18_000 in told(lm, 2)


def test_shares_fill_the_room_and_no_more() -> None:
    assert shares([5000, 10, 5000], 6010) == [3000, 10, 3000]
    assert shares([10, 20], 1000) == [10, 20]
    assert shares([], 1000) == []


def test_names_of_loops_and_imports_alone_are_found_whatever_else_a_cell_has() -> None:
    sources = [
        "from x import f, g as h, i\nimport j.k\ni = 3",
        "for a, (b, c) in []:\n    d = 1",
        "[e for e in []]\nb = 2",
        "%magic\nx",
        "for d in x: pass",
    ]
    assert facts.bound_in_passing(sources) == {"a", "c", "e", "f", "h", "j"}


def test_a_child_without_a_context_is_told_that_there_is_none(tmp_path: Path) -> None:
    asking = block(f"{LOOK}\nr = rlm_query('What is 2 + 2?')\nFINAL_VAR(r)")
    child = block("print(context)\nFINAL_VAR(2 + 2)")
    lm = ScriptedLM([asking, child])
    assert ask_here(lm, tmp_path / "run").response == "4"
    first = lm.asked[1][1]["content"]
    assert "no context was given; it holds the question." in first
    assert "It begins" not in first


def test_the_small_style_is_told_none_of_it(tmp_path: Path) -> None:
    lm = ScriptedLM(["find", block("print(llm_query_batched(list('abc')))"), block(DONE)], _ok)
    ask_here(lm, tmp_path / "run", prompt="small")
    assert told(lm, 2) == (
        "Table t, 1 row, has the lines of the text: line, text\n"
        "Table words has each different word, in small letters: word, count\n"
        "No word of the question is in it.\n\n"
        "`context`: type str, 9 characters, 1 lines.\nIt begins:\nsome text\n\n"
        "Question: What is it?\n\nWrite the query."
    )
    assert told(lm, 3) == (
        "Output:\n['ok', 'ok', 'ok']\n\nIf this output has the answer, reply with one line that "
        'begins with "Answer:" and gives it alone. Else write another query.'
    )


def _ok(prompt: str) -> str:
    return "ok"


BEFORE = 1840 + 302
"""Characters of the system message before it said any of this, with its fields unfilled, and of
what it says of ``rows``, ``find`` and ``evidence``."""


def test_all_of_it_is_at_most_three_hundred_tokens_of_a_first_request() -> None:
    means = facts.means(
        Limits(),
        {"calls": 2000, "tokens": 5_000_000, "cost": 5.0, "seconds": 3600.0},
        0,
        _info(["numpy", "pandas", "matplotlib", "requests", "bs4", "yaml"]),
    )
    assert (len(prompts.STRONG) - BEFORE + len(means)) / 4 <= 300


def _info(modules: list[str]) -> Any:
    from rlm_kernel.events import ContextInfo

    return ContextInfo("str", 1, 1, None, "", "", {}, python="3.11", modules=modules)
