"""A question's cells as the human's own: ``%rlm take``, and what "Keep as mine" is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from harness import LM, Front, RunningKernel, block
from pages import Page

from rlm_kernel.kernel.live_cells.mine import LastQuestion

WORDS = "words = context.split()\nprint(len(words))"
FINISH = "FINAL_VAR(f'{len(words)} words')"


@pytest.fixture
def asked(lm: LM, front: Front, kernel: RunningKernel) -> Front:
    (kernel.cwd / "notes.txt").write_text("one two three")
    front.run("%rlm context notes.txt")
    lm.say(f"I count **them**.\n{block(WORDS)}", block(FINISH))
    assert front.run("%%rlm --replay off\nHow many words?").result == "3 words"
    return front


def test_a_turn_becomes_a_cell_below_by_the_one_way_that_needs_no_page(asked: Front) -> None:
    reply = asked.run("%rlm take 1").reply["content"]
    assert reply["payload"] == [{"source": "set_next_input", "text": WORDS, "replace": False}]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("9", "turn 9 of the last question has no cells; those that have: 1, 2"),
        ("x", "'x': give the number of a turn, or all"),
    ],
)
def test_what_cannot_be_taken_is_said(asked: Front, word: str, said: str) -> None:
    assert asked.run("%rlm take").shown == "turns of the last question with cells: 1, 2"
    assert said in asked.run(f"%rlm take {word}").error[1]


def test_all_of_it_becomes_a_notebook_that_plain_python_runs(
    asked: Front, kernel: RunningKernel
) -> None:
    name = asked.run("%rlm take all").shown
    path = kernel.cwd / name
    made = nbformat.read(path, 4)
    nbformat.validate(made)
    assert made.metadata.kernelspec.name == "python3"
    assert [cell.cell_type for cell in made.cells] == ["markdown", "code"] * 3
    assert made.cells[0].source == "### How many words?\n\n3 words"
    assert "rlm" not in str([cell.metadata for cell in made.cells])
    nbclient.NotebookClient(made, resources={"metadata": {"path": str(kernel.cwd)}}).execute()
    assert made.cells[-1].outputs[0]["data"]["text/plain"] == "'3 words'"
    again = asked.run("%rlm take all")
    assert again.error == ("UsageError", f"{name} cannot be written: File exists")
    path.unlink()


def test_the_page_is_told_what_takes_the_place_of_the_question(asked: Front, lm: LM) -> None:
    page = Page(asked)
    lm.say(block("print(llm_query(context))"), block("FINAL_VAR('done')"))
    page.ask("%%rlm\nAsk about it.")
    mine = page.asked["asking"]["mine"]
    page.close()
    assert mine["markdown"] == "### Ask about it.\n\ndone"
    assert mine["needs"] == ["llm_query"]
    assert mine["code"].startswith("# The cells below need the kernel RLM, for llm_query.\n")
    assert "context = open('notes.txt', encoding='utf-8', newline='').read()" in mine["code"]


DATA: dict[str, tuple[str, Any]] = {
    "text.txt": ("one\r\ntwo", "one\r\ntwo"),
    "data.json": (json.dumps({"a": [1]}), {"a": [1]}),
    "lines.jsonl": ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
}


@pytest.mark.parametrize("name", DATA)
def test_the_line_that_loads_the_context_gives_what_the_cells_saw(
    front: Front, kernel: RunningKernel, lm: LM, name: str
) -> None:
    text, value = DATA[name]
    (kernel.cwd / name).write_bytes(text.encode())
    page = Page(front)
    front.run(f"%rlm context {name}")
    lm.say(block("FINAL_VAR(repr(context))"))
    page.ask(f"%%rlm\nWhat is in {name}?")
    loading = page.asked["asking"]["mine"]["code"].split("def FINAL_VAR")[0]
    page.close()
    assert front.run(f"{loading}\ncontext == {value!r}").result == "True"


def test_where_nothing_loads_the_context_a_line_says_what_it_was(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no question of this kernel has cells yet"):
        LastQuestion().notebook(tmp_path)
    loads: Callable[[Path], dict[str, Any]] = LastQuestion().mine
    assert loads(tmp_path)["code"] == ""
