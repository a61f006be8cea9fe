"""Runs with children, through ``RLM``, in any environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import ask, block, calls, cells, check_whole, events, of, script
from environments import sandbox

from rlm_kernel import Limits, Result
from rlm_kernel.events import NodeStarted
from rlm_kernel.testing import ScriptedLM


def _by_question(replies: dict[str, str]) -> ScriptedLM:
    """An LM whose only turn depends on the question it finds in its messages."""

    def turn(messages: list[dict[str, Any]]) -> str:
        asked = messages[1]["content"]
        return block(next(reply for words, reply in replies.items() if f": {words}" in asked))

    return ScriptedLM(turn, lambda prompt: f"<{prompt}>")


def _run(environment: str, out: Path, lm: ScriptedLM, **more: Any) -> Result:
    return ask(lm, out, "the parent's", "root?", **more, **sandbox(environment))


@pytest.mark.parametrize(
    ("given", "is_type", "content"),
    [
        ("'a\\r\\n\\ud800'", "str", "a\r\n\ud800"),
        ("b'\\x00\\xff'", "bytes", b"\x00\xff"),
        ("[1, 'two', None]", "list", [1, "two", None]),
        ("(1, {2: 3})", "tuple", (1, {2: 3})),
    ],
)
def test_a_child_gets_its_context_equal_and_of_its_type(
    environment: str, tmp_path: Path, given: str, is_type: str, content: object
) -> None:
    lm = _by_question(
        {
            "root?": f"print(context)\nFINAL_VAR(rlm_query('child?', {given}))",
            "child?": "print(len(context))\nFINAL_VAR(type(context).__name__ + ascii(context))",
        }
    )
    result = _run(environment, tmp_path / "run", lm)
    assert (result.status, result.response) == ("answered", is_type + ascii(content))
    check_whole(result)


def test_without_a_context_the_prompt_is_the_childs_context(
    environment: str, tmp_path: Path
) -> None:
    lm = _by_question(
        {
            "root?": "FINAL_VAR(rlm_query('child?') + context)",
            "child?": "FINAL_VAR(context + '!')",
        }
    )
    assert _run(environment, tmp_path / "run", lm).response == "child?!the parent's"


def test_a_batch_of_children_comes_back_in_order(environment: str, tmp_path: Path) -> None:
    lm = _by_question(
        {
            "root?": "print(context)\nFINAL_VAR(rlm_query_batched(['child?'] * 3, list('abc')))",
            "child?": "FINAL_VAR(context * 2)",
        }
    )
    result = _run(environment, tmp_path / "run", lm)
    assert result.response == "['aa', 'bb', 'cc']"
    assert sorted(n.node for n in of(NodeStarted, events(result))) == ["0", "0.1", "0.2", "0.3"]


def test_two_levels_of_children(environment: str, tmp_path: Path) -> None:
    lm = _by_question(
        {
            "root?": "FINAL_VAR(rlm_query('middle?', 'm') + context)",
            "middle?": "FINAL_VAR(rlm_query('leaf?', context + 'l') + '/')",
            "leaf?": "FINAL_VAR(context + llm_query('deep'))",
        }
    )
    result = _run(environment, tmp_path / "run", lm, limits=Limits(depth=2))
    assert result.response == "ml<deep>/the parent's"
    assert {n.node: n.depth for n in of(NodeStarted, events(result))} == {
        "0": 0,
        "0.1": 1,
        "0.1.1": 2,
    }
    check_whole(result)


def test_at_the_depth_limit_a_child_is_a_plain_sub_call(environment: str, tmp_path: Path) -> None:
    lm = _by_question(
        {
            "root?": "print(context)\n"
            "FINAL_VAR(rlm_query('child?', 'its text') + rlm_query('alone?'))"
        }
    )
    result = _run(environment, tmp_path / "run", lm, limits=Limits(depth=0))
    assert result.response == "<its text\n\nchild?><alone?>"
    assert [(c.op, c.child) for c in calls(result)] == [("rlm_query", None)] * 2


def test_at_the_depth_limit_a_context_that_does_not_fit_is_refused(
    environment: str, tmp_path: Path
) -> None:
    lm = _by_question(
        {
            "root?": "print(context)\n"
            "try:\n    rlm_query('child?', b'raw')\n"
            "except ValueError as e:\n    FINAL_VAR(e)"
        }
    )
    result = _run(environment, tmp_path / "run", lm, limits=Limits(depth=0))
    assert "use llm_query_batched on pieces" in str(result.response)


def test_a_child_that_fails_is_an_error_in_the_parents_cell(
    environment: str, tmp_path: Path
) -> None:
    lm = _by_question(
        {
            "root?": "print(context)\n"
            "try:\n    rlm_query('child?')\n"
            "except RuntimeError as e:\n    FINAL_VAR([type(e).__name__, e.cause, str(e)])",
            "child?": "1 / 0",
        }
    )
    result = _run(environment, tmp_path / "run", lm, limits=Limits(turns=2))
    assert result.status == "answered"
    assert result.response is not None
    assert result.response.startswith("['LMError', 'child', 'the child 0.1 ended without an answer")
    assert "turns" in result.response
    check_whole(result)


def test_a_call_of_a_child_is_booked_to_its_cell(environment: str, tmp_path: Path) -> None:
    lm = script(
        "first = llm_query('one')\nprint(context)", "second = llm_query('two')\nFINAL_VAR(second)"
    )
    result = _run(environment, tmp_path / "run", lm)
    assert [(c.cell, c.prompt) for c in calls(result)] == [(1, "one"), (2, "two")]
    assert [c.cell for c in cells(result)] == [1, 2]
