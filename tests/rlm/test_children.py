"""Children as the host sees them: at the depth limit, when they fail, in the account of a cell."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from asking import ask, ask_here, by_question, calls, cells, check_whole, script

from rlm_kernel import Limits, Result, on_host
from rlm_kernel.record import trajectory
from rlm_kernel.replay.replay import replay
from rlm_kernel.rlm import prompts
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import ScriptedLM


def _run(out: Path, lm: ScriptedLM, **more: Any) -> Result:
    return ask(lm, out, "the parent's", "root?", **more)


def _run_here(out: Path, lm: ScriptedLM, **more: Any) -> Result:
    return ask_here(lm, out, "the parent's", "root?", **more)


def test_at_the_depth_limit_a_child_is_a_plain_sub_call(tmp_path: Path) -> None:
    lm = by_question(
        {
            "root?": "print(context)\n"
            "FINAL_VAR(rlm_query('child?', 'its text') + rlm_query('alone?'))"
        }
    )
    result = _run(tmp_path / "run", lm, limits=Limits(depth=0))
    assert result.response == "<its text\n\nchild?><alone?>"
    assert [(c.op, c.child) for c in calls(result)] == [("rlm_query", None)] * 2


def test_at_the_depth_limit_a_context_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    lm = by_question(
        {
            "root?": "print(context)\n"
            "try:\n    rlm_query('child?', b'raw')\n"
            "except ValueError as e:\n    FINAL_VAR(e)"
        }
    )
    result = _run(tmp_path / "run", lm, limits=Limits(depth=0))
    assert "use llm_query_batched on pieces" in str(result.response)


def test_a_child_that_fails_is_an_error_in_the_parents_cell(tmp_path: Path) -> None:
    lm = by_question(
        {
            "root?": "print(context)\n"
            "try:\n    rlm_query('child?')\n"
            "except RuntimeError as e:\n    FINAL_VAR([type(e).__name__, e.cause, str(e)])",
            "child?": "1 / 0",
        }
    )
    result = _run(tmp_path / "run", lm, limits=Limits(turns=2))
    assert result.status == "answered"
    assert result.response is not None
    assert result.response.startswith("['LMError', 'child', 'the child 0.1 ended without an answer")
    assert "turns" in result.response
    check_whole(result)


def test_a_call_of_a_child_is_booked_to_its_cell(tmp_path: Path) -> None:
    lm = script(
        "first = llm_query('one')\nprint(context)", "second = llm_query('two')\nFINAL_VAR(second)"
    )
    result = _run(tmp_path / "run", lm)
    assert [(c.cell, c.prompt) for c in calls(result)] == [(1, "one"), (2, "two")]
    assert [c.cell for c in cells(result)] == [1, 2]


ABOUT = (
    "print(context)\n"
    "said = rlm_query('child?', 'its text', max_turns=3)\n"
    "print(type(said).__name__, said.status, said.turns, said.notebook, said.seconds > 0)\n"
    "FINAL_VAR(said.value + said)"
)


def test_a_child_s_reply_is_a_str_that_knows_of_the_child_in_a_replay_too(tmp_path: Path) -> None:
    child = "print(context)\nFINAL_VAR(llm_query(context))"
    result = _run(tmp_path / "run", by_question({"root?": ABOUT, "child?": child}))
    assert result.response == "<its text><its text>"
    [cell] = cells(result)
    assert "ChildReply answered 1 calls/0.1.ipynb True" in str(cell.outputs)
    assert (tmp_path / "run" / "calls" / "0.1.ipynb").exists()
    check_whole(result)
    for record in (tmp_path / "run", _mailed(tmp_path / "run" / "trajectory.ipynb", tmp_path)):
        verdict = engine().run(replay(trajectory.load(record), lambda text: None))
        assert verdict.differences == []


def _mailed(notebook: Path, folder: Path) -> Path:
    """A copy of it alone."""
    alone = folder / "mailed" / notebook.name
    alone.parent.mkdir()
    return Path(shutil.copy(notebook, alone))


def test_at_the_depth_limit_a_reply_knows_of_no_child(tmp_path: Path) -> None:
    lm = by_question({"root?": ABOUT.replace("print(type", "FINAL_VAR(0) or print(type")})
    result = _run_here(tmp_path / "run", lm, limits=Limits(depth=0))
    [cell] = cells(result)
    assert "ChildReply answered 0 None" in str(cell.outputs)


def test_a_child_has_so_many_turns_as_its_parent_allows(tmp_path: Path) -> None:
    caught = (
        "print(context)\n"
        "try:\n    rlm_query('child?', max_turns=2)\n"
        "except RuntimeError as e:\n    FINAL_VAR(str(e))"
    )
    lm = by_question({"root?": caught, "child?": "answer['content'] = 'a draft'\n1 / 0"})
    result = _run_here(tmp_path / "run", lm, limits=Limits(turns=9))
    said = str(result.response)
    assert said.startswith("the child 0.1 ended without an answer (status limit, 2 turns, ")
    assert "spent 2, allowed 2" in said
    assert said.endswith("; its best answer so far: a draft")


def test_children_of_a_batch_have_replies_that_know_of_them_or_errors(tmp_path: Path) -> None:
    source = (
        "print(context)\n"
        "good, bad = rlm_query_batched(['child?', 'fails?'], max_turns=1)\n"
        "FINAL_VAR([good.turns, bad.error.cause])"
    )
    lm = by_question({"root?": source, "child?": "FINAL_VAR('ok')", "fails?": "1 / 0"})
    assert _run_here(tmp_path / "run", lm).response == "[1, 'child']"


@pytest.mark.parametrize("turns", ["0", "'2'", "True", "1.0"])
def test_max_turns_is_a_number_of_turns(tmp_path: Path, turns: str) -> None:
    source = (
        f"try:\n    rlm_query('c', max_turns={turns})\nexcept TypeError as e:\n    FINAL_VAR(e)"
    )
    result = _run_here(tmp_path / "run", by_question({"root?": f"print(context)\n{source}"}))
    assert "max_turns must be a whole number" in str(result.response)


def test_a_reply_of_a_child_is_a_plain_text_as_a_context_or_for_a_tool(tmp_path: Path) -> None:
    source = (
        "print(context)\n"
        "said = rlm_query('child?')\n"
        "FINAL_VAR(rlm_query('type?', said) + rlm_query('type?', [said]) + echo([said]))"
    )
    lm = by_question(
        {
            "root?": source,
            "child?": "FINAL_VAR('o k')",
            "type?": "print(context)\nFINAL_VAR(f'{type(context).__name__} {type(context[0])} ')",
        }
    )
    result = _run(tmp_path / "run", lm, tools={"echo": on_host(lambda said: said[0])})
    assert result.response == "str <class 'str'> list <class 'str'> o k"


def test_the_names_of_models_are_told_where_there_is_a_choice() -> None:
    style = prompts.STYLES["strong"]

    def told(*models: str) -> str:
        return prompts.system(
            style, "", prompt_chars=1, output_chars=1, tools=[], data=[], models=models
        )

    assert "'little' is the sub-LM" in told("little", "great")
    assert told("same") == told()
    assert "model" not in told().partition("What there is in the kernel")[2]
