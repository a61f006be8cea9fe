"""Calls that fail: the words for the LM whose cell asked, and those for the human."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path
from typing import Any

from asking import ask_here, block, calls

from rlm_kernel.record.notebooks.subcalls import sub_calls
from rlm_kernel.testing import FakeEndpoint, Garbage, Say, Status

ASKED = block(
    "print(context)",
    "try:\n    llm_query('one')\nexcept Exception as e:\n    told = str(e)\nFINAL_VAR(told)",
)


def failing(fault: Any, turn: str = ASKED) -> FakeEndpoint:
    return FakeEndpoint(
        lambda request: turn if request.get("stream") else fault,
        models=("gpt-large", "gpt-small", "author"),
    )


def run(fake: FakeEndpoint, out: Path) -> Any:
    settings = {"base_url": fake.base_url, "model": "author", "sub_model": "sub", "retries": 0}
    return ask_here(None, out, **settings)


def test_a_cell_is_told_what_it_can_mend_and_the_human_the_rest(tmp_path: Path) -> None:
    with failing(Status(401, {"error": {"message": "see https://keys.test"}})) as fake:
        result = run(fake, tmp_path / "run")
    assert result.response == "the LM is closed to this run. Asking again does not help."
    [call] = calls(result)
    assert call.error is not None
    assert call.error["message"] == result.response
    for words in ("RLM_API_KEY", "see https://keys.test", fake.base_url):
        assert words in call.error["detail"]
        assert words in unescape(sub_calls([call], str))


def test_a_model_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    turn = ASKED.replace("llm_query('one')", "llm_query('one', model='gpt-nonsense')")
    with failing(Status(404, {"error": {"message": "model not found"}}), turn) as fake:
        result = run(fake, tmp_path / "run")
    assert "there is no model 'gpt-nonsense'" in result.response
    assert "It has: gpt-large, gpt-small, author." in result.response
    assert "RLM_MODEL" not in result.response


def test_a_reply_that_is_thought_apart_alone_is_not_paid_for_again(tmp_path: Path) -> None:
    thought = Say("", reasoning="a long thought")
    said = iter([thought, ASKED])
    with FakeEndpoint(lambda r: next(said) if r.get("stream") else thought) as fake:
        result = run(fake, tmp_path / "run")
    assert len(fake.log) == 3
    assert "thoughts and nothing else" in fake.log[1].messages[-1]["content"]
    assert "replied with thoughts and no answer" in result.response


def test_a_call_of_a_tool_in_place_of_a_text_is_said(tmp_path: Path) -> None:
    call = {
        "message": {"content": None, "tool_calls": [{"id": "1"}]},
        "finish_reason": "tool_calls",
    }
    with failing(Garbage(json.dumps({"choices": [call]}))) as fake:
        result = run(fake, tmp_path / "run")
    assert result.response.startswith("the LM replied with no text: only a call of a tool.")
