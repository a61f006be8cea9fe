"""``rlm batch`` as a shell sees it: killed, interrupted, gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from batching import COST, REQUESTS, Counted, results_of, tasks, write_tasks

from rlm_kernel import cli
from rlm_kernel.record import journal
from rlm_kernel.testing import FakeEndpoint, Hang, Status

KEY = "sk-canary"
Run = subprocess.CompletedProcess[str]


@pytest.fixture
def lm() -> Counted:
    return Counted()


@pytest.fixture
def endpoint(lm: Counted) -> Iterator[FakeEndpoint]:
    with FakeEndpoint(lm) as server:
        yield server


def _command(endpoint: FakeEndpoint, *more: str) -> tuple[list[str], dict[str, str]]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RLM_", "OPENAI_"))}
    env |= {"OPENAI_BASE_URL": endpoint.base_url, "OPENAI_API_KEY": KEY, "RLM_MODEL": "fake"}
    words = [sys.executable, "-m", "rlm_kernel", "batch", "tasks.jsonl", "-o", "results", *more]
    return words, env


def _batch(endpoint: FakeEndpoint, cwd: Path, *more: str) -> Run:
    words, env = _command(endpoint, *more)
    return subprocess.run(
        words, cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False
    )


def _started(endpoint: FakeEndpoint, cwd: Path, *more: str) -> subprocess.Popen[str]:
    words, env = _command(endpoint, *more)
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True)


def test_all_answered_exits_with_0_and_says_where_the_results_are(
    endpoint: FakeEndpoint, lm: Counted, tmp_path: Path
) -> None:
    write_tasks(tmp_path, tasks(2))
    done = _batch(endpoint, tmp_path, "--concurrency", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'results' / 'results.jsonl'}\n"
    assert "2 of 2 tasks answered · 2 of 2 right (100%) · $0.50" in done.stderr
    assert lm.given.total() == 2 * REQUESTS
    assert {r.cost for r in results_of(tmp_path / "results").values()} == {REQUESTS * COST}
    assert KEY not in done.stderr
    files = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert [path.name for path in files if KEY.encode() in path.read_bytes()] == []
    again = _batch(endpoint, tmp_path, "--json", "--quiet")
    assert (again.returncode, again.stderr) == (0, "")
    told = json.loads(again.stdout)
    assert (told["tasks"], told["right"], told["cost"]) == (2, 2, 0.5)
    assert lm.given.total() == 2 * REQUESTS


Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def main(
    endpoint: FakeEndpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Main:
    """The command in this process, which is quicker: exit status and both outputs."""
    words, env = _command(endpoint)
    for name in {*os.environ, *env}:
        if name not in env:
            monkeypatch.delenv(name)
        elif os.environ.get(name) != env[name]:
            monkeypatch.setenv(name, env[name])
    monkeypatch.chdir(tmp_path)

    def run(*more: str) -> tuple[int, str, str]:
        try:
            status = cli.main([*words[3:], *more])
        except SystemExit as ended:
            status = int(str(ended.code))
        out, err = capsys.readouterr()
        return status, out, " ".join(err.split())

    return run


def test_bad_lines_exit_with_2_before_anything_is_asked(
    main: Main, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    path = write_tasks(tmp_path, tasks(2))
    path.write_text(path.read_text() + '{"question": 1}\nno\n')
    status, out, err = main()
    assert (status, out) == (2, "")
    assert "line 3: question=1: give a text" in err
    assert "line 4: it is not JSON" in err
    assert endpoint.log == []
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--concurrency", "none"), "--concurrency='none': give a whole number"),
        (("-n", "0"), "concurrency=0: give a whole number of at least 1"),
        (("--total-cost", "x"), "--total-cost='x': give a number"),
        (("--env", "moon"), "--env='moon': give local or bwrap or docker"),
    ],
)
def test_wrong_options_exit_with_2(
    main: Main, endpoint: FakeEndpoint, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    write_tasks(tmp_path, tasks(1))
    status, out, err = main(*arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert endpoint.log == []


def test_some_not_answered_exits_with_1_and_a_total_limit_with_3(
    main: Main, lm: Counted, tmp_path: Path
) -> None:
    lm.instead = lambda name: Status(401) if name == "turn 1 of task 2" else None
    write_tasks(tmp_path, tasks(2))
    status, _, err = main("-n", "1", "--total-cost", str(REQUESTS * COST), "--no-notebook")
    assert status == 3, err
    assert "total_cost was reached: the same command goes on" in err
    statuses = Counter(r.status for r in results_of(tmp_path / "results").values())
    assert statuses == {"answered": 1, "skipped": 1}
    status, _, err = main("--no-notebook")
    assert status == 1, err
    assert "--retry-failed goes on with those that failed" in err
    assert "nothing was left to run" not in err
    assert "nothing was left to run" in main("--no-notebook")[2]
    assert "1 of 2 tasks answered · 1 of 2 right (50%) · 1 failed" in err
    assert "\x1b" not in err


def test_the_help_says_what_the_score_is(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = main("--help")
    assert status == 0
    said = " ".join(out.split())
    assert "equals what is expected but for case, white space and punctuation around it" in said


def test_a_killed_batch_goes_on_and_asks_nothing_again_that_was_recorded(
    endpoint: FakeEndpoint, lm: Counted, tmp_path: Path
) -> None:
    write_tasks(tmp_path, tasks(5))
    lm.wanted = 9
    with _started(endpoint, tmp_path, "-n", "3") as process:
        assert lm.reached.wait(60)
        process.kill()
        process.communicate(timeout=60)
    runs = tmp_path / "results" / "runs"
    records = [journal.read(path).events for path in runs.glob("*/journal.jsonl")]
    known = sum(e.kind in ("replied", "call_ended") for events in records for e in events)
    before = lm.given.total()
    done = _batch(endpoint, tmp_path, "-n", "3", "--no-notebook")
    assert done.returncode == 0, done.stderr
    assert set(lm.given) == set(_names(5))
    assert lm.given.total() - 5 * REQUESTS <= before - known
    results = results_of(tmp_path / "results")
    assert {name: r.answer for name, r in results.items()} == {str(n): str(n) for n in range(1, 6)}


def _names(count: int) -> Iterator[str]:
    for n in range(1, count + 1):
        yield from (f"turn {i} of task {n}" for i in (1, 2))
        yield from (f"part {i} of task {n}" for i in (0, 1))


def test_an_interrupt_exits_with_130_and_the_batch_goes_on(
    endpoint: FakeEndpoint, lm: Counted, tmp_path: Path
) -> None:
    write_tasks(tmp_path, tasks(4))
    hung, both = set[str](), threading.Event()

    def instead(name: str) -> Hang | None:
        if name not in ("turn 2 of task 2", "turn 2 of task 3"):
            return None
        hung.add(name)
        if len(hung) == 2:
            both.set()
        return Hang()

    lm.instead = instead
    with _started(endpoint, tmp_path, "-n", "2") as process:
        assert both.wait(60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted: the same command goes on with what is left" in err
    assert out.strip().endswith("results.jsonl")
    results = results_of(tmp_path / "results")
    statuses = {name: result.status for name, result in results.items()}
    assert statuses == {"1": "answered", "2": "interrupted", "3": "interrupted", "4": "skipped"}
    for name in ("2", "3"):
        folder = tmp_path / "results" / "runs" / name
        assert journal.read(folder / "journal.jsonl").sealed
    assert (tmp_path / "results" / "summary.ipynb").exists()
    lm.instead = lambda name: None
    done = _batch(endpoint, tmp_path, "--no-notebook")
    assert done.returncode == 0, done.stderr
    assert lm.given == Counter(_names(4))
