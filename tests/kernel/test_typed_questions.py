"""Answers in a notebook keep their type: the object itself is bound, and shown as it shows."""

from __future__ import annotations

import json

import pytest
from harness import LM, Front, RunningKernel, block
from records import check_equal, runs

LOOK = block("print(context)")


@pytest.fixture
def ask(lm: LM, front: Front, kernel: RunningKernel):
    def asked(head: str, *cells: str):
        front.run("context = 'seven'")
        lm.say(LOOK, *map(block, cells))
        return front.run(f"%%rlm {head}\nHow many?")

    return asked


def test_the_object_itself_is_bound_by_reference(ask, front: Front, kernel: RunningKernel) -> None:
    front.run("class Thing:\n    __repr__ = lambda self: 'a thing'\nthing = Thing()")
    ask("oslo", "visits = {'a': (1, 2)}\nFINAL_VAR(visits)")
    assert front.run("oslo is visits, oslo['a']").result == "(True, (1, 2))"
    ask("got", "FINAL_VAR(thing)")
    assert front.run("got is thing").result == "True"
    check_equal(runs(kernel)[-1])


def test_a_table_is_shown_as_one_and_bound_as_one(ask, front: Front, kernel: RunningKernel) -> None:
    asked = ask("t", "import pandas\ntable = pandas.DataFrame({'a': [1, 2]})\nFINAL_VAR(table)")
    [result] = asked.of("execute_result")
    assert "<table" in result["content"]["data"]["text/html"]
    assert front.run("t is table").result == "True"
    answer = (runs(kernel)[-1] / "trajectory.ipynb").read_text()
    assert "| a |" in answer
    check_equal(runs(kernel)[-1])


def test_a_figure_is_shown_as_its_picture(ask, front: Front, kernel: RunningKernel) -> None:
    drawn = "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\naxes.plot([1, 2])"
    asked = ask("figure_", f"{drawn}\nplt.close(figure)\nFINAL_VAR(figure)")
    [result] = asked.of("execute_result")
    data = result["content"]["data"]
    assert data["image/png"].startswith("iVBOR")
    assert "answer-0-" in data["text/plain"]
    [picture] = runs(kernel)[-1].glob("answer-0-*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"]({picture.name})" in (runs(kernel)[-1] / "trajectory.ipynb").read_text()


def test_html_that_runs_is_taken_out_of_an_answer(ask) -> None:
    cell = "class Evil:\n    def _repr_html_(self):\n        return '<b>x</b><script>1</script>'"
    [result] = ask("evil", f"{cell}\nFINAL_VAR(Evil())").of("execute_result")
    assert "script" not in json.dumps(result["content"]["data"].get("text/html", ""))


@pytest.mark.parametrize(
    "head", ["n: list[str]", "n:list[str] --max-turns 5", "n --answer=list[str]"]
)
def test_a_type_beside_the_name_is_what_the_answer_must_be(ask, front: Front, head: str) -> None:
    assert ask(head, "FINAL_VAR([7])", "FINAL_VAR(['7'])").result == "['7']"
    assert front.run("n").result == "['7']"


def test_a_class_of_the_kernel_is_a_form(ask, front: Front, kernel: RunningKernel) -> None:
    front.run(
        "import dataclasses\n@dataclasses.dataclass\nclass City:\n    name: str\n    size: int"
    )
    ask("c: list[City]", "FINAL_VAR([{'name': 'Bergen'}])", "FINAL_VAR([City('Bergen', 3)])")
    assert front.run("c[0].size").result == "3"
    check_equal(runs(kernel)[-1])


def test_what_fits_a_class_is_bound_as_an_instance_of_it(
    ask, front: Front, lm: LM, kernel: RunningKernel
) -> None:
    front.run(
        "import dataclasses, pydantic\n@dataclasses.dataclass\nclass Town:\n    name: str\n"
        "class Bill(pydantic.BaseModel):\n    total: float\n    town: Town\n"
        "    @pydantic.field_validator('total')\n    def positive(cls, total):\n"
        "        assert total > 0, 'a total is over 0'\n        return total"
    )
    ask("b: Bill", "FINAL_VAR({'total': -2, 'town': {'name': 'Bergen'}})",
        "FINAL_VAR({'total': 2, 'town': {'name': 'Bergen'}})")  # fmt: skip
    assert front.run("b.town.name, b.total, type(b).__name__").result == "('Bergen', 2.0, 'Bill')"
    turns = [exchange.messages for exchange in lm.endpoint.log if exchange.stream][-3:]
    assert '"total": {"type": "number"}' in str(turns[0][1]["content"])
    assert "a total is over 0" in str(turns[-1][-1]["content"])
    check_equal(runs(kernel)[-1])


def test_a_class_that_is_not_there_is_said_before_anything_is_asked(ask, lm: LM) -> None:
    asked = ask("c: Nowhere", "FINAL_VAR(1)")
    assert asked.error[0] == "UsageError"
    assert "there is no type 'Nowhere'" in asked.error[1]


def test_an_answer_that_does_not_fit_is_not_bound(ask, front: Front) -> None:
    asked = ask("late: int --max-turns 2", "FINAL_VAR('x y')")
    assert "not of the form that is wanted, int" in asked.error[1]
    assert front.run("'late' in globals()").result == "False"


def test_a_humans_own_answer_is_shown_as_what_it_is(front: Front, kernel: RunningKernel) -> None:
    shown = front.run("import pandas\nFINAL_VAR(pandas.DataFrame({'a': [1, 2]}))").of(
        "display_data"
    )
    assert "| a |" in shown[0]["content"]["data"]["text/markdown"]
    dot = "class Dot:\n    def _repr_png_(self):\n        return b'\\x89PNG'\nFINAL_VAR(Dot())"
    shown = front.run(dot).of("display_data")
    assert shown[0]["content"]["data"]["image/png"] == "iVBORw=="
