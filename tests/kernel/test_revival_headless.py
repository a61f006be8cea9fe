"""Trajectories are run again by the commands that run notebooks, after other tools had them."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from harness import LM
from headless import Headless, last
from replay_helpers import ANSWER, begin, deep, edit, small, sources

pytestmark = pytest.mark.timeout(400)  # several commands in some tests
NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
EQUAL = "equal: 5 cells run again, 6 calls answered from the record, no LM asked"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    assert small(folder / "first").response == ANSWER
    return folder / "first"


@pytest.fixture
def headless(tmp_path: Path, prefix: Path) -> Headless:
    """Where there is no LM."""
    return Headless(tmp_path, prefix, {})


@pytest.fixture
def run(headless: Headless, made: Path) -> Path:
    """A run's folder of its own."""
    return Path(shutil.copytree(made, headless.folder / "run"))


def _execute(headless: Headless, notebook: Path, *, name: str = "done.ipynb") -> tuple[int, str]:
    """By nbconvert, in the notebook's folder: exit status, and what its last code cell says."""
    options = ("--to", "notebook", "--execute", "--output", name, notebook.name)
    done = headless.run("nbconvert", *options, cwd=notebook.parent)
    if done.returncode:
        return done.returncode, done.stderr
    return 0, last(notebook.with_name(name))


def test_nbconvert_ends_as_the_verdict_says(headless: Headless, run: Path) -> None:
    assert _execute(headless, run / "trajectory.ipynb") == (0, EQUAL)
    journal = run / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"reply 1"', '"reply 7"'))
    status, told = _execute(headless, run / "trajectory.ipynb")
    assert status != 0
    assert "differs: 5 cells run again, 6 calls answered from the record" in told
    assert "line 12 (llm_query in cell 2) was changed after it was written" in told


def test_a_childs_notebook_is_run_alone_and_in_its_folder(headless: Headless) -> None:
    result = deep(headless.folder / "deep")
    child = result.trajectory.parent / "calls" / "0.1.ipynb"
    assert headless.execute_here(child) == (
        0, "equal: 2 cells run again, 2 calls answered from the record, no LM asked"
    )  # fmt: skip
    alone = Path(shutil.copy(child, headless.folder / "mailed.ipynb"))
    shutil.rmtree(result.trajectory.parent)
    assert headless.execute_here(alone) == (
        0, "equal: 1 cell run again, 1 call answered from the record, no LM asked"
    )  # fmt: skip


def test_nbclient_runs_it(headless: Headless, run: Path) -> None:
    done = headless.run("jupyter", "execute", "--inplace", "trajectory.ipynb", cwd=run)
    assert done.returncode == 0, done.stderr
    assert last(run / "trajectory.ipynb") == EQUAL
    # What was saved is what was recorded, but for the cells that replay.
    assert headless.execute_here(run / "trajectory.ipynb") == (0, EQUAL)


def test_papermill_runs_it_from_another_folder(headless: Headless, run: Path) -> None:
    done = headless.run("papermill", "run/trajectory.ipynb", "out.ipynb")
    assert done.returncode == 0, done.stderr
    assert last(headless.folder / "out.ipynb") == EQUAL
    journal = run / "journal.jsonl"
    journal.write_text(journal.read_text().replace("20 reply 0", "21 reply 0"))
    done = headless.run("papermill", "run/trajectory.ipynb", "out.ipynb")
    assert done.returncode != 0
    assert "recorded: 21 reply 0" in done.stderr


def test_papermill_runs_it_on_other_contexts(
    tmp_path: Path, prefix: Path, lm: LM, made: Path
) -> None:
    headless = Headless(tmp_path, prefix, lm.environment)
    shutil.copytree(made, headless.folder / "run")
    for rows in (1, 3):
        (headless.folder / f"{rows}.txt").write_text("\n".join(["a row"] * rows))
        asked = len(lm.endpoint.log)
        given = ("-p", "context_path", f"{rows}.txt")
        done = headless.run("papermill", "run/trajectory.ipynb", f"{rows}.ipynb", *given)
        assert done.returncode == 0, done.stderr
        assert last(headless.folder / f"{rows}.ipynb").startswith(
            f"{rows} rows, <is a row good?>\n"
        )
        assert len(lm.endpoint.log) - asked == rows + 3  # the batch, and the prompt asked thrice
    assert "tokens" in last(headless.folder / "3.ipynb")
    done = headless.run(
        "papermill", "run/trajectory.ipynb", "no.ipynb", "-p", "context_path", "no.txt"
    )
    assert "no.txt: there is no such file or folder" in done.stderr


def test_without_an_answer_for_the_other_context_the_command_fails(
    tmp_path: Path, prefix: Path, lm: LM
) -> None:
    headless = Headless(tmp_path, prefix, lm.environment)
    cells = ["print(context[:3])", "FINAL_VAR(str(1)) if 'row' in context else None"]
    small(headless.folder / "run", cells=cells)
    (headless.folder / "other.txt").write_text("nothing")
    done = headless.run(
        "papermill", "run/trajectory.ipynb", "out.ipynb", "-p", "context_path", "other.txt"
    )
    assert done.returncode != 0
    assert "the cells gave no answer for this input" in done.stderr


@pytest.mark.parametrize("name", ["recursive/trajectory.ipynb", "recursive/calls/0.1.ipynb"])
def test_notebooks_of_the_first_version_are_run(headless: Headless, name: str) -> None:
    shutil.copytree(NOTEBOOKS / "recursive", headless.folder / "recursive")
    notebook = headless.folder / name
    status, told = headless.execute_here(notebook)
    assert status == 0, told
    assert told.startswith("equal: ")


# what other tools make of it
def _tool(headless: Headless, *command: str) -> None:
    done = headless.run(*command)
    assert done.returncode == 0, done.stderr


def test_code_that_black_has_laid_out_is_the_recorded_code(headless: Headless) -> None:
    cells = ["x = {'a':context[:3]}\nprint( x )", "FINAL_VAR(f'{len(context)} characters' )"]
    small(headless.folder / "run", cells=cells)
    notebook = headless.folder / "run" / "trajectory.ipynb"

    def laid_out(made: dict[str, list[dict[str, object]]]) -> None:
        import black

        for cell in made["cells"]:
            source = "".join(cell["source"])  # type: ignore[arg-type]
            if cell["cell_type"] == "code" and not source.startswith("%"):
                cell["source"] = black.format_str(source, mode=black.Mode()).rstrip()

    edit(notebook, laid_out)
    assert 'x = {"a": context[:3]}\nprint(x)' in sources(notebook)
    status, told = headless.execute_here(notebook)
    assert status == 0, told
    assert told.startswith("equal: 2 cells")
    assert "trajectory.ipynb: cell 1: its code is laid out anew" in told
    alone = Path(shutil.copy(notebook, headless.folder / "mailed.ipynb"))
    shutil.rmtree(headless.folder / "run")
    status, told = headless.execute_here(alone)
    assert status != 0
    assert "cell 1 was changed: its source is not the one that ran" in told


def test_a_stripped_notebook_is_equal(headless: Headless, run: Path) -> None:
    _tool(headless, "nbstripout", "run/trajectory.ipynb")
    assert all(not c.get("outputs") for c in nbformat.read(run / "trajectory.ipynb", 4).cells)
    status, told = headless.execute_here(run / "trajectory.ipynb")
    assert status == 0, told
    assert told.startswith(EQUAL)
    assert "cell 1: its outputs were taken out of it" in told
    shutil.copy(run / "trajectory.ipynb", headless.folder / "mailed.ipynb")
    shutil.rmtree(run)
    status, told = headless.execute_here(headless.folder / "mailed.ipynb")
    assert status == 0, told
    assert told.startswith(EQUAL)


def test_a_notebook_that_was_a_script_meanwhile_needs_its_record(
    headless: Headless, run: Path
) -> None:
    notebook = run / "trajectory.ipynb"
    _tool(headless, "jupytext", "--to", "py:percent", "run/trajectory.ipynb")
    notebook.unlink()
    _tool(headless, "jupytext", "--to", "ipynb", "run/trajectory.py")
    assert "rlm" not in nbformat.read(notebook, 4).metadata
    status, told = headless.execute_here(notebook)
    assert status == 0, told
    assert told.startswith(EQUAL)
    assert "trajectory.ipynb has lost what makes it a trajectory" in told
    shutil.copy(notebook, headless.folder / "mailed.ipynb")
    shutil.rmtree(run)
    status, told = headless.execute_here(headless.folder / "mailed.ipynb")
    assert status != 0
    assert "mailed.ipynb has lost its metadata.rlm, as by jupytext" in told


def test_what_begins_a_replay_names_run_and_node(made: Path) -> None:
    notebook = made / "trajectory.ipynb"
    assert sources(notebook)[begin(notebook)] == "%rlm replay --run=first --node=0"
    code = [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
    assert code[0].metadata.tags == ["parameters"]
    assert code[0].source.endswith("context_path = None")
