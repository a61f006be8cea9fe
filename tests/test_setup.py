"""A test whose need is missing is skipped with the reason, or fails where it was required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEEDY = """
import pytest

@pytest.mark.needs("browser")
def test_needy():
    pass
"""
NO_ENGINE = "unix:///no/such/docker.sock"


@pytest.fixture
def needy(tmp_path: Path) -> Path:
    for name in ("conftest.py", "setup.py", "workers.py"):
        (tmp_path / name).write_text((HERE / name).read_text())
    (tmp_path / "test_needy.py").write_text(NEEDY)
    return tmp_path


def _run(folder: Path, *command: str, require: str = "") -> tuple[int, str]:
    """On a machine with nothing on its PATH and no engine."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PATH": str(folder), "RLM_REQUIRE": require, "DOCKER_HOST": NO_ENGINE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _pytest(folder: Path, require: str) -> tuple[int, str]:
    return _run(folder, "-m", "pytest", "-rs", "-p", "no:cacheprovider", ".", require=require)


def test_a_missing_browser_skips_with_the_reason(needy: Path) -> None:
    code, said = _pytest(needy, "")
    assert (code, "1 skipped" in said) == (0, True), said
    assert "no chromium on the PATH" in said


def test_a_missing_browser_fails_where_it_is_required(needy: Path) -> None:
    code, said = _pytest(needy, "browser")
    assert (code, "1 failed" in said or "1 error" in said) == (1, True), said
    assert "RLM_REQUIRE=browser, and there is no chromium on the PATH" in said


def test_an_unknown_need_stops_the_tests(needy: Path) -> None:
    code, said = _pytest(needy, "browser,moon")
    assert code != 0
    assert "RLM_REQUIRE: 'moon' is none of bwrap, browser, " in said


def test_setting_up_without_apt_says_what_to_install(needy: Path) -> None:
    code, said = _run(needy, "setup.py")
    assert code == 1
    assert "this needs apt-get and root: bubblewrap, chromium" in said
    assert "Traceback" not in said


def test_a_missing_engine_skips_with_the_reason(needy: Path) -> None:
    (needy / "test_needy.py").write_text(NEEDY.replace("browser", "docker"))
    code, said = _pytest(needy, "")
    assert (code, "1 skipped" in said) == (0, True), said
    assert "no Docker engine that answers" in said


@pytest.mark.needs("docker")
def test_an_engine_that_answers_lets_the_test_run(needy: Path) -> None:
    (needy / "test_needy.py").write_text(NEEDY.replace("browser", "docker"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "."],
        cwd=needy,
        env={**os.environ, "RLM_REQUIRE": "docker"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout


def test_a_missing_bubblewrap_skips_with_the_reason(needy: Path) -> None:
    (needy / "test_needy.py").write_text(NEEDY.replace("browser", "bwrap"))
    code, said = _pytest(needy, "")
    assert (code, "1 skipped" in said) == (0, True), said
    assert "no bubblewrap that makes sandboxes" in said
