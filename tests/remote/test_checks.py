"""The figures of a check: intervals by known numbers, and by tables whose error is known."""

from __future__ import annotations

import copy
import math
import pickle
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from bench.checks import ERRORS, Error, trial

from rlm_kernel.remote.guest.errors import CallRefused
from rlm_kernel.remote.guest.maps import intervals
from rlm_kernel.remote.guest.maps.checked import MOST_LABELS, figures
from rlm_kernel.remote.guest.maps.checks import TRIES, Check, Checker
from rlm_kernel.remote.guest.maps.intervals import Measured, Share, corrected, mean, within
from rlm_kernel.remote.guest.maps.items import cut
from rlm_kernel.remote.guest.maps.map import Map


# known numbers
@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (9, 2.2622), (10, 2.2281), (39, 2.0227)],
)
def test_the_quantiles_of_student_s_t(freedom: int, quantile: float) -> None:
    assert intervals.quantile_of_t(freedom) == pytest.approx(quantile, abs=5e-5)


@pytest.mark.parametrize(
    ("found", "drawn", "low", "high"),
    [
        (0, 40, 0.0, 0.08810),
        (1, 20, 0.00127, 0.24873),
        (35, 40, 0.73201, 0.95814),
        (8, 10, 0.44390, 0.97479),
    ],
)
def test_of_a_very_long_table_it_is_the_interval_of_clopper_and_pearson(
    found: int, drawn: int, low: float, high: float
) -> None:
    least, most = within(found, drawn, 1_000_000)
    assert (least / 1e6, most / 1e6) == pytest.approx((low, high), abs=5e-5)


def test_of_a_short_table_every_number_that_is_no_surprise_is_within() -> None:
    def at_most(found: int, there: int) -> float:
        ways = [math.comb(there, k) * math.comb(30 - there, 8 - k) for k in range(found + 1)]
        return sum(ways) / math.comb(30, 8)

    for found in range(9):
        least, most = within(found, 8, 30)
        likely = [
            there
            for there in range(found, 23 + found)
            if at_most(found, there) > 0.025 and 1 - at_most(found - 1, there) > 0.025
        ]
        assert (least, most) == (likely[0], likely[-1])


def test_a_sample_of_all_rows_leaves_nothing_open() -> None:
    assert within(7, 40, 40) == (7, 7)
    assert corrected(10, 40, 40, 10, 4, 2) == Measured(8, 8, 8)
    assert mean([1, 2, 6], 3, 9) == Measured(3, 3, 3)


def test_where_no_difference_was_found_it_is_as_large_as_rows_that_were_not_drawn_allow() -> None:
    most = within(0, 40, 1000)[1] / 1000
    found = mean([0.0] * 40, 1000, 20.0)
    assert (found.value, found.low, found.high) == pytest.approx((0, -20 * most, 20 * most))
    one = mean([3.0, *[0.0] * 39], 1000, 20.0)
    assert one.low < 0 < 0.3 < one.high


def test_where_all_differ_it_is_the_interval_of_student_s_t() -> None:
    found = mean([1.0, 2.0, 3.0, 4.0] * 250, 100_000, 99.0)
    side = 1.9623 * 1.1186 / math.sqrt(1000) * math.sqrt(0.99)
    assert found.value == 2.5
    assert found.high - 2.5 == pytest.approx(side, rel=0.01)


SPREADS: dict[str, Callable[[random.Random], float]] = {
    "all": lambda chance: chance.gauss(1, 2),
    "a fifth": lambda chance: chance.choice([0, 0, 0, 0, chance.randint(1, 5)]),
    "one in twenty": lambda chance: 0.0 if chance.random() < 0.95 else 3.0,
    "long tail": lambda chance: 0.0 if chance.random() < 0.8 else 10 * chance.expovariate(1),
    "one in a hundred": lambda chance: 0.0 if chance.random() < 0.99 else 15.0,
}


@pytest.mark.parametrize("name", SPREADS)
def test_the_interval_of_a_mean_difference_holds_it(name: str) -> None:
    chance = random.Random(name)
    table = [SPREADS[name](chance) for _ in range(500)]
    largest = max(map(abs, table))
    found = [
        mean(random.Random(f"{name} {seed}").sample(table, 40), 500, largest) for seed in range(100)
    ]
    assert sum(one.low <= sum(table) / 500 <= one.high for one in found) >= 93


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Share(0.17, 0.13, 0.21), "17 % ± 4"),
        (Share(0.17, 0.13, 0.25), "17 % (13 to 25)"),
        (Share(1.0, 1.0, 1.0), "100 %"),
        (Share(0.021, 0.018, 0.026), "2.1 % (1.8 to 2.6)"),
        (Measured(68, 52, 84), "68 ± 16"),
        (Measured(-0.5, -0.9, -0.1), "-0.5 ± 0.4"),
    ],
)
def test_a_figure_is_written_with_its_interval(figure: Measured, text: str) -> None:
    assert str(figure) == text


# tables whose error is known
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.name)
def test_the_interval_holds_the_true_share_and_the_corrected_count_is_nearer(error: Error) -> None:
    found = trial(error, 200, 40)
    assert found.held >= 93
    assert found.accuracy_held >= 93
    if error.biased:
        assert found.off_corrected < found.off_given
        assert found.nearer >= 0.93


@pytest.mark.parametrize(("rows", "drawn"), [(60, 40), (1000, 40)])
def test_of_a_short_table_and_of_a_long_one_too(rows: int, drawn: int) -> None:
    found = trial(ERRORS[0], rows, drawn)
    assert found.held >= 93
    assert found.nearer >= 0.93


# how rows are judged
def _map(values: Sequence[Any], **form: Any) -> Map:
    made = Map("Which is it?", **form).over(cut([f"item {at}" for at in range(len(values))]))
    for row, value in zip(made.table.rows, values, strict=True):
        row.value, row.state = value, "failed" if value is None else "ok"
    return made


class Typed:
    """Lines that a human types; ``asked`` is what was shown for each."""

    def __init__(self, *lines: str) -> None:
        self._lines = iter(lines)
        self.asked: list[str] = []
        self.told: list[dict[str, Any]] = []

    def __call__(self, question: str) -> str:
        self.asked.append(question)
        line = next(self._lines, None)
        if line is None:
            raise CallRefused("nobody is there any more")
        return line

    def checker(self, asked: Map) -> Checker:
        return Checker(asked, self, _nobody, self.told.append)


def _nobody(asked: Map, model: str) -> Any:
    raise AssertionError("no model is asked")


def _check(values: Sequence[Any], *lines: str, n: int = 40, **form: Any) -> tuple[Check, Typed]:
    typed = Typed(*lines)
    return typed.checker(_map(values, **form)).check(n, "human", "a seed"), typed


def test_enter_confirms_and_a_label_corrects_however_it_is_written() -> None:
    lines = ("", " HAM ", '"ham"', "", "spam", "")
    check, typed = _check(["spam"] * 6, *lines, labels=["spam", "ham"])
    assert (check.right, check.checked, len(typed.asked)) == (4, 6, 6)
    assert check.counts == {"spam": Measured(4, 4, 4), "ham": Measured(2, 2, 2)}
    assert check.accuracy == Share(4 / 6, 4 / 6, 4 / 6)
    assert {one.right for one in check.corrections} == {"ham"}
    assert [len(pair) for pair in check.examples] == [2, 2]
    again = Map("Which is it?", ["spam", "ham"], examples=check.examples)
    assert again.around > Map("Which is it?", ["spam", "ham"]).around


def test_what_is_no_label_is_asked_again_and_in_the_end_passed_over() -> None:
    lines = ["spma", "ham", *["what?"] * TRIES]
    check, typed = _check(["spam"] * 2, *lines, labels=["spam", "ham"])
    assert (check.checked, check.skipped, check.right) == (1, 1, 0)
    assert typed.asked[1].startswith('"spma" was not taken: one of "spam", "ham" wanted')
    assert "1 of 2" in typed.asked[1]
    assert "1 skipped" in check.line


def test_rows_are_passed_over_and_a_check_that_is_stopped_goes_on_where_it_was() -> None:
    typed = Typed("", "/skip", "", "/stop", "no", "", "", "")
    checker = typed.checker(_map([True] * 10, type=bool))
    first = checker.check(6, "human", None)
    assert (first.checked, first.skipped, first.right) == (2, 1, 2)
    second = checker.check(6, "human", None)
    assert (second.checked, second.skipped, second.right) == (5, 1, 4)
    assert "4 of 6" in typed.asked[4]
    third = checker.check(7, "human", None)
    assert (third.checked, len(typed.asked)) == (6, 8)
    assert [told["checked"] for told in typed.told] == [2, 5, 6]


def test_where_the_human_is_gone_what_was_judged_is_not_lost() -> None:
    typed = Typed("", "")
    checker = typed.checker(_map([True] * 10, type=bool))
    with pytest.raises(CallRefused, match=r"nobody is there any more; t.check\(n=2\) gives"):
        checker.check(6, "human", None)
    assert checker.check(2, "human", None).checked == 2


@pytest.mark.parametrize("lines", [["/stop"], ["/skip", "/skip", "/skip"]])
def test_a_check_in_which_nothing_was_judged_is_an_error(lines: list[str]) -> None:
    with pytest.raises(CallRefused, match="no row was judged"):
        _check([True] * 3, *lines, type=bool)


def test_truth_values_are_typed_as_yes_and_no() -> None:
    check, typed = _check([True, True, False], "no", "TRUE", "", type=bool)
    assert set(check.shares) == {True, False}
    assert check.right == 2
    assert "yes or no" in typed.asked[0]


def test_of_numbers_the_mean_difference_is_given() -> None:
    check, _ = _check([10, 10, 10, 10], "12", "ten", "10", "", "14.0", type=int)
    assert check.difference == Measured(1.5, 1.5, 1.5)  # all rows were drawn
    assert (check.right, check.counts) == (2, {})
    assert "right values less those given: 1.50" in check.line


def test_a_free_text_is_right_apart_from_case_white_space_and_marks_around_it() -> None:
    check, _ = _check(["Paris"] * 4, "paris.", " PARIS ", "", "Rome")
    assert (check.right, check.counts, check.difference) == (3, {}, None)
    typed, _ = _check(["3"] * 2, "3", "4", type=str)
    assert [one.right for one in typed.corrections] == ["4"]


def test_a_value_of_a_schema_is_typed_as_json() -> None:
    form = {"type": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}
    check, typed = _check([{"a": 1}] * 2, '{"a": 2}', '{"b": 2}', '{"a": 1}', **form)
    assert [one.right for one in check.corrections] == [{"a": 2}]
    assert "key" in typed.asked[2].splitlines()[0]


def test_an_item_cannot_pass_for_the_words_around_it() -> None:
    asked = Map("Which is it?", labels=["a", "b"]).over(
        cut(["x\x1b[2J\nThe map says: b\n\u202edesrever"])
    )
    asked.table.rows[0].value, asked.table.rows[0].state = "a", "ok"
    typed = Typed("")
    typed.checker(asked).check(1, "human", None)
    [shown] = typed.asked
    assert "\x1b" not in shown and "\u202e" not in shown  # noqa: PT018 (one fact)
    assert "\n  | The map says: b" in shown
    assert '\nThe map says: "a"' in shown


def test_of_a_long_item_the_beginning_is_shown() -> None:
    asked = Map("Which is it?", labels=["a", "b"]).over(cut(["x" * 100_000]))
    asked.table.rows[0].value, asked.table.rows[0].state = "a", "ok"
    typed = Typed("b")
    check = typed.checker(asked).check(1, "human", None)
    assert "96,000 characters more, in t[0].item" in typed.asked[0]
    assert check.examples == []
    assert len(check.corrections) == 1


def test_the_rows_are_drawn_by_the_table_or_the_seed_and_the_first_stay_the_first() -> None:
    def order(seed: Any, n: int, values: Sequence[str] = ("a",) * 50) -> list[str]:
        typed = Typed(*[""] * n)
        typed.checker(_map(values, labels=["a", "b"])).check(n, "human", seed)
        return [question.split(",")[0] for question in typed.asked]

    assert order(None, 20) == order(None, 20) == order(None, 40)[:20]
    assert order(3, 20) == order(3, 20) != order(4, 20)
    assert order(None, 20) != order(None, 20, ("a",) * 49 + ("b",))


def test_of_very_many_labels_the_accuracy_is_given_alone_and_case_counts() -> None:
    names = [f"label {n}" for n in range(MOST_LABELS)] + ["a", "A"]
    check, typed = _check(["a", "A"], '"A"', "", labels=names)
    assert check.counts == {}
    assert check.right + len(check.corrections) == 2
    assert "label 0, label 1" in typed.asked[0]
    assert len(typed.asked[0]) < 3000


def test_rows_without_a_value_are_not_drawn() -> None:
    check, _ = _check(["a", None, "b", None], "", "", labels=["a", "b"])
    assert (check.rows, check.checked) == (2, 2)
    with pytest.raises(CallRefused, match="no row of this table has a value"):
        _check([None, None], labels=["a", "b"])


def _model(right: Callable[[int], Any]) -> Callable[[Map, str], Any]:
    def ask(asked: Map, model: str) -> Any:
        for row in asked.table.rows:
            row.value = right(row.index)
            row.state = "failed" if row.value is None else "ok"
            row.why = "it is down" if row.value is None else ""
        return asked.table

    return ask


def test_a_model_that_does_not_reply_has_judged_nothing() -> None:
    told: list[Any] = []
    asked = _map(["a"] * 10, labels=["a", "b"])
    part = _model(lambda index: None if index < 4 else "b")
    check = Checker(asked, Typed(), part, told.append).check(10, "large", None)
    assert (check.checked, check.skipped, check.right) == (6, 4, 0)
    assert "by large, 4 skipped" in check.line
    down = Checker(asked, Typed(), _model(lambda index: None), told.append)
    with pytest.raises(CallRefused, match="no row was judged: it is down"):
        down.check(10, "large", None)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0, "human"), ValueError),
        ((1001, "human"), ValueError),
        ((True, "human"), ValueError),
        ((4, ""), TypeError),
        ((4, None), TypeError),
    ],
)
def test_wrong_arguments_are_said(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^check: "):
        Typed().checker(_map(["a"], labels=["a", "b"])).check(*arguments, None)


def test_a_copy_of_a_table_has_its_rows_and_cannot_be_checked() -> None:
    asked = _map(["a"], labels=["a", "b"])
    asked.table.checker = Typed("").checker(asked)
    assert asked.table.check(1).right == 1
    for other in (pickle.loads(pickle.dumps(asked.table)), copy.deepcopy(asked.table)):
        assert other.values == ["a"]
        with pytest.raises(CallRefused, match="only a table that llm_map gave"):
            other.check(1)


# what is told
TOLD = {
    "kind": "check", "question": "Which?", "by": "human", "rows": 10, "checked": 4, "right": 3,
    "skipped": 0, "given": [["a", 6], ["b", 4]], "pairs": [["a", "a", 3], ["a", "b", 1]],
    "differences": [], "largest": 0,
}  # fmt: skip


def test_figures_are_made_of_what_was_told() -> None:
    made = figures(TOLD)
    assert made is not None
    assert made.given == {"a": 6, "b": 4}
    assert made.counts["a"] == Measured(4.5, 3, 9)  # of those given "b" none was drawn


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "tool"},
        {"question": 3},
        {"question": "x" * 201},
        {"rows": 3},
        {"rows": True},
        {"checked": 0},
        {"checked": 10**9, "rows": 10**9},
        {"right": 5},
        {"skipped": -1},
        {"given": [["a", 6]]},
        {"given": [["a", 6], [[], 4]]},
        {"pairs": [["a", "c", 4]]},
        {"pairs": [["a", "a", 3]]},
        {"pairs": [["b", "b", 4], ["a", "a"]]},
        {"differences": [float("nan")]},
        {"differences": ["1"]},
        {"differences": [1.0] * 5},
        {"largest": None},
    ],
)
def test_what_no_check_can_have_found_is_none(change: dict[str, Any]) -> None:
    assert figures({**TOLD, **change}) is None
    assert figures([TOLD]) is None
