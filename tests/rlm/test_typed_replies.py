"""``llm_query(prompt, schema=...)``: values that were parsed and checked, asked again once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import ask, ask_here, calls, check_whole, script

from rlm_kernel import Limits, Result
from rlm_kernel.record import trajectory
from rlm_kernel.remote.guest.forms.typed_replies import Misfit, WantedForm
from rlm_kernel.replay.replay import replay
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import FakeEndpoint, ScriptedLM

INVOICE = {
    "type": "object",
    "properties": {"total": {"type": "integer"}, "paid": {"type": "boolean"}},
    "required": ["total"],
}


def _asked(
    source: str, out: Path, sub: Callable[[str], str | Exception], **more: Any
) -> tuple[Result, ScriptedLM]:
    lm = script(f"print(context)\n{source}", "FINAL_VAR('no answer')", sub=sub)
    return ask_here(lm, out, **more), lm


# values in replies
@pytest.mark.parametrize(
    ("form", "reply", "value"),
    [
        ("list[str]", '{"value": ["a", "b"]}', ["a", "b"]),
        ("list[str]", '["a", "b"]', ["a", "b"]),
        ("list[str]", 'Here it is:\n```json\n["a"]\n```\nAnything else?', ["a"]),
        ("list[str]", 'Note [1] and {x}: the list is ["a"], as asked', ["a"]),
        ("int", "7", 7),
        ("int", '{"value": 7.0}', 7),
        ("list[int]", "[1, 2.0]", [1, 2]),
        ("bool", '{"value": true}', True),
        ("Literal['good', 'bad']", "good", "good"),
        ("Literal['good', 'bad']", '"bad"', "bad"),
        ("str", '{"value": "as it is"}', "as it is"),
        ("dict[str, int]", '{"value": 3}', {"value": 3}),
        (INVOICE, '```\n{"total": 12, "paid": false}\n```', {"total": 12, "paid": False}),
        (INVOICE, 'Sure! {"total": 12.0} is what I found.', {"total": 12}),
        (INVOICE, '{"draft": 1}\n{"total": 12}', {"total": 12}),
    ],
    ids=str,
)
def test_the_value_in_a_reply_is_found(form: Any, reply: str, value: object) -> None:
    found = WantedForm(form).value(reply)  # type: ignore[no-untyped-call]
    assert found == value
    assert json.dumps(found) == json.dumps(value)  # of the same types


@pytest.mark.parametrize(
    ("form", "reply", "why"),
    [
        ("int", "seven", 'an integer wanted, found the text "seven"'),
        ("int", "7.5", "an integer wanted, found 7.5"),
        ("int", "true", "an integer wanted, found true"),
        ("float", "NaN", "a number wanted"),
        ("list[int]", '["1"]', "an integer wanted, found the text"),
        (INVOICE, '{"paid": true}', 'the key "total" is missing'),
        (INVOICE, "[" * 100_000, "an object wanted"),
        (INVOICE, "{" * 100_000, "an object wanted"),
    ],
)
def test_a_reply_without_such_a_value_says_why(form: Any, reply: str, why: str) -> None:
    with pytest.raises(Misfit, match=why):
        WantedForm(form).value(reply)  # type: ignore[no-untyped-call]


# in a cell
def test_a_reply_that_does_not_fit_is_asked_for_once_more(tmp_path: Path) -> None:
    def sub(prompt: str) -> str:
        return '{"total": 12}' if "You replied:\ntwelve" in prompt else "twelve"

    source = f"said = llm_query('How much?', schema={INVOICE!r})\nFINAL_VAR(said['total'] + 1)"
    result, lm = _asked(source, tmp_path / "run", sub)
    assert result.response == "13"
    first, second = lm.prompts
    assert first.startswith("How much?\n\nReply with JSON alone")
    assert '"total"' in first
    assert "This does not fit: an object wanted, found the text" in second
    assert [call.reply for call in calls(result)] == ["twelve", '{"total": 12}']


def test_after_two_replies_that_do_not_fit_it_is_an_error(tmp_path: Path) -> None:
    source = (
        "try:\n    llm_query('How much?', schema=int)\n"
        "except RuntimeError as e:\n    FINAL_VAR([type(e).__name__, e.cause, e.attempts, str(e)])"
    )
    result, lm = _asked(source, tmp_path / "run", lambda prompt: "no idea")
    assert str(result.response).startswith("['LMError', 'schema', 2, ")
    assert "asked twice" in str(result.response)
    assert "it was: no idea" in str(result.response)
    assert len(lm.prompts) == 2


def test_in_a_batch_only_what_does_not_fit_is_asked_again_and_named(tmp_path: Path) -> None:
    def sub(prompt: str) -> str | Exception:
        if prompt.startswith("mend") and "You replied" not in prompt:
            return "not yet"
        return "never" if prompt.startswith("never") else '{"value": 5}'

    source = (
        "said = llm_query_batched(['a', 'mend', 'never'], schema=int)\n"
        "FINAL_VAR([said[0], said[1], str(said[2]), said[2].error.cause])"
    )
    result, lm = _asked(source, tmp_path / "run", sub)
    assert "[5, 5, 'Error: prompt 2: the reply does not fit" in str(result.response)
    assert str(result.response).endswith("'schema']")
    assert len(lm.prompts) == 5
    assert [(c.call, c.index, c.count) for c in calls(result)].count((1, 0, 3)) == 1
    assert {c.count for c in calls(result) if c.call == 2} == {2}


def test_both_rounds_are_counted_and_the_first_replies_stand_where_none_is_left(
    tmp_path: Path,
) -> None:
    source = (
        "said = llm_query_batched(['a', 'b'], schema=int)\n"
        "FINAL_VAR([said[0], said[1].error.attempts, limits_left()['calls']])"
    )
    sub = {"a": "1", "b": "none"}
    result, lm = _asked(source, tmp_path / "run", lambda p: sub[p[0]], limits=Limits(calls=2))
    assert result.response == "[1, 1, 0]"
    assert len(lm.prompts) == 2


def test_a_typed_reply_replays_from_the_record(tmp_path: Path) -> None:
    source = (
        "from pydantic import BaseModel\n"
        "class Invoice(BaseModel):\n    total: int\n    paid: bool = False\n"
        "def more(p):\n    return llm_query(p, schema=Invoice)\n"
        "one = more('How much?')\n"
        "two = await llm_query.aio('And there?', schema=list[int])\n"
        "three = await llm_query_batched.aio(['x', 'y'], schema=Invoice)\n"
        "print(one, two, three)\n"
        "FINAL_VAR(f'{one.total} {two} {three[1].paid}')"
    )
    replies = {"How": '{"total": 12, "paid": true}', "And": "[1]", "x": "?", "y": '{"total": "1"}'}

    def sub(prompt: str) -> str:
        first = '{"total": 3}' if "You replied" in prompt else None
        return first or next(said for word, said in replies.items() if prompt.startswith(word))

    lm = script(f"print(context)\n{source}", sub=sub)
    result = ask(lm, tmp_path / "run")
    assert result.response == "12 [1] False"
    check_whole(result)
    verdict = engine().run(replay(trajectory.load(tmp_path / "run"), lambda text: None))
    assert (verdict.differences, verdict.calls) == ([], 6)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("lambda x: x", "JSON has no form"),
        ("'list[nothing]'", "nothing"),
        ("{'type': 'objekt'}", "no JSON Schema"),
        ("{'$ref': 'https://example.org/schema'}", "only parts of itself"),
    ],
)
def test_what_is_no_schema_is_refused_before_anybody_is_asked(
    tmp_path: Path, schema: str, words: str
) -> None:
    source = (
        f"try:\n    llm_query('p', schema={schema})\n"
        "except (TypeError, ValueError) as e:\n    FINAL_VAR(f'{e} ')"
    )
    result, lm = _asked(source, tmp_path / "run", lambda prompt: "1")
    assert words in str(result.response)
    assert lm.prompts == []


def test_an_endpoint_that_has_structured_outputs_is_asked_for_them(tmp_path: Path) -> None:
    turns = iter(["```python\nprint(context)\nFINAL_VAR(llm_query('p', schema=list[int]))\n```"])

    def reply(request: dict[str, Any]) -> str:
        return next(turns) if request["messages"][0]["role"] == "system" else '{"value": [1]}'

    with FakeEndpoint(reply) as endpoint:
        settings = {"base_url": endpoint.base_url, "api_key": "k" * 10, "model": "fake-model"}
        result = ask_here(None, tmp_path / "run", **settings)
        asked = endpoint.log[-1].request["response_format"]
    assert result.response == "[1]"
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"]["properties"]["value"]["type"] == "array"
    assert asked["json_schema"]["strict"] is True


# a thousand replies
RIGHT = ['{"value": [1, 2]}', "[1, 2]", "```json\n[1, 2]\n```", "They are [1, 2].", "[1, 2.0]"]
WRONG = ["one and two", '["1", "2"]', '{"value": 1}', "[1, 2", "", "null", '{"a": [1]}', "[1.5]"]


def test_of_a_thousand_replies_no_wrong_type_comes_out_and_a_repair_mends_the_rest(
    tmp_path: Path,
) -> None:
    def sub(prompt: str) -> str:
        number = int(prompt.split()[0])
        kinds = RIGHT if "You replied" in prompt else WRONG if number % 3 else RIGHT
        if number % 100 == 1:
            kinds = WRONG  # such a one is not to be mended
        return kinds[number % len(kinds)]

    source = (
        "said = llm_query_batched([f'{n} which?' for n in range(1000)], schema=list[int])\n"
        "right = [s for s in said if type(s) is list and s == [1, 2] and "
        "all(type(n) is int for n in s)]\n"
        "failed = [s for s in said if getattr(s, 'error', None)]\n"
        "FINAL_VAR([len(right), len(failed), len(said)])"
    )
    result, _ = _asked(source, tmp_path / "run", sub)
    assert result.response == "[990, 10, 1000]"
