"""Which recorded cell a notebook's cell is, and what its human's cells say for a replay."""

from __future__ import annotations

import pytest

from rlm_kernel.errors import UsageError
from rlm_kernel.kernel.replaying.parameters import Parameters
from rlm_kernel.kernel.replaying.progress import ReplayProgress
from rlm_kernel.record.notebooks.sources import same
from rlm_kernel.record.trajectory import RecordedCell, RecordedContext


def _cell(number: int, source: str, status: str = "ok") -> RecordedCell:
    return RecordedCell(number, 1, source, "lm", status, None, "", [])


NOTES, LATER = RecordedContext({"name": "notes"}), RecordedContext({"name": "later"})


@pytest.fixture
def course() -> ReplayProgress:
    asked = "print(llm_query('again?'))"
    steps = [NOTES, _cell(1, asked), LATER, _cell(2, asked), _cell(3, "x = 1"), _cell(4, asked)]
    return ReplayProgress(steps)


def _run(course: ReplayProgress, source: str) -> tuple[int, list[RecordedContext], str | None]:
    place = course.find(source)
    assert place is not None
    cell, due, late = course.take(place)
    return cell.cell, due, late


def test_equal_cells_are_taken_in_their_order(course: ReplayProgress) -> None:
    asked = "print(llm_query('again?'))"
    assert course.begin() == [NOTES]
    assert _run(course, asked) == (1, [], None)
    assert _run(course, asked) == (2, [LATER], None)
    assert _run(course, "x = 1") == (3, [], None)
    assert _run(course, asked) == (4, [], None)
    assert course.find(asked) is None
    assert course.left_out == []


def test_a_cell_that_was_passed_over_is_taken_late(course: ReplayProgress) -> None:
    course.begin()
    assert _run(course, "x = 1") == (3, [LATER], None)
    assert [cell.cell for cell in course.left_out] == [1, 2, 4]
    asked = "print(llm_query('again?'))"
    assert _run(course, asked) == (4, [], None)
    assert _run(course, asked) == (
        1, [], "cell 1 was run after cell 4, in the record before it"
    )  # fmt: skip
    assert course.expected is None


def test_an_interrupted_cell_is_not_missed() -> None:
    course = ReplayProgress([_cell(1, "x = 1"), _cell(2, "while True: pass", "interrupted")])
    assert [cell.cell for cell in course.left_out] == [1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 'a'\n", 'x = "a"  # why'),
        ("f(a,\n  b)\r\n", "f(a, b)"),
        ("!ls\n", "!ls"),
        ("print('\ud800')", "print('\ufffd')"),
    ],
)
def test_layout_is_no_difference(one: str, other: str) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("x = 1", "x = 2"), ("!ls", "!ls -l"), ("if x:\n  y", "if x:\n  z"), ("(" * 999, "[" * 999)],
)
def test_what_does_something_else_is_one(one: str, other: str) -> None:
    assert not same(one, other)


def test_parameters_are_read_off_the_cells() -> None:
    parameters = Parameters()
    assert parameters.path("context_path") is None
    parameters.note("# Parameters\ncontext_path = \"other.txt\"\ntrajectory_path: str = 'run'\n")
    assert parameters.path("context_path") == "other.txt"
    assert parameters.path("trajectory_path") == "run"
    parameters.note("if False:\n    context_path = 'another.txt'\nprint(context_path")
    assert parameters.path("context_path") == "other.txt"
    parameters.note("context_path = None")
    assert parameters.path("context_path") is None
    parameters.note("context_path = folder + '/other.txt'")
    with pytest.raises(UsageError, match="context_path must be None or a path in quotes"):
        parameters.path("context_path")
