"""The form of an answer as it is written: on a command line, in a task, in a record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlm_kernel import UsageError
from rlm_kernel.answers import Answer
from rlm_kernel.batch import make_tasks
from rlm_kernel.errors import RecordError
from rlm_kernel.inputs.forms import form_in, form_of, form_of_option
from rlm_kernel.kernel.cell_parser import Question, split
from rlm_kernel.remote.guest.forms.type_expressions import UnknownName

SCHEMA = {"type": "array", "items": {"type": "integer"}}


def answer(value: Any) -> Answer:
    return Answer(text=str(value), type=type(value).__name__, value=json.dumps(value))


@pytest.mark.parametrize("written", ["list[int]", json.dumps(SCHEMA), "schema.json"])
def test_a_type_a_schema_and_a_file_with_one_are_the_same_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("schema.json").write_text(json.dumps(SCHEMA))
    form = form_of_option(written)
    assert form.schema == SCHEMA
    assert form.refused(answer([1])) is None
    assert "is not of type 'integer'" in str(form.refused(answer(["x"])))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("list[", "is no type"),
        ('{"type": ', "this is no JSON Schema"),
        ('{"type": "nothing"}', "this is no JSON Schema"),
        ('{"$ref": "file:///etc/passwd"}', "only parts of itself"),
        ("broken.json", "this is no JSON Schema"),
        ("list.json", "a JSON Schema is an object"),
    ],
)
def test_what_is_no_form_is_refused_with_the_ways_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.json").write_text("{")
    Path("list.json").write_text("[]")
    with pytest.raises(UsageError, match=said):
        form_of_option(written)


def test_a_name_that_is_neither_a_type_nor_a_file_is_left_to_the_kernel() -> None:
    with pytest.raises(UnknownName):
        form_of_option("Invoice")
    with pytest.raises(UsageError, match="there is no type 'Invoice'"):
        form_of("Invoice")


def test_a_form_comes_back_from_its_record() -> None:
    form = form_of(list[int])
    assert form_in({"answer": json.loads(json.dumps(form.recorded))}) == form
    assert form_in({}) is None
    with pytest.raises(RecordError, match="only parts of itself"):
        form_in({"answer": {"schema": {"$ref": "http://x"}, "said": "x"}})


def test_a_schema_that_never_ends_is_an_error_in_words() -> None:
    form = form_of({"anyOf": [{"$ref": "#"}]})
    assert "nested too deeply" in str(form.refused(answer(1)))


def test_a_task_has_a_form_of_its_own_or_is_named() -> None:
    task = {"question": "?", "context": "x", "answer_form": "list[int]", "answer": "gold"}
    [made] = make_tasks([task]).tasks
    assert made.form == form_of("list[int]")
    assert made.rest == {"answer": "gold"}
    for wrong in ("Nowhere", 3, {"type": 3}):
        with pytest.raises(UsageError, match="line 1: answer_form"):
            make_tasks([{**task, "answer_form": wrong}])


@pytest.mark.parametrize(
    ("line", "name", "form"),
    [
        ("n: int", "n", "int"),
        ("n:int", "n", "int"),
        ("n: dict[str, int] --max-turns 3", "n", "dict[str, int]"),
        ("n: Literal['a b', \"c\"]", "n", "Literal['a b', \"c\"]"),
        ("n: Invoice", "n", "Invoice"),
        ("n: int | None --model=x", "n", "int | None"),
        ("n --answer 'list[int]'", "n", "list[int]"),
        ("--answer number", "answer_", "number"),
        ("n", "n", None),
        ("--context a:b.txt", "answer_", None),
    ],
)
def test_a_question_has_its_form_beside_the_name(line: str, name: str, form: str | None) -> None:
    question = split(f"%%rlm {line}\nwho?")
    assert isinstance(question, Question)
    assert (question.name, question.form) == (name, form)


@pytest.mark.parametrize("line", ["n: list[", "n: 1 + 1", "n: int --answer number", "n: lambda: 3"])
def test_what_is_no_type_beside_a_name_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match=r"form|no type"):
        split(f"%%rlm {line}\nwho?")
