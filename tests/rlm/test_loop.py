"""The rules of the loop, one by one, with a scripted LM.

Cells run in this process; in a kernel where a rule is about one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import ask, ask_here, block, calls, cells, check_whole, events, of, script, told

from rlm_kernel import Limits, LMError
from rlm_kernel.events import KernelRestarted, Prompted, RunEnded
from rlm_kernel.repl.repl import Ran
from rlm_kernel.testing import ScriptedLM

LOOK = "print(context)"
SORTED = "find"  # a small model is first asked what kind of question it is


def _folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.mark.parametrize("tag", ["", "python", "py", "repl", "ipython", "Python3"])
def test_any_fence_of_a_python_kind_runs(tmp_path: Path, tag: str) -> None:
    lm = script(f"I look first.\n```{tag}\n{LOOK}\nFINAL_VAR(context)\n```\nDone.")
    result = ask_here(lm, _folder(tmp_path))
    assert (result.status, result.response, result.confirmed) == ("answered", "some text", True)
    check_whole(result)


def test_the_lm_sees_question_and_context_then_each_output(tmp_path: Path) -> None:
    lm = script(LOOK, "FINAL_VAR('x y')")
    ask_here(lm, _folder(tmp_path), "the content", "the question?")
    first = told(lm, 1)
    assert "the question?" in first
    assert "the content" in first
    assert "11 characters" in first
    assert "Output:\nthe content" in told(lm, 2)


def test_a_reply_without_code_is_reminded_once_for_each(tmp_path: Path) -> None:
    lm = script("The answer is 4.", f"{LOOK}\nFINAL_VAR(4)")
    lm = ScriptedLM(["The answer is 4.", block(f"{LOOK}\nFINAL_VAR(4)")])
    result = ask_here(lm, _folder(tmp_path))
    assert result.response == "4"
    assert "nothing ran" in told(lm, 2)
    assert len(cells(result)) == 1


def test_a_repeated_cell_is_run_again_and_the_lm_is_told(tmp_path: Path) -> None:
    step = "steps = [*globals().get('steps', []), context]\nprint(len(steps))"
    lm = script(step, step, "FINAL_VAR('a b')")
    result = ask_here(lm, _folder(tmp_path))
    assert [c.source for c in cells(result)] == [step, step, "FINAL_VAR('a b')"]
    assert "Output:\n2" in told(lm, 3)
    assert "unchanged; it was run again" in told(lm, 3)


def test_a_small_models_repeated_cell_is_not_run_again(tmp_path: Path) -> None:
    lm = ScriptedLM([SORTED, block(LOOK), block(LOOK), block("FINAL_VAR('a b')")])
    result = ask_here(lm, _folder(tmp_path), prompt="small")
    assert [c.source for c in cells(result)][1:] == [LOOK, "FINAL_VAR('a b')"]
    assert "it was not run again" in told(lm, 4)


@pytest.mark.parametrize(
    ("style", "step"), [("strong", block(LOOK)), ("small", block(LOOK)), ("strong", "I am lost.")]
)
def test_an_lm_that_is_stuck_gets_one_last_turn_and_the_record_says_why(
    tmp_path: Path, style: str, step: str
) -> None:
    first = [SORTED] if style == "small" else []
    lm = ScriptedLM([*first, *[step] * 20])
    result = ask_here(lm, _folder(tmp_path), prompt=style)
    assert len(lm.asked) == 4 + len(first)
    assert "This is your last turn" in str(lm.asked[-1][-1]["content"])
    assert result.status == "limit"
    turns = "2 to 4" if style == "small" else "1 to 3"  # a first look is ours
    reason = f"the LM is stuck: its replies of turns {turns} are the same, and gave nothing new"
    assert result.reason == reason
    (ended,) = of(RunEnded, events(result))
    assert (ended.status, ended.reason) == ("limit", reason)


def test_an_lm_that_alternates_between_two_replies_is_stuck_too(tmp_path: Path) -> None:
    lm = script(*["print(context)", "1 / 0"] * 10)
    result = ask_here(lm, _folder(tmp_path))
    assert (result.status, len(lm.asked)) == ("limit", 6)
    assert "its replies of turns 1, 3 and 5 are the same" in str(result.reason)


def test_an_lm_that_was_stuck_may_answer_in_its_last_turn(tmp_path: Path) -> None:
    result = ask_here(script(*[LOOK] * 3, f"{LOOK}\nFINAL_VAR('yes')"), _folder(tmp_path))
    assert (result.status, result.response) == ("answered", "yes")


def test_a_cell_that_gives_something_new_each_time_is_no_repetition(tmp_path: Path) -> None:
    step = "n = globals().get('n', 0) + 1\nprint(context, n)"
    result = ask_here(script(*[step] * 5, "FINAL_VAR(n)"), _folder(tmp_path))
    assert result.response == "5"


def test_a_repeated_cell_whose_calls_had_failed_is_run_again(tmp_path: Path) -> None:
    replies = iter([LMError("busy", cause="server", attempts=6), "good"])
    asking = "print(context)\nr = llm_query_batched(['a'])\nprint(r)"
    lm = script(asking, asking, "FINAL_VAR(r[0])", sub=lambda prompt: next(replies))
    result = ask_here(lm, _folder(tmp_path))
    assert (result.response, len(cells(result))) == ("good", 3)


def test_after_a_repetition_the_temperature_changes_for_one_turn(tmp_path: Path) -> None:
    temperatures = []

    class Listening(ScriptedLM):
        async def stream(self, *args, **options):  # type: ignore[no-untyped-def]
            temperatures.append(options["sampling"].temperature)
            return await super().stream(*args, **options)

    lm = Listening([block(LOOK), block(LOOK), block("1 + 1"), block("FINAL_VAR('a b')")])
    ask_here(lm, _folder(tmp_path), temperature=0.0)
    assert temperatures == [0.0, 0.0, 0.7, 0.0]


def test_an_answer_without_a_look_at_the_context_is_asked_about_once(tmp_path: Path) -> None:
    lm = script("FINAL_VAR('a guess')", "FINAL_VAR('a guess again')")
    result = ask_here(lm, _folder(tmp_path))
    assert (result.status, result.response) == ("answered", "a guess again")
    assert "no cell has looked at `context`" in told(lm, 2)


def test_the_same_answer_again_confirms_it(tmp_path: Path) -> None:
    lm = script("FINAL_VAR('a guess')", "FINAL_VAR('a guess')")
    result = ask_here(lm, _folder(tmp_path))
    assert (result.status, result.response, len(cells(result))) == ("answered", "a guess", 2)


def test_an_answer_after_a_look_is_taken_at_once(tmp_path: Path) -> None:
    lm = script("n = len(context)\nFINAL_VAR(n)")
    assert ask_here(lm, _folder(tmp_path)).response == "9"
    assert len(lm.asked) == 1


def test_the_last_turn_is_announced(tmp_path: Path) -> None:
    lm = script(LOOK, "1 + 1", "FINAL_VAR('a b')")
    result = ask_here(lm, _folder(tmp_path), limits=Limits(turns=3))
    assert "your last turn" not in told(lm, 2)
    assert "your last turn" in told(lm, 3)
    assert result.status == "answered"


def test_an_answer_in_the_last_turn_is_not_doubted(tmp_path: Path) -> None:
    lm = script("FINAL_VAR('a guess')")
    result = ask_here(lm, _folder(tmp_path), limits=Limits(turns=1))
    assert (result.status, result.response, result.confirmed) == ("answered", "a guess", True)


def test_out_of_turns_the_best_answer_so_far_is_unconfirmed(tmp_path: Path) -> None:
    lm = script("print(context)\nanswer['content'] = 'so far'", "1 + 1")
    result = ask_here(lm, _folder(tmp_path), limits=Limits(turns=2))
    assert (result.status, result.response, result.confirmed) == ("limit", "so far", False)
    assert result.reason == "limit reached: turns: spent 2, allowed 2"
    check_whole(result)


def test_out_of_turns_without_any_answer_none_is_invented(tmp_path: Path) -> None:
    result = ask_here(script(LOOK, "1 + 1"), _folder(tmp_path), limits=Limits(turns=2))
    assert (result.status, result.response) == ("limit", None)


def test_a_draft_of_a_failed_cell_counts_as_the_best_so_far(tmp_path: Path) -> None:
    lm = script("print(context)\nFINAL_VAR('nearly there')\n1/0")
    result = ask_here(lm, _folder(tmp_path), limits=Limits(turns=1))
    assert (result.response, result.confirmed) == ("nearly there", False)


def test_an_lm_that_fails_ends_the_run_as_failed_with_the_reason(tmp_path: Path) -> None:
    lm = script(LOOK, LMError("the key was refused", cause="auth", attempts=1))
    result = ask_here(lm, _folder(tmp_path))
    assert (result.status, result.response, result.reason) == (
        "failed",
        None,
        "the key was refused",
    )
    check_whole(result)


def test_a_prompt_over_the_window_is_compacted_and_asked_again(tmp_path: Path) -> None:
    full = LMError("too long", cause="window", attempts=1)
    lm = script(LOOK, "one = 1", "two = 2", full, "FINAL_VAR(one + two)")
    result = ask_here(lm, _folder(tmp_path))
    assert result.response == "3"
    assert len(lm.asked[4]) < len(lm.asked[3])
    assert "one" in lm.asked[4][1]["content"]
    assert [p.compacted for p in of(Prompted, events(result))] == [False] * 4 + [True]


def test_a_window_error_with_nothing_to_leave_out_is_a_failure(tmp_path: Path) -> None:
    lm = script(LMError("too long", cause="window", attempts=1))
    assert ask_here(lm, _folder(tmp_path)).status == "failed"


def test_compaction_keeps_system_and_first_message_and_the_kernel(tmp_path: Path) -> None:
    long = ["kept = 'still'\nprint(context)"] + [f"print('{i}' * 3000)" for i in range(6)]
    lm = script(*long, "FINAL_VAR(kept)")
    result = ask_here(lm, _folder(tmp_path), question="the question?", window=4000)
    assert result.response == "still"
    last = lm.asked[-1]
    assert last[0] == lm.asked[0][0]
    assert "the question?" in last[1]["content"]
    assert "kept" in last[1]["content"]
    assert [m["role"] for m in last[:4]] == ["system", "user", "assistant", "user"]
    assert len(last) < 8


def test_messages_only_grow_while_they_fit(tmp_path: Path) -> None:
    lm = script(LOOK, "1 + 1", "2 + 2", "FINAL_VAR('a b')")
    ask_here(lm, _folder(tmp_path))
    for before, after in zip(lm.asked, lm.asked[1:], strict=False):
        assert after[: len(before)] == before


def test_all_blocks_of_a_reply_run(tmp_path: Path) -> None:
    lm = script(block("a = len(context)", "b = a + 1", "FINAL_VAR(b)"))
    result = ask_here(lm, _folder(tmp_path))
    assert (result.response, len(cells(result))) == ("10", 3)


def test_blocks_after_the_first_that_fails_are_not_run_and_the_lm_is_told(tmp_path: Path) -> None:
    lm = script(block("a = context", "1 / 0", "FINAL_VAR('invented')"), "FINAL_VAR(a)")
    result = ask_here(lm, _folder(tmp_path))
    assert result.response == "some text"
    assert [c.status for c in cells(result)] == ["ok", "error", "ok"]
    assert "1 later block(s) of your reply were not run" in told(lm, 2)


def test_fifty_blocks_are_cut_to_a_bearable_number(tmp_path: Path) -> None:
    lm = script(block(*(f"print({i}, context)" for i in range(50))), "FINAL_VAR('a b')")
    result = ask_here(lm, _folder(tmp_path))
    assert len(cells(result)) == 17
    assert "Only the first 16 blocks" in told(lm, 2)


def test_failed_sub_calls_are_counted_to_the_lm(tmp_path: Path) -> None:
    def sub(prompt: str) -> str | Exception:
        return LMError("said 500", cause="server", attempts=6) if prompt in "bc" else "ok"

    lm = script("r = llm_query_batched(list('abcd'))\nprint(context)", "FINAL_VAR(r)", sub=sub)
    result = ask_here(lm, _folder(tmp_path))
    failed = "2 of 4 sub-LM calls of this cell failed (prompts 1, 2: the sub-LM failed)"
    assert f"{failed}. Asking those again may help." in told(lm, 2)
    assert result.response == "['ok', 'Error: said 500', 'Error: said 500', 'ok']"
    assert [c.error is None for c in sorted(calls(result), key=lambda c: c.index)] == [
        True,
        False,
        False,
        True,
    ]


def test_notices_of_the_guest_reach_the_lm(tmp_path: Path) -> None:
    placeholder = "context = 'placeholder'\nprint(context)"
    lm = script(placeholder, "FINAL_VAR(contxt)", "FINAL_VAR(context)")
    assert ask(lm, _folder(tmp_path)).response == "some text"
    assert "the assignment to `context` was ignored" in told(lm, 2)
    assert "Names there are: context" in told(lm, 3)


def test_a_kernel_that_died_is_replaced_and_the_lm_is_told_what_was_lost(tmp_path: Path) -> None:
    lm = script("gone = 1", "import os; os._exit(1)", "FINAL_VAR(context)")
    result = ask(lm, _folder(tmp_path))
    assert result.response == "some text"
    assert "lost: gone" in told(lm, 3)
    [restarted] = of(KernelRestarted, events(result))
    assert (restarted.cell, restarted.lost) == (2, ["gone"])
    check_whole(result)


def test_a_cell_over_its_time_is_told_so(tmp_path: Path) -> None:
    lm = script("while True: pass", "FINAL_VAR(context)")
    stopped = Ran(status="timeout", outputs=[], seconds=0.5)
    limits = Limits(cell_seconds=0.5)
    ask_here(lm, _folder(tmp_path), ends={"while True: pass": stopped}, limits=limits)
    assert "stopped after 0.5 seconds" in told(lm, 2)


def test_long_output_is_cut_and_its_error_kept(tmp_path: Path) -> None:
    long = "print('x' * 50_000)\nraise ValueError('the cause')"
    lm = ScriptedLM([SORTED, block(long), block("FINAL_VAR(context)")])
    ask_here(lm, _folder(tmp_path), prompt="small")
    assert len(told(lm, 3)) < 4500
    assert "ValueError: the cause" in told(lm, 3)


def test_the_run_ends_with_one_event_that_sums_it(tmp_path: Path) -> None:
    lm = script("print(context)\nllm_query('a')", "FINAL_VAR('a b')")
    result = ask_here(lm, _folder(tmp_path))
    ended = events(result)[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.turns, ended.calls, ended.usage) == (2, 1, result.usage)
    assert result.usage.requests == 3


def test_odd_output_does_not_spoil_the_notebook(tmp_path: Path) -> None:
    lm = script(
        "print(context, '\\ud800\\x00')\ndisplay({'text/plain': 5}, raw=True)",
        "FINAL_VAR('\\udfff')",
    )
    result = ask(lm, _folder(tmp_path))
    assert (result.status, result.response) == ("answered", "\udfff")
    check_whole(result)
