"""What a person at a notebook sees of a run."""

from __future__ import annotations

import dataclasses
import re
import tracemalloc
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console
from stories import (
    HOSTILE,
    OUTPUTS,
    call,
    cell,
    lived_in,
    prompted,
    replied,
    run_started,
    started,
    story,
)

from rlm_kernel.cli.screen import Screen
from rlm_kernel.events import (
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
    Event,
    KernelRestarted,
    NodeEnded,
    OutputMade,
    ReplyDelta,
    RunEnded,
    Usage,
)
from rlm_kernel.kernel.display import display, fold
from rlm_kernel.kernel.display.card import MAX_RICH, answer_bundle
from rlm_kernel.kernel.display.display import Display

pytestmark = pytest.mark.anyio
LIMITS = {"turns": 20, "cost": 5.0, "seconds": 3600.0}
SETTINGS = {"model": "gpt-5", "limits": LIMITS}
MARKDOWN = "text/markdown"
SHOWN = ("display_data", "update_display_data")


class Page:
    """A front end: it keeps displays, and replaces the one that is updated."""

    def __init__(self, folder: str = "rlm-runs/my run") -> None:
        self.clock = 100.0
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.logged: list[str] = []
        self.news = anyio.Event()
        self.display = Display(
            self._publish,
            now=lambda: self.clock,
            log=self.logged.append,
            link=lambda path: str(Path(folder) / path),
        )

    def _publish(self, kind: str, content: dict[str, Any]) -> None:
        self.messages.append((kind, content))
        self.news.set()
        self.news = anyio.Event()

    def show(self, *events: Event) -> Page:
        for event in events:
            self.display(event)
            if isinstance(event, RunEnded):
                self.display.conclude()
        return self

    @property
    def updates(self) -> list[dict[str, Any]]:
        return [content for kind, content in self.messages if kind == "update_display_data"]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """The data of the cell's outputs, in their order, as they stand now."""
        shown: dict[str, dict[str, Any]] = {}
        for number, (kind, content) in enumerate(self.messages):
            if kind == "clear_output":
                assert list(content) == ["wait"]
                shown.clear()
                continue
            name = content["transient"].get("display_id", str(number))
            assert kind == "display_data" or name in shown
            shown[name] = content["data"]
        return list(shown.values())

    @property
    def head(self) -> str:
        return str(self.outputs[0]["text/markdown"])

    @property
    def turns(self) -> list[str]:
        """The blocks of the turns as they were published."""
        made = [str(c["data"].get("text/markdown")) for k, c in self.messages if k in SHOWN]
        return [text for text in made if text.startswith("<details><summary>Turn ")]

    async def newer(self) -> None:
        with anyio.fail_after(10):
            await self.news.wait()


def begun(page: Page, **changed: Any) -> Page:
    return page.show(run_started(settings=SETTINGS, **changed), started("0"))


def ended(status: Any = "answered", reason: str | None = None, **changed: Any) -> Iterable[Event]:
    yield NodeEnded("0", status, None, False, reason, 18.0)
    fields: dict[str, Any] = {"usage": Usage(3, 30_000, 1204, 0, 0.0123), "turns": 3, "calls": 14}
    yield RunEnded(status, None, False, reason, seconds=12.1, time=18.0, **(fields | changed))


def turn(number: int = 1, text: str = "", **changed: Any) -> list[Event]:
    ran = cell("0", number, turn=number, **changed)
    reply = f"{text}\n```python\n{ran.source}\n```"
    return [prompted("0", number, "Go on."), replied("0", number, reply), ran]


async def test_the_finished_output_is_a_header_and_a_block_a_turn() -> None:
    page = begun(Page()).show(*turn(1, "I look."), *turn(2, "I count."), *ended())
    assert page.head == (
        "**RLM** · gpt&#45;5 · answered · 2 turns · 14 sub-calls · 31,204 tokens · "
        "<span>&#36;</span>0.0123 · 12.1 s · "
        "[trajectory](rlm-runs/my%20run/trajectory.ipynb)"
    ).replace("&#45;", "-")
    summaries = [re.findall("<summary>(.*)</summary>", text) for text in page.turns]
    assert summaries == [
        ["Turn 1 · cell 1 · I look. · 1.2 s · ok"],
        ["Turn 2 · cell 2 · I count. · 1.2 s · ok"],
    ]
    page.display.close()
    header, folded = page.outputs
    assert header["text/markdown"] == page.head
    assert "<details><summary>2 turns: code, outputs and sub-calls</summary>" in folded[MARKDOWN]
    assert all(text in folded[MARKDOWN] for text in page.turns)


async def test_hosts_that_take_no_updates_show_the_end_all_the_same() -> None:
    page = begun(Page()).show(*turn(1), *ended())
    page.display.close()
    last = max(i for i, (kind, _) in enumerate(page.messages) if kind == "clear_output")
    after = [kind for kind, _ in page.messages[last + 1 :]]
    assert after == ["display_data"] * 2
    assert "answered" in str(page.messages[last + 1])


async def test_what_the_cell_had_shown_before_is_shown_again_with_the_end() -> None:
    page = Page()
    before = ("display_data", {"data": {"text/plain": "context"}, "transient": {}})
    page.display = Display(page._publish, link=str, again=lambda: page.messages.append(before))
    begun(page).show(*ended())
    assert page.outputs[0] == {"text/plain": "context"}


async def test_room_is_taken_at_once_and_given_back_where_nothing_came_of_it() -> None:
    page = Page()
    page.display.announce()
    assert page.head.startswith("**RLM** · starting\n\n<div style=")
    begun(page)
    assert [kind for kind, _ in page.messages] == ["display_data", "update_display_data"]
    page.show(*ended())
    none = Page()
    none.display.announce()
    none.display.close()
    assert [kind for kind, _ in none.messages] == ["display_data", "clear_output"]


async def test_children_without_an_answer_are_named_at_the_top() -> None:
    page = begun(Page()).show(*turn(1)[:2], started("0.1"), started("0.2"), started("0.3"))
    for node, status in (("0.1", "limit"), ("0.2", "answered"), ("0.3", "limit")):
        page.show(NodeEnded(node, status, None, False, None, 1.0))  # type: ignore[arg-type]
    page.show(*ended())
    assert "2 of 3 children without an answer (2 limit)" in page.head


async def test_a_reply_that_repeats_the_one_before_is_named() -> None:
    page = begun(Page()).show(*turn(1), prompted("0", 2, "Go on."))
    page.show(replied("0", 2, "```python\nprint(1)\n```"), prompted("0", 3, "Go on."))
    page.show(replied("0", 3, "I am lost."), prompted("0", 4, "Go on."))
    page.show(replied("0", 4, "I am lost."), *turn(5, source="print(1)"), *ended())
    found = [re.findall(r"([^·]*)</summary>", text)[0].strip() for text in page.turns]
    assert found == [
        "ok",
        "<b>repeated, not run</b>",
        "<b>no cell</b>",
        "<b>repeated, no cell</b>",
        "<b>repeated, ok</b>",
    ]


async def test_a_title_from_right_to_left_leaves_the_facts_beside_it_in_their_order() -> None:
    page = begun(Page()).show(*turn(1, "תשובה\u202e"), *turn(2, "一つ"), *ended())
    assert "· \u2068תשובה\u2069 · 1.2 s · ok" in page.turns[0]
    assert "· 一つ · 1.2 s · ok" in page.turns[1]
    assert answer_bundle("שלום")[MARKDOWN] == '<div dir="auto">\n\nשלום\n\n</div>'


async def test_a_turn_is_published_once_and_before_the_next_is_written() -> None:
    page = begun(Page()).show(*turn(1), prompted("0", 2, "Go on."))
    first = page.messages[-1]
    assert first[0] == "display_data"
    assert first[1]["transient"] == {}
    assert "Turn 1" in first[1]["data"]["text/markdown"]
    page.show(*turn(2)[1:], *ended())
    assert sum("Turn 1 ·" in str(content) for _, content in page.messages) == 1


async def test_progress_says_what_was_used_of_what_is_allowed() -> None:
    page = begun(Page()).show(prompted("0", 2, "Go on."), CallStarted("0", 1, "llm_query", 17))
    page.show(*(call("0", i, count=17, usage=Usage(1, 10, 2, 0, 0.001)) for i in range(14)))
    page.clock = 112.0
    page.show(ReplyDelta("0", 2, "x"))
    assert page.head.splitlines()[0] == (
        "**RLM** · gpt-5 · turn 2 of 20 · 14 sub-calls (3 under way) · 168 tokens · "
        "<span>&#36;</span>0.0140 of <span>&#36;</span>5.00 · 12 s of 3,600 s"
    )


async def test_a_limit_that_is_lifted_is_not_named() -> None:
    limits = {"turns": 20, "cost": None, "seconds": None}
    page = Page().show(run_started(settings={"model": "m", "limits": limits}))
    page.display.close()
    assert " of " not in page.head


async def test_an_unknown_price_is_said() -> None:
    page = begun(Page()).show(prompted("0", 1, "q"))
    page.clock += 1
    page.show(replied("0", 1, "x", usage=Usage(1, 5, 5, 0, 0.0, 1)))
    assert "price unknown · 1 s" in page.head
    assert "5.00" not in page.head


async def test_a_turn_whose_cell_was_not_run_has_its_line_too() -> None:
    out = StringIO()
    screen, page = Screen(Console(file=out)), begun(Page())
    again, asked = replied("0", 2, "```python\nx = 1\n```"), prompted("0", 3, "Go on.")
    events = (*turn(1), prompted("0", 2, "Go on."), again, asked, replied("0", 3, "I give up."))
    for event in (*events, *ended()):
        page.show(event)
        screen(event)
    lines = [line.partition(" of 20")[0] for line in page.logged[1:-1]]
    assert lines[0].startswith("RLM · cell 1 ok in")
    assert lines[1:] == ["RLM · cell not run · turn 2", "RLM · no cell · turn 3"]
    unrun = [line for line in out.getvalue().splitlines() if line.startswith("[0] turn")]
    assert unrun == ["[0] turn 2: cell not run", "[0] turn 3: no cell"]


async def test_one_of_each_is_counted_as_one() -> None:
    out = StringIO()
    screen = Screen(Console(file=out))
    for event in (*turn(1), *ended()):
        screen(event)
    assert "answered · 1 turn · 0 sub-calls · " in out.getvalue()


@pytest.mark.parametrize(("cost", "told"), [(1.0, 1), (None, 0)])
async def test_a_limit_on_cost_that_cannot_hold_is_told_when_it_is_known(
    cost: float | None, told: int
) -> None:
    unpriced, limits = Usage(1, 5, 5, 0, 0.0, 1), {"turns": 20, "cost": cost}
    out = StringIO()
    screen, page = Screen(Console(file=out)), Page()
    for event in (
        run_started(settings={"model": "m", "limits": limits}),
        prompted("0", 1, "q"),
        replied("0", 1, "x", usage=Usage(1, 5, 5, 0, 0.1, 0)),
        replied("0", 2, "x", usage=unpriced),
        replied("0", 3, "x", usage=unpriced),
    ):
        assert "cannot hold" not in out.getvalue() or event.turn == 3
        page.clock += 1
        page.show(event)
        screen(event)
    assert out.getvalue().count("the limit on cost cannot hold") == told
    assert page.head.count("the limit on cost cannot hold") == told
    page.show(*turn(4), *turn(5))
    assert "\n".join(page.logged).count("the limit on cost cannot hold") == told
    page.display.close()


async def test_a_limit_on_cost_for_a_model_without_a_price_is_told_before_the_first_request() -> (
    None
):
    settings = {"model": "m", "unpriced": ["m"], "limits": {"turns": 20, "cost": 1.0}}
    out = StringIO()
    screen, page = Screen(Console(file=out)), Page()
    began = run_started(settings=settings)
    screen(began)
    page.show(began)
    for seen in (out.getvalue(), page.head, "\n".join(page.logged)):
        assert seen.count("the limit on cost cannot hold") == 1
    screen(replied("0", 1, "x", usage=Usage(1, 5, 5, 0, 0.0, 1)))
    assert out.getvalue().count("the limit on cost cannot hold") == 1
    page.display.close()


async def test_the_code_is_seen_while_it_is_written() -> None:
    page = begun(Page()).show(prompted("0", 1, "q"))
    page.clock += 1
    page.show(ReplyDelta("0", 1, "First I *look"))
    assert "> First I &#42;look" in page.head
    page.clock += 1
    page.show(ReplyDelta("0", 1, "*.\n```python\n" + "x = 1\n" * 50 + "print(con"))
    assert "```python\n# … 43 lines above …\nx = 1" in page.head
    assert "print(con\n```" in page.head
    assert page.head.split("\n\n")[1].startswith('<div style="height: ')
    page.clock += 1
    page.show(ReplyDelta("0", 1, "\f"))
    assert "print" not in page.head


async def test_a_running_cell_shows_its_code_its_output_and_its_calls() -> None:
    page = begun(Page()).show(CellStarted("0", 1, 1, "ask_all()", "lm", 1.0))
    page.show(CallStarted("0", 1, "llm_map", 24, "24 rows: $0.02"), call("0", 0, count=24))
    page.show(started("0.1", question="And the *battery*?"))
    page.show(OutputMade("0", 1, {"output_type": "stream", "name": "stdout", "text": "a\nb\n"}))
    page.clock += 1
    page.show(OutputMade("0", 1, dict(OUTPUTS[2])))
    assert "*running cell 1*" in page.head
    assert "1 of 24 calls answered · 24 rows&#58; <code>&#36;</code>0.02" in page.head
    assert "[child 0.1](rlm-runs/my%20run/calls/0.1.ipynb) · And the &#42;battery" in page.head
    assert "```python\nask_all()\n```" in page.head
    assert "> a\n> b\n> 2\n> ```" in page.head


async def test_a_burst_makes_one_update_and_the_last_word_is_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(display, "TICK_S", 1e6)
    page = begun(Page()).show(prompted("0", 1, "q"))
    before = len(page.updates)
    for number in range(1000):
        page.show(ReplyDelta("0", 1, f"word{number} "))
    assert len(page.updates) == before
    await page.newer()
    assert len(page.updates) == before + 1
    assert "word999" in page.head
    page.display.close()


async def test_updates_keep_their_distance() -> None:
    page = begun(Page())
    for _ in range(1000):
        page.clock += 0.01
        page.show(ReplyDelta("0", 1, "x"))
    assert 30 <= len(page.updates) <= 40
    page.display.close()


async def test_the_clock_goes_on_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "TICK_S", 0.001)
    page = Page().show(run_started(settings=SETTINGS))
    page.clock += 7
    await page.newer()
    assert "7 s of 3,600 s" in page.head
    page.display.close()


async def test_after_the_end_nothing_is_published() -> None:
    page = begun(Page()).show(*turn(1), ReplyDelta("0", 2, "late"), *ended())
    page.display.close()
    seen = len(page.messages)
    page.display.close()
    await anyio.lowlevel.checkpoint()
    assert len(page.messages) == seen
    assert "late" not in page.head


async def test_close_shows_what_was_not_yet_shown() -> None:
    page = begun(Page()).show(*turn(1, "I look."))
    page.display.close()
    page.display.close()
    assert ["Turn 1 · cell 1 · I look." in text for text in page.turns] == [True]
    assert "**stopped** · 1 turn ·" in page.head


async def test_a_display_that_saw_no_run_says_nothing() -> None:
    page = Page()
    page.display.close()
    assert page.messages == []


@pytest.mark.parametrize("status", ["limit", "failed", "interrupted"])
async def test_a_run_without_an_answer_says_why(status: str) -> None:
    page = begun(Page()).show(*ended(status, "turns: spent *20*,\nallowed 20"))
    assert f"**{status}**" in page.head
    assert page.head.endswith("\n\nturns&#58; spent &#42;20&#42;, allowed 20")


async def test_the_prelude_is_neither_shown_nor_counted() -> None:
    page = Page().show(*lived_in())
    page.display.close()
    assert all("Turn 0" not in text and "print(2)" not in text for text in page.turns)
    assert not any("cell 2" in line for line in page.logged)
    shown = Page().show(*(e for e in lived_in()[:9]))
    shown.clock += 1
    shown.show(prompted("0", 1, "How many?"))
    assert "turn 1 · 0 sub-calls · 0 tokens" in shown.head


async def test_the_sorting_of_the_question_is_no_turn() -> None:
    page = begun(Page()).show(prompted("0", 0, "Which kind?"), replied("0", 0, "Kind 2."))
    page.show(*turn(1), *ended())
    assert len(page.turns) == 1
    assert "Kind 2" not in str(page.messages)
    assert "1 turn ·" in page.head


async def test_a_child_is_a_line_and_its_usage_is_counted() -> None:
    page = begun(Page()).show(*turn(1)[:2], started("0.1"), started("0.1.1"))
    page.clock += 1
    page.show(replied("0.1", 1, "child says", usage=Usage(1, 4000, 321)))
    assert "4,422 tokens" not in page.head  # 101 of turn 1 have an odd price
    assert "4,423 tokens" in page.head
    page.show(cell("0.1", 1, source="child_code()"))
    page.show(NodeEnded("0.1", "answered", "yes", True, None, 1.0), turn(1)[2], *ended())
    (only,) = page.turns
    assert "child_code" not in str(page.messages)
    assert "[child 0.1](rlm-runs/my%20run/calls/0.1.ipynb) · How many of the reviews" in only
    assert "· answered" in only
    assert "0.1.1" not in only


async def test_children_stand_in_the_order_of_their_names_whenever_they_started() -> None:
    page = begun(Page()).show(prompted("0", 1, "q"), replied("0", 1, "ask"))
    page.show(*(started(f"0.{number}") for number in (2, 10, 1)), cell("0", 1), *ended())
    assert re.findall(r"\[child ([\d.]+)\]", page.turns[0]) == ["0.1", "0.2", "0.10"]


async def test_a_cell_that_waits_for_the_human_is_shown_whatever_ran_before() -> None:
    page = begun(Page()).show(CellStarted("0", 1, 1, "first()", "lm", 1.0))
    page.clock += 1
    page.show(CellProposed("0", 1, "second()"))
    assert "*a cell waits for you*\n\n```python\nsecond()\n```" in page.head
    decided = CellDecided(
        node="0",
        turn=1,
        cell=2,
        source="second()",
        choice="accepted",
        word="",
        seconds=1.0,
        time=2.0,
    )
    page.clock += 1
    page.show(decided)
    assert "second()" not in page.head


async def test_pictures_stand_in_their_turn_and_those_of_the_last_below_the_answer() -> None:
    image = {"image/png": "aGk=", "text/plain": "<Figure>"}
    many = [
        {"output_type": "display_data", "data": image, "metadata": {"image/png": {"width": n}}}
        for n in range(1, MAX_RICH + 4)
    ]
    source = "import x\nplt.title('Tickets by <day>')"
    page = begun(Page()).show(*turn(1, outputs=many), *turn(2, outputs=many, source=source))
    assert page.turns[0].count('<img alt="Figure made by print(1)"') == MAX_RICH
    page.show(*turn(3), *ended())
    page.display.close()
    said, *shown = page.outputs[1:-1]
    assert said["text/plain"] == "Shown in turn 2:"
    alt = 'alt="Figure: Tickets by &lt;day&gt;"'
    assert [data["image/png"] for data in shown] == ["aGk="] * MAX_RICH
    assert shown[0]["text/html"] == f'<img {alt} width="1" src="data:image/png;base64,aGk=">'
    assert page.turns[1].count(alt) == MAX_RICH


async def test_the_fold_is_bounded_and_counts_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fold, "MAX_CHARS", 1_000)
    page = begun(Page())
    for number in range(1, 30):
        page.show(*turn(number, "I look."))
    page.show(*ended())
    page.display.close()
    folded = page.outputs[-1][MARKDOWN]
    assert len(folded) < 1_500
    assert "29 turns: code" in folded
    assert f"and {29 - folded.count('<summary>Turn')} more turns, in the trajectory" in folded


async def test_a_picture_that_is_no_base64_becomes_no_html() -> None:
    image = {"image/png": '" onerror="x', "text/plain": "<Figure>"}
    bad = {"output_type": "display_data", "data": image, "metadata": {}}
    page = begun(Page()).show(*turn(1, outputs=[bad]), *ended())
    page.display.close()
    assert "<img" not in str([c["data"].get(k) for _, c in page.messages[1:] if "data" in c
                              for k in ("text/html", MARKDOWN)])  # fmt: skip


async def test_an_error_is_seen_in_the_summary_and_in_the_block() -> None:
    error = {"output_type": "error", "ename": "KeyError", "evalue": "'x'"}
    page = begun(Page()).show(
        *turn(1, status="error", outputs=[error | {"traceback": ["\x1b[31m----> 1 d['x']\x1b[0m"]}])
    )
    page.show(*ended())
    assert "· <b>error</b></summary>" in page.turns[0]
    assert "> ```\n> ----> 1 d['x']\n> KeyError: 'x'\n> ```" in page.turns[0]


async def test_a_long_output_is_cut_and_says_so() -> None:
    long = {"output_type": "stream", "name": "stdout", "text": "y" * 100_000}
    page = begun(Page()).show(*turn(1, outputs=[long]), *ended())
    assert len(page.turns[0]) < 6000
    assert "100,000 characters in all" in page.turns[0]


async def test_the_calls_of_a_turn_are_a_table_that_opens() -> None:
    page = begun(Page()).show(*turn(1)[:2], *(call("0", i, count=30) for i in range(30)))
    page.show(turn(1)[2], KernelRestarted("0", 1, "out of memory", [], 15.0), *ended())
    assert "· 30 sub-calls ·" in page.turns[0]
    assert "<details><summary>30 sub-calls to qwen2.5-0.5b" in page.turns[0]
    assert "and 10 more, in the record" in page.turns[0]
    assert "> The kernel was restarted&#58; out of memory" in page.turns[0]


async def test_a_terminal_that_shows_no_updates_reads_well() -> None:
    page = begun(Page(), question="How\nmany?").show(
        *turn(1)[:2], call("0", 0), turn(1)[2], *ended()
    )
    page.display.close()
    printed = [c["data"]["text/plain"] for kind, c in page.messages if kind == "display_data"]
    assert printed[:2] == [
        "RLM · gpt-5 · How many?",
        "[turn 1] cell 1 · 1 sub-call · 1.2 s\n  print(1)\n1",
    ]
    assert printed[3] == ""
    assert printed[2] == (
        "RLM · answered · 1 turn · 14 sub-calls · 31,204 tokens · $0.0123 · 12.1 s\n"
        "trajectory: rlm-runs/my run/trajectory.ipynb"
    )


async def test_a_terminal_gets_no_orders_from_an_lm() -> None:
    orders = "\x1b]0;mine\x07\x1b[2J\r\x9b2J"
    stream = {"output_type": "stream", "name": "stdout", "text": orders}
    ran = {"source": f"'{orders}'", "outputs": [stream], "notices": [orders]}
    page = begun(Page(), question=orders).show(*turn(1, orders, **ran), *ended("failed", orders))
    for content in (content for kind, content in page.messages if kind in SHOWN):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", content["data"]["text/plain"])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(page.logged))


async def test_the_log_has_a_line_for_the_start_each_cell_and_the_end() -> None:
    page = begun(Page()).show(*turn(1), *turn(2, status="error"), *ended("failed", "no luck"))
    assert [line.split(" · ")[1] for line in page.logged] == [
        "gpt-5",
        "cell 1 ok in 0.2 s",
        "cell 2 error in 0.2 s",
        "failed",
    ]
    assert not any("\n" in line for line in page.logged)


async def test_a_trajectory_outside_of_the_served_folder_is_named_not_linked() -> None:
    page = begun(Page("/data/runs")).show(*ended())
    assert "](" not in page.head
    assert "data&#47;runs" in page.head or "data/runs" in page.head


def parts(markdown: str) -> tuple[int, int]:
    """How many blocks open and close in it, as a viewer finds them; nothing may be left open."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    html = "".join(token.content for token in tokens if token.type == "html_block")
    html += "".join(
        child.content for t in tokens for child in t.children or [] if child.type == "html_inline"
    )
    assert not re.search(r"<(?!/?(details|summary|b|code|span|br|progress|div|style)\b)", html)
    assert not any(child.type == "image" for t in tokens for child in t.children or [])
    return html.count("<details>"), html.count("</details>")


def hostile_run(text: str) -> Page:
    """A run with ``text`` wherever an LM, a context or a sub-call can put some."""
    stream = {"output_type": "stream", "name": "stdout", "text": text}
    plain = {"output_type": "execute_result", "data": {"text/plain": text}, "metadata": {}}
    error = {"output_type": "error", "ename": text, "evalue": text, "traceback": [text]}
    page = Page().show(run_started(question=text, settings={"model": text, "limits": LIMITS}))
    page.show(started("0"), prompted("0", 1, text))
    page.clock += 1
    page.show(
        ReplyDelta("0", 1, text), replied("0", 1, f"So:\n\n{text}"), started("0.1", question=text)
    )
    page.show(CellStarted("0", 1, 1, text, "lm", 1.0), CallStarted("0", 1, "rlm_query", 2))
    page.clock += 1
    page.show(OutputMade("0", 1, stream))
    page.show(call("0", 0, prompt=text, reply=text, model=text, child="0.1"))
    page.show(call("0", 1, prompt=text, reply=None, error={"type": text, "message": text}))
    ran = cell("0", 1, source=text, outputs=[stream, plain, error], notices=[text])
    page.show(ran, cell("0", 2, source=text), KernelRestarted("0", 2, text, [], 1.0))
    return page.show(*ended("failed", text))


def check_contained(text: str) -> None:
    page = hostile_run(text)
    page.display.close()
    for content in (content for kind, content in page.messages if kind in SHOWN):
        opened, closed = parts(content["data"]["text/markdown"])
        assert opened == closed
    (block,) = page.turns
    assert parts(block) == (2, 2)
    assert block.startswith("<details>")
    last = MarkdownIt("commonmark", {"html": True}).parse(block)[-1]
    assert (last.type, last.content, last.level) == ("html_block", "</details>", 0)


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        "```text\nnever closed\n</details>",
        "~~~\r</details>\r\r<script>alert(1)</script>",
        "a\r\n\r\n</details>\r\n````\r\n",
        "<!-- never closed",
        "<pre>\n\n</details>",
        "</summary></details><img src=x onerror=alert(1)>",
        "- item\n\n      indented\n\n> quote\n```",
        "$$\n</details>\n\n\\begin{x}",
        "[a]: javascript:alert(1)\n\n[a]",
        "| a |\n| - |\n| </details> |",
    ],
)
async def test_hostile_text_stays_inside(text: str) -> None:
    check_contained(text)


PIECES = [
    "```",
    "~~~",
    "\n",
    "\r",
    "\n\n",
    "</details>",
    "<pre>",
    "> ",
    "- ",
    "    ",
    "|",
    "<!--",
    "x",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_text_breaks_out(text: str) -> None:
    async def check() -> None:
        check_contained(text)

    anyio.run(check)


async def test_two_amounts_of_money_make_no_formula() -> None:
    page = begun(Page()).show(*turn(1, "It costs $5, then $6."), *ended())
    assert "$" not in page.turns[0]
    assert "$" not in page.head
    assert "$" not in answer_bundle("between $5 and $6")["text/markdown"]
    assert answer_bundle("so $x^2$ it is")["text/markdown"] == "so $x^2$ it is"


@pytest.mark.parametrize("text", ['{"a": [1, 2]}', "[1,\n 2]"])
def test_an_answer_that_is_data_is_fenced(text: str) -> None:
    assert answer_bundle(text) == {
        "text/plain": text,
        "text/markdown": f"```json\n{text}\n```",
    }


def test_an_answer_keeps_its_lines_and_can_do_nothing() -> None:
    made = answer_bundle("17\n<script>x</script>\n![i](http://x/y)")
    assert made["text/plain"] == "17\n<script>x</script>\n![i](http://x/y)"
    assert made["text/markdown"].startswith("17  \n")
    assert parts(made["text/markdown"]) == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "[x]( <JavaScript:alert(1)> )",
        "[x](javascript&colon;alert(1))",
        "[x](javascript\\:alert(1))",
        "[x](\ndata:text/html,y)",
        "[x][y]\n\n[y]: vbscript:z",
        "<javascript:alert(1)>",
    ],
)
def test_a_link_that_would_run_something_is_no_link(text: str) -> None:
    reader = MarkdownIt("commonmark", {"html": True})
    reader.validateLink = lambda url: True  # as in viewers that let all of them through
    assert "<a " in reader.render(text)
    assert "<a " not in reader.render(answer_bundle(text)["text/markdown"])


@pytest.mark.parametrize("target", ["https://a.b/c:d", "http://a.b/?q=1&r=2#x"])
def test_links_to_the_web_stay(target: str) -> None:
    assert answer_bundle(f"[x]({target})")["text/markdown"] == f"[x]({target})"


async def test_thousands_of_long_texts_are_not_kept() -> None:
    page = begun(Page()).show(*turn(1)[:2])
    stream = {"output_type": "stream", "name": "stdout"}
    page.messages = page.messages[:1]
    tracemalloc.start()
    for i in range(5000):
        text = f"{i} " + "x" * 20_000
        page.show(call("0", i, count=5000, prompt=text, reply=text), ReplyDelta("0", 1, text))
        page.show(OutputMade("0", 1, stream | {"text": text}))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    page.display.close()
    assert held < 20_000_000  # of 300 MB


async def test_every_beginning_of_a_run_can_be_shown() -> None:
    events = [
        dataclasses.replace(event, outputs=event.outputs[:4])
        if isinstance(event, CellRan)
        else event
        for event in story()  # without its output of an unknown kind, which no live cell has
    ]
    for size in range(len(events) + 1):
        page = Page().show(*events[:size])
        page.display.close()
        for content in (content for kind, content in page.messages if kind in SHOWN):
            opened, closed = parts(content["data"].get("text/markdown", ""))
            assert opened == closed
