"""Answers that fit a class's schema are made instances of it; what is one already stays."""

from __future__ import annotations

import datetime
import decimal
import enum
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pydantic
import pytest

from rlm_kernel.remote.guest.answers.answer import check
from rlm_kernel.remote.guest.errors import AnswerRefused
from rlm_kernel.remote.guest.forms.schemas import schema_of
from rlm_kernel.remote.guest.forms.typed_values import of_type


class Colour(enum.Enum):
    RED = "red"


@dataclass
class City:
    name: str
    size: int = 0
    colours: list[Colour] = field(default_factory=list)


@dataclass
class Land:
    capital: City | None
    founded: datetime.date
    code: str = field(init=False, default="")


class Place(typing.NamedTuple):
    x: int
    city: City


class Row(typing.TypedDict):
    city: City


class Invoice(pydantic.BaseModel):
    number: str
    total: float

    @pydantic.field_validator("total")
    @classmethod
    def _positive(cls, total: float) -> float:
        if total <= 0:
            raise ValueError("a total is over 0")
        return total


BERGEN = {"name": "Bergen", "size": 3}
CASES: list[tuple[Any, Any, Any]] = [
    (City, BERGEN, City("Bergen", 3)),
    (City, {"name": "Bergen", "colours": ["red"]}, City("Bergen", 0, [Colour.RED])),
    (list[City], [BERGEN, City("Oslo")], [City("Bergen", 3), City("Oslo")]),
    (list[City], (BERGEN,), [City("Bergen", 3)]),
    (Sequence[City], [BERGEN], [City("Bergen", 3)]),
    (dict[str, City], {"a": BERGEN}, {"a": City("Bergen", 3)}),
    (dict[int, City], {"1": BERGEN}, {1: City("Bergen", 3)}),
    (City | None, None, None),
    (City | str, "Bergen", "Bergen"),
    (City | str, BERGEN, City("Bergen", 3)),
    (typing.Annotated[City, "a town"], BERGEN, City("Bergen", 3)),
    (Place, [1, BERGEN], Place(1, City("Bergen", 3))),
    (Row, {"city": BERGEN}, {"city": City("Bergen", 3)}),
    (Invoice, {"number": "7", "total": 2}, Invoice(number="7", total=2)),
    (Colour, "red", Colour.RED),
    (tuple[int, City], [1, BERGEN], (1, City("Bergen", 3))),
    (tuple[int, ...], [1, 2], (1, 2)),
    (set[str], ["a"], {"a"}),
    (set, [1], {1}),
    (list, (1, 2), [1, 2]),
    (datetime.date, "2020-01-02", datetime.date(2020, 1, 2)),
    (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
    (bytes, "YWI=", b"ab"),
    (float, 3, 3),
    (typing.Literal["a"], "a", "a"),
    (Any, {"a": 1}, {"a": 1}),
    (dict[str, Any], {"a": (1,)}, {"a": (1,)}),
]


@pytest.mark.parametrize(("form", "given", "made"), CASES, ids=str)
def test_what_fits_a_type_is_made_one_of_it(form: Any, given: Any, made: Any) -> None:
    found = of_type(form, given)
    assert found == made
    assert type(found) is type(made)


def test_a_dataclass_has_its_late_fields_too() -> None:
    land = of_type(Land, {"capital": BERGEN, "founded": "1070-01-01", "code": "N"})
    assert land.capital == City("Bergen", 3)
    assert (land.founded.year, land.code) == (1070, "N")


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (City, City("Oslo")),
        (list[City], [City("Oslo")]),
        (dict[str, City], {"a": City("Oslo")}),
        (set[str], {"a"}),
        (tuple[int, ...], (1, 2)),
        (Row, {"city": City("Oslo")}),
        (dict[str, Any], {"a": [1]}),
    ],
    ids=str,
)
def test_what_is_of_its_type_stays_the_same_object(form: Any, value: Any) -> None:
    assert of_type(form, value) is value


def test_the_checks_of_a_class_itself_refuse_an_answer() -> None:
    wanted = {"schema": schema_of(Invoice), "said": "Invoice"}
    with pytest.raises(AnswerRefused, match="a total is over 0"):
        check({"number": "7", "total": -1}, wanted, {"Invoice": Invoice})


@pytest.mark.parametrize("said", ["text", "JSON Schema {}", "Nowhere"])
def test_a_form_that_says_no_type_leaves_the_value(said: str) -> None:
    value = ("a",)
    assert check(value, {"schema": {}, "said": said}, {}) is value
