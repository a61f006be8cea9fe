"""A test that hangs fails alone; a worker that dies ends the run, which is red, and soon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SETTINGS = ["-o", "timeout=1", "-o", "timeout_method=signal", "-p", "no:cacheprovider"]
PLUGIN = """
import workers

workers.REPORT_S = 1.0


def pytest_configure(config):
    config.pluginmanager.register(workers.Workers())
"""
HANGING = """
import asyncio, concurrent.futures, subprocess, threading


def its_name_is_shown():
    threading.Event().wait()


def test_a_thread():
    threading.Thread(target=its_name_is_shown, daemon=True).start()
    threading.Event().wait()


def test_a_process():
    subprocess.run(["/bin/sleep", "600"])


def test_a_loop():
    asyncio.run(asyncio.sleep(600))


def test_a_future():
    concurrent.futures.Future().result()


def test_next():
    pass
"""
LONG = """
import time


def test_long():
    time.sleep({seconds})
"""


def _run(folder: Path, source: str, *, beside: float = 0.0) -> tuple[int, str]:
    """Give a file of tests to two workers as ``make test`` does, with a long test beside it."""
    (folder / "conftest.py").write_text(PLUGIN)
    (folder / "test_it.py").write_text(source)
    (folder / "test_long.py").write_text(LONG.format(seconds=beside))
    words = ["-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "--max-worker-restart", "0"]
    with (folder / "said.txt").open("w+") as said:  # no pipe: a child of a worker may hold it
        done = subprocess.run(
            [sys.executable, *words, *SETTINGS],
            cwd=folder,
            env={"PYTHONPATH": str(HERE), "PATH": ""},
            stdout=said,
            stderr=subprocess.STDOUT,
            timeout=200,
            check=False,
        )
        said.seek(0)
        return done.returncode, said.read()


def test_tests_that_hang_fail_alone_and_show_all_threads(tmp_path: Path) -> None:
    code, said = _run(tmp_path, HANGING)
    assert (code, "4 failed, 2 passed" in said) == (1, True), said
    assert said.count("Timeout (>1.0s)") >= 4
    assert "in its_name_is_shown" in said


@pytest.mark.parametrize("death", ["os._exit(1)", "os.kill(os.getpid(), 9)"])
def test_a_worker_that_dies_ends_the_run(tmp_path: Path, death: str) -> None:
    code, said = _run(tmp_path, f"import os\ndef test_dies():\n    {death}\n", beside=600)
    assert code != 0, said
    assert "test_it.py::test_dies" in said


def test_a_worker_whose_child_holds_its_pipe_ends_the_run_too(tmp_path: Path) -> None:
    source = "import os, time\ndef test_dies():\n    os.fork() or time.sleep(5)\n    os._exit(1)\n"
    code, said = _run(tmp_path, source)
    assert code != 0, said
    assert "died (1): the run ends" in said
