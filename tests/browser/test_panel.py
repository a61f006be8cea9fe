"""What stands around the live cells: the status item, the side panel, the ways to ask."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import block, script
from lab import Lab, Notebook, Shoot
from panel import (
    ANSWERED,
    BATCH,
    MOST_MS,
    QUESTION,
    Side,
    ThreeNodes,
    choose,
    in_the_dark,
    in_the_light,
    past,
    serious,
)
from playwright.async_api import Page, expect
from replies import Turns
from stories import call, cell, prompted, replied, run_started, started

from rlm_kernel import RLM
from rlm_kernel.events import NodeEnded, RunEnded, Usage
from rlm_kernel.record.journal import Journal
from rlm_kernel.testing import FakeEndpoint

pytestmark = [pytest.mark.anyio, pytest.mark.needs("browser")]

END_SAID = """() => {
  window.said = [];
  const told = document.querySelector('.rlm-said');
  new MutationObserver(() => told.textContent && window.said.push(told.textContent)).observe(
    told, {childList: true, characterData: true, subtree: true});
}"""


@pytest.fixture
def three(endpoint: FakeEndpoint) -> Iterator[ThreeNodes]:
    nodes, reply, count = ThreeNodes(), endpoint.reply, endpoint.count
    endpoint.reply = nodes
    endpoint.count = lambda messages, said: {**count(messages, said), "cost": 0.0002}
    yield nodes
    nodes.gate.set()
    endpoint.reply, endpoint.count = reply, count


@pytest.fixture(scope="module")
def tickets(lab: Lab) -> Path:
    """A folder with a text and with runs that are over."""
    folder = lab.folder / "support"
    folder.mkdir()
    (folder / "tickets.txt").write_text("the battery is dead\n" * 400)
    past(folder, "How many tickets are there in all?", "2,209", days=40)
    past(folder, "Which products are named most often?", "Cedar radio", "limit", days=3)
    past(folder, "כמה פניות יש?", "שתיים", "failed", days=2)
    return folder


@pytest.mark.timeout(240)  # it opens two front ends
async def test_a_question_is_followed_and_stopped_from_anywhere(
    lab: Lab, page: Page, shoot: Shoot, three: ThreeNodes, tickets: Path
) -> None:
    lab.write(
        "support/ask.ipynb",
        *("%rlm context tickets.txt", f"%%rlm --max-cost 1\n{QUESTION}"),
        *(f"{n}" for n in range(40)),
    )
    book = await Notebook(page).open(lab, "support/ask.ipynb")
    status = page.locator(".rlm-status")
    await expect(status).to_be_hidden()
    await book.run(0)
    await book.done(0)
    await page.evaluate(END_SAID)
    await book.run(1)
    side = await Side(page).open()
    line = status.get_by_role("status").first
    await expect(line).to_have_text(
        re.compile(rf"RLM turn 1/20 · {ANSWERED} of 50\d · \$0\.02\d+ of \$1\.00"), timeout=MOST_MS
    )
    live = side.run(QUESTION)
    batch = live.locator(".rlm-node-calls", has_text=f"{ANSWERED} of {BATCH} answered")
    await expect(batch).to_be_visible(timeout=MOST_MS)
    nodes = live.locator(".rlm-node")
    assert [await node.get_attribute("data-status") for node in await nodes.all()] == [
        "running", "answered", "running",
    ]  # fmt: skip
    assert await serious(page, ".rlm-panel", ".rlm-status") == []
    await shoot("panel")
    await in_the_dark(page)
    assert await serious(page, ".rlm-panel", ".rlm-status") == []
    await shoot("panel-dark")

    other = await page.context.new_page()
    await Notebook(other).open_in_7(lab, "support/ask.ipynb")
    await expect(other.locator(".rlm-status")).to_contain_text(f"{ANSWERED} of")
    there = await Side(other).open()
    await expect(there.run(QUESTION).locator(".rlm-node")).to_have_count(3, timeout=MOST_MS)
    await shoot("panel-notebook-7", other)
    await other.close()

    await side.press(live, "Tell")
    dialog = page.locator(".jp-Dialog")
    await expect(dialog).to_contain_text("A word to the model", timeout=MOST_MS)
    assert await serious(page, ".jp-Dialog") == []
    await shoot("panel-tell")
    await page.keyboard.type("leave the Birch out")
    await page.keyboard.press("Enter")
    await expect(live).to_contain_text("The model reads it before its next turn.")

    await book.cells.last.locator(".jp-InputPrompt").click()
    await line.get_by_role("button").focus()
    await page.keyboard.press("Enter")
    await expect(book.cells.nth(2)).to_be_in_viewport()
    await expect(book.cells.nth(2)).to_have_class(re.compile("jp-mod-active"))
    assert await page.evaluate("window.said") == []
    await status.get_by_role("button", name="Stop").focus()
    await page.keyboard.press("Enter")
    await book.shows(1, "interrupted")
    await book.shows(1, "The LM was not told, since it had no turn more: leave the Birch out")
    await book.done(1)
    await expect(status).to_contain_text("RLM interrupted")
    assert await page.evaluate("window.said.map(text => text.slice(0, 16))") == ["RLM, interrupted"]
    await expect(live).to_have_attribute("data-status", "interrupted", timeout=MOST_MS)
    await shoot("panel-past-dark")
    await in_the_light(page)


async def test_a_run_of_another_process_is_followed_until_its_end(
    lab: Lab, page: Page, shoot: Shoot
) -> None:
    folder = lab.folder / "elsewhere"
    (folder / "rlm-runs").mkdir(parents=True)
    (folder / "rlm-runs" / "broken").mkdir()
    (folder / "rlm-runs" / "broken" / "journal.jsonl").write_text("<img src=x onerror=hit()>\n")
    lab.write("elsewhere/plain.ipynb", "1 + 1", kernel="python3")
    await Notebook(page).open(lab, "elsewhere/plain.ipynb")
    side = await Side(page).open()
    await expect(side.run("broken")).to_have_attribute("data-status", "damaged", timeout=MOST_MS)
    hostile = "<b onclick=hit()>Who</b> wrote\u202e it?"
    journal = Journal.create(folder / "rlm-runs" / "20260101-120000" / "journal.jsonl")
    for event in (
        run_started(question=hostile, settings={"limits": {"turns": 20, "cost": 2.0}}),
        started("0", question=hostile),
        prompted("0", 3, "go on"),
        replied("0", 3, "```python\nllm_query_batched(prompts)\n```"),
        *(call("0", index, count=9, usage=Usage()) for index in range(4)),
    ):
        journal.write(event)
    run = side.run("<b onclick=hit()>Who</b> wrote")
    await expect(run).to_have_attribute("data-status", "running", timeout=MOST_MS)
    await expect(run).to_contain_text("llm_query_batched: 4 of 9 answered", timeout=MOST_MS)
    await expect(run).to_contain_text("3 of 20")
    assert await run.locator("b").count() == 0
    assert "\u202e" not in await run.inner_text()
    assert await run.get_by_role("button", name="Stop").count() == 0  # its kernel is not here
    await shoot("panel-other-kernel")
    journal.write(cell("0", 1))
    journal.write(NodeEnded("0", "answered", "Ada", True, None, 14.0))
    journal.write(RunEnded("answered", "Ada", True, None, Usage(), 1, 9, 5.0, 14.0))
    journal.seal()
    journal.close()
    await expect(run).to_have_attribute("data-status", "answered", timeout=MOST_MS)
    await expect(run).to_contain_text("Ada")


@pytest.fixture(scope="module")
def recorded(lab: Lab) -> Path:
    """A folder with a run that can be run again."""
    folder = lab.folder / "recorded"
    count = "n = len(context.split())\nprint('counted', n)"
    lm = script(count, "FINAL_VAR(f'{n} words')", "n += 100\nFINAL_VAR(f'{n} words')")
    with RLM(model=lm, out=folder / "rlm-runs" / "20260101-120000") as rlm:
        assert rlm.completion("one two three", "How many?").response == "3 words"
    return folder


@pytest.mark.timeout(240)
async def test_a_past_run_is_explained_exported_replayed_and_forked(
    lab: Lab, page: Page, shoot: Shoot, recorded: Path, replies: list[Turns]
) -> None:
    replies.append(Turns(block("FINAL_VAR('more')")))
    lab.write("recorded/mine.ipynb", "1 + 1")
    await Notebook(page).open(lab, "recorded/mine.ipynb")
    side = await Side(page).open()
    run = await side.unfold("How many?")
    await expect(run).to_contain_text("3 words")
    await side.press(run, "Why")
    dialog = page.locator(".jp-Dialog")
    await expect(dialog).to_contain_text("gave the answer", timeout=MOST_MS)
    assert await serious(page, ".jp-Dialog") == []
    await shoot("panel-why")
    await page.keyboard.press("Escape")
    async with page.expect_download() as download:
        await side.press(run, "Export")
    exported = await (await download.value).path()
    assert "3 words" in exported.read_text()
    await side.press(run, "Replay")
    await expect(dialog).to_contain_text("runs with your rights")
    await page.keyboard.press("Enter")
    shown = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    await expect(shown).to_contain_text("no LM asked", timeout=MOST_MS)
    await expect(run).to_be_visible()  # the folder of a trajectory is that of its run
    await shoot("panel-replayed")
    await side.press(run, "Fork")
    await expect(shown).to_contain_text("%rlm continue", timeout=MOST_MS)
    await expect(shown).to_have_attribute("data-rlm", "live", timeout=MOST_MS)
    await Notebook(page).menu("Run", "Run All Cells")
    await expect(shown).to_contain_text("answered · 1 turn", timeout=MOST_MS)
    await shoot("panel-forked")


async def test_a_file_is_asked_about_and_a_question_has_a_button(
    lab: Lab, page: Page, shoot: Shoot, tickets: Path
) -> None:
    (tickets / "a 'file' $x.txt").write_text("one two")
    lab.write("support/first.ipynb", "1 + 1", "2 + 2")
    book = await Notebook(page).open(lab, "support/first.ipynb")
    ask = page.locator(".jp-NotebookPanel-toolbar").get_by_role("button", name="Ask RLM")
    await expect(ask).to_be_visible(timeout=MOST_MS)
    await book.cells.nth(0).locator(".jp-InputPrompt").click()
    await choose(page, "Ask RLM")
    await page.keyboard.insert_text("What is it?")
    assert await book.source(1) == "%%rlm\nWhat is it?"
    item = page.locator(".jp-DirListing-item", has_text="a 'file' $x.txt")
    await item.click(button="right")
    await shoot("ask-about-menu")
    await page.locator(".lm-Menu-item", has_text="Ask About This File").click()
    book.cells = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell")
    await expect(book.cells).to_have_count(2, timeout=MOST_MS)
    await book.shows(0, "str · length 7")
    await page.keyboard.insert_text("What is it about?")
    assert await book.source(1) == "%%rlm\nWhat is it about?"
    await shoot("ask-about")
    tree = await page.context.new_page()
    await tree.goto(f"{lab.url}/tree/support?token={lab.token}")
    await tree.locator(".jp-DirListing-item", has_text="tickets.txt").click(button="right")
    async with page.context.expect_page() as opened:
        await tree.locator(".lm-Menu-item", has_text="Ask About This File").click()
    seven = Notebook(await opened.value)
    await expect(seven.cells).to_have_count(2, timeout=MOST_MS)
    assert await seven.source(0) == "%rlm context tickets.txt"
    assert (await seven.source(1)).split() == ["%%rlm"]
    await tree.close()
    await seven.page.close()
    await page.route("**/rlm/runs*", lambda route: route.fulfill(status=404, body="<html>"))
    side = await Side(page).open()
    await expect(side.node).to_contain_text("This Jupyter server does not read runs")


def asked(lab: Lab, what: str, token: bool = True, **words: str) -> tuple[int, Any]:
    """What the server answers, and its JSON data."""
    headers = {"Authorization": f"token {lab.token}"} if token else {}
    url = f"{lab.url}/rlm/{what}?{urllib.parse.urlencode(words)}"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=60
        ) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


async def test_the_server_tells_nobody_else_and_nothing_outside_of_its_folder(
    lab: Lab, tmp_path: Path
) -> None:
    outside = await asyncio.to_thread(past, tmp_path, "A secret?", "yes")
    own = lab.folder / "nobody-else"  # the server is shared, and with it the runs of other tests
    own.mkdir()
    (own / "away").symlink_to(tmp_path)
    (own / ".hidden").mkdir()
    assert asked(lab, "runs", path=own.name) == (200, {"runs": [], "total": 0, "most": 1000})
    inside = [f"{own.name}/{part}" for part in ("away", ".hidden", "none", f"away/{outside.name}")]
    for what in ("runs", "run", "why", "export"):
        for path in (*inside, "../..", "/etc", "a\0b"):
            assert asked(lab, what, path=path)[0] == 404, (what, path)
        assert asked(lab, what, token=False)[0] == 403
    assert asked(lab, "run", path="")[0] == 404
    assert asked(lab, "runs", count="x")[0] == 400
