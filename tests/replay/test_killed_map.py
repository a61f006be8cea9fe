"""A map whose orchestrator was killed half way: ``rlm resume`` asks about the rest of its rows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from asking import block
from tunnelled import eventually

from rlm_kernel import cli
from rlm_kernel.events import CallEnded
from rlm_kernel.record import journal
from rlm_kernel.record.recording import Recording
from rlm_kernel.testing import FakeEndpoint, Hang

ROWS, BEFORE = 40, 25
SECONDS = 60.0
SOURCE = (
    "print(context[:9])\nt = llm_map(context, 'Is this spam?', labels=['spam', 'ham'], by='line')\n"
    "print(t.counts())\nFINAL_VAR(t.counts())"
)
_ITEM = re.compile(r"mail (\d+):")


class Judge:
    """A sub-LM that hangs once it was asked about ``most`` rows; ``asked`` counts each row."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: Counter[int] = Counter()
        self.hung = threading.Event()

    def __call__(self, request: dict[str, Any]) -> str | Hang:
        messages = request["messages"]
        if messages[0]["role"] == "system":
            return block(SOURCE)
        number = int(_ITEM.findall(messages[-1]["content"])[-1])
        if self.asked.total() >= self.most:
            self.hung.set()
            return Hang()
        self.asked[number] += 1
        return json.dumps({"value": "spam" if number % 4 == 0 else "ham"})


@contextmanager
def _asking() -> Iterator[subprocess.Popen[str]]:
    """``rlm run`` about the file ``mails``, its run in the folder ``run``."""
    words = ["run", "How many are spam?", "--context", "mails", "--out", "run", "--quiet"]
    with subprocess.Popen(
        [sys.executable, "-m", "rlm_kernel", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _rows(folder: Path) -> list[CallEnded]:
    found = journal.read(folder / "journal.jsonl").events
    return [event for event in found if isinstance(event, CallEnded)]


def test_only_the_rows_that_are_missing_are_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RLM_API_KEY", "k" * 10)
    monkeypatch.setenv("RLM_MODEL", "fake-model")
    (tmp_path / "mails").write_text("\n".join(f"mail {n}: words" for n in range(ROWS)))
    judge = Judge(BEFORE)
    with FakeEndpoint(judge) as endpoint:
        monkeypatch.setenv("RLM_BASE_URL", endpoint.base_url)
        with _asking() as process:
            assert judge.hung.wait(SECONDS)
            assert eventually(lambda: len(_rows(tmp_path / "run")) == BEFORE)
            process.kill()
            process.wait(SECONDS)
        known = _rows(tmp_path / "run")
        assert not Recording.open(tmp_path / "run").sealed
        first, judge.asked, judge.most = judge.asked, Counter(), ROWS
        assert cli.main(["resume", "run"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.replace("'", '"')) == {"ham": 30, "spam": 10}
    assert f"{BEFORE} calls answered from the record, {ROWS - BEFORE} asked anew" in err
    answered = {int(_ITEM.findall(call.prompt)[0]) for call in known}
    assert set(judge.asked) == set(range(ROWS)) - answered
    assert set(judge.asked.values()) == {1}
    assert len(first | judge.asked) == ROWS
    recording = Recording.open(tmp_path / "run")
    assert (recording.sealed, recording.problems) == (True, [])
    rows = [call.about["row"] for call in _rows(tmp_path / "run")]
    assert sorted(rows) == list(range(ROWS))
