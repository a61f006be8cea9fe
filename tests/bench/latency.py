"""From a byte of the model's stream, and from an output, to the screen: ``python -m
tests.bench.latency``.

A scripted model streams a cell in a real JupyterLab in Chromium, a line at a time; the cell then
prints the time, again and again. Prints the medians in milliseconds, with JupyterLab's own cell
beside it, and how far what stands below was moved, which is by the cells that come.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from tests.browser.lab import SECONDS, SHIFTS, Lab, Notebook, run_lab
from tests.setup import chromium

from .paced import Paced, paced_endpoint

LINES, GAP_S = 30, 0.15
PRINTS = (
    "import time\n"
    f"for n in range({LINES}):\n"
    "    print(f'out_{n:03} {time.time()}')\n"
    f"    time.sleep({GAP_S})"
)
WINDOW = {"width": 1180, "height": 1400}
WATCH = """() => {
  window.seen = {};
  const look = () => {
    const found = document.querySelector('.jp-Notebook').textContent.matchAll(/(line|out)_\\d{3}/g);
    const fresh = [...found].map(match => match[0]).filter(name => !(name in window.seen));
    for (const name of fresh) window.seen[name] = 0;
    // In the next frame it is drawn; what is queued in that runs when it is on the screen.
    if (fresh.length) requestAnimationFrame(() => setTimeout(() => {
      for (const name of fresh) window.seen[name] = Date.now() / 1000;
    }));
  };
  new MutationObserver(look).observe(document.body, {
    subtree: true, childList: true, characterData: true
  });
}"""


class Streaming:
    """The model: a cell of ``LINES`` lines, a piece each, that prints; and then the answer."""

    def __init__(self) -> None:
        code = [f"line_{number:03} = {number}\n" for number in range(LINES)]
        self.cell = Paced(["```python\n", *code, f"{PRINTS}\n```"], GAP_S)
        self._replies = [self.cell, Paced(["```python\nFINAL_VAR('done')\n```"])]

    async def __call__(self, request: dict[str, Any]) -> Paced:
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        return self._replies[min(turn, 1)]


def _late(seen: dict[str, float], kind: str, began: list[float]) -> str:
    late = sorted(
        (seen[name] - began[int(name[-3:])]) * 1000 for name in seen if name.startswith(kind)
    )
    worst = late[-max(1, len(late) // 10)]
    return f"median {statistics.median(late):.0f} ms, nine in ten under {worst:.0f} ms"


async def _printed(page: Page, index: int) -> list[float]:
    """When each line of a cell's output was printed, by its own word."""
    text = await Notebook(page).output(index).inner_text()
    return [float(line.split()[1]) for line in text.splitlines() if line.startswith("out_")]


async def measured(page: Page, lab: Lab, streaming: Streaming) -> None:
    book = await Notebook(page).open(lab, "latency.ipynb")
    await book.run(0)
    await book.done(0)
    await page.evaluate(WATCH)
    await page.evaluate(SHIFTS)
    await book.run(2)
    await book.done(2)
    seen, printed = await page.evaluate("window.seen"), await _printed(page, 2)
    print("output of one's own cell ", _late(seen, "out_", printed), flush=True)
    await book.run(2, "'below'")
    await book.shows(2, "below")
    await page.evaluate("window.seen = {}; window.shifted = 0")
    await book.run(1)
    await book.shows(1, "done")
    seen, printed = await page.evaluate("window.seen"), await _printed(page, 2)
    print("stream of the model      ", _late(seen, "line_", streaming.cell.left[1:]))
    print("output of the model's cell", _late(seen, "out_", printed))
    print(f"layout shift of the run   {await page.evaluate('window.shifted'):.2f}")


async def main() -> None:
    streaming = Streaming()
    with tempfile.TemporaryDirectory() as root, paced_endpoint(streaming) as address:
        env = {"RLM_BASE_URL": address, "RLM_API_KEY": "none", "RLM_MODEL": "scripted"}
        with run_lab(Path(root) / "lab", env) as lab:
            below = [f"'cell {number}'" for number in range(30)]
            lab.write("latency.ipynb", "context = 'abc'", "%%rlm\nGo.", PRINTS, *below)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=chromium())
                page = await browser.new_page(viewport=WINDOW)  # type: ignore[arg-type]
                page.set_default_timeout(SECONDS * 1000)
                await measured(page, lab, streaming)
                await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
