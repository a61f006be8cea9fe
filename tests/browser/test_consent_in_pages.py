"""Cells that wait for the human in JupyterLab's and Notebook 7's pages: run, edited, rejected."""

from __future__ import annotations

import pytest
from asking import block
from lab import SECONDS, Lab, Notebook, Shoot
from panel import in_the_dark, in_the_light, serious
from playwright.async_api import Locator, Page, expect
from replies import Turns

pytestmark = [pytest.mark.anyio, pytest.mark.needs("browser")]

MOST_MS = SECONDS * 1000
SLIDER = """\
import ipywidgets
slider, label = ipywidgets.IntSlider(description='How many'), ipywidgets.Label()
def moved(change):
    label.value = f"moved to {change['new']}"
slider.observe(moved, 'value')
ipywidgets.HBox([slider, label])"""
FIRST = "print('words:', len(context.split()))"
SECOND = "import os\nprint(os.listdir('/'))"
LAST = "FINAL_VAR(f'There are {n} words.')"


async def _waits(page: Page, turn: int) -> Locator:
    bar = page.locator(".rlm-consent").filter(has_text=f"Turn {turn}")
    await expect(bar).to_be_visible(timeout=MOST_MS)
    return bar


@pytest.mark.parametrize("where", ["lab", "notebook"])
async def test_a_cell_is_edited_rejected_and_run_by_the_keyboard(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns], where: str
) -> None:
    (lab.folder / "words.txt").write_text("one two three")
    name = f"consent-{where}.ipynb"
    asks = f"%rlm confirm always\n%rlm replay off\n%%rlm\nHow many words are there? In {where}."
    lab.write(name, "%rlm context words.txt", asks)
    turns = Turns(block(FIRST), block(SECOND), block(LAST), free=3)
    replies.append(turns)
    book = Notebook(page)
    await (book.open if where == "lab" else book.open_in_7)(lab, name)
    await book.run(0)
    await book.done(0)
    await book.run(1)

    bar = await _waits(page, 1)
    await expect(bar.locator("textarea")).to_be_hidden()
    await shoot(f"consent-{where}")
    assert await serious(page, ".rlm-consent") == []
    if where == "lab":
        await in_the_dark(page)
        assert await serious(page, ".rlm-consent") == []
        await shoot("consent-lab-dark")
        await in_the_light(page)
    await bar.get_by_role("button", name="Edit").focus()
    await page.keyboard.press("Enter")
    await expect(bar.locator("textarea")).to_be_focused()
    await page.keyboard.press("Control+End")
    await page.keyboard.type("\nn = 3; 'dd x ii'")
    await shoot(f"consent-{where}-edited")
    await bar.get_by_role("button", name="Run as Edited").focus()
    await page.keyboard.press("Enter")

    bar = await _waits(page, 2)
    await bar.get_by_label("A word to the model").fill("no files, please")
    await page.reload()
    await book.shows(1, "turn 2 of 20")
    bar = await _waits(page, 2)
    await bar.get_by_label("A word to the model").fill("no files, please")
    await bar.get_by_role("button", name="Reject").click()

    bar = await _waits(page, 3)
    await bar.get_by_role("button", name="Run", exact=True).click()
    await book.shows(1, "There are 3 words.")
    await book.done(1)
    await expect(page.locator(".rlm-consent")).to_have_count(0)
    await book.save()
    sources = ["".join(cell["source"]) for cell in lab.cells(name)]
    assert f"{FIRST}\nn = 3; 'dd x ii'" in sources
    assert LAST in sources
    assert SECOND not in sources


async def test_a_key_is_typed_unseen_help_is_a_page_and_a_slider_moves_while_a_cell_of_the_lm_runs(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    asks = "%rlm replay off\n%%rlm\nHow many are there?"
    lab.write("words.ipynb", f"context = 'x'\n{SLIDER}", "%rlm key", "%rlm help", asks)
    turns = Turns(block("print(llm_query('wait'))"), "waited", block("FINAL_VAR(7)"), free=1)
    replies.append(turns)
    book = await Notebook(page).open(lab, "words.ipynb")
    await book.run(0)
    await book.shows(0, "How many")
    await book.run(1)
    field = book.cells.nth(1).locator("input.jp-Stdin-input")
    await expect(field).to_have_attribute("type", "password", timeout=MOST_MS)
    await field.fill("sk-canary")
    await shoot("key")
    await field.press("Enter")
    await book.shows(1, "is kept in this kernel's memory until it ends")
    await book.run(2)
    await book.shows(2, "Go on after a limit or an interrupt")
    await shoot("help")
    await book.run(3)
    await turns.wait_until_withheld()  # by the cell of the LM's, which runs
    await book.output(0).locator(".noUi-handle").press("ArrowRight")
    await book.shows(0, "moved to 1")
    turns.gate.set()
    await book.shows(3, "7")
    await book.done(3)
    await book.save()
    assert "sk-canary" not in (lab.folder / "words.ipynb").read_text()
