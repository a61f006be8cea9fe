"""A suspicious answer is asked for once more; one that stays is given, unconfirmed."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import ask, ask_here, block, cells, script, told

from rlm_kernel import Limits, cli
from rlm_kernel.cli.run import tell
from rlm_kernel.record import trajectory
from rlm_kernel.replay.replay import replay
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import ScriptedLM

CONTEXT = "".join(f"line {number} of the log\n" for number in range(200))
QUESTION = "How many errors are there in the log of the harbour?"
SUSPICIOUS = [
    ("0", "How many are there?"),
    ("len([])", "How many are there?"),
    ("[]", "Which are there?"),
    ("'Not found.'", "Who is it?"),
    ("'No matching lines were found in the context'", "Who is it?"),
    ("'I could not find the answer.'", "Who is it?"),
    ("'unknown'", "Who is it?"),
    ("float('nan')", "What is the mean?"),
    ("context.find('zebra')", "Where is it?"),
    ("context", "What is it about?"),
    ("context[:]", "What is it about?"),
    ("'\\n'.join(context.splitlines()[:3])", "Which lines matter?"),
    (repr(QUESTION), QUESTION),
    ("'errors are there in the log'", QUESTION),
    ("'Blue Harbour'", "What is the code of 'Blue Harbour'?"),
]


@pytest.mark.parametrize(("answer", "question"), SUSPICIOUS)
def test_a_suspicious_answer_is_asked_for_again_and_then_unconfirmed(
    tmp_path: Path, answer: str, question: str
) -> None:
    giving = f"print(len(context))\nFINAL_VAR({answer})"
    lm = script(giving, giving)
    result = ask_here(lm, tmp_path / "run", CONTEXT, question)
    assert (result.status, result.confirmed, len(cells(result))) == ("answered", False, 2)
    assert "same call again" in told(lm, 2)
    assert result.response is not None
    assert "when it was asked for again" in str(result.reason)


GOOD = [
    ("7", "How many are there?"),
    ("False", "Is it so?"),
    ("'no'", "Is it so?"),
    ("'No, the harbour was not found to be at fault in the inquiry of 1912'", "Was it?"),
    ("'none of the three ships was insured, which the log says twice'", "Which?"),
    ("'positive'", "Is it positive or negative?"),
    ("'positive'", "Reply with 'positive' if it is."),
    ("context.splitlines()[0]", "What is its first line?"),
    ("'line 3 of the log'", "Which line?"),
    ("-1", "What is the lowest of them?"),
    ("[0, 0]", "How many of each?"),
    ("{'errors': 0}", "How many of each?"),
    ("''.join(reversed(context))", "What is it backwards?"),
]


@pytest.mark.parametrize(("answer", "question"), GOOD)
def test_another_answer_is_taken_at_once(tmp_path: Path, answer: str, question: str) -> None:
    lm = script(f"print(len(context))\nFINAL_VAR({answer})")
    result = ask_here(lm, tmp_path / "run", CONTEXT, question)
    assert (result.status, result.confirmed, result.reason) == ("answered", True, None)


def test_one_that_is_mended_is_confirmed(tmp_path: Path) -> None:
    lm = script("print(len(context))\nFINAL_VAR(0)", "FINAL_VAR(context.count('log'))")
    result = ask_here(lm, tmp_path / "run", CONTEXT, "How many?")
    assert (result.response, result.confirmed) == ("200", True)


def test_evidence_that_stands_in_the_context_clears_it(tmp_path: Path) -> None:
    giving = "print(len(context))\nFINAL_VAR(0, evidence=['line 7 of the log'])"
    assert ask_here(script(giving), tmp_path / "run", CONTEXT, "How many?").confirmed


def test_in_the_last_turn_it_is_unconfirmed_at_once(tmp_path: Path) -> None:
    lm = script("print(len(context))\nFINAL_VAR(0)")
    result = ask_here(lm, tmp_path / "run", CONTEXT, "How many?", limits=Limits(turns=1))
    assert (result.status, result.response, result.confirmed) == ("answered", "0", False)
    assert "asked for again" not in str(result.reason)


def test_a_small_author_is_asked_once_more_and_its_answer_is_unconfirmed(tmp_path: Path) -> None:
    giving = block("print(len(context))\nFINAL_VAR(0)")
    lm = ScriptedLM(["find", giving, giving])
    result = ask_here(lm, tmp_path / "run", CONTEXT, "How many?", prompt="small")
    assert (result.status, result.response, result.confirmed) == ("answered", "0", False)
    assert "If a word in the query is written otherwise" in told(lm, 3)


def test_a_short_context_may_be_the_answer_and_so_may_a_question_without_one(
    tmp_path: Path,
) -> None:
    lm = script("print(context)\nFINAL_VAR(context.strip())")
    assert ask_here(lm, tmp_path / "run", "some text", "What is it?").confirmed


def test_a_doubted_answer_of_a_child_and_of_the_root_replays(tmp_path: Path) -> None:
    zero = "print(context)\nFINAL_VAR(0)"
    parent = "print(context)\nFINAL_VAR(rlm_query('How many?', 'a b'))"
    result = ask(script(parent, zero, zero, parent, zero, zero), tmp_path / "run", CONTEXT)
    assert (result.status, result.value, result.confirmed) == ("answered", 0, False)
    recorded = trajectory.load(tmp_path / "run")
    verdict = engine().run(replay(recorded, lambda text: None))
    assert (verdict.result, verdict.differences) == ("equal", [])
    assert cli.main(["show", str(tmp_path / "run")]) == 0


def test_the_terminal_says_why_an_answer_is_unconfirmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lm = script(*["print(len(context))\nFINAL_VAR([])"] * 2)
    result = ask_here(lm, tmp_path / "run", CONTEXT, "Which?")
    assert tell(result, as_json=False) == 0
    told = capsys.readouterr()
    assert told.out == "[]\n"
    assert "the answer above is unconfirmed: the answer is [], which a search gives" in told.err
