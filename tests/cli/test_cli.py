"""The command ``rlm`` as a shell sees it: answer on stdout, progress on stderr, exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import block

from rlm_kernel.testing import FakeEndpoint, Hang, Status

FINISH = block("print(len(context))\nFINAL_VAR(context.upper() + llm_query('sub'))")


class Replies:
    """What the endpoint says: to the author the next of these, to a sub-call ``<prompt>``."""

    def __init__(self) -> None:
        self.turns: list[Any] = [FINISH]
        self.asked = threading.Event()

    def __call__(self, request: dict[str, Any]) -> Any:
        self.asked.set()
        messages = request["messages"]
        if len(messages) == 1:
            return f"<{messages[0]['content']}>"
        return self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]


@pytest.fixture
def replies() -> Replies:
    return Replies()


@pytest.fixture
def endpoint(replies: Replies) -> Iterator[FakeEndpoint]:
    with FakeEndpoint(replies) as server:
        yield server


def _command(endpoint: FakeEndpoint | None, *arguments: str) -> tuple[list[str], dict[str, str]]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RLM_", "OPENAI_"))}
    if endpoint is not None:
        env |= {"OPENAI_BASE_URL": endpoint.base_url, "OPENAI_API_KEY": "sk-canary"}
    return [sys.executable, "-m", "rlm_kernel", *arguments], env


def _rlm(
    endpoint: FakeEndpoint | None, cwd: Path, *arguments: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    command, env = _command(endpoint, *arguments)
    return subprocess.run(
        command, cwd=cwd, env=env, input=stdin, capture_output=True, timeout=100, check=False
    )


def _run(
    endpoint: FakeEndpoint | None, cwd: Path, *more: str, stdin: bytes = b"text"
) -> subprocess.CompletedProcess[bytes]:
    return _rlm(endpoint, cwd, "run", "What?", "--context", "-", "--out", "run", *more, stdin=stdin)


def test_only_the_answer_goes_to_standard_output(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    done = _run(endpoint, tmp_path, stdin="käse".encode())
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode() == "KÄSE<sub>\n"
    said = done.stderr.decode()
    assert "print(len(context))" in said
    assert "trajectory" in said
    assert "sk-canary" not in said


def test_quiet_says_nothing_else(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    done = _run(endpoint, tmp_path, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"TEXT<sub>\n", b"")


def test_json_prints_the_whole_result(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    done = _run(endpoint, tmp_path, "--json")
    result = json.loads(done.stdout)
    used = result["usage"]
    assert (result["turns"], result["calls"]) == (1, 1)
    assert result["tokens"] == used["input_tokens"] + used["output_tokens"] > 0
    assert (result["response"], result["status"], result["confirmed"]) == (
        "TEXT<sub>",
        "answered",
        True,
    )
    assert result["usage"]["requests"] == 2
    assert Path(result["trajectory"]).name == "trajectory.ipynb"


def test_a_file_and_a_folder_are_contexts(
    endpoint: FakeEndpoint, replies: Replies, tmp_path: Path
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("inside")
    replies.turns = [
        block("FINAL_VAR(context['a.txt'] if not isinstance(context, str) else context)")
    ]
    for context in ("docs", "docs/a.txt"):
        done = _rlm(endpoint, tmp_path, "run", "What?", "--context", context, "--quiet")
        assert (done.returncode, done.stdout) == (0, b"inside\n"), done.stderr.decode()


def test_a_failed_run_exits_with_1_and_the_reason(
    endpoint: FakeEndpoint, replies: Replies, tmp_path: Path
) -> None:
    replies.turns = [Status(401, {"error": {"message": "bad key"}})]
    done = _run(endpoint, tmp_path, "--quiet")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"401" in done.stderr
    assert b"sk-canary" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "What?"),
        ("run", "What?", "--context", "no-such-file"),
        ("run", "What?", "--context", ".", "--max-turns", "many"),
        ("run", "What?", "--context", ".", "--max-turns", "0"),
        ("run", "What?", "--context", ".", "--env", "moon"),
        ("run", "What?", "--context", ".", "--nonsense"),
        ("run", "What?", "--context", ".", "--env", "docker", "--memory", "lots"),
        ("run", "What?", "--context", ".", "--env", "docker", "--tmpfs", "0"),
        ("nonsense",),
        (),
    ],
)
def test_wrong_use_exits_with_2(
    endpoint: FakeEndpoint, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = _rlm(endpoint, tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr
    assert endpoint.log == []


def test_a_limit_exits_with_3_and_the_unconfirmed_answer(
    endpoint: FakeEndpoint, replies: Replies, tmp_path: Path
) -> None:
    replies.turns = [block("print(context)\nanswer['content'] = 'so far'")]
    done = _run(endpoint, tmp_path, "--max-turns", "1", "--quiet")
    assert (done.returncode, done.stdout) == (3, b"so far\n")
    assert b"unconfirmed" in done.stderr
    assert b"turns: spent 1, allowed 1; `rlm fork " in done.stderr
    assert b" --max-turns 2` goes on from there" in done.stderr


@pytest.mark.parametrize("busy", ["an LM", "a cell"])
def test_an_interrupt_exits_with_130_and_a_sealed_record(
    endpoint: FakeEndpoint, replies: Replies, tmp_path: Path, busy: str
) -> None:
    replies.turns = [Hang() if busy == "an LM" else block("print('began')\nwhile True: pass")]
    command, env = _command(endpoint, "run", "What?", "--context", ".", "--out", "run")
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stderr is not None
            if busy == "an LM":
                assert replies.asked.wait(60)
            else:
                for line in process.stderr:
                    if b"while True" in line:
                        break
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
    assert b"interrupted" in err
    shown = _rlm(None, tmp_path, "show", "run", "--json")
    assert json.loads(shown.stdout)["status"] == "interrupted"


STRUCK = """
import atexit, os, signal, sys

class Finder:
    def find_spec(self, name, *rest):
        if name == "rlm_kernel.cli.command":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
atexit.register(os.kill, os.getpid(), signal.SIGINT)
from rlm_kernel.cli import main
sys.exit(main())
"""


def test_an_interrupt_before_and_after_the_command_is_told_like_any_other() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STRUCK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (130, "rlm: interrupted\n")


def test_show_and_replay_of_a_finished_run(endpoint: FakeEndpoint, tmp_path: Path) -> None:
    assert _run(endpoint, tmp_path).returncode == 0
    (tmp_path / "run").rename(tmp_path / "moved")
    shown = _rlm(None, tmp_path, "show", "moved")
    assert shown.returncode == 0
    assert b"TEXT<sub>" in shown.stdout
    replayed = _rlm(None, tmp_path, "replay", "moved")
    assert (replayed.returncode, replayed.stdout[:6]) == (0, b"equal:")
    journal = tmp_path / "moved" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"<sub>"', '"<sup>"'))
    replayed = _rlm(None, tmp_path, "replay", "moved")
    assert (replayed.returncode, replayed.stdout[:8]) == (1, b"differs:")
    assert b"line " in replayed.stdout


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (("--max-turns", "3"), b"--live"),
        (("--out", "x"), b"--live"),
        (("--memory", "1g"), b"--env"),
    ],
)
def test_an_option_that_a_replay_would_ignore_is_refused(
    endpoint: FakeEndpoint, tmp_path: Path, option: tuple[str, str], reason: bytes
) -> None:
    assert _run(endpoint, tmp_path).returncode == 0
    done = _rlm(None, tmp_path, "replay", "run", *option)
    assert (done.returncode, done.stdout) == (2, b"")
    assert option[0].encode() in done.stderr
    assert reason in done.stderr


@pytest.mark.parametrize("progress", ["a pipe that nobody reads", "/dev/full"])
def test_progress_that_cannot_be_written_does_not_cost_the_answer(
    endpoint: FakeEndpoint, tmp_path: Path, progress: str
) -> None:
    (tmp_path / "text").write_text("text")
    command, env = _command(endpoint, "run", "What?", "--context", "text")
    unread, writable = os.pipe()
    os.close(unread)
    full = os.open("/dev/full", os.O_WRONLY)
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=full if progress == "/dev/full" else writable,
        timeout=100,
        check=False,
    )
    os.close(writable)
    os.close(full)
    assert (done.returncode, done.stdout) == (0, b"TEXT<sub>\n")


def test_an_answer_that_cannot_be_written_is_in_the_trajectory(
    endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("text")
    command, env = _command(endpoint, "run", "What?", "--context", "text", "--out", "run")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, cwd=tmp_path, env=env, stdout=full, stderr=subprocess.PIPE, timeout=100,
            check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert b"cannot be written to standard output" in done.stderr
    assert b"run/trajectory.ipynb" in done.stderr.splitlines()[-1]
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["show", "replay", "why", "export", "fork"])
def test_a_text_that_is_no_record_is_no_damaged_run(tmp_path: Path, command: str) -> None:
    (tmp_path / "notes.md").write_text("# Notes\nNothing was run.\n")
    more = ["--at", "1"] if command == "fork" else []
    done = _rlm(None, tmp_path, command, "notes.md", *more)
    assert done.returncode in (1, 2)
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 1
    assert b"notes.md" in done.stderr


@pytest.mark.parametrize("command", ["show", "replay"])
def test_what_is_no_run_is_refused_in_words(tmp_path: Path, command: str) -> None:
    done = _rlm(None, tmp_path, command, "nothing-here")
    assert done.returncode in (1, 2)
    assert b"nothing-here" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_run_folder_with_a_record_is_not_written_over(
    endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    assert _run(endpoint, tmp_path).returncode == 0
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    done = _run(endpoint, tmp_path)
    assert done.returncode == 2
    assert b"already; choose another" in done.stderr
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before


def test_help_and_version(tmp_path: Path) -> None:
    assert b"QUESTION" in _rlm(None, tmp_path, "run", "--help").stdout
    assert _rlm(None, tmp_path, "--version").stdout.startswith(b"rlm 0.")


def test_an_answer_of_the_asked_form_is_json_in_the_result(
    endpoint: FakeEndpoint, replies: Replies, tmp_path: Path
) -> None:
    replies.turns = [
        block("print(context)\nFINAL_VAR(['x', None])"),
        block("FINAL_VAR(('a', 'b'))"),
    ]
    done = _run(endpoint, tmp_path, "--answer", "list[str]", "--json")
    result = json.loads(done.stdout)
    assert (result["value"], result["type"]) == (["a", "b"], "list")
    assert result["response"] == "['a', 'b']"
    assert _run(endpoint, tmp_path, "--answer", "Nowhere").returncode == 2


def test_a_resumed_run_says_which_calls_its_record_answered(
    endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    assert _run(endpoint, tmp_path).returncode == 0
    journal = tmp_path / "run" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    end = next(at for at, line in enumerate(lines) if b'"run_ended"' in line)
    journal.write_bytes(b"".join(lines[:end]))  # as a killed process leaves it
    done = _rlm(endpoint, tmp_path, "resume", "run")
    assert (done.returncode, done.stdout) == (0, b"TEXT<sub>\n"), done.stderr.decode()
    assert "1 call answered from the record, 0 asked anew" in done.stderr.decode()


def test_a_variable_that_is_nearly_a_setting_is_told_before_the_run(
    endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    command, env = _command(endpoint, "run", "What?", "--context", "-")
    done = subprocess.run(
        command, cwd=tmp_path, env={**env, "RLM_MAX_TURN": "1"}, input=b"text",
        capture_output=True, timeout=100, check=True,
    )  # fmt: skip
    assert b"RLM_MAX_TURN is no setting; did you mean RLM_MAX_TURNS?" in done.stderr
