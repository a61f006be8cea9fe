"""Children as the host sees them: at the depth limit, when they fail, in the account of a cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asking import ask, by_question, calls, cells, check_whole, script

from rlm_kernel import Limits, Result
from rlm_kernel.testing import ScriptedLM


def _run(out: Path, lm: ScriptedLM, **more: Any) -> Result:
    return ask(lm, out, "the parent's", "root?", **more)


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
