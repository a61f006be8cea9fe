"""Answers of a wanted form: wrong ones are mended in a turn, and never given out as what they are
not."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypedDict

import pydantic
import pytest

from rlm_kernel import RLM, UsageError
from rlm_kernel.inputs import contexts
from rlm_kernel.inputs.forms import form_of
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.record.recording import Recording
from rlm_kernel.session.session import Result, Session
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import FakeRepl, ScriptedLM

pytestmark = pytest.mark.anyio
FENCE = "`" * 3
LOOK = "print(context)"


class Line(pydantic.BaseModel):
    price: float


class Invoice(pydantic.BaseModel):
    lines: list[Line]
    name: str | None = None


class Even(pydantic.BaseModel):
    number: int

    @pydantic.field_validator("number")
    @classmethod
    def even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("it is odd")
        return number


class City(TypedDict):
    name: str


@dataclasses.dataclass
class Point:
    x: int
    y: int


def block(source: str) -> str:
    return f"{FENCE}python\n{source}\n{FENCE}"


async def ask(folder: Path, wanted: object, *cells: str, turns: int = 4) -> Result:
    """Ask for an answer of a form, of an LM that writes these cells."""
    lm = ScriptedLM([block(source) for source in (LOOK, *cells)])
    force = in_force({"out": folder, "max_turns": turns})
    session = Session(force, Tools(), root=lm, open_runner=FakeRepl.opener())
    form = None if wanted is None else form_of(wanted)
    try:
        return await session.ask(contexts.from_value("seven"), "how many?", form=form)
    finally:
        await session.close()


GIVEN: list[tuple[object, str, str, object]] = [
    (int, "'7'", "7", 7),
    (float, "None", "7", 7.0),
    (bool, "1", "True", True),
    (list[str], "[7]", "['7']", ["7"]),
    (Literal["a", "b"], "'c'", "'b'", "b"),
    (dict[str, int], "{'a': 1.5}", "{'a': 1}", {"a": 1}),
    (tuple[int, str], "(1, 2)", "(1, '2')", (1, "2")),
    (set[int], "[1, 1]", "{1, 2}", {1, 2}),
    (Invoice, "{'lines': [{'price': 'x'}]}", "{'lines': [{'price': 3}]}",
     Invoice(lines=[Line(price=3)])),
    (list[Invoice], "{'lines': []}", "[{'lines': []}]", [Invoice(lines=[])]),
    (Even, "{'number': 3}", "{'number': 4}", Even(number=4)),
    (City, "{'town': 'x'}", "{'name': 'x'}", {"name": "x"}),
    (Point, "(1, 2)", "{'x': 1, 'y': 2}", Point(1, 2)),
    (int | None, "'none'", "None", None),
    ("number", "'3'", "3", 3),
    ({"type": "array", "minItems": 2}, "[1]", "[1, 2]", [1, 2]),
    ({"type": "object", "dependentRequired": {"a": ["b"]}}, "{'a': 1}", "{}", {}),
    (str, "object()", "'x'", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "wrong", "right", "value"), GIVEN, ids=str)
async def test_an_answer_of_another_form_is_mended_in_a_turn(
    tmp_path: Path, wanted: object, wrong: str, right: str, value: object
) -> None:
    result = await ask(tmp_path / "run", wanted, f"FINAL_VAR({wrong})", f"FINAL_VAR({right})")
    assert (result.status, result.confirmed) == ("answered", True), result.reason
    assert result.value == value
    assert type(result.value) is type(value)
    told = [e for e in Recording.open(tmp_path / "run").events if e.kind == "prompted"]
    assert "of the form that is wanted" in str(told[-1].messages)  # type: ignore[union-attr]


@pytest.mark.parametrize(("wanted", "wrong"), [(w, x) for w, x, _, _ in GIVEN], ids=str)
async def test_on_the_last_turn_it_is_given_as_text_unconfirmed_and_why_is_said(
    tmp_path: Path, wanted: object, wrong: str
) -> None:
    result = await ask(tmp_path / "run", wanted, f"FINAL_VAR({wrong})", turns=2)
    assert (result.status, result.confirmed, result.value) == ("limit", False, None)
    assert result.response is not None
    assert "the answer is not of the form that is wanted" in str(result.reason)


async def test_an_answer_that_fits_is_not_lost_for_a_later_one_that_does_not(
    tmp_path: Path,
) -> None:
    cells = "FINAL_VAR(7)\nraise ValueError", "FINAL_VAR('x')"
    result = await ask(tmp_path / "run", int, *cells, turns=3)
    assert (result.status, result.value, result.response) == ("limit", 7, "7")


async def test_an_error_that_the_cell_caught_is_no_answer(tmp_path: Path) -> None:
    caught = "try:\n    FINAL_VAR('x')\nexcept TypeError:\n    pass"
    result = await ask(tmp_path / "run", int, caught, "FINAL_VAR(7)")
    assert (result.status, result.value) == ("answered", 7)


async def test_what_is_ready_in_answer_is_held_to_the_form_too(tmp_path: Path) -> None:
    cells = "answer.update(content='x', ready=True)", "answer.update(content=7, ready=True)"
    assert (await ask(tmp_path / "run", int, *cells)).value == 7


VALUES = ["7", "'7'", "7.5", "None", "[7]", "{'a': 7}", "True", "['a']", "(1, 'a')", "object()"]
FORMS: dict[object, type | tuple[type, ...]] = {
    int: int, str: str, float: float, list[str]: list, dict[str, int]: dict, bool: bool,
}  # fmt: skip


def _fits(wanted: object, value: Any) -> bool:
    if value is None or type(value) is not FORMS[wanted]:
        return False
    if wanted == list[str]:
        return all(type(item) is str for item in value)
    return wanted != dict[str, int] or all(type(item) is int for item in value.values())


def _right(wanted: object) -> str:
    right = {int: "7", str: "'7'", float: "7.5", list[str]: "['a']", bool: "True"}
    return right.get(wanted, "{'a': 7}")  # type: ignore[call-overload,no-any-return]


def scripts(count: int) -> Iterator[tuple[object, list[str], bool]]:
    """Replies from a seed, wrong types among them, and whether one of them is right."""
    draw = random.Random(7)
    for _ in range(count):
        wanted = draw.choice(list(FORMS))
        cells = [f"FINAL_VAR({draw.choice(VALUES)})" for _ in range(draw.randrange(3))]
        mended = draw.random() < 0.9
        yield wanted, [*cells, f"FINAL_VAR({_right(wanted)})"] if mended else cells, mended


async def test_no_wrong_type_is_given_out_and_what_can_be_mended_is_answered(
    tmp_path: Path,
) -> None:
    count = int(os.environ.get("TYPED_ANSWERS", "60"))
    answered = mendable = 0
    for number, (wanted, cells, mended) in enumerate(scripts(count)):
        folder = tmp_path / str(number)
        result = await ask(folder, wanted, *(cells or [LOOK]), turns=len(cells) + 1)
        assert result.value is None or _fits(wanted, result.value), (wanted, cells, result)
        assert result.confirmed == (result.value is not None)
        mendable += mended
        answered += mended and result.confirmed
    assert answered >= 0.99 * mendable


@pytest.mark.parametrize(
    "wanted", ["list[", "Invoice", {"type": 3}, object(), {"$ref": "http://x"}]
)
def test_what_is_no_form_is_refused_before_anything_is_asked(wanted: object) -> None:
    with RLM(ScriptedLM([])) as rlm, pytest.raises(UsageError, match="answer="):
        rlm.completion("x", "?", answer=wanted)
