"""``ask_human`` in a notebook: where the front end takes input, and where nobody is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import LM, Front, RunningKernel, block
from records import check_equal, events, runs

from rlm_kernel.events import CallEnded

ASK = "%%rlm --context text\nWhich one?"


@pytest.fixture
def ready(front: Front, lm: LM) -> Front:
    front.run("text = 'two ships'")
    lm.say(block("print(context)\nsaid = ask_human('Ship \\x1b[31mor airship?')\nFINAL_VAR(said)"))
    return front


def test_the_question_is_shown_and_the_reply_is_the_cell_s(
    ready: Front, kernel: RunningKernel
) -> None:
    running = ready.start(ASK)
    prompt = ready.asked_input()["content"]["prompt"]
    assert "airship?" in prompt
    assert "\x1b" not in prompt
    ready.type("the airship")
    assert ready.finish(running).result == "the airship"
    folder = runs(kernel)[-1]
    asked = [e for e in events(folder) if isinstance(e, CallEnded)]
    assert [(e.op, e.reply) for e in asked] == [("tool", "the airship")]
    check_equal(folder)


def test_a_front_end_that_takes_no_input_has_no_human(ready: Front) -> None:
    asked = ready.run(ASK, allow_stdin=False)
    assert not ready.was_asked_input()
    assert asked.status == "error"
    assert "no human is there" in asked.shown


def test_a_question_to_the_human_is_interrupted(ready: Front) -> None:
    running = ready.start(ASK)
    ready.asked_input()
    ready.interrupt()
    assert ready.finish(running).error[0] == "KeyboardInterrupt"
    ready.type("too late")
    again = ready.start("input('mine? ')")
    assert ready.asked_input()["content"]["prompt"] == "mine? "
    ready.type("a line")
    assert ready.finish(again).result == "'a line'"


def test_by_hand_it_is_the_cell_s_own_input(front: Front, kernel: object, tmp_path: Path) -> None:
    running = front.start("ask_human('Which?')")
    assert front.asked_input()["content"]["prompt"] == "Which? "
    front.type("this one")
    assert front.finish(running).result == "'this one'"
    assert front.run("ask_human('Which?')", allow_stdin=False).error[0] == "CallRefused"
    assert front.run("limits_left()['turns'], limits_left()['seconds']").result == "(None, None)"
