"""The end of a run: what is an answer, what is asked about once, what is kept at the last turn."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import ask, ask_here, block, cells, check_whole, script, told

from rlm_kernel import RLM, Limits, LMError
from rlm_kernel.lm import fences
from rlm_kernel.testing import ScriptedLM

LOOK = "print(context)"
LAST = Limits(turns=1)


# what cannot have been seen
@pytest.mark.parametrize(
    ("before", "giving"),
    [
        ("print(len(context))", "FINAL_VAR(12345)"),
        ("len(context)", "FINAL_VAR('12,345 visits')"),
        ("r = llm_query(context)", "FINAL_VAR('harbour')"),
        ("print(context)", "FINAL_VAR(value='harbour')"),
        ("print(context)", "n = 12345\nFINAL_VAR(n)"),
        ("print(context)", "n = 12345\nFINAL_VAR(f'It is {n}')"),
        ("print(context)", "FINAL_VAR({'visits': 12345, 'ok': True})"),
        ("print(context)", "FINAL_VAR(sorted(['harbour', 'quay']))"),
        ("print(context)", "answer['content'] = 'harbour'\nanswer['ready'] = True"),
        ("print(context)", "answer = {'content': 12345, 'ready': True}"),
    ],
)
def test_an_answer_that_was_written_before_its_output_was_seen_waits(
    tmp_path: Path, before: str, giving: str
) -> None:
    imagined = f"{block(before)}\nOutput: 12345\n{block(giving)}"
    lm = script(imagined, "FINAL_VAR('a b')")
    result = ask_here(lm, tmp_path / "run")
    assert (result.response, result.confirmed) == ("a b", True)
    assert "before you had seen that" in told(lm, 2)
    check_whole(result)


@pytest.mark.parametrize(
    "giving",
    [
        "FINAL_VAR(len(context))",
        "FINAL_VAR(f'{len(context)} characters')",
        "n = len(context)\nFINAL_VAR(n)",
        "FINAL_VAR('yes' if 'some' in context else 'no')",
        "FINAL_VAR(r)",
        "FINAL_VAR('SOME text')",
        "FINAL_VAR(9)",
        "FINAL_VAR('It has 9 characters.')",
        "FINAL_VAR({'length': 9, 'begins': 'some'})",
        "answer.update(content=len(context), ready=True)",
    ],
)
def test_an_answer_that_was_computed_or_shown_before_stands(tmp_path: Path, giving: str) -> None:
    lm = script(block("r = context[:4]\nprint(r)", giving))
    assert ask_here(lm, tmp_path / "run").confirmed
    assert len(lm.asked) == 1


def test_only_one_answer_of_a_node_waits_for_its_output(tmp_path: Path) -> None:
    lm = script(block(LOOK, "FINAL_VAR('harbour')"), block("print(2)", "FINAL_VAR('quay')"))
    assert ask_here(lm, tmp_path / "run").response == "quay"


def test_in_the_last_turn_nobody_can_be_asked(tmp_path: Path) -> None:
    lm = script(block(LOOK, "FINAL_VAR('harbour')"))
    result = ask_here(lm, tmp_path / "run", limits=LAST)
    assert (result.status, result.response) == ("answered", "harbour")


def test_a_small_model_is_not_asked_about_what_it_cannot_have_seen(tmp_path: Path) -> None:
    lm = ScriptedLM(["find", block(f"{LOOK}\nFINAL_VAR('harbour')")])
    assert ask_here(lm, tmp_path / "run", prompt="small").response == "harbour"


# what is no answer
NONE = "print(context)\nFINAL_VAR([1].sort())"


def test_what_is_no_answer_is_asked_about_and_taken_the_second_time(tmp_path: Path) -> None:
    lm = script(NONE, NONE)
    result = ask_here(lm, tmp_path / "run")
    assert (result.status, result.response, len(cells(result))) == ("answered", "None", 2)
    assert "FINAL_VAR was given None" in told(lm, 2)
    assert "same call again" in told(lm, 2)


def test_one_that_is_none_and_then_a_good_one(tmp_path: Path) -> None:
    lm = script("print(context)\nFINAL_VAR(map(str, [1]))", "FINAL_VAR(list(map(str, [1])))")
    assert ask_here(lm, tmp_path / "run").response == "['1']"


def test_a_failed_reply_is_no_answer_even_in_the_last_turn(tmp_path: Path) -> None:
    boom = LMError("boom", cause="server", attempts=1)
    giving = "print(context)\nFINAL_VAR(llm_query_batched(['a'])[0])"
    result = ask_here(script(giving, sub=lambda p: boom), tmp_path / "run", limits=LAST)
    assert (result.status, result.confirmed) == ("limit", False)


@pytest.mark.parametrize("text", ["str(r[0])", "' '.join(r[:1])", "'\\n\\n'.join(r) + '\\n'"])
def test_errors_of_sub_calls_are_no_answer_as_plain_text_either(tmp_path: Path, text: str) -> None:
    boom = LMError("boom", cause="server", attempts=1)
    giving = f"r = llm_query_batched(context.split())\nFINAL_VAR({text})"
    lm = script(giving, "FINAL_VAR('none came, all said ' + r[0])", sub=lambda p: boom)
    result = ask_here(lm, tmp_path / "run")
    assert result.response == "none came, all said Error: boom"
    assert "nothing but errors of sub-calls" in told(lm, 2)


def test_what_is_no_answer_does_not_replace_a_draft(tmp_path: Path) -> None:
    lm = script("print(context)\nanswer['content'] = 'a draft'", "FINAL_VAR(None)")
    result = ask_here(lm, tmp_path / "run", limits=Limits(turns=2))
    assert (result.status, result.response, result.confirmed) == ("limit", "a draft", False)


# names and words
def test_a_word_is_an_answer(tmp_path: Path) -> None:
    lm = script("print(context)", "FINAL_VAR('harbour')")
    result = ask(lm, tmp_path / "run")
    assert (result.status, result.response, len(lm.asked)) == ("answered", "harbour", 2)


LOOP = "for letter in context.split():\n    pass\nFINAL_VAR('letter')"


@pytest.mark.parametrize(
    ("then", "answer"),
    [
        (LOOP, "text"),
        ("FINAL_VAR('letter')", "text"),
        ("FINAL_VAR(value='letter')", "letter"),
        ("letter = 'mine'\nFINAL_VAR('letter')", "mine"),
    ],
)
def test_a_name_that_a_loop_left_is_asked_about_once(
    tmp_path: Path, then: str, answer: str
) -> None:
    lm = script(LOOP, then)
    result = ask(lm, tmp_path / "run")
    assert (result.response, len(lm.asked)) == (answer, 2)
    assert "the variable `letter`, as a loop left it: 'text'" in told(lm, 2)
    assert 'FINAL_VAR(value="letter")' in told(lm, 2)


def test_a_name_that_was_bound_after_the_loop_is_not_asked_about(tmp_path: Path) -> None:
    lm = script("for best in context.split(): pass\nbest = best.upper()\nFINAL_VAR('best')")
    assert ask_here(lm, tmp_path / "run").response == "TEXT"


def test_a_name_from_before_the_question_is_asked_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lm = script(
        "oslo = context\nbergen = 1\nFINAL_VAR('oslo')",
        "bergen = 2\nFINAL_VAR('bergen')",
        "FINAL_VAR('oslo')",
        "FINAL_VAR('oslo')",
    )
    with RLM(model=lm, persistent=True) as rlm:
        answers = [rlm.completion("some text", "Where?").response for _ in range(3)]
    assert answers == ["some text", "2", "some text"]
    assert len(lm.asked) == 4
    assert "`oslo`, from before your question" in told(lm, 4)


def test_a_word_that_a_cell_which_was_not_run_would_have_bound_is_asked_about(
    tmp_path: Path,
) -> None:
    lm = script(
        block(f"{LOOK}\n1 / 0", "harbour = 'Bergen'"),
        "FINAL_VAR('harbour')",
        "harbour = 'Bergen'\nFINAL_VAR('harbour')",
    )
    assert ask(lm, tmp_path / "run").response == "Bergen"
    assert "there is no variable of this name" in told(lm, 3)


def test_in_the_last_turn_a_word_that_looks_like_a_name_is_the_best_there_is(
    tmp_path: Path,
) -> None:
    lm = script("print(context)\nFINAL_VAR('the_sum')")
    result = ask(lm, tmp_path / "run", limits=LAST)
    assert (result.status, result.response, result.confirmed) == ("limit", "the_sum", False)


# the best there is
@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("The answer is 42.", "The answer is 42."),
        ('It is:\n```json\n{"n": 42}\n```\n', 'It is:\n```json\n{"n": 42}\n```'),
        ("FINAL(42)</s>", "42"),
        ("<think>hm</think>42", "42"),
    ],
)
def test_words_in_the_last_turn_are_the_best_answer(
    tmp_path: Path, words: str, answer: str
) -> None:
    lm = ScriptedLM([block(f"{LOOK}\nFINAL_VAR('nearly')\n1 / 0"), words])
    result = ask_here(lm, tmp_path / "run", limits=Limits(turns=2))
    assert (result.status, result.response, result.confirmed) == ("limit", answer, False)
    check_whole(result)


def test_words_in_the_last_turn_do_not_replace_a_draft_that_is_kept(tmp_path: Path) -> None:
    keeping = f"{LOOK}\nanswer['content'] = 'best 42'"
    lm = ScriptedLM([block(keeping), block("1 / 0"), "I could not finish."])
    result = ask_here(lm, tmp_path / "run", limits=Limits(turns=3))
    assert (result.response, result.confirmed) == ("best 42", False)


def test_an_answer_whose_cell_then_failed_is_kept_and_told(tmp_path: Path) -> None:
    lm = script(f"{LOOK}\nFINAL_VAR('kept?')\n1 / 0", "print(1)")
    result = ask_here(lm, tmp_path / "run", limits=Limits(turns=2))
    assert "'kept?' is kept, and not taken" in told(lm, 2)
    assert (result.status, result.response, result.confirmed) == ("limit", "kept?", False)


# who has nothing to look at
def test_a_child_without_a_context_is_not_sent_back_to_look_at_it(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, object]]) -> str:
        child = "What is 2+2?" in str(messages[1]["content"])
        return block("FINAL_VAR(4)" if child else f"{LOOK}\nFINAL_VAR(rlm_query('What is 2+2?'))")

    lm = ScriptedLM(turn)
    assert ask_here(lm, tmp_path / "run").response == "4"
    assert len(lm.asked) == 2


def test_with_an_empty_context_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    lm = script("FINAL_VAR(4)")
    assert ask_here(lm, tmp_path / "run", context="").response == "4"


# going on from a record
SLOW = [block(LOOK, "FINAL_VAR('harbour')"), block(NONE), block("y = 2"), block("y + 1")]


def test_a_fork_doubts_what_was_doubted(tmp_path: Path) -> None:
    lm = ScriptedLM([*SLOW, block("FINAL_VAR(len(context))")])
    first = ask(lm, tmp_path / "run")
    assert (first.response, len(lm.asked)) == ("9", 5)
    again = script("FINAL_VAR(y)")
    with RLM(model=again, out=tmp_path / "fork") as rlm:
        fork = rlm.fork(first.trajectory, 6)
    assert (fork.response, len(again.asked)) == ("2", 1)
    assert again.asked[0][:-1] == lm.asked[4][:-1]
    assert [c.source for c in cells(fork)][:5] == [c.source for c in cells(first)][:5]


def test_a_fork_runs_the_recorded_cells_and_takes_no_answer_that_was_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = ScriptedLM(
        ["```python\nx = context\n```\n```\nz = 2\n```", *SLOW[2:], block("FINAL_VAR(z)")]
    )
    with monkeypatch.context() as patched:  # as by another rule, which took untagged blocks
        patched.setattr(fences, "_form", lambda tag: fences.Form.TAGGED)
        first = ask(lm, tmp_path / "run")
    assert (first.response, cells(first)[1].source) == ("2", "z = 2")
    with RLM(model=script("FINAL_VAR(z + 1)"), out=tmp_path / "fork") as rlm:
        fork = rlm.fork(first.trajectory, 5)
    assert fork.response == "3"
    assert [c.source for c in cells(fork)][:4] == ["x = context", "z = 2", "y = 2", "y + 1"]
