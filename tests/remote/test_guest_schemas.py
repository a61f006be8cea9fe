"""Wanted forms: the schema of a type, and what is wrong with a value, in words."""

from __future__ import annotations

import dataclasses
import enum
import typing
from typing import Any, NotRequired

import pydantic
import pytest
from typing_extensions import TypedDict

from rlm_kernel.remote.guest.forms.schemas import fault, schema_of
from rlm_kernel.remote.guest.forms.type_expressions import UnknownName
from rlm_kernel.remote.guest.forms.type_schemas import NoSchema


class Line(pydantic.BaseModel):
    price: float


class Invoice(pydantic.BaseModel):
    lines: list[Line]
    name: str | None = None


@dataclasses.dataclass
class Node:
    size: int
    below: list[Node] = dataclasses.field(default_factory=list)


class City(TypedDict):
    name: str
    people: NotRequired[int]


class Colour(enum.Enum):
    RED = "red"


class Pair(typing.NamedTuple):
    key: str
    count: int


FIT: list[tuple[Any, Any]] = [
    ("str", "x"), ("text", ""), ("number", 3), ("float", 3.5), ("integer", 3), ("bool", False),
    ("list", [1, "x"]), ("list[str]", []), ("dict[str, list[int]]", {"a": [1]}), ("json", None),
    ("tuple[int, str]", [1, "x"]), ("tuple[int, ...]", [1, 2]), ("Literal['a', 3]", 3),
    ("int | None", None), ("Optional[int]", 3), ("dict[int, str]", {"-1": "x"}), ("Any", [{}]),
    ("date", "2026-01-31"), ("table", {"columns": ["a"], "rows": [[1]]}), (Colour, "red"),
    (Invoice, {"lines": [{"price": 1.5}], "name": None}), (list[Invoice], [{"lines": []}]),
    (Node, {"size": 1, "below": [{"size": 2}]}), (City, {"name": "Bergen"}), (Pair, ["a", 1]),
    ({"type": "array", "minItems": 1}, [0]), ({"$ref": "#/$defs/A", "$defs": {"A": {}}}, 1),
    ({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "x", "type": "null"}, None),
]  # fmt: skip
UNFIT: list[tuple[Any, Any, str]] = [
    ("int", True, "an integer wanted, found true"),
    ("int", 1.5, "an integer wanted, found 1.5"),
    ("int", "3", 'an integer wanted, found the text "3"'),
    ("number", None, "a number wanted, found null"),
    ("list[str]", ["a", 4], "at [1]: text wanted, found 4"),
    ("dict[str, list[int]]", {"a b": [1, "x"]}, "at ['a b'][1]: an integer wanted"),
    ("tuple[int, str]", [1, 2], "at [1]: text wanted, found 2"),
    ("Literal['a', 3]", "c", 'one of "a", 3 wanted, found the text "c"'),
    ("int | None", "x", "an integer or null wanted"),
    ("table", [[1]], "an object wanted, found a list of 1"),
    (Colour, "blue", 'one of "red" wanted, found the text "blue"'),
    (Invoice, {"lines": [{"price": "x"}]}, "at lines[0].price: a number wanted"),
    (Invoice | None, {"lines": [{"price": []}]}, "at lines[0].price: a number wanted"),
    (Invoice, {}, 'the key "lines" is missing'),
    (Node, {"size": 1, "below": [{"size": "x"}]}, "at below[0].size: an integer wanted"),
    (Node, {"size": 1, "colour": 3}, 'the key "colour" is not known'),
    (City, {"name": 3}, "at name: text wanted, found 3"),
    ({"type": "array", "minItems": 3}, [1], "it must contain at least 3 items"),
]
REFUSED: list[tuple[Any, str]] = [
    ("list[", "is no type"), ("", "is no type"), ("1 + 1", "is no type"),
    ("__import__('os').system('x')", "is no type"), ("list[str, int]", "one type"),
    ("int[str]", "is no type"), (3, "JSON has no form for 3"), ("x" * 2_000, "too long"),
    ({"$ref": "https://example.test/x.json"}, "only parts of itself"),
    ({"type": "nothing"}, "no JSON Schema"),
    ({"enum": ["x" * 70_000]}, "65,536 are the most"), ({"enum": [object()]}, "not plain JSON"),
    (type(len), "JSON has no form for"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "value"), FIT, ids=str)
def test_a_value_of_the_wanted_form_fits(form: Any, value: Any) -> None:
    assert fault(schema_of(form), value) is None


@pytest.mark.parametrize(("form", "value", "said"), UNFIT, ids=str)
def test_a_value_of_another_form_is_told_where_what_was_wanted_and_what_was_found(
    form: Any, value: Any, said: str
) -> None:
    assert said in str(fault(schema_of(form), value))


@pytest.mark.parametrize(("form", "said"), REFUSED, ids=lambda part: str(part)[:30])
def test_what_is_no_form_is_refused_in_words(form: Any, said: str) -> None:
    with pytest.raises(NoSchema, match=said):
        schema_of(form)


def test_a_name_that_is_not_known_is_named_and_is_a_class_where_there_is_one() -> None:
    with pytest.raises(UnknownName) as unknown:
        schema_of("list[Invoice]")
    assert unknown.value.name == "Invoice"
    assert schema_of("list[Invoice]", {"Invoice": Invoice})["type"] == "array"
