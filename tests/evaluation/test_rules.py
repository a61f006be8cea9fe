"""The rules by which an evaluation calls an answer right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlm_kernel.batch import Task, make_tasks
from rlm_kernel.evaluation import score, wilson
from rlm_kernel.evaluation.grid import as_text
from rlm_kernel.evaluation.rules import answer_chars
from rlm_kernel.evaluation.sets import SETS, Wanted, size

WORDS = ["amber", "basil"]


def _task(rule: str, gold: Any, question: str = "Which?", **more: Any) -> Task:
    fields = {"rule": rule, "expected": gold, "answer_chars": answer_chars(gold), **more}
    [task] = make_tasks([{"question": question, "context": "c", **fields}]).tasks
    return task


@pytest.mark.parametrize(
    ("rule", "gold", "answer", "right"),
    [
        ("number", 14, "14", True),
        ("number", 1400, "There are 1,400 of them.", True),
        ("number", 14, "**14**", True),
        ("number", 14, "14 or 15", False),
        ("number", 14, "none", False),
        ("number", 14, "140", False),
        ("number", 12.9, "12.9%", True),
        ("number", 12.9, "12.8", False),
        ("number", 245.36, "$245.36", True),
        ("number", 3, "In 2024 there were 3.", True),
        ("text", "Dijon", "dijon.", True),
        ("text", "Dijon", "The office is in Dijon.", True),
        ("text", "Dijon", "Dijon or Essen", False),
        ("text", "Dijon", "Dijonais", False),
        ("text", "a/b.py", "It is a/b.py", True),
        ("text", ["Ada", "Bruno"], "Bruno", True),
        ("list", ["a", "b"], '["b", "a"]', True),
        ("list", ["a", "b"], "They are: a and b", True),
        ("list", ["a", "b"], "- a\n- b", True),
        ("list", ["a", "b"], "a", False),
        ("list", ["a", "b"], "a, b, c", False),
        ("order", ["a", "b"], "1. a\n2. b", True),
        ("order", ["a", "b"], "b, a", False),
        ("order", ["ox", "elk"], "   name  n\n13  ox  288\n1   elk 245", True),
        ("order", ["ox", "elk"], "   name  n\n1   elk 245\n13  ox  288", False),
        ("list", ["ox", "elk"], "   name  n\n1   elk 245\n13  ox  288", True),
        ("list", ["ox", "elk"], "elk 245\nox 288\nEssen 9", False),
    ],
)
def test_an_answer_is_right_by_its_rule(rule: str, gold: Any, answer: str, right: bool) -> None:
    task = _task(rule, gold, "How many in 2024?", others=["Essen", "b.py"])
    assert score(task, answer) is right


def test_no_answer_is_wrong_and_without_a_rule_what_is_expected_counts() -> None:
    assert score(_task("text", "x"), None) is False
    [task] = make_tasks([{"question": "Q?", "context": "c", "expected": 7}]).tasks
    assert (score(task, " 7. "), score(task, "about 7")) == (True, False)
    [unknown] = make_tasks([{"question": "Q?", "context": "c"}]).tasks
    assert score(unknown, "7") is None


def test_parts_count_by_their_share(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("amber basil cedar dune")
    task = _task("parts", WORDS)
    fields = {**task.fields, "context_path": str(tmp_path / "c.txt")}
    del fields["context"]
    [task] = make_tasks([fields]).tasks
    assert score(task, "basil, and amber") == 1.0
    assert score(task, "basil only") == 0.5
    assert score(task, "amber basil cedar") == 0.0, "a stretch of the context"


@pytest.mark.parametrize("of", ["asked", "labels", "needles", "sources"])
def test_a_dump_of_the_context_scores_nothing(of: str) -> None:
    for kind in SETS[of].kinds:
        made = kind.make(Wanted(kind, 0, 20_000).chance, 20_000)
        task = _task(kind.rule, made.gold, "Q?", others=list(made.others))
        text = as_text(made.context)
        assert size(made.context) > 10_000
        for dump in (text, text[:2000], text[-5000:]):
            assert not score(task, dump), kind.name


def test_an_interval_is_wilsons() -> None:
    # By R: binom::binom.wilson(8, 10), (0, 10), (10, 10)
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-5)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775328), abs=1e-5)
    assert wilson(10, 10) == pytest.approx((0.7224672, 1.0), abs=1e-5)
    assert wilson(0, 0) == (0.0, 1.0)
