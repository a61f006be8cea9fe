"""A run's trajectory in JupyterLab: Run All replays it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from lab import SECONDS, Lab, Notebook, Shoot
from playwright.async_api import Page, expect
from replay_helpers import deep

pytestmark = [pytest.mark.anyio, pytest.mark.needs("browser")]

EQUAL = "equal: 10 cells run again, 12 calls answered from the record, no LM asked"


@pytest.fixture
def notebook(lab: Lab, request: pytest.FixtureRequest) -> Path:
    """Of a run with two levels of children, a batch, an error, a plot, and a prompt that was asked
    four times and answered differently each time."""
    result = deep(lab.folder / request.node.name)
    assert result.response == "20 rows, 2 parts"
    return result.trajectory


async def _run_all(book: Notebook, page: Page) -> str:
    """What the last cell says when all have run."""
    await book.menu("Run", "Run All Cells")
    last = book.cells.last.locator(".jp-OutputArea").first
    await expect(last).to_contain_text("no LM asked", timeout=SECONDS * 1000)
    await book.status("Idle")
    return await last.inner_text()


async def test_run_all_is_equal_each_time_and_after_it_was_saved(
    lab: Lab, page: Page, shoot: Shoot, notebook: Path
) -> None:
    book = await Notebook(page).open(lab, str(notebook.relative_to(lab.folder)))
    for _ in range(2):
        await page.get_by_role("menuitem", name="Edit", exact=True).click()
        await page.locator(".lm-Menu-item", has_text="Clear Outputs of All Cells").first.click()
        assert (await _run_all(book, page)).strip() == EQUAL
    await shoot("trajectory-replayed")
    await page.keyboard.press("ControlOrMeta+S")
    saved = page.locator(".jp-Document .jp-mod-dirty, .lm-TabBar-tab.jp-mod-dirty")
    await expect(saved).to_have_count(0, timeout=SECONDS * 1000)
    cells = [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
    assert cells[-1].outputs[0].data["text/plain"] == EQUAL
    assert (await _run_all(book, page)).strip() == EQUAL


async def test_a_cell_that_is_edited_is_named(
    lab: Lab, page: Page, shoot: Shoot, notebook: Path
) -> None:
    book = await Notebook(page).open(lab, str(notebook.relative_to(lab.folder)))
    # Its turn's heading has the beginning of its code too.
    cell = page.locator(".jp-Notebook .jp-CodeCell").filter(has_text="FINAL_VAR(f")
    await cell.locator(".cm-content").click()
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.insert_text("FINAL_VAR('another answer')")
    told = await _run_all(book, page)
    assert "ReplayDiffers" in told
    assert "before cell 6: FINAL_VAR('another answer')" in told
    await shoot("trajectory-differs")


async def test_it_is_not_changed_by_being_opened_and_saved_and_its_turns_are_its_outline(
    lab: Lab, page: Page, shoot: Shoot, notebook: Path
) -> None:
    before = notebook.read_bytes()
    book = await Notebook(page).open(lab, str(notebook.relative_to(lab.folder)))
    await page.keyboard.press("ControlOrMeta+Shift+K")
    outline = page.locator(".jp-TableOfContents-content .jp-tocItem-content")
    await expect(outline.filter(has_text=re.compile("Turn 2 · cell 2"))).to_be_visible(
        timeout=SECONDS * 1000
    )
    await shoot("trajectory-outline")
    await expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    # What a human changes and takes back makes it be saved whole.
    await book.cells.last.locator(".cm-content").click()
    await page.keyboard.insert_text("x")
    await expect(page.locator(".jp-mod-dirty").first).to_be_visible()
    await page.keyboard.press("Backspace")
    await page.keyboard.press("ControlOrMeta+S")
    await expect(page.locator(".jp-mod-dirty")).to_have_count(0, timeout=SECONDS * 1000)
    assert notebook.read_bytes() == before
