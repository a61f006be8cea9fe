"""Runs with children, through ``RLM``, in any environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asking import ask, by_question, check_whole, events, of
from environments import sandbox

from rlm_kernel import Limits, Result
from rlm_kernel.events import NodeStarted
from rlm_kernel.testing import ScriptedLM


def _run(environment: str, out: Path, lm: ScriptedLM, **more: Any) -> Result:
    return ask(lm, out, "the parent's", "root?", **more, **sandbox(environment))


GIVEN = ["a\r\n\ud800", b"\x00\xff", [1, "two", None], (1, {2: 3})]


def test_children_get_their_contexts_equal_and_of_their_types(
    environment: str, tmp_path: Path
) -> None:
    lm = by_question(
        {
            "root?": "print(context)\n"
            f"FINAL_VAR([rlm_query('child?', each) for each in {GIVEN!r}])",
            "child?": "print(len(context))\nFINAL_VAR(type(context).__name__ + ascii(context))",
        }
    )
    result = _run(environment, tmp_path / "run", lm)
    assert result.status == "answered"
    assert result.response == str([type(each).__name__ + ascii(each) for each in GIVEN])
    check_whole(result)


def test_without_a_context_the_prompt_is_the_childs_context(
    environment: str, tmp_path: Path
) -> None:
    lm = by_question(
        {
            "root?": "FINAL_VAR(rlm_query('child?') + context)",
            "child?": "FINAL_VAR(context + '!')",
        }
    )
    assert _run(environment, tmp_path / "run", lm).response == "child?!the parent's"


def test_a_batch_of_children_comes_back_in_order(environment: str, tmp_path: Path) -> None:
    lm = by_question(
        {
            "root?": "print(context)\nFINAL_VAR(rlm_query_batched(['child?'] * 3, list('abc')))",
            "child?": "FINAL_VAR(context * 2)",
        }
    )
    result = _run(environment, tmp_path / "run", lm)
    assert result.response == "['aa', 'bb', 'cc']"
    assert sorted(n.node for n in of(NodeStarted, events(result))) == ["0", "0.1", "0.2", "0.3"]


def test_two_levels_of_children(environment: str, tmp_path: Path) -> None:
    lm = by_question(
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
