"""What of a batch on Modal can be tried without an account."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from batching import REQUESTS, Counted, results_of, tasks, write_tasks

from rlm_kernel import UsageError
from rlm_kernel.batch import read_tasks
from rlm_kernel.testing import FakeEndpoint

modal_app = pytest.importorskip("rlm_kernel.batch.modal_app", reason="modal is not installed")


def test_tasks_travel_with_the_files_that_they_name(tmp_path: Path) -> None:
    (tmp_path / "docs" / "in").mkdir(parents=True)
    (tmp_path / "docs" / "in" / "a.txt").write_text("inside")
    (tmp_path / "b.json").write_text('["b"]')
    named = [
        {"question": "Q?", "context_path": "docs"},
        {"question": "Q?", "context_path": "b.json", "id": "../x"},
    ]
    made = read_tasks(write_tasks(tmp_path, [*tasks(1), *named]))
    files = modal_app.packed(made)
    lines = [json.loads(line) for line in files.pop("tasks.jsonl").splitlines()]
    assert lines[0]["context"] == "text of 1"
    assert files == {
        f"{lines[1]['context_path']}/in/a.txt": b"inside",
        lines[2]["context_path"]: b'["b"]',
    }
    assert not any(".." in Path(path).parts or path.startswith("/") for path in files)


def test_contexts_that_are_too_large_to_travel_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("inside")
    monkeypatch.setattr(modal_app, "MAX_BYTES", 5)
    made = read_tasks(write_tasks(tmp_path, [{"question": "Q?", "context_path": "a.txt"}]))
    with pytest.raises(UsageError, match="the contexts are 6 bytes, and at most 5 can travel"):
        modal_app.packed(made)


def test_the_functions_body_answers_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = Counted()
    (tmp_path / "a.txt").write_text("text of 2")
    given = [*tasks(1), {"question": "What is task 2?", "context_path": "a.txt", "expected": 2}]
    files = modal_app.packed(read_tasks(write_tasks(tmp_path, given)))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")  # as the secret does it there
    with FakeEndpoint(lm) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base_url)
        arguments = (files, "mine", {"notebook": False}, {"model": "fake-model"}, str(tmp_path))
        said = "will not have access to the mounted Volume"
        with pytest.warns(UserWarning, match=said):
            told, results = modal_app.drive.local(*arguments)
        with pytest.warns(UserWarning, match=said):
            again = modal_app.drive.local(*arguments)
        assert told.startswith("2 of 2 tasks answered · 2 of 2 right (100%)")
        assert again == (told, results)
    assert lm.given.total() == 2 * REQUESTS
    assert set(results_of(tmp_path / "mine")) == {"1", "2"}
    assert "sk-canary" not in results


def test_modal_reads_the_options_of_the_entry() -> None:
    words = [sys.executable, "-m", "modal", "run", "-m", "rlm_kernel.batch.modal_app", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    for option in ("--tasks", "--name", "--secret", "--concurrency", "--total-cost"):
        assert option in done.stdout
