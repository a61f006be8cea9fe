"""A question by each face of an installed rlm_kernel: Python, the command, the kernel, a batch.

Run by ``tests.smoke`` with the Python of a new environment, in an empty folder; it needs nothing of
this folder. Ends with an error where a face does not do what it should.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from rlm_kernel import RLM
from rlm_kernel.batch import Plan, run_batch
from rlm_kernel.testing import FakeEndpoint, ScriptedLM

SECONDS = 120
TURN = "I count.\n```python\nprint(context[:9])\nFINAL_VAR(len(context.split()))\n```"
TEXT = "one two three"
RLM_COMMAND = str(Path(sys.executable).with_name("rlm"))


def python() -> None:
    with RLM(model=ScriptedLM([TURN]), out="python") as rlm:
        assert rlm.completion(TEXT, "How many words?").value == 3


def command() -> None:
    Path("text.txt").write_text(TEXT)
    assert "# Replay" in _rlm("help", "replay")
    answer = _rlm("run", "How many words?", "--context", "text.txt", "--out", "command")
    assert answer == "3\n"
    assert "equal" in _rlm("replay", "command")
    assert "3" in _rlm("why", "command")
    assert "answered" in _rlm("show", "command", "python")
    assert _rlm("export", "command", "-o", "-").startswith("<!doctype html>")


def kernel() -> None:
    manager = KernelManager(kernel_name="rlm")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        shown: list[Any] = []
        for cell in (
            "%rlm context text.txt",
            "%%rlm many: int\nHow many words?",
            "print(many + 1)",
        ):
            reply = client.execute_interactive(cell, timeout=SECONDS, output_hook=shown.append)
            assert reply["content"]["status"] == "ok", reply["content"]
        texts = [m["content"]["text"] for m in shown if m["msg_type"] == "stream"]
        assert texts[-1] == "4\n"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def batch() -> None:
    tasks = [{"question": "How many words?", "context": TEXT, "expected": 3}] * 2
    Path("tasks.jsonl").write_text("\n".join(map(json.dumps, tasks)))
    lm = ScriptedLM([TURN] * 2)
    done = run_batch("tasks.jsonl", "batch", Plan(concurrency=2, notebook=False), model=lm)
    assert [each.correct for each in done.results.results] == [True, True]


def _rlm(*arguments: str) -> str:
    done = subprocess.run(
        [RLM_COMMAND, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


FACES: tuple[Callable[[], None], ...] = (python, command, kernel, batch)


def main() -> None:
    with FakeEndpoint(lambda request: TURN) as endpoint:
        os.environ |= {"RLM_BASE_URL": endpoint.base_url, "RLM_MODEL": "fake"}
        for face in FACES:
            face()
            print(f"  {face.__name__}: ok", flush=True)


if __name__ == "__main__":
    main()
