"""Interrupts: the kernel and its variables stay, and the front end gets its reply."""

from __future__ import annotations

import os
import signal

import nbformat
import pytest
from harness import HANG, LM, Front, Outcome, RunningKernel, Withheld, block

from rlm_kernel.kernel.outer import UNASKED


def stays(front: Front, outcome: Outcome) -> None:
    """The cell was interrupted, and what was bound before it is still there."""
    assert outcome.reply["content"]["ename"] == "KeyboardInterrupt"
    assert outcome.error[0] == "KeyboardInterrupt"
    assert front.run("kept").result == "'here'"


@pytest.fixture
def ready(front: Front) -> Front:
    front.run("import time; kept = 'here'; context = 'abc'")
    return front


@pytest.mark.parametrize(
    "code",
    ["print('begun')\nwhile True: pass", "print('begun')\ntime.sleep(60)"],
)
def test_python_that_runs_is_interrupted(ready: Front, code: str) -> None:
    identity = ready.start(code)
    ready.hear(identity, "begun")
    assert ready.interrupt()["content"] == {"status": "ok"}
    stays(ready, ready.finish(identity))


def test_a_signal_interrupts_as_a_message_does(ready: Front, kernel: RunningKernel) -> None:
    identity = ready.start("print('begun')\ntime.sleep(60)")
    ready.hear(identity, "begun")
    os.kill(kernel.pid, signal.SIGINT)
    stays(ready, ready.finish(identity))


def test_a_cell_that_waits_for_input_is_interrupted(ready: Front) -> None:
    identity = ready.start("input('? ')")
    ready.asked_input()
    ready.interrupt()
    stays(ready, ready.finish(identity))


def test_a_call_in_flight_is_interrupted_and_its_request_closed(ready: Front, lm: LM) -> None:
    asked = Withheld(HANG)
    lm.say()
    lm.sub = lambda prompt: asked
    identity = ready.start("llm_query('hello')")
    asked.wait_asked()
    ready.interrupt()
    stays(ready, ready.finish(identity))
    ready.until(lm.hung_up, "the end of the request")


def test_a_cell_that_swallows_one_interrupt_gets_the_next(ready: Front) -> None:
    identity = ready.start(
        "try:\n    print('begun'); time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('swallowed'); time.sleep(60)"
    )
    ready.hear(identity, "begun")
    ready.interrupt()
    ready.hear(identity, "swallowed")
    ready.interrupt()
    stays(ready, ready.finish(identity))


def test_an_interrupt_while_nothing_runs_does_nothing(ready: Front) -> None:
    ready.interrupt()
    ready.interrupt()
    assert ready.run("kept").result == "'here'"


def test_cells_that_wait_are_aborted_and_a_question_says_so(ready: Front) -> None:
    first = ready.start("print('begun')\ntime.sleep(60)")
    waiting = [ready.start("1"), ready.start("%%rlm\nwhat?")]
    ready.hear(first, "begun")
    ready.interrupt()
    stays(ready, ready.finish(first))
    outcomes = [ready.finish(identity) for identity in waiting]
    assert [outcome.status for outcome in outcomes] == ["aborted", "aborted"]
    assert [outcome.stream("stderr") for outcome in outcomes] == ["", UNASKED]


# questions
def ended_as_interrupted(front: Front, kernel: RunningKernel, outcome: Outcome) -> None:
    stays(front, outcome)
    assert "interrupted" in outcome.shown
    trajectory = kernel.cwd / outcome.shown.split("trajectory: ")[-1].split()[0]
    *_, last, sealed = (trajectory.parent / "journal.jsonl").read_text().splitlines()
    assert "interrupted" in last
    assert "sealed" in sealed
    nbformat.validate(nbformat.read(trajectory, as_version=4))


@pytest.mark.parametrize("times", [1, 2])
def test_a_question_is_interrupted_while_the_lm_writes(
    ready: Front, lm: LM, kernel: RunningKernel, times: int
) -> None:
    asked = Withheld(HANG)
    lm.say(asked)
    identity = ready.start("%%rlm\nwhat?")
    asked.wait_asked()
    for _ in range(times):
        ready.interrupt()
    ended_as_interrupted(ready, kernel, ready.finish(identity))
    ready.until(lm.hung_up, "the end of the request")


def test_a_question_is_interrupted_while_its_cell_runs(
    ready: Front, lm: LM, kernel: RunningKernel
) -> None:
    lm.say(block("import time\nprint('so far')\nopen('sign', 'w').close()\ntime.sleep(60)"))
    sign = kernel.cwd / "sign"
    identity = ready.start("%%rlm\nwhat?")
    ready.until(sign.exists, "the LM's cell")
    ready.interrupt()
    ended_as_interrupted(ready, kernel, ready.finish(identity))
    sign.unlink()


def test_a_question_is_interrupted_while_its_sub_call_is_in_flight(
    ready: Front, lm: LM, kernel: RunningKernel
) -> None:
    asked = Withheld(HANG)
    lm.say(block("llm_query('hello')"))
    lm.sub = lambda prompt: asked
    identity = ready.start("%%rlm\nwhat?")
    asked.wait_asked()
    ready.interrupt()
    ended_as_interrupted(ready, kernel, ready.finish(identity))
    ready.until(lm.hung_up, "the end of the request")


def test_another_front_end_stops_a_question(ready: Front, lm: LM, kernel: RunningKernel) -> None:
    asked = Withheld(HANG)
    lm.say(asked)
    other = kernel.front()
    identity = ready.start("%%rlm\nwhat?")
    asked.wait_asked()
    stopped = other.run("%rlm stop")
    assert stopped.status == "ok"
    assert [m["msg_type"] for m in stopped.iopub] == ["status", "execute_input", "status"]
    ended_as_interrupted(ready, kernel, ready.finish(identity))


def test_stop_with_nothing_running_says_so(ready: Front) -> None:
    assert ready.run("%rlm stop").shown == "Nothing runs."
