"""Pythons of their own: made once, whole or not at all; what programs in them say and fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rlm_kernel import evaluation
from rlm_kernel.evaluation import Grid, pythons
from rlm_kernel.evaluation.lengths import parsed
from rlm_kernel.evaluation.sets import elsewhere


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Commands that would have been run; the cache is in ``tmp_path``."""
    commands: list[list[str]] = []

    def run(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        broken = (tmp_path / "broken").exists()
        return subprocess.CompletedProcess(command, int(broken), "", "ERROR: no such version\n\n")

    def create(folder: Path, **more: Any) -> None:
        (folder / "bin").mkdir()
        (folder / "bin" / "python").touch()

    monkeypatch.setenv("RLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pythons.subprocess, "run", run)
    monkeypatch.setattr(pythons.venv, "create", create)
    return commands


def test_a_python_is_made_once_with_exact_versions_alone(pip: list[list[str]]) -> None:
    python = pythons.python_of("ruler")
    assert python.exists()
    assert pythons.python_of("ruler") == python
    [command] = pip
    assert "--no-deps" in command
    for path in pythons.REQUIREMENTS.glob("*.txt"):
        lines = [line for line in path.read_text().splitlines() if line[:1] != "#"]
        assert all(line.count("==") == 1 for line in lines), path


def test_one_that_cannot_be_installed_leaves_nothing(pip: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(pythons.Unavailable, match=r"pip cannot install ruler.txt: ERROR: no such"):
        pythons.python_of("ruler")
    assert list((tmp_path / "cache" / "evaluation").iterdir()) == []


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A program in the place of all, in this Python."""
    path = tmp_path / "program.py"
    monkeypatch.setattr(elsewhere, "python_of", lambda name: Path(sys.executable))
    monkeypatch.setattr(pythons, "program", lambda name: str(path))
    return path


def test_what_a_published_generator_makes_becomes_tasks(program: Path, tmp_path: Path) -> None:
    program.write_text(
        "import json, sys\n"
        "for each in json.load(sys.stdin)['tasks']:\n"
        "    print(json.dumps({'context': 'x' * each['chars'], 'question': 'Which?',\n"
        "                      'gold': [each['task'], str(each['seed'])]}))\n"
    )
    given = Grid(names=("ruler/vt", "ruler/cwe"), lengths=parsed("1e3"), seeds=2)
    tasks = evaluation.build(given, tmp_path / "out").tasks.tasks
    assert [task.expected[0] for task in tasks] == ["vt", "vt", "cwe", "cwe"]
    assert len({task.expected[1] for task in tasks}) == 4
    assert {task.question for task in tasks} == {"Which?"}
    assert [task.fields["answer_chars"] for task in tasks] == [120, 120, 480, 480]


def test_one_that_fails_is_told_by_its_last_line(program: Path, tmp_path: Path) -> None:
    program.write_text("raise SystemExit('no words are there')")
    given = Grid(names=("puzzles", "needles/value"), lengths=parsed("1e3"), seeds=1)
    made = evaluation.build(given, tmp_path / "out")
    assert made.skipped == {"puzzles": "puzzle_tasks failed: no words are there"}
