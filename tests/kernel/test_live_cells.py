"""The LM's cells in the human's notebook: what a page that opened the comm is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import LM, Front, RunningKernel, Withheld, block
from pages import Page
from records import events, runs
from stories import story

from rlm_kernel.events import ROOT, CellRan, Prompted, Replied, ReplyDelta, Usage
from rlm_kernel.kernel.front_end import Execution
from rlm_kernel.kernel.live_cells.live_cells import LiveCells
from rlm_kernel.kernel.live_cells.pages import TARGET
from rlm_kernel.kernel.live_cells.run_cells import RunCells
from rlm_kernel.kernel.live_cells.shown import PROTOCOL

COUNT = "n = len(context)\nprint('counted', n)"
FINISH = "FINAL_VAR(f'There are {n}.')"


Opened = Callable[..., Page]


@pytest.fixture
def opened(front: Front) -> Iterator[Opened]:
    """Opens pages, which are closed after the test."""
    pages: list[Page] = []

    def opened(**how: object) -> Page:
        pages.append(Page(front, **how))  # type: ignore[arg-type]
        return pages[-1]

    yield opened
    for page in pages:
        page.close()


@pytest.fixture
def page(front: Front, opened: Opened) -> Page:
    front.run("%rlm replay off\ncontext = 'abc'")  # the tests ask the same
    return opened()


def _keys(page: Page) -> list[str]:
    return [key.partition(":")[2] for key in page.cells]


def test_a_question_becomes_cells_of_prose_and_code_under_the_one_that_asks(
    lm: LM, page: Page
) -> None:
    lm.say(f"I **count**.\n{block(COUNT)}", block(FINISH))
    asked = page.ask("%%rlm\nHow many?", "the-cell")
    assert asked.result == "There are 3."
    first, code, _, last = page.cells.values()
    assert _keys(page) == ["0001-00", "0001-01", "0002-00", "0002-01"]
    assert (first["kind"], first["source"]) == ("markdown", "I **count**.\nI run this.")
    assert {cell["after"] for cell in page.cells.values()} == {"the-cell"}
    assert (code["kind"], code["source"], code["state"]) == ("code", COUNT, "ok")
    assert code["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "counted 3\n"}]
    assert code["count"] == 1 + asked.count
    assert last["badge"].startswith("turn 2 · ")


def test_a_badge_names_a_cell_by_its_number_in_the_record(
    lm: LM, page: Page, kernel: RunningKernel
) -> None:
    lm.say(block(COUNT), block(FINISH))
    page.ask("%%rlm\nHow many?")
    ran = [e for e in events(runs(kernel)[-1]) if isinstance(e, CellRan) and e.turn]
    badges = [cell["badge"] for cell in page.cells.values() if cell["kind"] == "code"]
    for event, badge in zip(ran, badges, strict=True):
        assert badge.startswith(f"turn {event.turn} · cell {event.cell} · ")


def test_the_cell_that_asks_keeps_header_and_answer_and_no_turns(lm: LM, page: Page) -> None:
    lm.say(block(COUNT), block(FINISH))
    asked = page.ask("%%rlm\nHow many?")
    cell = page.asked["asking"]
    assert cell["state"] == "answered"
    assert cell["count"] == asked.count
    header, answer = cell["outputs"]
    assert "answered · 2 turns" in header["data"]["text/plain"]
    assert answer["output_type"] == "execute_result"
    assert answer["data"]["text/plain"] == "There are 3."
    assert "turn 1" not in asked.shown.split("answered")[-1]
    assert not [m for m in asked.of("display_data") if "<details>" in str(m["content"])]
    assert cell["line"].startswith("RLM · answered · 2 turns")


def test_a_cell_is_there_while_it_is_written_and_while_it_runs(
    lm: LM, front: Front, page: Page
) -> None:
    turn, sub = Withheld(block(FINISH)), Withheld("yes")
    lm.say(block("print('before')\nn = llm_query('x')\nprint('after')"), turn)
    lm.sub = lambda prompt: sub
    identity = front.start("%%rlm\nHow many?", cell="asking")
    cell = page.until(
        lambda: next((c for c in page.cells.values() if "before" in str(c.get("outputs"))), None),
        "an output of the running cell",
    )
    assert cell["state"] == "running"
    assert "0 of 1 calls" in cell["badge"]
    page.until(
        lambda: str(page.asked["asking"].get("progress")).startswith("turn 1/20 · 0 of 1 · "),
        "the progress of the question",
    )
    sub.release()
    turn.wait_asked()
    page.until(lambda: "after" in str(page.cells), "the end of the cell")
    turn.release()
    front.finish(identity)


@pytest.mark.parametrize("late", ["second page", "reload"])
def test_a_page_that_opens_late_is_told_the_same(
    lm: LM, page: Page, opened: Opened, late: str
) -> None:
    lm.say(f"I **count**.\n{block(COUNT)}", block("1 / 0"), block(FINISH))
    page.ask("%%rlm\nHow many?")
    if late == "reload":
        page.close()
    other = opened()
    assert list(other.cells) == list(page.cells)
    for key, cell in page.cells.items():
        assert cell.items() <= other.cells[key].items()
    assert page.asked["asking"].items() <= other.asked["asking"].items()
    assert other.told[-1]["running"] == []
    whole = opened(done=[page.asked["asking"]["asking"]])
    assert page.asked["asking"]["run"] not in str(whole.told)


def test_a_page_that_opens_in_the_midst_of_a_run_follows_it_to_its_end(
    lm: LM, front: Front, page: Page, opened: Opened
) -> None:
    turn = Withheld(block(FINISH))
    lm.say(block(COUNT), turn)
    identity = front.start("%%rlm\nHow many?", cell="asking")
    turn.wait_asked()
    late = opened()
    assert late.told[-1]["running"] == [identity]
    assert late.asked["asking"]["state"] == "running"
    assert COUNT in late.sources
    turn.release()
    front.finish(identity)
    late.until(lambda: late.asked["asking"]["state"] == "answered", "the answer")
    page.until(lambda: page.asked["asking"]["state"] == "answered", "the answer")
    assert list(late.cells) == list(page.cells)


class _Sent:
    """A front end that keeps what pages are told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def send(self, kind: str, content: dict[str, Any], parent: object) -> None:
        assert kind == "comm_msg"
        self.told.append(content["data"])


def _opens(comm: str) -> dict[str, Any]:
    data = {"version": PROTOCOL, "tab": comm}
    content = {"comm_id": comm, "target_name": TARGET, "data": data}
    return {"msg_type": "comm_open", "content": content}


def test_a_page_that_opens_between_the_end_of_a_run_and_that_of_its_cell_sees_it_go_on(
    tmp_path: Path,
) -> None:
    front = _Sent()
    live = LiveCells(front, tmp_path, front.told.append)  # type: ignore[arg-type]
    live.take(_opens("before"))
    request = {"header": {"msg_id": "the-question"}, "metadata": {"cellId": "the-cell"}}
    execution = Execution(front, request, 3)  # type: ignore[arg-type]
    read = live.ask(execution)
    assert read is not None
    first, *_, last = story()
    read(first)
    read(last)
    live.take(_opens("between"))
    assert front.told[-1]["running"] == ["the-question"]
    live.end(execution)
    assert (front.told[-1]["state"], front.told[-1]["count"]) == ("answered", 3)
    live.take(_opens("after"))
    assert front.told[-1]["running"] == []


def test_code_that_is_written_and_not_run_is_part_of_the_prose(lm: LM, page: Page) -> None:
    given = "FINAL_VAR(str(len(context)))"
    lm.say(f"{block(COUNT)}\n{block(given)}\n{block('print(3)')}")
    page.ask("%%rlm\nHow many?")
    prose = next(iter(page.cells.values()))["source"]
    assert "print(3)" in prose
    assert [c["source"] for c in page.cells.values() if c["kind"] == "code"] == [COUNT, given]


@pytest.mark.parametrize("how", ["interrupt", "endpoint"])
def test_nothing_looks_as_if_it_went_on_when_a_run_has_broken_off(
    lm: LM, front: Front, page: Page, how: str
) -> None:
    if how == "interrupt":
        held = Withheld("yes")
        lm.say(block("llm_query('x')"))
        lm.sub = lambda prompt: held
        identity = front.start("%%rlm\nHow many?", cell="asking")
        held.wait_asked()
        front.interrupt()
        front.finish(identity)
    else:
        lm.say(block(COUNT), "no code here", "nor here", "nor here")
        front.finish(front.start("%%rlm --max-turns 3\nHow many?", cell="asking"))
    page.until(lambda: page.asked["asking"]["state"] != "running", "the end")
    assert {c["state"] for c in page.cells.values()} <= {"ok", "error", "interrupted", "stopped"}
    assert page.asked["asking"]["outputs"][-1]["output_type"] == "error"


def test_without_a_page_and_with_cells_off_the_turns_stand_in_the_cell_that_asks(
    lm: LM, front: Front, opened: Opened
) -> None:
    front.run("context = 'abc'")
    lm.say(block(FINISH.replace("{n}", "3")))
    assert "Turn 1" in str(front.run("%%rlm\nHow many?").of("display_data"))
    page = opened()
    front.run("%rlm cells off")
    lm.say(block("FINAL_VAR('off')"))
    known = len(page.told)
    assert "Turn 1" in str(page.ask("%%rlm\nHow many?").of("display_data"))
    assert page.told[known:] == []
    assert "cells: off" in front.run("%rlm cells").shown
    front.run("%rlm cells on")
    lm.say(block(FINISH.replace("{n}", "3")))
    page.ask("%%rlm\nHow many?")
    assert page.cells


def test_a_page_of_another_version_is_told_so_and_nothing_else_changes(
    lm: LM, front: Front, opened: Opened
) -> None:
    front.run("context = 'abc'")
    page = opened(version=99)
    assert page.told == [{"type": "refused", "version": 1}]
    lm.say(block("FINAL_VAR('yes')"))
    assert "Turn 1" in str(page.ask("%%rlm\nIs it?").of("display_data"))


def test_a_thousand_displays_are_few_messages_of_bounded_size(
    lm: LM, front: Front, page: Page
) -> None:
    many = "for i in range(1_000):\n    display({'text/plain': 'x' * 500}, raw=True)"
    lm.say(block(many), block("FINAL_VAR('done')"))
    page.ask("%%rlm\nShow.")
    told = [t for t in page.told if "outputs" in t and t["type"] == "cell"]
    assert len(told) < 400
    assert max(len(str(t)) for t in told) < 4_500_000
    assert "more outputs" in str(page.cells)


def test_a_page_that_floods_or_says_nonsense_does_no_harm(
    lm: LM, front: Front, page: Page, opened: Opened
) -> None:
    for data in ({"type": "touched"}, {"type": 3}, {"type": "touched", "key": "x", "source": 1}):
        page.say(**data)
    for number in range(200):
        page.say(type="touched", key=f"run:{number}", source="x" * 1000)
    page.say(type="touched", key="k", source="x" * 3_000_000)
    front.send("comm_msg", {"comm_id": page.comm, "data": ["no object"]})
    for _ in range(20):
        opened()
    lm.say(block("FINAL_VAR('yes')"))
    assert front.run("%%rlm\nIs it?").result == "yes"


def test_a_widgets_comm_still_goes_to_the_inner_kernel(front: Front, page: Page) -> None:
    front.run(
        "heard = []\n"
        "get_ipython().kernel.comm_manager.register_target("
        "'mine', lambda comm, message: heard.append(message['content']['data']))"
    )
    front.send("comm_open", {"comm_id": "w1", "target_name": "mine", "data": {"a": 1}})
    assert front.run("heard").result == "[{'a': 1}]"


def test_hostile_prose_and_outputs_come_through_the_filter(lm: LM, page: Page) -> None:
    acting = "<img src=x onerror='window.acted=1'>"
    shown = f"from IPython.display import HTML\nHTML('<b>kept</b>' + {acting!r})"
    lm.say(f"{acting} [go](javascript:void(0))\n{block(shown)}", block("FINAL_VAR('yes')"))
    page.ask("%%rlm\nShow.")
    prose, code = list(page.cells.values())[:2]
    assert "<img" not in prose["source"]
    assert "](javascript" not in prose["source"]
    [output] = code["outputs"]
    assert output["data"]["text/html"] == "<b>kept</b><img>"


def test_the_last_questions_cells_are_folded_or_removed_by_a_word(
    lm: LM, front: Front, page: Page, kernel: RunningKernel
) -> None:
    lm.say(block("FINAL_VAR('yes')"))
    page.ask("%%rlm\nIs it?")
    run = page.asked["asking"]["run"]
    for what in ("fold", "remove"):
        front.run(f"%rlm cells {what}")
        page.until(
            lambda what=what: page.told[-1] == {"type": "do", "what": what, "run": run}, what
        )
    assert (Path(kernel.cwd) / "rlm-runs" / run).is_dir()


def test_the_first_piece_of_a_fence_is_no_prose_that_leaves_an_empty_cell() -> None:
    cells = RunCells(lambda cell, name: None, lambda cell: None)
    cells(Prompted(node=ROOT, turn=1, messages=[], time=0.0))
    cells(ReplyDelta(node=ROOT, turn=1, text="``"))
    assert not cells.cells
    replied = Replied(
        node=ROOT,
        turn=1,
        text="```python\nn = 1\n```",
        model="fake-model",
        finish="stop",
        usage=Usage(),
        seconds=0.0,
        time=0.0,
    )
    cells(replied)
    assert [cell.source for cell in cells.cells.values()] == ["n = 1"]
