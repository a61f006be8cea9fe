"""One notebook in two browsers, which jupyter-collaboration lets share it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from asking import block
from lab import SECONDS, Lab, Notebook, run_lab
from playwright.async_api import Browser, expect
from replies import Turns

from rlm_kernel.testing import FakeEndpoint

pytestmark = [pytest.mark.anyio, pytest.mark.needs("browser")]

MOST_MS = SECONDS * 1000
TEXT = "one two three four five six seven"
COUNT = "n_words = len(context.split())\nfor n in range(3):\n    print('counted', n_words)"
FINISH = "FINAL_VAR(f'There are {n_words} words.')"


@pytest.fixture(scope="module")
def shared(endpoint: FakeEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    env = {"RLM_BASE_URL": endpoint.base_url, "RLM_API_KEY": "x", "RLM_MODEL": "fake-model"}
    with run_lab(tmp_path_factory.mktemp("shared"), env, shared=True) as running:
        yield running


@pytest.mark.timeout(300)  # it opens two browsers and a server of its own
async def test_of_two_browsers_one_writes_and_the_other_goes_on_when_it_has_left(
    shared: Lab, browser: Browser, replies: list[Turns]
) -> None:
    (shared.folder / "words.txt").write_text(TEXT)
    shared.write("both.ipynb", "%rlm context words.txt", "%%rlm\nHow many words?", "'mine'")
    turns = Turns(f"I count.\n\n{block(COUNT)}", block(FINISH), free=1)
    replies.append(turns)
    books = []
    for _ in range(2):
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        books.append(await Notebook(await context.new_page()).open(shared, "both.ipynb"))
        live = books[-1].page.locator('.jp-NotebookPanel[data-rlm="live"]')
        await expect(live).to_be_visible(timeout=MOST_MS)
    asking, other = books
    await asking.run(0)
    await asking.done(0)
    await asking.run(1)
    await turns.wait_until_withheld()
    for book in books:
        await expect(book.page.locator(".rlm-cell")).to_have_count(2, timeout=MOST_MS)
        await book.shows(3, "counted 7\ncounted 7\ncounted 7")
        await expect(book.cells.nth(3)).to_have_attribute("data-rlm", re.compile("turn 1 · "))
        await book.shows(1, "turn 2 of 20")
    await asking.page.context.close()
    turns.gate.set()
    await other.shows(1, "There are 7 words.")
    await expect(other.page.locator(".rlm-cell")).to_have_count(3, timeout=MOST_MS)
    assert [await other.source(index) for index in (3, 4, 5)] == [COUNT, FINISH, "'mine'"]
    await other.write(3, "n_words = 8")
    await expect(other.cells.nth(3)).to_have_class(re.compile("rlm-edited"))
    third = await Notebook(await (await browser.new_context()).new_page()).open(
        shared, "both.ipynb"
    )
    await expect(third.cells.nth(3)).to_have_class(re.compile("rlm-edited"), timeout=MOST_MS)
    assert [await third.source(index) for index in (3, 4, 5)] == ["n_words = 8", FINISH, "'mine'"]
    assert (await third.output(3).inner_text()).split() == ["counted", "7"] * 3
    for book in (other, third):
        await book.page.context.close()
