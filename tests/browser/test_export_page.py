"""The page of a run in a real browser: offline, from a file, with nobody's script but its own."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from asking import ask_here, script
from hostile import ACT, hostile_run
from lab import SECONDS
from longruns import LAST, journal_of, long_run
from markdown_it import MarkdownIt
from playwright.async_api import Browser, Page, expect
from stories import story

from rlm_kernel.kernel.display.card import turns_bundle
from rlm_kernel.record.recording import Recording
from rlm_kernel.reports import export, provenance_of

pytestmark = [pytest.mark.anyio, pytest.mark.needs("browser")]

MOST_MS = SECONDS * 1000
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NARROW = {"width": 390, "height": 844}


@dataclass
class Reader:
    """A page that is read from a file, and whatever it did beside showing itself."""

    page: Page
    said: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    async def open(self, path: Path) -> None:
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.fetched.append(request.url))
        self.page.on("dialog", self._dialog)
        await self.page.goto(path.as_uri())

    async def _dialog(self, dialog: object) -> None:
        self.said.append("a dialog")
        await dialog.dismiss()  # type: ignore[attr-defined]

    async def acted(self) -> bool:
        return bool(await self.page.evaluate("window.acted")) or "a dialog" in self.said

    async def is_ready(self) -> None:
        await expect(self.page.locator("#found")).not_to_contain_text("Read", timeout=MOST_MS)

    async def finds(self, text: str) -> None:
        await expect(self.page.locator("#found")).to_have_text(text, timeout=MOST_MS)


@pytest.fixture
async def reader(browser: Browser) -> AsyncIterator[Reader]:
    context = await browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    yield Reader(await context.new_page())
    await context.close()


def written(folder: Path, target: Path) -> Path:
    read = Recording.open(folder)
    export.write(export.page(read, provenance_of.find(read)), target)
    return target


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    return written(journal_of(hostile_run(), folder / "run"), folder / "hostile.html")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    return written(journal_of(long_run(), folder / "run"), folder / "long.html")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("short")
    return written(journal_of(story(), folder / "run"), folder / "short.html")


async def test_nothing_that_a_run_holds_acts_and_the_policy_has_nothing_to_stop(
    reader: Reader, hostile: Path
) -> None:
    await reader.open(hostile)
    await reader.is_ready()
    for row in await reader.page.locator("#rows button").all():
        await row.click()
        await expect(reader.page.locator("#detail")).to_be_visible()
        await reader.page.keyboard.press("Escape")
    for fold in await reader.page.locator("summary:visible").all():
        await fold.click()
    await reader.page.locator("#query").fill("<script>")
    assert not await reader.acted()
    assert reader.said == []
    assert [url for url in reader.fetched if not url.startswith("data:image/")] == [
        hostile.as_uri()
    ]
    await expect(reader.page.locator("#answer h2")).to_have_text(["Answer"])
    assert await reader.page.locator("main > section").count() >= 4


async def test_the_harness_would_see_a_script_of_the_runs(
    reader: Reader, hostile: Path, tmp_path: Path
) -> None:
    page = hostile.read_text()
    open_page = re.sub(r"<meta http-equiv=[^>]*>", "", page, count=1)
    broken = open_page.replace("<main>", f"<main><img src=x onerror='{ACT}'>", 1)
    (tmp_path / "broken.html").write_text(broken)
    await reader.open(tmp_path / "broken.html")
    await expect(reader.page.locator("h1")).to_be_visible()
    await reader.is_ready()
    assert await reader.acted()


async def test_the_policy_would_stop_a_script_of_the_runs_and_say_so(
    reader: Reader, hostile: Path, tmp_path: Path
) -> None:
    broken = hostile.read_text().replace("<main>", f"<main><script>{ACT}</script>", 1)
    (tmp_path / "broken.html").write_text(broken)
    await reader.open(tmp_path / "broken.html")
    await reader.is_ready()
    assert not await reader.acted()
    assert any("Content Security Policy" in text for text in reader.said)


async def test_the_last_of_ten_thousand_sub_calls_is_found(reader: Reader, long: Path) -> None:
    await reader.open(long)
    await reader.is_ready()
    page = reader.page
    await reader.finds("10,000 sub-calls")
    assert await page.locator("#rows > div").count() < 40
    await page.get_by_label("Search prompts and replies").press_sequentially("AARDvarks")
    await reader.finds("1 of 10,000 sub-calls")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator("#detail-prompt")).to_have_text(LAST)
    assert await page.locator("#detail-prompt mark").all_inner_texts() == ["aardvarks"]
    assert reader.said == []


async def test_a_row_of_a_map_is_shown_with_its_question(reader: Reader, tmp_path: Path) -> None:
    source = "t = llm_map(['a tart', 'a cake'], 'Is it <b>sweet</b>?')\nprint(llm_query('Why?'))"
    lm = script(f"print(context)\n{source}", "FINAL_VAR(t.values)")
    result = await asyncio.to_thread(ask_here, lm, tmp_path / "run")
    await reader.open(written(result.trajectory.parent, tmp_path / "page.html"))
    await reader.is_ready()
    page = reader.page
    await page.get_by_label("Search prompts and replies").fill("sweet")
    await reader.finds("2 of 3 sub-calls")
    await page.locator("#rows button").nth(1).click()
    await expect(page.locator("#detail-question")).to_have_text("Is it <b>sweet</b>?")
    await expect(page.locator("#detail-prompt")).to_have_text("a cake")
    await page.keyboard.press("Escape")
    await page.get_by_label("Search prompts and replies").fill("Why")
    await reader.finds("1 of 3 sub-calls")
    await page.locator("#rows button").first.click()
    await expect(page.locator("#detail-map")).to_be_hidden()
    assert reader.said == []


async def test_the_page_is_painted_before_the_sub_calls_are_read(
    reader: Reader, long: Path
) -> None:
    await reader.page.add_init_script(
        "const wait = setInterval(() => {"
        "  const found = document.getElementById('found');"
        "  if (found && !found.textContent.startsWith('Read')) {"
        "    window.ready = performance.now(); clearInterval(wait); } }, 5)"
    )
    await reader.open(long)
    await reader.is_ready()
    await expect(reader.page.locator("#list")).to_have_attribute("data-found", "10000")
    painted, ready, loaded = await reader.page.evaluate(
        "[performance.getEntriesByName('first-contentful-paint')[0].startTime, window.ready,"
        " performance.getEntriesByType('navigation')[0].loadEventEnd]"
    )
    print(f"painted {painted:.0f} ms, loaded {loaded:.0f} ms, all read {ready:.0f} ms")
    assert painted < ready


async def test_a_row_far_down_is_reached_by_keyboard(reader: Reader, long: Path) -> None:
    await reader.open(long)
    await reader.is_ready()
    await reader.page.get_by_label("Search prompts and replies").press("ArrowDown")
    await reader.page.keyboard.press("End")
    focused = reader.page.locator("#rows button:focus")
    await expect(focused).to_contain_text("aardvarks")
    await reader.page.keyboard.press("ArrowUp")
    await expect(focused).to_contain_text("Question 10008")


async def test_the_sub_calls_of_one_cell_are_a_click_away(reader: Reader, short: Path) -> None:
    await reader.open(short)
    await reader.is_ready()
    page = reader.page
    await page.locator("#cell-0-2 .asked").get_by_text("2 sub-calls").click()
    await reader.finds("2 of 26 sub-calls")
    await page.get_by_label("only failed").check()
    await reader.finds("1 of 26 sub-calls")
    await page.get_by_label("only failed").uncheck()
    await page.get_by_role("button", name="Show all").click()
    await reader.finds("26 sub-calls")


async def test_the_colours_follow_the_system_and_the_button(reader: Reader, short: Path) -> None:
    await reader.page.emulate_media(color_scheme="dark")
    await reader.open(short)

    async def ground() -> str:
        return str(await reader.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark = await ground()
    await reader.page.get_by_role("button", name="Dark", pressed=True).click()
    light = await ground()
    assert dark != light
    await reader.page.emulate_media(color_scheme="light")
    assert await ground() == light


@pytest.mark.parametrize("which", ["short", "hostile"])
async def test_a_phone_shows_it_with_no_sideways_scrolling(
    which: str, reader: Reader, request: pytest.FixtureRequest
) -> None:
    await reader.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    await reader.open(request.getfixturevalue(which))
    await reader.is_ready()
    assert await reader.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


async def test_every_part_has_a_name_for_those_who_cannot_see_it(
    reader: Reader, short: Path
) -> None:
    await reader.open(short)
    await reader.is_ready()
    tree = await reader.page.locator("body").aria_snapshot()
    for part in ("navigation", "main", "contentinfo", "searchbox", "table", "region", "list"):
        assert f"- {part}" in tree
    assert 'heading "How many of the reviews are positive?" [level=1]' in tree
    assert 'img "Node 0:' in tree


async def test_it_prints_whole(reader: Reader, short: Path) -> None:
    await reader.open(short)
    await reader.is_ready()
    pdf = await reader.page.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(await reader.page.locator("details:not([open])").all()) == 0


async def test_the_folded_turns_of_an_asked_cell_are_printed(reader: Reader) -> None:
    turn = "<details><summary>Turn 1</summary>\n\n```python\nx = 1\n```\n\n</details>"
    shown = turns_bundle([turn], 1)["text/markdown"]
    page = reader.page
    await page.set_content(MarkdownIt("commonmark", {"html": True}).render(shown))
    code = "document.querySelector('code').getBoundingClientRect().height"
    assert not await page.locator("code").is_visible()
    await page.emulate_media(media="print")
    assert await page.evaluate(code) > 0
    assert await page.evaluate("document.querySelector('code').checkVisibility()")


@pytest.mark.parametrize(
    ("name", "size", "colours"),
    [
        ("export", {"width": 1280, "height": 1180}, "light"),
        ("export-dark", {"width": 1280, "height": 1180}, "dark"),
        ("export-phone", NARROW, "light"),
    ],
)
async def test_a_real_run_fits_its_first_screen(
    name: str, size: dict[str, int], colours: str, reader: Reader, tmp_path: Path
) -> None:
    page = reader.page
    await page.set_viewport_size(size)  # type: ignore[arg-type]
    await page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
    await reader.open(written(NOTEBOOKS / "reviews", tmp_path / "reviews.html"))
    await reader.is_ready()
    await expect(page.locator("#answer .prose")).to_have_text("17")
    await expect(page.locator("#answer")).to_be_in_viewport(ratio=1)
    await expect(page.locator(".way").first).to_be_in_viewport()
    folder = Path(os.environ.get("RLM_SCREENSHOTS") or tmp_path)
    await page.screenshot(path=folder / f"{name}.png")
