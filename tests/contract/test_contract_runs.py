"""Whole runs whose cells run in a sandbox, whichever it is, through ``RLM`` and ``replay``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import ask, block, calls, cells, check_whole, events, of, script, told
from environments import SANDBOXES, sandbox

from rlm_kernel import RLM, Limits, Result, on_host
from rlm_kernel.environments.kernel_config import KernelTemplate
from rlm_kernel.errors import UsageError
from rlm_kernel.events import KernelRestarted, NodeStarted
from rlm_kernel.record import trajectory
from rlm_kernel.replay.replay import replay
from rlm_kernel.replay.verdict import Verdict
from rlm_kernel.session.event_loop import engine as core
from rlm_kernel.testing import ScriptedLM

TALKATIVE = (
    "n = llm_query_batched([f'how many in {i}?' for i in range(5)])\nprint(len(context), n)",
    "def fails():\n    1 / 0\nfails()",
    "from IPython.display import HTML\nprint({'a', 'b', 'c'}, table)\nHTML('<b>x</b>')",
    "child = rlm_query('child?', {'for': 'the child'})",
    "FINAL_VAR(n[2] + child + shout('a') + twice('b'))",
)
FORK_BOMB = """
import os, time
print(len(context))
while True:
    if not os.fork():
        time.sleep(60)
"""


def shout(text: str) -> str:
    return text.upper()


def twice(text: str) -> str:
    return text * 2


def _talkative() -> ScriptedLM:
    """A batch, a failed cell, rich output, a child and calls back to the host."""
    turns = iter(map(block, TALKATIVE))

    def turn(messages: list[dict[str, Any]]) -> str:
        if ": child?" in messages[1]["content"]:
            return block("print(context)\nFINAL_VAR(context['for'] + llm_query('deep'))")
        return next(turns)

    return ScriptedLM(turn, lambda prompt: f"<{prompt}>")


def _told_of(environment: dict[str, Any], out: Path) -> Result:
    tools = {"shout": on_host(shout), "twice": twice, "table": [1, 2, 3]}
    result = ask(_talkative(), out, "line one\r\n" * 9000, tools=tools, **environment)
    assert result.status == "answered", result
    return result


def _replayed(result: Result, kernels: KernelTemplate) -> Verdict:
    recorded = trajectory.load(result.trajectory.parent)
    return core().run(replay(recorded, lambda text: None, kernels=kernels))


@pytest.fixture(scope="module", params=SANDBOXES)
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(environment: str) -> dict[str, Any]:
    """The settings that put cells into the sandbox."""
    return sandbox(environment)


def _kernels(place: dict[str, Any]) -> KernelTemplate:
    chosen = dict(place)
    return KernelTemplate(chosen.pop("environment"), chosen)


@pytest.fixture(scope="module")
def recorded(environment: str, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return _told_of(sandbox(environment), tmp_path_factory.mktemp("recorded") / "run")


@pytest.fixture(scope="session")
def recorded_here(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return _told_of({}, tmp_path_factory.mktemp("recorded-here") / "run")


def test_a_run_calls_lms_children_and_tools_from_a_sandbox(recorded: Result) -> None:
    assert recorded.response == "<how many in 2?>the child<deep>Abb"
    assert {call.op for call in calls(recorded)} == {
        "llm_query_batched",
        "llm_query",
        "rlm_query",
        "tool",
    }
    assert [n.node for n in of(NodeStarted, events(recorded))] == ["0", "0.1"]
    assert [cell.status for cell in cells(recorded)] == ["ok", "error", "ok", "ok", "ok"]
    check_whole(recorded)


def test_a_record_of_a_sandbox_replays_there_and_here(
    recorded: Result, place: dict[str, Any]
) -> None:
    for kernels in (_kernels(place), KernelTemplate()):
        verdict = _replayed(recorded, kernels)
        assert (verdict.result, verdict.differences) == ("equal", [])
        assert (verdict.cells, verdict.calls) == (6, 8)


def test_a_record_of_this_machine_replays_in_a_sandbox(
    recorded_here: Result, place: dict[str, Any]
) -> None:
    verdict = _replayed(recorded_here, _kernels(place))
    assert (verdict.result, verdict.differences) == ("equal", [])
    assert (verdict.cells, verdict.calls) == (6, 8)


def test_a_second_question_finds_the_variables_of_the_first(
    place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lm = script(
        "kept = context + '!'\nprint(kept)\nFINAL_VAR(kept)",
        "print(context)\nFINAL_VAR(kept + context)",
    )
    with RLM(model=lm, persistent=True, **place) as rlm:
        assert rlm.completion("one", "What is it?").response == "one!"
        assert rlm.completion("two", "And now?").response == "one!two"


def test_the_copy_of_a_context_goes_once_it_is_read(place: dict[str, Any], tmp_path: Path) -> None:
    look = "import glob\nprint(len(context), glob.glob('/tmp/rlm-*/value-*'))"
    result = ask(script(look, "FINAL_VAR(len(context))"), tmp_path / "run", "é" * 100_000, **place)
    assert result.response == "100000"
    assert cells(result)[0].outputs[0]["text"] == "100000 []\n"


def test_a_folder_that_is_mounted_can_be_read_and_not_written(
    place: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "prices.csv").write_text("a,b\n")
    read = "print(context, open('/mnt/data/prices.csv').read())\nopen('/mnt/data/new', 'w')"
    lm = script(read, "FINAL_VAR('all done')")
    result = ask(lm, tmp_path / "run", "yes", **place, mounts=[str(folder)])
    printed, failed = cells(result)[0].outputs
    assert printed["text"] == "yes a,b\n\n"
    assert failed["ename"] in ("OSError", "PermissionError")
    assert list(folder.iterdir()) == [folder / "prices.csv"]


def test_a_record_does_not_say_what_its_replay_may_reach(
    place: dict[str, Any], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the canary")
    read = "import os\nprint(context, os.path.exists('/mnt/secret'))\nFINAL_VAR('all done')"
    result = ask(script(read), tmp_path / "run", "yes", **place, mounts=[str(secret)])
    assert cells(result)[0].outputs[0]["text"] == "yes True\n"
    recorded = trajectory.load(result.trajectory.parent)
    verdict = core().run(replay(recorded, lambda text: None))
    assert verdict.result == "differs"
    assert "now: yes False" in verdict.differences[0]


@pytest.mark.parametrize(("children", "found"), [("own", "False"), ("shared", "True")])
def test_a_child_has_a_sandbox_of_its_own_or_the_roots(
    place: dict[str, Any], tmp_path: Path, children: str, found: str
) -> None:
    start = "open('/work/note', 'w').write(context)\nFINAL_VAR(rlm_query('see?', 'child'))"
    look = "import os\nprint(context)\nFINAL_VAR(os.path.exists('/work/note'))"

    def turn(messages: list[dict[str, Any]]) -> str:
        return block(look if ": see?" in messages[1]["content"] else start)

    lm = ScriptedLM(turn)
    if (place["environment"], children) == ("bwrap", "shared"):
        with pytest.raises(UsageError, match="which no child can join"):
            ask(lm, tmp_path / "run", "root", **place, children=children)
        return
    result = ask(lm, tmp_path / "run", "root", **place, children=children)
    assert result.response == found
    check_whole(result)


def test_the_lm_is_told_of_the_limit_of_memory_and_goes_on(
    place: dict[str, Any], tmp_path: Path
) -> None:
    lm = script(
        "kept = len(context)\nprint(kept)",
        "big = bytearray(b'x') * (2 << 30)",
        "print('kept' in globals(), context)\nFINAL_VAR(context)",
    )
    result = ask(lm, tmp_path / "run", "the text", memory="512m", **place)
    assert (result.status, result.response) == ("answered", "the text")
    notice = told(lm, 3)
    assert "out of memory" in notice
    assert "512m" in notice
    assert "these variables are lost: kept" in notice
    [restart] = of(KernelRestarted, events(result))
    assert restart.reason == (
        "the kernel ended (signal 9, out of memory)\n"
        "The sandbox's limit of memory is 512m (`memory`)."
    )
    assert [cell.status for cell in cells(result)] == ["ok", "died", "ok"]
    check_whole(result)


def test_a_fork_bomb_is_contained_and_the_run_goes_on(
    place: dict[str, Any], tmp_path: Path
) -> None:
    lm = script(FORK_BOMB, "print(context)\nFINAL_VAR(context + llm_query('still'))")
    limits = Limits(cell_seconds=10)
    result = ask(lm, tmp_path / "run", "the text", pids=64, limits=limits, **place)
    assert (result.status, result.response) == ("answered", "the text<still>")
    assert "BlockingIOError" in told(lm, 2)
    check_whole(result)


def test_keys_of_the_host_are_not_in_the_sandbox(
    place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLM_API_KEY", "canary-key-123")
    monkeypatch.setenv("RLM_PASSED", "on purpose")
    lm = script(
        "import os, pathlib\nprint(context)\nseen = [str(dict(os.environ))]\n"
        "for path in pathlib.Path('/proc').glob('[0-9]*/environ'):\n"
        "    try:\n        seen.append(path.read_text())\n"
        "    except OSError:\n        pass\n"
        "FINAL_VAR(['canary-key' + '-123' in str(seen), 'on purpose' in str(seen)])"
    )
    result = ask(lm, tmp_path / "run", pass_env=("RLM_PASSED",), **place)
    assert result.response == "[False, True]"
