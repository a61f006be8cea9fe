"""``%rlm replay auto``: recorded runs answer, with no LM."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import LM, Front, RunningKernel, block, running_kernel
from records import runs

GONE = {"RLM_BASE_URL": "http://127.0.0.1:9/v1", "RLM_RETRIES": "0", "RLM_MODEL": "fake-model"}
TURNS = (
    block("print(context)\nmade = len(context) + mine"),
    block("said = llm_query('what the human had: ' + str(mine))\nFINAL_VAR(f'{made} {said}')"),
)
ANSWER = "13 <what the human had: 10>"
SETTING = "mine = 10\ncontext = 'abc'"
QUESTION = "%%rlm found\nWhat is it?"


@contextmanager
def asked_once(lm: LM, folder: Path) -> Iterator[tuple[RunningKernel, Front]]:
    """A kernel in which the question was asked and answered."""
    with running_kernel(folder, env=lm.environment) as kernel:
        front = kernel.front()
        front.run(SETTING)
        lm.say(*TURNS)
        assert front.run(QUESTION).result == ANSWER
        yield kernel, front


@pytest.fixture(scope="module")
def recorded(lm: LM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, outside of any notebook's."""
    folder = tmp_path_factory.mktemp("recorded")
    with asked_once(lm, folder) as (kernel, _):
        [run] = runs(kernel)
    return run


@pytest.fixture
def front(recorded: Path, tmp_path: Path) -> Iterator[Front]:
    """A front end of a kernel whose endpoint is gone, with the record beside its notebooks."""
    with running_kernel(tmp_path, env=GONE) as kernel:
        shutil.copytree(recorded, kernel.cwd / "rlm-runs" / "recorded")
        front = kernel.front()
        front.run(f"%rlm replay auto\n{SETTING}")
        yield front


def test_the_answer_and_the_lms_variables_come_from_the_record(front: Front) -> None:
    asked = front.run(QUESTION)
    assert asked.result == ANSWER
    assert "from the record" in asked.shown
    assert front.run("found, made, said").result == repr((ANSWER, 13, "<what the human had: 10>"))
    assert "0 tokens" in front.run("%rlm cost").shown
    assert front.run(QUESTION.replace("found", "again")).result == ANSWER


@pytest.mark.parametrize(
    ("before", "question", "reason"),
    [
        ("", "%%rlm\nWhat else is it?", "none was asked it"),
        ("context = 'abcd'", QUESTION, "had another context"),
        ("", "%%rlm --model other\nWhat is it?", "had another model"),
        ("%rlm limits turns=5", QUESTION, "had another max_turns"),
    ],
    ids=["question", "context", "option", "setting"],
)
def test_what_differs_is_said(front: Front, before: str, question: str, reason: str) -> None:
    front.run(before)
    asked = front.run(question)  # auto: the LM is asked, and is not there
    assert asked.error[0] == "NoAnswer"
    assert "no connection to" in asked.error[1]
    assert "no recorded run fits this question" in asked.error[1]
    front.run("%rlm replay only")
    asked = front.run(question)
    assert asked.error[0] == "UsageError"
    assert reason in asked.error[1] or "was not answered" in asked.error[1]


def test_without_any_lm_a_question_that_was_recorded_is_answered(
    recorded: Path, tmp_path: Path
) -> None:
    with running_kernel(tmp_path) as kernel:
        front = kernel.front()
        front.run(f"%rlm replay auto {recorded.parent}\n{SETTING}")
        assert front.run(QUESTION).result == ANSWER
        unknown = front.run("%%rlm\nWhat else is it?")
        assert "no LM is set" in unknown.error[1]
        assert "no recorded run fits this question: none was asked it" in unknown.error[1]


def test_a_record_is_found_where_out_says(recorded: Path, front: Front, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tmp_path / "notebooks" / "rlm-runs" / "recorded", elsewhere)
    front.run("%rlm replay only")
    assert front.run(QUESTION).error[0] == "UsageError"
    asked = front.run(f"%%rlm --out {elsewhere}\nWhat is it?")
    assert asked.result == ANSWER


def test_a_folder_that_is_not_there_is_said(front: Front) -> None:
    asked = front.run("%rlm replay auto nowhere")
    assert asked.error == ("UsageError", "nowhere: there is no such folder with recorded runs")


def test_a_damaged_record_answers_nothing(front: Front, tmp_path: Path) -> None:
    journal = tmp_path / "notebooks" / "rlm-runs" / "recorded" / "journal.jsonl"
    journal.write_text(journal.read_text().replace("what the human had", "what the human has"))
    asked = front.run("%rlm replay only\n" + QUESTION)
    assert asked.error[0] == "UsageError"
    assert "has a damaged record" in asked.error[1]


def test_a_cell_that_no_longer_fits_is_an_error(front: Front) -> None:
    front.run("mine = 11")
    asked = front.run(QUESTION)
    assert asked.error[0] == "RecordError"
    assert "what it depends on has changed" in asked.error[1]
    assert front.run("'found' in dir()").result == "False"
    front.run("mine = 10")
    assert front.run(QUESTION).result == ANSWER


def test_a_long_answer_comes_whole(lm: LM, tmp_path: Path) -> None:
    with running_kernel(tmp_path, env=lm.environment) as kernel:
        front = kernel.front()
        front.run("context = 'ab'")
        lm.say(block("print(context)\nFINAL_VAR(context * 1_500_000)"))
        assert len(str(front.run("%%rlm long\nRepeat.").result)) == 3_000_000
        assert front.run("len(long)").result == "3000000"
        again = front.run("%%rlm long2 --replay only\nRepeat.")
        assert len(str(again.result)) == 3_000_000


@pytest.fixture(scope="module")
def continued(lm: LM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of a notebook whose question went on once; the second is the newest."""
    folder = tmp_path_factory.mktemp("continued")
    with asked_once(lm, folder) as (kernel, front):
        front.run("made += 1")
        lm.say(block("FINAL_VAR(f'{made} once more')"))
        assert front.run("%rlm continue\nLook again").result == "14 once more"
        assert len(runs(kernel)) == 2
        return Path(shutil.copytree(kernel.cwd / "rlm-runs", folder / "kept"))


def test_a_notebook_whose_question_went_on_is_answered_from_both_records(
    continued: Path, tmp_path: Path
) -> None:
    with running_kernel(tmp_path, env=GONE) as kernel:
        front = kernel.front()
        front.run(f"%rlm replay only {continued}\n{SETTING}")
        assert front.run(QUESTION).result == ANSWER
        front.run("made += 1")
        asked = front.run("%rlm continue\nLook again")
        assert (asked.result, "from the record" in asked.shown) == ("14 once more", True)


def test_a_question_that_goes_on_otherwise_is_not_answered_from_the_record(
    continued: Path, tmp_path: Path
) -> None:
    with running_kernel(tmp_path, env=GONE) as kernel:
        front = kernel.front()
        front.run(f"%rlm replay only {continued}\n{SETTING}")
        assert front.run(QUESTION).result == ANSWER
        asked = front.run("%rlm continue\nLook elsewhere")
        assert "was told something else by the human" in asked.error[1]
