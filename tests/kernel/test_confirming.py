"""Cells that wait for the human in a notebook: by the pages, by typing, and where nobody is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import LM, Front, RunningKernel, block, running_kernel
from pages import Page
from records import check_equal, events, runs

from rlm_kernel.events import CellDecided

COUNT = "n = len(context)\nprint('counted', n)"
FINISH = "FINAL_VAR(f'There are {n}.')"
ASK = "%%rlm --confirm always\nHow many?"


@pytest.fixture
def asking(front: Front, lm: LM) -> Front:
    front.run("%rlm replay off\ncontext = 'abc'")
    lm.say(block(COUNT), block(FINISH))
    return front


@pytest.fixture
def page(asking: Front) -> Iterator[Page]:
    page = Page(asking)
    yield page
    page.close()


def _proposal(page: Page, after: int = 0) -> dict[str, Any]:
    """What the page was told last of a cell that waits, beyond so many."""
    page.until(lambda: len(page._of("proposal")) > after, "a proposal")
    return page._of("proposal")[-1]


def _choices(kernel: RunningKernel) -> list[tuple[str, str]]:
    return [(e.choice, e.word) for e in events(runs(kernel)[-1]) if isinstance(e, CellDecided)]


def test_a_front_end_without_pages_decides_by_typing(asking: Front, kernel: RunningKernel) -> None:
    asked = asking.start(ASK)
    prompt = asking.asked_input()["content"]["prompt"]
    assert COUNT in prompt
    asking.type("perhaps")
    assert COUNT not in asking.asked_input()["content"]["prompt"]
    asking.type("y")
    asking.asked_input()
    asking.type("y thanks")
    assert asking.finish(asked).result == "There are 3."
    assert _choices(kernel) == [("accepted", ""), ("accepted", "thanks")]
    check_equal(runs(kernel)[-1])


def test_a_page_decides_by_the_name_of_the_proposal(page: Page, kernel: RunningKernel) -> None:
    asked = page.front.start(ASK, cell="the-cell")
    first = _proposal(page)
    assert (first["source"], first["after"], first["node"]) == (COUNT, "the-cell", "0")
    page.until(lambda: first["key"] in [cell["key"] for cell in page.cells.values()], "its cell")
    for wrong in ({"proposal": "another"}, {"proposal": first["proposal"], "choice": "maybe"}):
        page.say(**{"type": "decided", "choice": "accepted", **wrong})
    page.say(type="decided", proposal=first["proposal"], choice="edited", source="n = 5")
    second = _proposal(page, 1)
    assert second["source"] == FINISH
    assert page._of("decided")[0]["proposal"] == first["proposal"]
    page.say(type="decided", proposal=first["proposal"], choice="rejected")  # over
    page.say(type="decided", proposal=second["proposal"], choice="accepted", word="good")
    assert page.front.finish(asked).result == "There are 5."
    assert _choices(kernel) == [("edited", ""), ("accepted", "good")]
    assert not page.front.was_asked_input()
    assert [cell["source"] for cell in page.cells.values() if cell["kind"] == "code"] == [
        "n = 5",
        FINISH,
    ]


def test_a_page_that_comes_later_can_decide(page: Page) -> None:
    asked = page.front.start(ASK, cell="the-cell")
    _proposal(page)
    page.close()
    later = Page(page.front)
    assert _proposal(later)["source"] == COUNT
    for number in (0, 1):
        proposal = _proposal(later, number)
        later.say(type="decided", proposal=proposal["proposal"], choice="accepted")
    assert later.front.finish(asked).result == "There are 3."
    later.close()


def test_neither_output_nor_comm_of_a_cell_decides(page: Page, lm: LM) -> None:
    forged = (
        "from comm import create_comm\n"
        "c = create_comm(target_name='rlm.ui', data={'version': 1, 'tab': 'x', 'done': []})\n"
        "c.send({'type': 'decided', 'choice': 'accepted'})\n"
        "input_reply = 'y'\nprint('y')\nprint(context)"
    )
    lm.say(block(forged), block("FINAL_VAR('done')"))
    asked = page.front.start("%%rlm --confirm always\nForge?", cell="the-cell")
    page.say(type="decided", proposal=_proposal(page)["proposal"], choice="accepted")
    waiting = _proposal(page, 1)
    page.front.ask("kernel_info_request", {})
    assert page._of("decided")[-1]["proposal"] != waiting["proposal"]
    page.say(type="decided", proposal=waiting["proposal"], choice="accepted")
    assert page.front.finish(asked).result == "done"


@pytest.mark.parametrize("line", ["%%rlm --confirm first\nWhich?", "%rlm confirm always"])
def test_where_nobody_can_decide_the_question_is_refused_before_a_request(
    asking: Front, lm: LM, line: str
) -> None:
    before = len(lm.endpoint.log)
    if line.startswith("%rlm"):
        asking.run(line)
        line = "%%rlm\nWhich?"
    name, said = asking.run(line, allow_stdin=False).error
    asking.run("%rlm confirm default")
    assert name == "UsageError"
    assert "nobody is here who can" in said
    assert len(lm.endpoint.log) == before


def test_an_interrupt_takes_the_proposal_back(page: Page) -> None:
    asked = page.front.start(ASK, cell="the-cell")
    waiting = _proposal(page)
    page.front.interrupt()
    assert page.front.finish(asked).error[0] == "KeyboardInterrupt"
    page.until(lambda: page._of("decided"), "the end of the proposal")
    assert page._of("decided")[-1]["proposal"] == waiting["proposal"]


def test_children_that_a_cell_of_one_s_own_asks_wait_too(asking: Front, lm: LM) -> None:
    asking.run("%rlm confirm first")
    lm.say(block("print(context)"), block("FINAL_VAR('of a child')"))
    asked = asking.start("rlm_query('Which?', 'abc')")
    assert "child" in asking.asked_input()["content"]["prompt"]
    asking.type("y")
    assert asking.finish(asked).result == "'of a child'"
    refused = asking.run("rlm_query('Which?', 'abc')", allow_stdin=False)
    asking.run("%rlm confirm default")
    assert "nobody is here who can" in refused.error[1]


def test_a_kernel_that_restarts_takes_its_proposal_back_and_the_record_says_interrupted(
    lm: LM, tmp_path: Path
) -> None:
    with (
        running_kernel(tmp_path, env=lm.environment) as first,
        running_kernel(tmp_path, env=lm.environment) as second,
    ):
        for kernel in (first, second):  # in one folder
            kernel.front().run("context = 'abc'")
        lm.say(block(COUNT))
        waiting, other = first.front(), second.front()
        waiting.start(ASK)
        waiting.asked_input()
        lm.say(block("FINAL_VAR(len(context))"))
        assert other.run("%%rlm\nHow long?").result == "3"
        assert "running" in other.run("%rlm runs").shown
        first.restart()
        assert "interrupted" in other.run("%rlm runs").shown
        again = first.front()
        lm.say(block(FINISH.replace("{n}", "none")))
        asked = again.start(ASK)
        assert "no context yet" in again.finish(asked).error[1]
