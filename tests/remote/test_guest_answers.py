"""The table of answers: what each kind of value becomes as text, as JSON and as a file."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import json
import pathlib
import uuid
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pydantic
import pytest
from IPython.core import display

from rlm_kernel.remote.guest.answers import answer as answers
from rlm_kernel.remote.guest.answers.answer import written
from rlm_kernel.remote.guest.forms.answer_tables import HEAD_ROWS


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Point:
    x: int
    at: dt.date


class Model(pydantic.BaseModel):
    size: int
    at: dt.date


class Pair(NamedTuple):
    key: str
    count: int


class Plain:
    def __str__(self) -> str:
        return "a plain one"


NAN, INF = float("nan"), float("inf")
DAY = dt.date(2026, 1, 31)
TABLE: list[tuple[str, Any, Any]] = [
    ("str", "x", "x"),
    ("int", 7, 7),
    ("a large int", 10**30, 10**30),
    ("an int of 5,000 digits", 10**4999, "1" + "0" * 4999),
    ("bool", True, True),
    ("None", None, None),
    ("float", 1.5, 1.5),
    ("NaN", NAN, None),
    ("infinity", [INF, -INF], ["Infinity", "-Infinity"]),
    ("tuple", (1, "a"), [1, "a"]),
    ("a named tuple", Pair("a", 1), ["a", 1]),
    ("set", {3, 1, 2}, [1, 2, 3]),
    ("a set of several types", frozenset({"b", 1}), [1, "b"]),
    ("deque", collections.deque([1, 2]), [1, 2]),
    ("range", range(3), [0, 1, 2]),
    ("dict_keys", {"a": 1}.keys(), ["a"]),
    ("dict_values", {"a": 1}.values(), [1]),
    ("int keys", {1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
    ("other keys", {(1, 2): 3, DAY: 4}, {"(1, 2)": 3, "2026-01-31": 4}),
    ("keys that would be one", {1: "a", "1": "b"}, [[1, "a"], ["1", "b"]]),
    ("Counter", collections.Counter("aab"), {"a": 2, "b": 1}),
    ("Decimal", decimal.Decimal("1.10"), "1.10"),
    ("a Decimal's NaN", decimal.Decimal("NaN"), None),
    ("Fraction", fractions.Fraction(1, 3), "1/3"),
    ("complex", 1 + 2j, "(1+2j)"),
    ("date", DAY, "2026-01-31"),
    ("datetime", dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC), "2026-01-31T12:00:00+00:00"),
    ("time", dt.time(12, 30), "12:30:00"),
    ("timedelta", dt.timedelta(days=1, seconds=2.5), "P1DT2.5S"),
    ("a negative timedelta", -dt.timedelta(seconds=1), "-P0DT1S"),
    ("bytes", b"hi", "aGk="),
    ("Path", pathlib.PurePosixPath("/a/b"), "/a/b"),
    ("UUID", uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ("Enum", [Colour.RED, Level.LOW], ["red", 1]),
    ("dataclass", Point(1, DAY), {"x": 1, "at": "2026-01-31"}),
    ("pydantic model", Model(size=1, at=DAY), {"size": 1, "at": "2026-01-31"}),
    ("models in a list", [Model(size=1, at=DAY)], [{"size": 1, "at": "2026-01-31"}]),
    ("numpy scalars", [np.float64(1.5), np.int64(3), np.bool_(True), np.str_("x")],
     [1.5, 3, True, "x"]),
    ("numpy NaN", np.float32("nan"), None),
    ("a longdouble", np.longdouble(1.5), 1.5),
    ("array", np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
    ("an array of no dimension", np.array(3), 3),
    ("an array of times", np.array(["2026-01-31", "NaT"], "datetime64[ns]"),
     ["2026-01-31T00:00:00", None]),
    ("a structured array", np.array([(1, 2.5)], [("a", int), ("b", float)]), [{"a": 1, "b": 2.5}]),
    ("Timestamp", pd.Timestamp("2026-01-31"), "2026-01-31T00:00:00"),
    ("NaT, NA", [pd.NaT, pd.NA], [None, None]),
    ("Timedelta", pd.Timedelta(days=1), "P1DT0S"),
    ("Index", pd.Index(["a", "b"]), ["a", "b"]),
    ("DataFrame", pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
     {"columns": ["a", "b"], "rows": [[1, "x"], [2, None]]}),
    ("a DataFrame with an index", pd.DataFrame({"a": [1.5, NAN]}, index=["x", "y"]),
     {"columns": ["a"], "rows": [[1.5], [None]], "index": ["x", "y"]}),
    ("Series", pd.Series([1, 2], name="n"), {"columns": ["n"], "rows": [[1], [2]]}),
    ("a table in a dict", {"t": pd.DataFrame({"a": [DAY]})},
     {"t": {"columns": ["a"], "rows": [["2026-01-31"]]}}),
    ("anything else", Plain(), "a plain one"),
    ("anything else in a list", [Plain()], ["a plain one"]),
]  # fmt: skip


def value_of(made: answers.Written) -> Any:
    return made.text if made.json is None else json.loads(made.json)


@pytest.mark.parametrize(("value", "data"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_a_value_becomes_json_by_the_table(value: Any, data: Any) -> None:
    made = written(value)
    assert value_of(made) == data
    assert type(value_of(made)) is type(data)
    assert made.type == type(value).__name__
    assert made.notice is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.arange(3000), "2999]"),
        ({"t": pd.DataFrame({f"c{n}": range(100) for n in range(40)})}, "c39"),
        ([np.float64(1.5), np.int64(3)], "[1.5, 3]"),
        (pd.DataFrame({"a": range(300)}), "299"),
        ([pd.Series(range(300))], "299"),
        (pd.Series(["x" * 200]).to_frame(), "x" * 200),
    ],
    ids=["array", "a table in a dict", "scalars", "DataFrame", "a Series in a list", "a long cell"],
)
def test_texts_are_whole(value: Any, text: str) -> None:
    made = written(value)
    assert text in made.text
    assert "..." not in made.text


@pytest.mark.parametrize("kind", [display.Markdown, display.HTML, display.Latex])
def test_what_is_for_display_is_given_as_its_text(kind: Any) -> None:
    made = written(kind("**Oslo**"))
    assert (made.text, made.type, made.json) == ("**Oslo**", kind.__name__, None)


def test_what_contains_itself_is_given_as_text_and_that_is_said() -> None:
    cyclic: list[Any] = [1]
    cyclic.append(cyclic)
    made = written(cyclic)
    assert (made.text, made.type, made.json) == ("[1, [...]]", "list", None)
    assert "contains itself" in str(made.notice)


def test_what_is_nested_too_deeply_is_said() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    made = written(deep)
    assert made.json is None
    assert "nested" in str(made.notice) or "recursion" in str(made.notice)


def test_what_is_too_large_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_CHARS", 10)
    made = written("x" * 11)
    assert made.text.startswith("x" * 10 + "\n… (cut: the first 10 of 11 characters)")
    assert made.notice is not None


def test_a_large_table_is_its_head_marked_as_cut_and_a_file_of_the_whole() -> None:
    made = written(pd.DataFrame({"a": range(60_000)}))
    data = value_of(made)
    assert (len(data["rows"]), data["row_count"], data["cut"]) == (HEAD_ROWS, 60_000, True)
    assert "cut: the first 100 of 60,000 rows" in made.text
    assert made.attached is not None
    assert made.attached.suffix == "csv"
    assert made.attached.data.decode().splitlines()[::60_000] == ["a", "59999"]


def test_a_picture_comes_as_a_file() -> None:
    made = written(Plain(), lambda value: {"image/png": "iVBORw0K"})
    assert made.attached == ("png", b"\x89PNG\r\n")
    assert value_of(made) == "a plain one"


def test_a_later_change_changes_nothing() -> None:
    value = [1]
    made = written(value)
    value.append(2)
    assert (made.text, made.json) == ("[1]", "[1]")


class Broken:
    def __str__(self) -> str:
        raise ValueError("no text")


def test_a_value_whose_own_methods_fail_is_named_and_that_is_said() -> None:
    made = written(Broken())
    assert made.text == "<a Broken that cannot be written>"
    assert "no text" in str(made.notice)
