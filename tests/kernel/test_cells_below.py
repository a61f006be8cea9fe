"""Cells that an LM wrote, handed in with the rest of their notebook, by whatever runs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import LM, Front, RunningKernel, block, running_kernel
from headless import Headless
from pages import Page
from records import check_equal, runs

NUMBERS = "n = len(context)\nprint('counted', n)"
ASKED = "reply = llm_query('how?')\nprint(reply, n)"
FINISH = "FINAL_VAR(f'There are {n}.')"
QUESTION = "%%rlm\nHow many?"
GONE = {"RLM_BASE_URL": "http://127.0.0.1:9/v1", "RLM_API_KEY": "x", "RLM_MODEL": "fake-model"}


@pytest.fixture
def page(lm: LM, front: Front) -> Iterator[Page]:
    """A page whose question has been answered, by three cells."""
    front.run("context = 'abc'")
    page = Page(front)
    lm.say(block(NUMBERS), block(ASKED), block(FINISH))
    page.say(type="anew", cell="asking")
    page.ask(QUESTION)
    lm.say()
    lm.endpoint.log.clear()
    yield page
    page.close()


def _outputs(page: Page, number: int) -> list[object]:
    return [c.get("outputs", []) for c in page.cells.values() if c["kind"] == "code"][number]


def test_the_cells_of_the_question_are_not_run_again(lm: LM, front: Front, page: Page) -> None:
    for number, source in enumerate((NUMBERS, ASKED, FINISH)):
        outcome = front.run(source)
        content = [{k: v for k, v in m["content"].items()} for m in outcome.of("stream")]
        assert content == [
            {k: v for k, v in output.items() if k != "output_type"}
            for output in _outputs(page, number)  # type: ignore[attr-defined]
            if output["output_type"] == "stream"
        ]
        code = [c for c in page.cells.values() if c["kind"] == "code"]
        assert outcome.count == code[number]["count"]
    assert lm.endpoint.log == []


def test_once_more_it_runs(lm: LM, front: Front, page: Page) -> None:
    front.run(NUMBERS)
    assert front.run("n = 100").status == "ok"
    assert front.run("print(n)").stream() == "100\n"
    assert front.run(NUMBERS).stream() == "counted 3\n"
    assert front.run("n").result == "3"


def test_a_cell_that_is_changed_runs_and_is_named_and_so_do_those_that_need_it(
    lm: LM, front: Front, page: Page, kernel: RunningKernel
) -> None:
    changed = NUMBERS.replace("len(context)", "42")
    front.run("%rlm mode python")
    assert "question before it: \n" not in kernel.log, "a line of ours is no cell"
    assert front.run(changed).stream() == "counted 42\n"
    assert "run, as it is no cell of the question before it: n = 42" in kernel.log
    assert front.run(ASKED).stream() == "<how?> 42\n"
    assert len(lm.endpoint.log) == 1


@pytest.mark.parametrize(
    ("own", "asked"), [("print(n)", 0), ("'a look'", 0), ("n = n + 1", 1), ("n.real = 1", 1)]
)
def test_a_cell_of_the_humans_in_between_matters_if_it_changes_what_the_next_reads(
    lm: LM, front: Front, page: Page, own: str, asked: int
) -> None:
    front.run(NUMBERS)
    front.run(own)
    front.run(ASKED)
    assert len(lm.endpoint.log) == asked


def test_run_all_twice_asks_no_lm_and_the_cells_stay_what_they_are(
    lm: LM, front: Front, page: Page
) -> None:
    before = {key: cell["source"] for key, cell in page.cells.items()}
    for _ in range(2):
        asked = page.ask(QUESTION)
        assert asked.result == "There are 3."
        assert "from the record" in asked.shown
        for source in (NUMBERS, ASKED, FINISH):
            assert front.run(source).status == "ok"
        assert {key: cell["source"] for key, cell in page.cells.items()} == before
    assert lm.endpoint.log == []


def test_a_cell_that_failed_for_want_of_a_name_fails_again_in_the_kernel_that_has_it_by_now(
    lm: LM, front: Front, page: Page, kernel: RunningKernel
) -> None:
    early, late = "print(total + mine)", "total = 40 + mine\nmine += 0"
    front.run("mine = 2")
    lm.say(block(early), block(late), block(early + "\nFINAL_VAR(total)"))
    question = "%%rlm\nHow many in all?"
    assert page.ask(question).result == "42"
    lm.say()
    for _ in range(2):
        asked = page.ask(question)
        assert (asked.result, "from the record" in asked.shown) == ("42", True)
        code = [cell for cell in page.cells.values() if cell["kind"] == "code"]
        assert [cell["state"] for cell in code] == ["error", "ok", "ok"], page.cells
    assert front.run("total, mine").result == "(42, 2)"
    check_equal(runs(kernel)[-1])
    lm.say(block("FINAL_VAR(total + 1)"))
    assert front.run("%%rlm\nAnd one more?").result == "43"
    check_equal(runs(kernel)[-1])


def test_the_human_may_have_the_question_asked_anew(lm: LM, front: Front, page: Page) -> None:
    lm.say(block("FINAL_VAR('another ' + context)"))
    page.say(type="anew", cell="asking")
    assert page.ask(QUESTION).result == "another abc"
    lm.say(block("FINAL_VAR('a third ' + context)"))
    assert front.run("%%rlm --replay off\nHow many?").result == "a third abc"


def test_cells_of_an_earlier_run_say_so_instead_of_running(
    lm: LM, front: Front, page: Page
) -> None:
    front.run("context = 'abcdef'")
    lm.say(block("FINAL_VAR(str(len(context)))"))
    assert page.ask(QUESTION).result == "6"
    said = front.run(ASKED)
    assert said.status == "ok"
    assert "Not run: an LM wrote this cell when the question above was asked before" in (
        said.stream("stderr")
    )
    assert lm.endpoint.log[-1].model == "fake-model"
    assert front.run("reply = 0; n = 7").status == "ok"
    assert front.run(ASKED).stream() == "<how?> 7\n"


def test_a_question_without_cells_in_a_notebook_is_asked_each_time(lm: LM, front: Front) -> None:
    front.run("context = 'xyz'")
    for answer in ("one", "two"):
        lm.say(block(f"FINAL_VAR(context + '{answer}')"))
        assert front.run("%%rlm\nWhich?").result == f"xyz{answer}"


def test_the_lm_is_told_at_continue_which_of_its_cells_were_edited(
    lm: LM, front: Front, page: Page
) -> None:
    key = next(key for key, cell in page.cells.items() if cell.get("source") == NUMBERS)
    page.say(type="touched", key=key, source="n = 5  # mine")
    lm.say(block("FINAL_VAR(f'now {n}')"))
    assert page.ask("%rlm continue\ngo on").result == "now 3"
    last = str(lm.endpoint.log[-1].request["messages"][-1])
    assert "the human has changed your cell of turn 1, and has not run it" in last
    assert "n = 5  # mine" in last
    lm.say(block("FINAL_VAR('again ' + context)"))
    page.ask("%rlm continue")
    assert "# mine" not in str(lm.endpoint.log[-1].request["messages"][-1])


@pytest.fixture(scope="module")
def recorded(lm: LM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose cells are in a notebook."""
    folder = tmp_path_factory.mktemp("recorded")
    with running_kernel(folder, env=lm.environment) as kernel:
        (kernel.cwd / "notes.txt").write_text("a note\n" * 10)
        front = kernel.front()
        page = Page(front)
        front.run("%rlm context notes.txt")
        lm.say(block(NUMBERS), block("1 / 0"), block(ASKED), block(FINISH))
        assert page.ask(QUESTION).result == "There are 70."
        [run] = runs(kernel)
        check_equal(run)
    return run


CELLS = ("%rlm context notes.txt", QUESTION, NUMBERS, "1 / 0", ASKED, FINISH, "n, answer_")


@pytest.mark.parametrize("tool", ["nbclient", "papermill"])
def test_a_notebook_with_cells_of_an_lm_runs_from_the_record_with_no_lm(
    recorded: Path, tmp_path: Path, prefix: Path, tool: str
) -> None:
    headless = Headless(tmp_path, prefix, GONE)
    shutil.copytree(recorded, headless.folder / "rlm-runs" / recorded.name)
    headless.write(*CELLS)
    if tool == "nbclient":
        status, said = headless.execute_here(headless.folder / "asked.ipynb")
        assert (status, said) == (0, "(70, 'There are 70.')")
    else:
        done = headless.run("papermill", "asked.ipynb", "done.ipynb")
        assert done.returncode == 0, done.stderr
    assert headless.outputs(2) == ["counted 70\n"]
    assert headless.outputs(4) == ["<how?> 70\n"]
    assert headless.outputs(6) == ["(70, 'There are 70.')"]


def test_where_the_record_does_not_fit_and_no_lm_is_there_the_question_fails_and_the_cells_say_so(
    recorded: Path, tmp_path: Path
) -> None:
    with running_kernel(tmp_path) as kernel:
        (kernel.cwd / "notes.txt").write_text("another note\n")
        shutil.copytree(recorded, kernel.cwd / "rlm-runs" / recorded.name)
        front = kernel.front()
        front.run(CELLS[0])
        asked = front.run(QUESTION)
        assert "no LM is set" in asked.error[1]
        assert "had another context" in asked.error[1]
        assert "Not run:" in front.run(NUMBERS).stream("stderr")
        assert front.run("'n' in globals()").result == "False"
