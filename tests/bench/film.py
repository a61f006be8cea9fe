"""The pictures of a run in JupyterLab: ``python -m tests.bench.film [FOLDER]``.

A scripted model writes real cells, in a real JupyterLab in Chromium. Writes ``film.png``, the run
in eight pictures, ``live.png`` and ``lab.png`` into the folder, by default ``notebooks``.
"""

from __future__ import annotations

import asyncio
import base64
import io
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.lab import SECONDS, Lab, Notebook, run_lab
from tests.setup import chromium

from . import story
from .paced import paced_endpoint

MOST_MS = SECONDS * 1000
NAME = "tickets.ipynb"
FRAME = {"width": 880, "height": 616}
WHOLE = {"width": 1180, "height": 900}
COLOURS = 128
RESIZED_MS = 500
CAPTIONS = {
    "asked": "You ask about an input.",
    "writing": "The model writes cells, one by one.",
    "batch": "This one asks a small model 200 times.",
    "error": "One fails. The model mends it.",
    "answer": "The answer stands where you asked.",
    "edited": "You change the figure’s cell and run it: now it is yours.",
    "again": "Run All: from the record, no model is asked.",
    "mine": "Keep as mine: the question becomes a heading, the cells yours.",
}
FOOTER = (
    "JupyterLab 4.6. The replies of this model, and their price, are a script; the cells, the "
    "calls, the error and the figures are what the kernel made of them."
)
PAGE = """
<style>
body {{margin: 0; width: 1600px; box-sizing: border-box; padding: 16px; background: #fff;
  font: 21px/1.3 'DejaVu Sans', sans-serif;
  display: grid; grid-template-columns: 1fr 1fr; gap: 16px}}
figure {{margin: 0; border: 1px solid #bbb}}
figcaption {{padding: 9px 14px; background: #f2f2f2; border-bottom: 1px solid #bbb}}
img {{display: block; width: 100%}}
footer {{grid-column: 1 / 3; color: #555; font-size: 17px}}
</style>
{figures}<footer>{footer}</footer>"""


@dataclass
class Film:
    """Takes the pictures: ``frames`` are PNGs by name."""

    page: Page
    script: story.Story
    frames: dict[str, bytes] = field(default_factory=dict)

    async def shoot(self, name: str) -> None:
        await self.page.mouse.move(0, 0)
        self.frames[name] = await self.page.locator(".jp-WindowedPanel-outer").screenshot()

    async def shoot_whole(self, name: str, index: int) -> None:
        """Take the whole window, larger, with this cell at the top."""
        await self.page.set_viewport_size(WHOLE)  # type: ignore[arg-type]
        await self.page.wait_for_timeout(RESIZED_MS)
        await show(self.page, index)
        self.frames[name] = await self.page.screenshot()
        await self.page.set_viewport_size(FRAME)  # type: ignore[arg-type]
        await self.page.wait_for_timeout(RESIZED_MS)

    async def run(self, book: Notebook) -> None:
        """The run as it goes, with a picture of each of its moments."""
        lm = self.page.locator(".rlm-cell")
        await book.run(0)
        await book.done(0)
        await book.cells.nth(1).locator(".cm-content").click()
        await self.shoot("asked")
        await self.page.keyboard.press("Shift+Enter")
        await expect(lm.nth(1)).to_contain_text("context.sam", timeout=MOST_MS)
        await self.shoot("writing")
        await asyncio.to_thread(self.script.waiting.wait, SECONDS)
        badge = re.compile(f"{story.SHOWN_CALLS} of 200 calls")
        await expect(lm.nth(3)).to_have_attribute("data-rlm", badge, timeout=MOST_MS)
        await show(self.page, 3)
        await self.shoot("batch")
        await self.shoot_whole("live", 0)
        self.script.go_on.set()
        await book.done(1)
        await show(self.page, 6)
        await self.shoot("error")
        await show(self.page, 1)
        await self.shoot("answer")

    async def after(self, book: Notebook) -> None:
        """What the human does with it."""
        await book.write(9, story.EDITED)
        await self.page.keyboard.press("Shift+Enter")
        await book.done(9)
        await show(self.page, 9)
        await self.shoot("edited")
        self.script.turns.clear()  # nobody is to be asked
        await book.menu("Run", "Run All Cells")
        await book.shows(1, "from the record")
        await book.done(10)
        await show(self.page, 1)
        await self.shoot("again")
        await book.cells.nth(1).locator(".jp-InputPrompt").click()
        await self.page.keyboard.press("ControlOrMeta+Shift+C")
        await self.page.keyboard.insert_text("Keep This Question as Mine")
        await self.page.locator(".lm-CommandPalette-item", has_text="as Mine").first.click()
        await expect(self.page.locator(".rlm-cell")).to_have_count(0, timeout=MOST_MS)
        await show(self.page, 1)
        await self.shoot("mine")


async def show(page: Page, index: int) -> None:
    """Scroll such that a cell is at the top."""
    await (
        Notebook(page)
        .cells.nth(index)
        .evaluate(
            "cell => { cell.scrollIntoView({block: 'start'});"
            " cell.closest('.jp-WindowedPanel-outer').scrollTop -= 6; }"
        )
    )


async def filmed(browser: Browser, lab: Lab, script: story.Story) -> dict[str, bytes]:
    """Return the pictures by name, as PNG."""
    page = await browser.new_page(viewport=FRAME)  # type: ignore[arg-type]
    book = await Notebook(page).open(lab, NAME)
    await page.keyboard.press("ControlOrMeta+B")  # no files at the left
    film = Film(page, script)
    await film.run(book)
    await film.shoot_whole("lab", 1)
    await film.after(book)
    film.frames["film"] = await _joined(browser, film.frames)
    return film.frames


async def _joined(browser: Browser, frames: dict[str, bytes]) -> bytes:
    figures = [
        f"<figure><figcaption>{number}. {caption}</figcaption><img src="
        f'"data:image/png;base64,{base64.b64encode(frames[name]).decode()}"></figure>'
        for number, (name, caption) in enumerate(CAPTIONS.items(), 1)
    ]
    page = await browser.new_page(viewport={"width": 1600, "height": 900})
    await page.set_content(PAGE.format(figures="".join(figures), footer=FOOTER))
    return await page.screenshot(full_page=True)


def small(picture: bytes) -> bytes:
    """Return a PNG of few colours, which screenshots have anyway."""
    out = io.BytesIO()
    reduced = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=0)
    reduced.save(out, "PNG", optimize=True)
    return out.getvalue()


async def main(folder: Path, names: tuple[str, ...]) -> None:
    script = story.Story()
    with tempfile.TemporaryDirectory() as root, paced_endpoint(script) as address:
        env = {
            "RLM_BASE_URL": address,
            "RLM_API_KEY": "none",
            "RLM_MODEL": "scripted",
            "RLM_MAX_COST": "None",
        }
        with run_lab(Path(root) / "lab", env) as lab:
            story.write_tickets(lab.folder / "tickets.csv")
            lab.write(NAME, story.CONTEXT, story.QUESTION, "")
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=chromium())
                frames = await filmed(browser, lab, script)
                await browser.close()
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or frames:
        (folder / f"{name}.png").write_bytes(small(frames[name]))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    where = Path(arguments[0]) if arguments else Path("notebooks")
    asyncio.run(main(where, () if arguments else ("film", "live", "lab")))
