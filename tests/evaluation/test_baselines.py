"""The baselines of an evaluation: the LM alone, peers and their endpoint."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evaluating import evaluated as carried_out
from evaluating import knowing, small_grid

from rlm_kernel import LMError, UsageError, evaluation
from rlm_kernel.batch import TaskResult, open_session
from rlm_kernel.evaluation import baselines, grid, pythons
from rlm_kernel.evaluation.baselines import shortened
from rlm_kernel.evaluation.lengths import parsed
from rlm_kernel.session.event_loop import engine
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import ScriptedLM


def test_a_window_too_small_is_asked_with_less(tmp_path: Path) -> None:
    sizes: list[int] = []

    def sub(prompt: str) -> str | Exception:
        sizes.append(len(prompt))
        if len(prompt) > 3000:
            return LMError("too long", cause="window", attempts=1, status=400)
        return "Dijon"

    given = small_grid(
        names=("needles/value",), lengths=parsed("1e4"), seeds=1, systems=("window",)
    )
    summary = carried_out(tmp_path / "out", given, ScriptedLM([], sub))
    [result] = summary.results.results
    assert result.answer == "Dijon"
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 3000 < sizes[0]


def test_what_is_shortened_keeps_both_ends_and_says_what_is_gone() -> None:
    short = shortened("a" * 50 + "b" * 900 + "c" * 50, 100)
    assert short.startswith("a" * 50 + "\n[... 900 characters are left out")
    assert short.endswith("c" * 50)
    assert shortened("abc", 3) == "abc"


PEER = """
import json, sys, urllib.request
given = json.load(sys.stdin)
def ask(model, text):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(given["base_url"] + "/chat/completions",
        json.dumps(body).encode(), {"Authorization": "Bearer " + given["api_key"]})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]
print("looking", file=sys.stderr)
"""


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program in the place of rlms, in this Python."""

    def put(source: str) -> None:
        (tmp_path / "rlms_peer.py").write_text(PEER + source)

    import sys

    for module in (pythons, grid, baselines):
        monkeypatch.setattr(module, "python_of", lambda name: Path(sys.executable))
    monkeypatch.setattr(baselines, "program", lambda name: str(tmp_path / f"{name}.py"))
    return put


def _asked_peer(tmp_path: Path, sub: Callable[[str], Any], **settings: Any) -> TaskResult:
    given = small_grid(names=("needles/value",), lengths=parsed("1e3"), seeds=1, systems=("rlms",))
    made = evaluation.build(given, tmp_path / "out")
    how = evaluation.plan(notebook=False)
    session = open_session(in_force(settings), how, root=knowing(made.tasks, sub))
    summary = engine().run(evaluation.evaluate(made.tasks, tmp_path / "out", session, how))
    [result] = summary.results.results
    return result


def test_a_peer_asks_our_lms_by_an_endpoint_that_counts(
    peer: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    peer(
        "import os\nassert 'OPENAI_API_KEY' not in os.environ\n"
        "first = ask(given['author'], given['question'])\nthen = ask(given['sub'], 'part')\n"
        "print(json.dumps({'answer': first + ' ' + then}))"
    )
    prompts: list[str] = []

    def sub(prompt: str) -> str:
        prompts.append(prompt)
        return f"reply {len(prompts)}"

    result = _asked_peer(tmp_path, sub)
    assert result.answer == "reply 1 reply 2", result.reason
    assert (result.turns, result.calls, result.correct, result.confirmed) == (1, 1, False, True)
    assert result.tokens > 0
    assert prompts[1] == "part"
    assert "locker" in prompts[0]


def test_an_odd_request_of_a_peer_is_refused_in_words(
    peer: Callable[[str], None], tmp_path: Path
) -> None:
    peer(
        "import urllib.error\n"
        "def status(key, **body):\n"
        "    request = urllib.request.Request(given['base_url'] + '/chat/completions',\n"
        "        json.dumps(body).encode(), {'Authorization': 'Bearer ' + key})\n"
        "    try:\n"
        "        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)\n"
        "    except urllib.error.HTTPError as error:\n"
        "        return error.code, json.load(error)['error']['message']\n"
        "good = {'model': given['sub'], 'messages': [{'role': 'user', 'content': 'x'}]}\n"
        "key = given['api_key']\n"
        "print(json.dumps({'answer': [status('other', **good), status(key, model='gpt'),\n"
        "    status(key, **good | {'messages': 3}), status(key, **good, max_tokens='many'),\n"
        "    status(key, **good, stream=True)]}))"
    )
    result = _asked_peer(tmp_path, lambda prompt: "reply")
    told = ast.literal_eval(str(result.answer))
    assert [status for status, _ in told] == [401, 400, 400, 400, 400]
    assert "max_tokens='many'" in told[3][1]
    assert told[4][1] == "replies are not streamed here"
    assert (result.tokens, result.calls) == (0, 0)


@pytest.mark.parametrize(
    ("source", "settings", "status", "reason"),
    [
        ("raise SystemExit('it broke')", {}, "failed", "rlms ended with status 1: it broke"),
        ("print('no json')", {}, "failed", "rlms ended with status 0: looking"),
        (
            "[ask(given['sub'], 'x' * 40) for _ in range(9)]\nprint(json.dumps({'answer': 'no'}))",
            {"max_tokens": 20},
            "limit",
            "limit reached: tokens",
        ),
    ],
)
def test_a_peer_that_fails_or_reaches_a_limit_is_told_as_such(
    peer: Callable[[str], None],
    tmp_path: Path,
    source: str,
    settings: dict[str, Any],
    status: str,
    reason: str,
) -> None:
    peer(source)
    result = _asked_peer(tmp_path, lambda prompt: "reply", **settings)
    assert (result.status, result.answer, result.correct) == (status, None, False)
    assert reason in str(result.reason)


def _is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_peer_that_goes_on_for_ever_ends_with_its_time(
    peer: Callable[[str], None], tmp_path: Path
) -> None:
    peer(
        "import subprocess, time\n"
        "started = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(started.pid))\n"
        "ask(given['sub'], 'x')\ntime.sleep(60)"
    )
    result = _asked_peer(tmp_path, lambda prompt: "reply", max_seconds=3)
    if result.calls:  # where the machine is so busy that it had not begun, nothing is there
        assert not _is_alive(int((tmp_path / "pid").read_text()))
    assert (result.status, result.answer) == ("limit", None)
    assert "limit reached: seconds" in str(result.reason)


def test_what_cannot_be_installed_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(name: str) -> Path:
        raise pythons.Unavailable(f"pip cannot install {name}.txt: no network")

    monkeypatch.setattr(grid, "python_of", none)
    monkeypatch.setattr("rlm_kernel.evaluation.sets.elsewhere.python_of", none)
    given = small_grid(names=("ruler", "puzzles", "needles/value"), systems=("rlm", "dspy"))
    made = evaluation.build(given, tmp_path / "out")
    assert {task.fields["set"] for task in made.tasks.tasks} == {"needles"}
    assert made.skipped == {
        "dspy": "pip cannot install dspy.txt: no network",
        "ruler": "pip cannot install ruler.txt: no network",
        "puzzles": "pip cannot install puzzles.txt: no network",
    }
    with pytest.raises(UsageError, match="no task can be made here: pip cannot install ruler"):
        evaluation.build(small_grid(names=("ruler",)), tmp_path / "other")
