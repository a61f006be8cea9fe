"""The LM's cells in JupyterLab's and Notebook 7's pages, as a human's browser shows them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest
from asking import block
from hostile import TEXTS
from lab import SECONDS, SHIFTS, Lab, Notebook, Shoot
from playwright.async_api import Dialog, Page, expect
from replies import Turns

pytestmark = [pytest.mark.anyio, pytest.mark.needs("browser")]

MOST_MS = SECONDS * 1000
TEXT = "one two three four five six seven"
CONTEXT = "%rlm context words.txt"
QUESTION = "%%rlm\nHow many words are there?"
COUNT = "n_words = len(context.split())\nprint('counted', n_words)"
FINISH = "FINAL_VAR(f'There are {n_words} words.')"
TURNS = (f"I count the **words**.\n\n```python\n{COUNT}\n```", block(FINISH))
MINE = (
    'from IPython.display import HTML\nHTML(\'<table id="mine"><tr><td>a table of mine</td></tr>'
    '</table><p style="color:red" onclick="1">by me</p>\')'
)


async def opened(page: Page, lab: Lab, name: str, where: str) -> Notebook:
    book = Notebook(page)
    return await (book.open if where == "lab" else book.open_in_7)(lab, name)


async def lm_cells(book: Notebook, count: int) -> None:
    await expect(book.page.locator(".rlm-cell")).to_have_count(count, timeout=MOST_MS)


@pytest.mark.parametrize("where", ["lab", "notebook"])
async def test_cells_are_written_below_the_question_and_survive_a_reload_in_its_midst(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns], where: str
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    name = f"live-{where}.ipynb"
    asks = f"{QUESTION} In {where}."  # a question that was asked before is answered from its record
    lab.write(name, MINE, CONTEXT, asks, "n_words")
    turns = Turns(*TURNS, free=1)
    replies.append(turns)
    book = await opened(page, lab, name, where)
    for index in (0, 1):
        await book.run(index)
        await book.done(index)
    await book.run(2)
    await turns.wait_until_withheld()
    await lm_cells(book, 2)
    await book.shows(4, "counted 7")
    await shoot(f"live-{where}")
    await book.save()
    await book.page.reload()
    await lm_cells(book, 2)
    await book.shows(2, "turn 2 of 20")
    turns.gate.set()
    await book.shows(2, "There are 7 words.")
    await lm_cells(book, 3)
    await book.done(2)
    assert [await book.source(index) for index in (4, 5)] == [COUNT, FINISH]
    for index, turn in ((4, "turn 1 · "), (5, "turn 2 · ")):
        await expect(book.cells.nth(index)).to_have_attribute("data-rlm", re.compile(turn))
    await expect(page.locator(".rlm-status")).not_to_contain_text("stopped")
    await book.save()
    await shoot(f"live-{where}-end")

    saved = lab.cells(name)
    assert ["".join(cell["source"]) for cell in saved][:3] == [MINE, CONTEXT, asks]
    assert [c["metadata"].get("rlm", {}).get("author") for c in saved] == [
        None, None, "human", "lm", "lm", "lm", None,
    ]  # fmt: skip
    assert {c["metadata"]["rlm"]["state"] for c in saved[3:6]} == {"ok"}

    other = await opened(await page.context.new_page(), lab, name, where)
    await lm_cells(other, 3)
    await expect(other.page.locator("#mine")).to_be_visible()
    await other.shows(4, "counted 7")
    assert await other.page.locator("text=Not Trusted").count() == 0


async def press_on(book: Notebook, index: int, *keys: str) -> None:
    """Press keys on a cell in command mode."""
    await book.cells.nth(index).locator(".jp-InputPrompt, .jp-MarkdownOutput").first.click()
    await book.page.keyboard.press("Escape")
    for key in keys:
        await book.page.keyboard.press(key)


async def standing(book: Notebook, lab: Lab, name: str) -> list[str]:
    """Save, and say of each cell whose it is: an LM's by the turn, and whether it was edited."""
    if await book.page.locator(".lm-DockPanel-tabBar .jp-mod-current.jp-mod-dirty").count():
        await book.save()
    said = []
    for cell in lab.cells(name):
        mark = cell["metadata"].get("rlm", {})
        lm = mark.get("author") == "lm"
        said.append(f"{mark['turn']}{'!' * mark.get('edited', False)}" if lm else cell["id"])
    return said


async def test_what_the_human_touches_is_the_humans(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    lab.write("mine.ipynb", CONTEXT, f"{QUESTION} Mine.", "n_words")
    context, question, last = (cell["id"] for cell in lab.cells("mine.ipynb"))
    replies.append(Turns(*TURNS))
    book = await Notebook(page).open(lab, "mine.ipynb")
    await book.run(0)
    await book.done(0)
    await book.run(1)
    await lm_cells(book, 3)
    await book.done(1)

    async def are(*expected: str) -> None:
        assert await standing(book, lab, "mine.ipynb") == list(expected)

    await book.write(3, "n_words = 99")
    await expect(book.cells.nth(3)).to_have_class(re.compile("rlm-edited"))
    await press_on(book, 4, "d", "d")
    await are(context, question, "1", "1!", last)
    await press_on(book, 3, "z")
    await are(context, question, "1", "1!", "2!", last)

    replies.append(Turns(*TURNS))
    await book.run(1, "%%rlm\nHow many words are in it?")
    await book.done(1)
    await lm_cells(book, 5)
    await are(context, question, "1", "1", "2", "1!", "2!", last)
    assert await book.source(5) == "n_words = 99"
    await shoot("edited-and-asked-again")

    await press_on(book, 1, "ControlOrMeta+Shift+ArrowUp")
    await are(question, "1", "1", "2", context, "1!", "2!", last)
    await press_on(book, 0, "ControlOrMeta+Shift+ArrowDown")
    await are(context, question, "1", "1", "2", "1!", "2!", last)

    replies.append(Turns("nobody is asked"))
    await book.menu("Run", "Run All Cells")
    await book.shows(1, "from the record")
    await book.done(7)
    await are(context, question, "1", "1", "2", "1!", "2!", last)
    assert await book.source(3) == COUNT
    assert (await book.output(3).inner_text()).split() == ["counted", "7"]  # and not twice

    await press_on(book, 1, "d", "d")
    await are(context, "1", "1", "2", "1!", "2!", last)
    sources = ["".join(cell["source"]) for cell in lab.cells("mine.ipynb")]
    assert (sources[0], sources[-1]) == (CONTEXT, "n_words")


async def command(book: Notebook, label: str) -> None:
    """Choose a command in the palette."""
    await book.page.keyboard.press("ControlOrMeta+Shift+C")
    await book.page.keyboard.insert_text(label)
    await book.page.locator(".lm-CommandPalette-item", has_text=label).first.click()


async def test_two_tabs_show_the_same_and_the_cells_are_kept_as_ones_own(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    lab.write("kept.ipynb", CONTEXT, f"{QUESTION} Kept.", "n_words")
    replies.append(Turns(*TURNS))
    book = await Notebook(page).open(lab, "kept.ipynb")
    other = await opened(await page.context.new_page(), lab, "kept.ipynb", "notebook")
    await book.run(0)
    await book.done(0)
    await book.run(1)
    await book.done(1)
    for each in (book, other):
        await lm_cells(each, 3)
        await each.shows(1, "There are 7 words.")
        await each.shows(3, "counted 7")
    await press_on(book, 1)
    await command(book, "Fold the Cells of This Question")
    await expect(book.cells.nth(3)).to_be_hidden()
    await expect(book.cells.nth(1)).to_have_attribute("data-rlm", "3 cells folded")
    await shoot("folded")
    await command(book, "Fold the Cells of This Question")
    await command(book, "Keep This Question as Mine")
    await lm_cells(book, 0)
    await shoot("kept")
    await book.save()
    saved = lab.cells("kept.ipynb")
    assert [cell["cell_type"] for cell in saved] == [
        "raw", "markdown", "code", "markdown", "code", "code", "code",
    ]  # fmt: skip
    assert not any("rlm" in cell["metadata"] for cell in saved)
    assert "context = open('words.txt'" in "".join(saved[2]["source"])
    metadata = json.loads((lab.folder / "kept.ipynb").read_text())["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"
    await press_on(book, 1, "z")
    await lm_cells(book, 3)
    assert await book.source(1) == f"{QUESTION} Kept."


SHOWS = """\
import json
for text in json.loads(context):
    for mime in {mimes}:
        display({{mime: text, 'text/plain': 'x'}}, raw=True)
print('all shown')"""
MIMES = (("text/html", "text/markdown"), ("image/svg+xml", "text/latex"))  # not over 50 a cell
ACTING = "a[href^='javascript' i], [onerror], [onload], [onfocus], [ontoggle], script, iframe, form"


@pytest.mark.timeout(240)  # it opens two front ends
async def test_nothing_hostile_acts_in_inserted_cells_nor_when_they_are_opened_again(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in TEXTS]  # by file: no surrogates
    assert len(texts) * 5 >= 60
    (lab.folder / "texts.txt").write_text(json.dumps(texts))
    shows = block(*(SHOWS.format(mimes=mimes) for mimes in MIMES))
    prose = "\n\n".join(texts)
    replies.append(Turns(f"{prose}\n\n{shows}", block("FINAL_VAR(context[:9])")))
    control = f"from IPython.display import HTML\nHTML({TEXTS[4]!r})"
    lab.write("acting.ipynb", "%rlm context texts.txt", "%%rlm\nShow them.", control)
    for where in ("lab", "notebook"):
        said: list[str] = []
        page = await page.context.new_page()
        page.on("dialog", lambda dialog, said=said: _heard(said, dialog))
        book = await opened(page, lab, "acting.ipynb", where)
        if where == "lab":
            await book.run(0)
            await book.done(0)
            await book.run(1)
            await book.done(1)
        await lm_cells(book, 4)
        await book.shows(3, "all shown")
        await book.shows(4, "all shown")
        assert await page.locator(".rlm-cell").locator(ACTING).count() == 0
        assert (await page.evaluate("window.acted"), said) == (None, [])
        await shoot(f"hostile-{where}")
        await book.save()
        await book.run(6)  # the control: the same of a human's own cell acts
        await page.wait_for_function("window.acted", timeout=MOST_MS)
        assert said


async def _heard(said: list[str], dialog: Dialog) -> None:
    said.append(dialog.message)
    await dialog.dismiss()


async def test_nothing_freezes_when_the_kernel_is_restarted_in_the_midst_of_a_run(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    lab.write("restarted.ipynb", CONTEXT, f"{QUESTION} Again.", "1 + 1")
    turns = Turns(*TURNS, free=1)
    replies.append(turns)
    book = await Notebook(page).open(lab, "restarted.ipynb")
    await book.run(0)
    await book.done(0)
    await book.run(1)
    await turns.wait_until_withheld()
    await lm_cells(book, 2)
    await book.menu("Kernel", "Restart Kernel…")
    await page.locator(".jp-Dialog .jp-mod-accept").click()
    await book.shows(1, "the kernel ended before the run did")
    await book.status("Idle")
    await book.run(4)
    await book.shows(4, "2")
    await shoot("restarted-live")
    await book.save()
    saved = lab.cells("restarted.ipynb")
    assert saved[1]["metadata"]["rlm"]["state"] == "stopped"
    assert {c["metadata"]["rlm"]["state"] for c in saved[2:4]} == {"ok"}


@pytest.fixture
async def windowed(lab: Lab, page: Page) -> AsyncIterator[None]:
    """JupyterLab draws the cells that are in view and no others, as it does by default."""
    address = f"{lab.url}/lab/api/settings/@jupyterlab/notebook-extension:tracker"
    for mode in ("full", "none"):
        raw = json.dumps({"windowingMode": mode})
        headers = {"Authorization": f"token {lab.token}"}
        changed = await page.request.put(address, data={"raw": raw}, headers=headers)
        assert changed.ok, changed.status
        if mode == "full":
            yield


@pytest.mark.usefixtures("windowed")
async def test_cells_that_are_written_out_of_sight_in_a_long_notebook_are_right(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    below = [f"x = {number}" for number in range(1_000)]
    lab.write("long.ipynb", CONTEXT, f"{QUESTION} Long.", *below)
    turns = Turns(*TURNS, free=0)
    replies.append(turns)
    book = await Notebook(page).open(lab, "long.ipynb")
    assert await book.cells.count() < len(below)  # most are out of sight, and not drawn
    await book.run(0)
    await book.run(1)
    await turns.wait_until_withheld()
    scroll = "(panel, to) => { panel.scrollTop = to * panel.scrollHeight; }"
    panel = page.locator(".jp-WindowedPanel-outer").first
    await panel.evaluate(scroll, 1)
    await expect(page.locator(".rlm-cell")).to_have_count(0)
    await expect(page.get_by_text("x = 999")).to_be_visible(timeout=MOST_MS)
    turns.gate.set()
    await book.status("Idle")
    await panel.evaluate(scroll, 0)
    await lm_cells(book, 3)
    await book.shows(1, "There are 7 words.")
    await book.shows(3, "counted 7")
    await shoot("long")
    await book.save()
    saved = lab.cells("long.ipynb")
    assert ["".join(cell["source"]) for cell in saved[3:5]] == [COUNT, FINISH]
    assert ["".join(cell["source"]) for cell in saved[5:]] == below
    assert [cell["metadata"]["rlm"]["state"] for cell in saved[2:5]] == ["ok"] * 3
    assert len(saved[3]["outputs"]) == 1


async def test_a_cell_that_is_being_read_stays_while_others_are_written(
    lab: Lab, page: Page, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    lab.write("calm-cells.ipynb", CONTEXT, f"{QUESTION} Calm.", *["'below'"] * 30)
    long = block("for n in range(120):\n    print('line', n, context)")
    turns = Turns(long, *TURNS, free=1)
    replies.append(turns)
    book = await Notebook(page).open(lab, "calm-cells.ipynb")
    await book.run(0)
    await book.run(1)
    await turns.wait_until_withheld()
    await book.shows(2, "line 119")
    await book.output(2).evaluate("area => area.scrollIntoView({block: 'start'})")
    await page.evaluate(SHIFTS)
    turns.gate.set()
    await book.shows(1, "There are 7 words.")
    await lm_cells(book, 4)
    assert await page.evaluate("window.shifted") < 0.1


async def test_cells_that_the_kernel_has_gone_back_before_are_grey_until_they_run_again(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    lab.write("back.ipynb", CONTEXT, f"{QUESTION} Back.", "%rlm back 2", "n_words")
    replies.append(Turns(*TURNS[:1], "Now I **double** it." + block("n_words *= 2"), TURNS[1]))
    book = await Notebook(page).open(lab, "back.ipynb")
    for index in (0, 1):
        await book.run(index)
        await book.done(index)
    await lm_cells(book, 5)
    await book.run(8)
    await book.shows(8, "14")
    await book.run(7)
    await book.shows(7, "as it was after cell 2")
    undone = page.locator(".rlm-cell.rlm-undone")
    await expect(undone).to_have_count(3, timeout=MOST_MS)
    await expect(book.cells.nth(3)).not_to_have_class(re.compile("rlm-undone"))
    await expect(book.cells.nth(5)).to_have_attribute("data-rlm", re.compile("undone"))
    await shoot("undone")
    await book.run(8)
    await book.shows(8, "7")
    await book.save()
    marks = [cell["metadata"].get("rlm", {}).get("undone") for cell in lab.cells("back.ipynb")]
    assert marks[:9] == [None] * 4 + [True] * 3 + [None] * 2
    await book.run(5)  # the human's own now: it runs, and is not shown as it ran
    await expect(undone).to_have_count(2, timeout=MOST_MS)
    await book.run(8)
    await book.shows(8, "14")
