"""A kernel that ends while it starts is tried once more."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from asking import ask, check_whole, script

FINISH = "print(context)\nFINAL_VAR(context.upper())"
FLAKY = """\
import os, signal, sys
from pathlib import Path
starts = Path(sys.argv[1])
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
if len(starts.read_text()) <= int(sys.argv[2]):
    os.kill(os.getpid(), signal.SIGKILL)
sys.argv[1:] = sys.argv[3:]
os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *sys.argv[1:]])
"""


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that gets an x for each start of the kernels ``flaky-1`` and ``flaky-2``, which are
    killed at the first, or the first two."""
    program, log = tmp_path / "flaky.py", tmp_path / "starts"
    program.write_text(FLAKY)
    for kills in (1, 2):
        folder = tmp_path / "share" / "kernels" / f"flaky-{kills}"
        folder.mkdir(parents=True)
        argv = [sys.executable, str(program), str(log), str(kills), "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": folder.name, "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    return log


def test_one_that_is_killed_once_costs_nothing(tmp_path: Path, starts: Path) -> None:
    result = ask(script(FINISH), tmp_path / "run", kernel="flaky-1")
    assert (result.response, result.status) == ("SOME TEXT", "answered")
    assert starts.read_text() == "xx"
    check_whole(result)


def test_the_error_of_one_that_is_killed_twice_names_both(tmp_path: Path, starts: Path) -> None:
    result = ask(script(FINISH), tmp_path / "run", kernel="flaky-2")
    assert (result.response, result.status, result.may_pass) == (None, "failed", True)
    first, _, second = str(result.reason).partition("It was tried once more:")
    assert "signal 9" in first
    assert "signal 9" in second
    assert starts.read_text() == "xx"
    check_whole(result)
