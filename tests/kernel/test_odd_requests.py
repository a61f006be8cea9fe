"""Requests and messages of odd forms through the kernel RLM: each ends, and the next cell works."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.fuzz import asked_of_front, sent_by_human
from faults.odd import ASKED, MESSAGES, made
from harness import LM, Front, RunningKernel, block, running_kernel
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

import rlm_kernel

UNHEEDED = AsyncMappingKernelManager.untracked_message_types.default()
"""The requests whose status neither the server nor JupyterLab heeds."""
QUICK = 30
"""``make fuzz`` sends 200."""


@pytest.fixture
def ready(front: Front) -> Front:
    front.run("import time, asyncio; kept = 40")
    return front


def test_odd_messages_of_a_cell_cost_no_kernel(ready: Front) -> None:
    for odd in made(MESSAGES, QUICK, 8):
        assert sent_by_human(ready, odd) == "", odd


def test_odd_requests_each_end_and_cost_no_kernel(ready: Front) -> None:
    for odd in made(ASKED, QUICK, 8):
        assert asked_of_front(ready, odd) == "", odd


def test_a_lone_surrogate_reaches_the_front_end_as_a_mark(ready: Front) -> None:
    assert ready.run("print('a\\ud800b')").stream() == "a\ufffdb\n"
    assert ready.run("kept + 2").result == "42"


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize(
    ("kind", "content", "channel", "ename"),
    [
        ("debug_request", {"command": "debugInfo"}, "control", "UsageError"),
        ("delete_subshell_request", {"subshell_id": "none"}, "control", "UsageError"),
        ("delete_subshell_request", {}, "control", "UsageError"),
        ("execute_request", {}, "shell", "UsageError"),
        ("execute_request", {"code": ["1"]}, "shell", "UsageError"),
        ("complete_request", {"code": "a"}, "shell", "UsageError"),
        ("complete_request", {"code": "a", "cursor_pos": "1"}, "shell", "UsageError"),
        ("history_request", {"no_such": 1}, "shell", "NoReply"),
        ("is_complete_request", {}, "shell", "NoReply"),
    ],
)
def test_a_request_that_nobody_can_answer_gets_an_error_reply_and_idle(
    ready: Front, kind: str, content: dict[str, Any], channel: str, ename: str, busy: bool
) -> None:
    running = ready.start("print('begun')\ntime.sleep(0.3)") if busy else None
    if running is not None:
        ready.hear(running, "begun")
    outcome = ready.finish(ready.send(kind, content, channel=channel))
    assert outcome.status == "error"
    assert outcome.reply["content"]["ename"] == ename
    states = [message["content"]["execution_state"] for message in outcome.of("status")]
    assert (states[0], states[-1]) == ("busy", "idle")
    if running is not None:
        assert ready.finish(running).status == "ok"
    assert ready.run("kept + 2").result == "42"


def _kind_asked(message: dict[str, Any]) -> object:
    return message["parent_header"].get("msg_type")


def test_what_is_answered_while_a_cell_runs_does_not_begin_it_again(ready: Front) -> None:
    running = ready.start("input()")
    ready.asked_input()
    for _ in range(3):
        ready.ask("complete_request", {"code": "tim", "cursor_pos": 3})
        ready.ask("kernel_info_request", {}, channel="control")
    heeded = lambda: [each for each in ready.heard if _kind_asked(each) not in UNHEEDED]  # noqa: E731
    ready.until(lambda: _states(heeded())[-1] == "busy", "the sign that a cell runs")
    ready.type("")
    assert _states(ready.finish(running).iopub) == ["busy", "idle"]


def test_all_that_the_kernel_says_is_of_one_session(ready: Front) -> None:
    ready.run("print('said')\n'given'")
    ready.ask("complete_request", {"code": "tim", "cursor_pos": 3})
    assert len({message["header"]["session"] for message in ready.heard}) == 1


def _states(messages: list[dict[str, Any]]) -> list[str]:
    return [m["content"]["execution_state"] for m in messages if m["msg_type"] == "status"]


def test_a_cell_without_its_code_is_an_error_in_its_output(ready: Front) -> None:
    outcome = ready.finish(ready.send("execute_request", {"silent": False}))
    assert "needs 'code', a text" in outcome.error[1]


def test_a_request_to_a_subshell_that_is_not_there_gets_an_error(ready: Front) -> None:
    message = ready.session.msg("complete_request", {"code": "a", "cursor_pos": 1})
    message["header"]["subshell_id"] = "none"
    ready.session.send(ready._sockets["shell"], message)
    outcome = ready.finish(message["header"]["msg_id"])
    assert "there is no subshell 'none'" in outcome.reply["content"]["evalue"]
    assert ready.run("kept + 2").result == "42"


def test_an_input_reply_of_an_odd_form_is_the_cell_s_line(ready: Front) -> None:
    for content, line in (({"value": 5}, "'5'"), ({}, "''"), ({"value": None}, "'None'")):
        running = ready.start("typed = input()")
        ready.asked_input()
        ready.send("input_reply", content, channel="stdin")
        ready.finish(running)
        assert ready.run("typed").result == line


@pytest.mark.parametrize(
    "code",
    [
        "await asyncio.sleep(60)",
        "await asyncio.gather(asyncio.sleep(60), asyncio.Event().wait())",
        "await asyncio.sleep(0); time.sleep(60)",
    ],
)
def test_a_cell_that_awaits_is_interrupted(ready: Front, code: str) -> None:
    running = ready.start(f"print('begun')\n{code}")
    ready.hear(running, "begun")
    ready.interrupt()
    outcome = ready.finish(running, 10)
    assert outcome.error[0] in ("CancelledError", "KeyboardInterrupt")
    assert ready.run("kept + 2").result == "42"


def test_an_lm_s_cell_that_awaits_is_interrupted_and_the_names_stay(
    ready: Front, lm: LM, kernel: RunningKernel
) -> None:
    ready.run("context = 'abc'")
    lm.say(block("open('awaits', 'w').close()\nimport asyncio; await asyncio.sleep(60)"))
    asked = ready.start("%%rlm\nwhat?")
    ready.until((kernel.cwd / "awaits").exists, "the LM's cell")
    ready.interrupt()
    assert ready.finish(asked, 10).error[0] == "KeyboardInterrupt"
    assert ready.run("kept + 2").result == "42"


def test_a_completion_that_does_not_end_is_interrupted(ready: Front) -> None:
    ready.run(  # IPython may try again
        "class Slow:\n    tried = False\n    def __dir__(self):\n"
        "        if Slow.tried: return []\n"
        "        Slow.tried = True; print('asked', flush=True); time.sleep(60)\n"
        "slow = Slow(); get_ipython().Completer.use_jedi = False"
    )
    since = len(ready.heard)
    identity = ready.send("complete_request", {"code": "slow.", "cursor_pos": 5})
    ready.hear_any("asked", since)
    ready.interrupt()
    ready.finish(identity, 15)
    assert ready.run("kept + 2").result == "42"


# an inner kernel before ipykernel 7
@pytest.fixture
def old(lm: LM, tmp_path: Path) -> Iterator[Front]:
    """A notebook whose inner kernel has no subshells."""
    program = (
        "from ipykernel.ipkernel import IPythonKernel\n"
        "from ipykernel.kernelapp import IPKernelApp\n"
        "class Old(IPythonKernel):\n"
        "    _supports_kernel_subshells = False\n"
        "IPKernelApp.kernel_class = Old\n"
        "IPKernelApp.launch_instance()\n"
    )
    argv = [sys.executable, "-c", program, "-f", "{connection_file}"]
    spec = tmp_path / "kernels" / "old"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "old", "language": "python"})
    )
    env = {**lm.environment, "JUPYTER_PATH": str(tmp_path), "RLM_KERNEL": "old"}
    with running_kernel(tmp_path, env=env) as kernel:
        yield kernel.front()


def test_a_kernel_without_subshells_answers_after_the_cell_and_each_request_ends(
    old: Front,
) -> None:
    running = old.start("print('begun')\nimport time; time.sleep(1)")
    old.hear(running, "begun")
    asked = [old.send("is_complete_request", {"code": "if x:"}) for _ in range(3)]
    assert [old.finish(each).status for each in asked] == ["incomplete"] * 3
    assert old.finish(running).status == "ok"
    running = old.start("print('begun')\nimport asyncio; await asyncio.sleep(60)")
    old.hear(running, "begun")
    old.interrupt()
    old.finish(running, 10)
    assert old.run("6 * 7").result == "42"


def test_a_package_that_is_gone_is_told_as_what_it_is(tmp_path: Path) -> None:
    copy = tmp_path / "site" / "rlm_kernel"
    shutil.copytree(Path(rlm_kernel.__file__).parent, copy)
    program = f"import sys; sys.path.insert(0, {str(copy.parent)!r})\n"
    program += "from rlm_kernel.kernel.__main__ import main; main()"
    argv = (sys.executable, "-P", "-c", program, "-f", "{connection_file}")
    with running_kernel(tmp_path, argv=argv) as kernel:
        front = kernel.front()
        assert front.run("6 * 7").result == "42"
        copy.rename(tmp_path / "elsewhere")
        front.run("import os; os._exit(1)")
        assert "was removed or updated while this kernel ran" in front.run("6 * 7").error[1]
