"""Notebooks with questions, run by the commands that run notebooks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from harness import LM, block, environment

from rlm_kernel.kernel.install import install

SECONDS = 90
TURNS = (block("print(context)\nseen = len(context)"), block("FINAL_VAR(f'{seen} characters')"))
CELLS = (
    "%rlm context notes.txt\nfactor = 2",
    "%%rlm size\nHow long?",
    "print(size, seen * factor)",
)


class Place:
    """A folder with notebooks, and an environment in which the kernel RLM is installed."""

    def __init__(self, folder: Path, prefix: Path, lm: LM) -> None:
        self.folder = folder / "notebooks"
        self.folder.mkdir()
        (self.folder / "notes.txt").write_text("a note\n" * 10)
        tmp = folder / "t"
        tmp.mkdir()
        path = {"JUPYTER_PATH": str(prefix / "share" / "jupyter")}
        self.env = environment(folder, tmp, {**path, **lm.environment})

    def write(self, *cells: str, name: str = "asked.ipynb", parameters: bool = False) -> None:
        spec = {"name": "rlm", "display_name": "RLM", "language": "python"}
        made = [nbformat.v4.new_code_cell(source) for source in cells]
        if parameters:
            made[0].metadata["tags"] = ["parameters"]
        notebook = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": spec})
        nbformat.write(notebook, self.folder / name)

    def run(self, *command: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=self.env,
            input=typed,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def execute(self, name: str = "asked.ipynb") -> subprocess.CompletedProcess[str]:
        options = ("--to", "notebook", "--execute", "--output", "done.ipynb", name)
        return self.run("nbconvert", *options)

    def outputs(self, cell: int, name: str = "done.ipynb") -> list[str]:
        """The texts of a cell's outputs."""
        notebook = nbformat.read(self.folder / name, 4)
        nbformat.validate(notebook)
        outputs = notebook.cells[cell].outputs
        return [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prefix")
    install(prefix=folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, prefix: Path, lm: LM) -> Place:
    lm.say(*TURNS)
    return Place(tmp_path, prefix, lm)


def test_nbconvert_executes_a_notebook_that_asks(place: Place) -> None:
    place.write(*CELLS)
    done = place.execute()
    assert done.returncode == 0, done.stderr
    header, *turns, answer = place.outputs(1)
    assert header.startswith("RLM · answered · 2 turns")
    assert len(turns) == 2
    assert answer == "70 characters"
    assert place.outputs(2) == ["70 characters 140\n"]
    lines = [line for line in done.stderr.split("\n") if line.startswith("[rlm] ")]
    assert "How long?" in lines[0]
    assert sum("of 20" in line for line in lines) == 2  # a line a cell
    assert "trajectory: rlm-runs/" in lines[-1]
    assert "canary-key-123" not in done.stderr


def test_a_run_that_reached_its_limit_fails_the_command(lm: LM, place: Place) -> None:
    place.write(CELLS[0], "%%rlm size --max-turns 1\nHow long?", "print('not reached')")
    done = place.execute()
    assert done.returncode != 0
    assert "LimitReached" in done.stderr
    assert "limit reached: turns: spent 1, allowed 1" in done.stderr
    assert not (place.folder / "done.ipynb").exists()


def test_with_replay_auto_the_same_notebook_runs_without_the_endpoint(place: Place) -> None:
    place.write("%rlm replay auto\n" + CELLS[0], *CELLS[1:])
    assert place.execute().returncode == 0
    del place.env["RLM_API_KEY"]
    place.env.update(RLM_BASE_URL="http://127.0.0.1:9/v1", RLM_RETRIES="0")
    (place.folder / "done.ipynb").unlink()
    done = place.execute()
    assert done.returncode == 0, done.stderr
    assert "from the record" in done.stderr
    assert place.outputs(2) == ["70 characters 140\n"]
    place.write("%rlm replay auto\n" + CELLS[0], "%%rlm size\nHow wide?", CELLS[2])
    done = place.execute()
    assert done.returncode != 0
    assert "no recorded run fits this question: none was asked it" in done.stderr


def test_papermill_gives_parameters(place: Place) -> None:
    place.write("factor = 1", "%rlm context notes.txt", *CELLS[1:], parameters=True)
    done = place.run("papermill", "asked.ipynb", "done.ipynb", "-p", "factor", "3")
    assert done.returncode == 0, done.stderr
    assert place.outputs(-1) == ["70 characters 210\n"]
    assert "[rlm] RLM" in done.stderr


def test_jupyter_run_says_the_answer(place: Place) -> None:
    (place.folder / "ask.py").write_text("%rlm context notes.txt\n%%rlm\nHow long?\n")
    done = place.run("jupyter", "run", "--kernel", "rlm", "ask.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("70 characters")


def test_a_console_shows_plain_text(place: Place) -> None:
    typed = "%rlm context notes.txt\n1 + 1\n%rlm mode ask\nHow long?\n%rlm mode python\nexit\n"
    done = place.run(
        "jupyter_console", "--kernel", "rlm", "--simple-prompt", "--no-confirm-exit", typed=typed
    )
    assert "context: notes.txt · str · length 70" in done.stdout
    assert "Out[2]: 2" in done.stdout
    assert "seen = len(context)" in done.stdout
    assert "70 characters" in done.stdout
    assert "**" not in done.stdout
    assert "<details>" not in done.stdout
