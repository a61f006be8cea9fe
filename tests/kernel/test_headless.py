"""Notebooks with questions, run by the commands that run notebooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import LM, block
from headless import Headless

TURNS = (block("print(context)\nseen = len(context)"), block("FINAL_VAR(f'{seen} characters')"))
CELLS = (
    "%rlm context notes.txt\nfactor = 2",
    "%%rlm size\nHow long?",
    "print(size, seen * factor)",
)


@pytest.fixture
def headless(tmp_path: Path, prefix: Path, lm: LM) -> Headless:
    lm.say(*TURNS)
    return Headless(tmp_path, prefix, lm.environment)


def test_nbconvert_executes_a_notebook_that_asks(headless: Headless) -> None:
    headless.write(*CELLS)
    done = headless.execute()
    assert done.returncode == 0, done.stderr
    header, answer, turns = headless.outputs(1)
    assert header.startswith("RLM · answered · 2 turns")
    assert answer == "70 characters"
    assert turns == ""  # on a terminal; the log has a line for each
    assert headless.outputs(2) == ["70 characters 140\n"]
    lines = [line for line in done.stderr.split("\n") if line.startswith("[rlm] ")]
    assert "How long?" in lines[0]
    assert sum("of 20" in line for line in lines) == 2  # a line a cell
    assert any("trajectory: rlm-runs/" in line for line in lines)
    assert "canary-key-123" not in done.stderr


def test_a_run_that_reached_its_limit_fails_the_command(lm: LM, headless: Headless) -> None:
    headless.write(CELLS[0], "%%rlm size --max-turns 1\nHow long?", "print('not reached')")
    done = headless.execute()
    assert done.returncode != 0
    assert "LimitReached" in done.stderr
    assert "limit reached: turns: spent 1, allowed 1" in done.stderr
    assert not (headless.folder / "done.ipynb").exists()


def test_with_replay_auto_the_same_notebook_runs_without_the_endpoint(headless: Headless) -> None:
    headless.write("%rlm replay auto\n" + CELLS[0], *CELLS[1:])
    assert headless.execute().returncode == 0
    del headless.env["RLM_API_KEY"]
    headless.env.update(RLM_BASE_URL="http://127.0.0.1:9/v1", RLM_RETRIES="0")
    (headless.folder / "done.ipynb").unlink()
    done = headless.execute()
    assert done.returncode == 0, done.stderr
    assert "from the record" in done.stderr
    assert headless.outputs(2) == ["70 characters 140\n"]
    headless.write("%rlm replay auto\n" + CELLS[0], "%%rlm size\nHow wide?", CELLS[2])
    done = headless.execute()
    assert done.returncode != 0
    assert "no recorded run fits this question: none was asked it" in done.stderr


def test_papermill_gives_parameters(headless: Headless) -> None:
    headless.write("factor = 1", "%rlm context notes.txt", *CELLS[1:], parameters=True)
    done = headless.run("papermill", "asked.ipynb", "done.ipynb", "-p", "factor", "3")
    assert done.returncode == 0, done.stderr
    assert headless.outputs(-1) == ["70 characters 210\n"]
    assert "[rlm] RLM" in done.stderr


def test_jupyter_run_says_the_answer(headless: Headless) -> None:
    (headless.folder / "ask.py").write_text("%rlm context notes.txt\n%%rlm\nHow long?\n")
    done = headless.run("jupyter", "run", "--kernel", "rlm", "ask.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("70 characters")


def test_a_console_shows_plain_text(headless: Headless) -> None:
    typed = "%rlm context notes.txt\n1 + 1\n%rlm mode ask\nHow long?\n%rlm mode python\nexit\n"
    done = headless.run(
        "jupyter_console", "--kernel", "rlm", "--simple-prompt", "--no-confirm-exit", typed=typed
    )
    assert "context: notes.txt · str · length 70" in done.stdout
    assert "Out[2]: 2" in done.stdout
    assert "seen = len(context)" in done.stdout
    assert "70 characters" in done.stdout
    assert "**" not in done.stdout
    assert "<details>" not in done.stdout
