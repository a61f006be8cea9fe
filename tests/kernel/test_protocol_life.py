"""Starts, ends, deaths and faults of the kernel's two processes, and two front ends at once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from harness import (
    LM,
    RLM,
    Front,
    RunningKernel,
    Withheld,
    block,
    gone,
    running_kernel,
    scripted_lm,
)  # fmt: skip

ASK = "%%rlm\nwhat?"


def _busy(front: Front, lm: LM, what: str) -> None:
    """Let the kernel be idle, in a Python cell or in a question."""
    front.run("import time; context = 'abc'")
    if what == "python":
        front.hear(front.start("print('begun'); time.sleep(60)"), "begun")
    elif what == "question":
        held = Withheld("never")
        lm.say(held)
        front.start(ASK)
        held.wait_asked()


@pytest.mark.parametrize("what", ["idle", "python", "question"])
def test_nothing_is_left_after_a_shutdown(tmp_path: Path, what: str) -> None:
    with scripted_lm() as lm, running_kernel(tmp_path, env=lm.environment) as kernel:
        _busy(kernel.front(), lm, what)
        kernel.shut_down()
        gone(kernel)


@pytest.mark.parametrize("what", ["idle", "python", "question"])
def test_nothing_is_left_of_a_kernel_that_was_killed(tmp_path: Path, what: str) -> None:
    with scripted_lm() as lm, running_kernel(tmp_path, env=lm.environment) as kernel:
        _busy(kernel.front(), lm, what)
        os.kill(kernel.pid, signal.SIGKILL)
        gone(kernel)


@pytest.mark.parametrize("what", ["idle", "python", "question"])
def test_a_restarted_kernel_is_a_new_one(tmp_path: Path, what: str) -> None:
    with scripted_lm() as lm, running_kernel(tmp_path, env=lm.environment) as kernel:
        front = kernel.front()
        front.run("old = 1")
        _busy(front, lm, what)
        kernel.restart()
        kernel.forget_fronts()
        assert kernel.front().run("'old' in dir()").result == "False"
        assert len(list(kernel.tmp.glob("rlm-*"))) == 1


def test_a_cell_that_ends_its_kernel_is_an_error_and_the_next_one_works(front: Front) -> None:
    front.run("gone = 1")
    died = front.run("import os; os._exit(7)")
    assert died.error[0] == "KernelDied"
    assert "exit code 7" in died.error[1]
    assert "gone" in died.error[1]
    after = front.run("'gone' in dir()")
    assert after.result == "False"
    assert after.stream("stderr") == ""


def _inner(front: Front) -> int:
    return int(front.run("import os; os.getpid()").result or 0)


def test_a_kernel_killed_from_outside_in_a_cell_is_told_there(front: Front) -> None:
    pid = _inner(front)
    identity = front.start("import time; print('begun'); time.sleep(60)")
    front.hear(identity, "begun")
    os.kill(pid, signal.SIGKILL)
    assert "signal 9" in front.finish(identity).error[1]
    assert front.run("1").result == "1"


def test_a_kernel_killed_while_idle_is_told_in_the_next_cell(front: Front) -> None:
    pid = _inner(front)
    front.run("lost = 1")
    os.kill(pid, signal.SIGKILL)
    front.until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the inner kernel")
    after = front.run("'lost' in dir()")
    assert after.result == "False"
    assert "the kernel ended (signal 9" in after.stream("stderr")
    assert "lost" in after.stream("stderr")
    assert front.run("1").stream("stderr") == ""


def test_what_was_lost_by_a_cell_of_the_lms_is_told_at_the_end_of_its_question(
    lm: LM, front: Front
) -> None:
    front.run("context = 'abc'; gone = again = 1")
    lm.say(block("import os; os._exit(3)"), block("again = 2\nFINAL_VAR('done')"))
    asked = front.run("%%rlm\nHow many?")
    assert asked.result == "done"
    assert asked.stream("stderr").endswith("Lost variables: gone\n")


def test_exit_ends_the_inner_kernel_and_the_next_cell_works(front: Front) -> None:
    pid = _inner(front)
    payload = front.run("exit").reply["content"]["payload"]
    assert payload == [{"source": "ask_exit", "keepkernel": False}]
    front.until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the inner kernel")
    assert front.run("1").result == "1"


def test_two_front_ends_hear_all_and_get_each_their_own(kernel: RunningKernel) -> None:
    one, two = kernel.front(), kernel.front()
    first = one.start("print('by one'); input('one? ')")
    one.hear(first, "by one")  # two connections: what is sent first need not come first
    second = two.start("input('two? ')")
    assert one.asked_input()["content"]["prompt"] == "one? "
    assert not two.was_asked_input()
    one.type("I")
    assert one.finish(first).result == "'I'"
    assert two.asked_input()["content"]["prompt"] == "two? "
    two.type("II")
    assert two.finish(second).result == "'II'"
    two.hear(first, "by one")
    one.hear(second, "II")
    assert not one.was_asked_input()


def test_a_kernel_answers_while_its_inner_kernel_starts_and_is_shut_down_at_once_without_a_word(
    tmp_path: Path,
) -> None:
    with running_kernel(tmp_path) as kernel:
        front = kernel.front()
        cell = front.start("1")
        assert front.ask("kernel_info_request", {})["content"]["implementation"] == "rlm_kernel"
        assert front.finish(cell).result == "1"
        kernel.shut_down()
        gone(kernel)
        assert "fault" not in kernel.log


@pytest.mark.parametrize("code", ["1", ASK, "%rlm status"])
def test_a_wrong_environment_is_said_in_each_cell(tmp_path: Path, code: str) -> None:
    with running_kernel(tmp_path, env={"RLM_MAX_TURNS": "abc"}) as kernel:
        front = kernel.front()
        for _ in range(2):
            name, text = front.run(code).error
            assert name == "UsageError"
            assert "RLM_MAX_TURNS" in text
            assert "abc" in text
        asked = {"code": "zi", "cursor_pos": 2}
        assert front.ask("complete_request", asked)["content"]["status"] == "error"


def test_a_broken_config_file_is_said_in_each_cell(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "jupyter-config"
    folder.mkdir(parents=True)
    (folder / "jupyter_rlm_config.py").write_text("c.RLM.model = = 1\n")
    with running_kernel(tmp_path) as kernel:
        name, text = kernel.front().run("1").error
        assert name == "UsageError"
        assert "jupyter_rlm_config.py" in text


FAULTY = """
import sys
from rlm_kernel.kernel import python_cells, __main__ as entry
async def broken(self, execution, *rest): raise ZeroDivisionError("oops")
python_cells.PythonCells.run = broken
entry.main()
"""


def test_a_fault_of_ours_still_gives_an_error_and_a_line_in_the_log(tmp_path: Path) -> None:
    argv = (RLM[0], "-c", FAULTY, *RLM[3:])
    with running_kernel(tmp_path, argv=argv) as kernel:
        outcome = kernel.front().run("1")
        assert outcome.status == "error"
        assert "ZeroDivisionError: oops" in outcome.error[1]
        assert "fault of rlm_kernel" in outcome.error[1]
        assert "Traceback" in kernel.log


def test_no_output_is_lost_while_the_kernel_cannot_take_it(tmp_path: Path) -> None:
    go, shown = tmp_path / "go", tmp_path / "shown"
    source = (
        "import os\nprint('begun')\n"
        f"with open({str(shown)!r}, 'ab', buffering=0) as file:\n"
        f"    while not os.path.exists({str(go)!r}): os.sched_yield()\n"
        "    for n in range(5_000): display(n); file.write(b'.')"
    )
    with running_kernel(tmp_path) as kernel:
        front = kernel.front()
        request = front.start(source)
        front.hear(request, "begun")
        os.kill(kernel.pid, signal.SIGSTOP)
        try:
            go.touch()
            sizes = [0]

            def stands_still() -> bool:
                sizes.append(shown.stat().st_size)
                return sizes[-1] > 500 and sizes[-1] == sizes[-2]

            front.until(stands_still, "the cell to wait for the kernel, or to end")
        finally:
            os.kill(kernel.pid, signal.SIGCONT)
        said = front.finish(request).of("display_data")
        assert [m["content"]["data"]["text/plain"] for m in said] == [str(n) for n in range(5_000)]
