"""What a reader with a screen reader or a keyboard meets: axe-core finds nothing serious."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import ask_here, block, script
from axe_playwright_python.async_playwright import Axe
from lab import SECONDS, Lab, Notebook
from playwright.async_api import Page, expect
from replies import Turns

from rlm_kernel.record.recording import Recording
from rlm_kernel.reports import export, provenance_of

pytestmark = [pytest.mark.anyio, pytest.mark.needs("browser")]

FIGURE = """\
print(context)
import matplotlib.pyplot as plt
plt.title('Words a day')
plt.plot([1, 3, 2])
plt.show()
import pandas
pandas.DataFrame({'a': [1, 2]})"""
LABS_OWN = (".cm-editor", ".jp-collapseHeadingButton")
"""What JupyterLab gives no names, in anybody's notebook."""
SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell"
TURNS = (f"I draw.\n\n{block(FIGURE)}", block("1 / 0"), block("FINAL_VAR('Three **words**.')"))


async def serious(page: Page, within: str) -> list[str]:
    """What axe-core holds against a part of the page, and where."""
    context = {"include": [[within]], "exclude": [[each] for each in LABS_OWN]}
    found = await Axe().run(page, context=context, options={"resultTypes": ["violations"]})
    return [
        f"{each['id']}: {node['target']} {node['html'][:200]}"
        for each in found.response["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


async def test_a_notebook_with_cells_of_an_lm_its_trajectory_and_its_page_are_accessible(
    lab: Lab, page: Page, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text("one two three")
    lab.write("read.ipynb", "%rlm context words.txt", "%%rlm\nWhat is in it?")
    replies.append(Turns(*TURNS))
    book = await Notebook(page).open(lab, "read.ipynb")
    await book.run(0)
    await book.done(0)
    await book.run(1)
    await book.shows(1, "Three words.")
    await expect(page.locator(".rlm-cell img")).to_have_attribute(
        "alt", "Figure: Words a day", timeout=SECONDS * 1000
    )
    assert await serious(page, SHOWN) == []
    await book.output(1).get_by_role("link", name="trajectory").click()
    await expect(page.locator(".jp-NotebookPanel")).to_have_count(2, timeout=SECONDS * 1000)
    shown = page.locator(f"{SHOWN} img").first
    await expect(shown).to_be_visible(timeout=SECONDS * 1000)
    assert await serious(page, SHOWN) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_an_exported_page_is_accessible(page: Page, tmp_path: Path, colours: Any) -> None:
    turns = (block("print(context, llm_query('What is it?'))"), *TURNS[1:])
    result = ask_here(script(*turns), tmp_path, "one two three")
    read = Recording.open(result.trajectory.parent)
    export.write(export.page(read, provenance_of.find(read)), tmp_path / "page.html")
    await page.emulate_media(color_scheme=colours)
    await page.goto((tmp_path / "page.html").as_uri())
    await expect(page.locator("#found")).not_to_contain_text("Read", timeout=SECONDS * 1000)
    assert await serious(page, "body") == []
