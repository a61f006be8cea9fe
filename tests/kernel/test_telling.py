"""A word to the LM while it is at work: `%rlm tell`, by another cell, front end or the page."""

from __future__ import annotations

import pytest
from harness import LM, Front, RunningKernel, Withheld, block
from pages import Page
from records import check_equal, events, runs

from rlm_kernel.events import Prompted

FINISH = block("FINAL_VAR(len(context))")


@pytest.fixture
def asking(front: Front, lm: LM) -> Front:
    front.run("%rlm replay off\ncontext = 'abc'")
    return front


def _told(kernel: RunningKernel, turn: int) -> str:
    found = [e for e in events(runs(kernel)[-1]) if isinstance(e, Prompted) and e.turn == turn]
    return str(found[-1].messages[-1]["content"])


def test_a_word_is_taken_at_the_next_turn_and_recorded(
    asking: Front, lm: LM, kernel: RunningKernel
) -> None:
    first = Withheld(block("print(context)"))
    lm.say(first, FINISH)
    asked = asking.start("%%rlm\nHow many?")
    first.wait_asked()
    other = kernel.front()
    told = other.run('%rlm tell Don\'t count "spaces"\nand be quick')
    assert told.status == "ok"
    assert "before its next turn" in told.stream()
    first.release()
    assert asking.finish(asked).result == "3"
    assert 'The human says: Don\'t count "spaces"\nand be quick' in _told(kernel, 2)
    assert "Don't count" in (runs(kernel)[-1] / "trajectory.ipynb").read_text()
    check_equal(runs(kernel)[-1])


def test_a_page_tells_too(asking: Front, lm: LM, kernel: RunningKernel) -> None:
    first = Withheld(block("print(context)"))
    lm.say(first, FINISH)
    page = Page(asking)
    asked = asking.start("%%rlm\nHow many?", cell="the-cell")
    first.wait_asked()
    page.say(type="tell", text="no spaces")
    asking.ask("kernel_info_request", {})
    first.release()
    assert asking.finish(asked).result == "3"
    assert "no spaces" in _told(kernel, 2)
    page.say(type="tell", text="too late")
    page.until(lambda: page._of("untold"), "why it was not taken")
    assert "no LM is at work" in page._of("untold")[0]["why"]
    page.close()


def test_a_word_that_comes_after_the_last_request_is_said_not_to_be_told(
    asking: Front, lm: LM, kernel: RunningKernel
) -> None:
    last = Withheld(FINISH)
    lm.say(block("print(context)"), last)
    asked = asking.start("%%rlm\nHow many?")
    last.wait_asked()
    kernel.front().run("%rlm tell never mind")
    last.release()
    assert "not told, since it had no turn more: never mind" in asking.finish(asked).stream(
        "stderr"
    )


@pytest.mark.parametrize(
    ("cell", "said"), [("%rlm tell hello", "no LM is at work"), ("%rlm tell", "no LM is at work")]
)
def test_where_no_lm_is_at_work_the_way_on_is_named(asking: Front, cell: str, said: str) -> None:
    name, text = asking.run(cell).error
    assert name == "UsageError"
    assert said in text
    assert "%rlm continue" in text


def test_a_word_while_a_cell_of_python_runs_reaches_no_lm(
    asking: Front, kernel: RunningKernel
) -> None:
    running = asking.start("input('wait ')")
    asking.asked_input()
    assert "no LM is at work" in kernel.front().run("%rlm tell hello").error[1]
    asking.type("on")
    assert asking.finish(running).status == "ok"
