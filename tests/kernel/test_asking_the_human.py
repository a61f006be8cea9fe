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


ROWS = "t = llm_map(['buy', 'hi', 'buy now'], 'Is it spam?', labels=['spam', 'ham'])"


def _judge(front: Front, running: str, *lines: str) -> list[str]:
    """Type a line for each row that is shown; return what was shown."""
    shown = []
    for line in lines:
        shown.append(front.asked_input()["content"]["prompt"])
        front.type(line)
    return shown


def test_rows_of_a_map_are_judged_where_a_question_is_asked(
    front: Front, lm: LM, kernel: RunningKernel
) -> None:
    front.run("text = 'mails'")
    lm.say(block(f"print(context)\n{ROWS}\nc = t.check()\nprint(c)\nFINAL_VAR(t.counts())"))
    lm.sub = lambda prompt: "spam"
    running = front.start(ASK)
    shown = _judge(front, running, "", "maybe", "ham", "/skip")
    assert all("Check row" in prompt for prompt in shown)
    assert "was not taken" in shown[2]
    asked = front.finish(running)
    assert asked.status == "ok", asked.error
    assert "accuracy" in asked.shown
    assert "checked on 2 of 3 rows by the human, 1 skipped" in asked.shown
    check_equal(runs(kernel)[-1])
    front.run("%rlm replay only")
    again = front.run(ASK, allow_stdin=False)
    assert again.result == asked.result
    assert "checked on 2 of 3 rows by the human, 1 skipped" in again.shown
    front.run("%rlm replay off")


def test_by_hand_rows_are_judged_in_the_cell_and_a_later_answer_tells_of_it(
    front: Front, lm: LM, kernel: RunningKernel
) -> None:
    lm.say(block("print(context, t.counts())\nFINAL_VAR(t.counts()['spam'])"))
    lm.sub = lambda prompt: "spam"
    front.run(f"text = 'mails'\n{ROWS}")
    running = front.start("c = t.check()\nc.right, len(c.corrections)")
    assert _judge(front, running, "", "", "ham")[0].startswith("Check row ")
    assert front.finish(running).result == "(2, 1)"
    refused = front.run("llm_map(['a'], 'Which?').check()", allow_stdin=False)
    assert refused.error[0] == "CallRefused"
    assert "t.check(by='MODEL')" in refused.error[1]
    asked = front.run(ASK)
    assert "checked on 3 of 3 rows by the human" in asked.shown
    check_equal(runs(kernel)[-1])


def test_a_check_that_is_interrupted_goes_on_where_it_was(front: Front, lm: LM) -> None:
    lm.say()
    lm.sub = lambda prompt: "spam"
    front.run(ROWS)
    running = front.start("t.check()")
    _judge(front, running, "ham")
    front.asked_input()
    front.interrupt()
    assert front.finish(running).error[0] == "KeyboardInterrupt"
    running = front.start("t.check().checked")
    assert "2 of 3" in _judge(front, running, "", "")[0]
    assert front.finish(running).result == "3"
