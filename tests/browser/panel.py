"""The side panel and the status item in a page, and runs for them to show."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

from asking import block
from axe_playwright_python.async_playwright import Axe
from lab import SECONDS
from longruns import long_run, record
from playwright.async_api import Locator, Page, expect

from rlm_kernel.events import Event, NodeStarted, RunEnded, RunStarted
from rlm_kernel.settings.limits import Limits

MOST_MS = SECONDS * 1000
QUESTION = "Which tickets complain of the battery, and how many of each model?"
PARTS = ("Read the tickets of the first half.", "Read the tickets of the second half.")
BATCH = 500
ANSWERED = 128


class ThreeNodes:
    """What an endpoint says to a root with two children: the first one answers, of the other's
    batch some prompts have no reply until ``gate`` is set."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self._asked = 0

    async def __call__(self, request: dict[str, Any]) -> str:
        said = [str(message["content"]) for message in request["messages"]]
        if "ticket number" in said[-1]:
            self._asked += 1
            if self._asked > ANSWERED:
                await asyncio.to_thread(self.gate.wait, SECONDS)
            return "yes"
        whole = "\n".join(said)
        if QUESTION in whole:
            children = f"parts = [rlm_query(part) for part in {PARTS!r}]\nprint(parts)"
            return block(children) if len(said) < 4 else block("FINAL_VAR('; '.join(parts))")
        if PARTS[0] in whole:
            return block("n = 19\nFINAL_VAR(f'{n} complaints, 12 of the Cedar')")
        prompts = f"[f'ticket number {{n}}' for n in range({BATCH})]"
        return block(f"found = llm_query_batched({prompts})\nFINAL_VAR('22, 9 of the Birch')")


def past(folder: Path, question: str, answer: str, status: str = "answered", days: int = 1) -> Path:
    """A run that is over. Blocks."""
    began = time.time() - days * 86_400
    name = time.strftime("%Y%m%d-%H%M%S", time.localtime(began))
    settings = {"limits": dataclasses.asdict(Limits())}

    def told(event: Event) -> Event:
        match event:
            case RunStarted():
                changed: dict[str, Any] = {"settings": settings, "time": began}
                return dataclasses.replace(event, run=name, question=question, **changed)
            case NodeStarted():
                return dataclasses.replace(event, question=question)
            case RunEnded():
                usage = dataclasses.replace(event.usage, unpriced=0)
                return dataclasses.replace(event, answer=answer, status=status, usage=usage)
        return event

    return record(map(told, long_run(3, 2)), folder / "rlm-runs" / name)


class Side:
    """The panel in a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.node = page.locator(".rlm-panel")

    async def open(self) -> Side:
        await choose(self.page, "Show the RLM Runs")
        await expect(self.node).to_be_focused(timeout=MOST_MS)
        return self

    def run(self, text: str) -> Locator:
        return self.node.locator(".rlm-run", has_text=text)

    async def unfold(self, text: str) -> Locator:
        """Open a run by the keyboard, and return it."""
        run = self.run(text)
        await expect(run).to_be_visible(timeout=MOST_MS)
        await run.locator(".rlm-run-head").focus()
        await self.page.keyboard.press("Enter")
        await expect(run.locator(".rlm-run-body")).to_be_visible()
        return run

    async def press(self, run: Locator, label: str) -> None:
        """Press a button of a run by the keyboard."""
        await run.get_by_role("button", name=label, exact=True).focus()
        await self.page.keyboard.press("Enter")


async def choose(page: Page, label: str) -> None:
    """Choose a command in the palette by the keyboard."""
    await page.keyboard.press("ControlOrMeta+Shift+C")
    await expect(page.locator(".lm-CommandPalette-input")).to_be_focused()
    await page.keyboard.insert_text(label)
    item = page.locator(".lm-CommandPalette-item.lm-mod-active", has_text=label)
    await expect(item).to_be_visible()
    await page.keyboard.press("Enter")


async def serious(page: Page, *parts: str) -> list[tuple[str, str]]:
    """What axe-core has against parts of a page, but for what is minor."""
    found = []
    for part in parts:
        results = await Axe().run(page, part)
        found += [
            (str(each["id"]), str(each["nodes"][0]["html"])[:200])
            for each in results.response["violations"]
            if each["impact"] in ("serious", "critical")
        ]
    return found


async def in_the_dark(page: Page) -> None:
    await choose(page, "JupyterLab Dark")
    await expect(page.locator('body[data-jp-theme-light="false"]')).to_have_count(1)


async def in_the_light(page: Page) -> None:
    """Bring the light theme back, and wait until it is there: a key that is typed meanwhile can be
    lost."""
    await choose(page, "JupyterLab Light")
    await expect(page.locator('body[data-jp-theme-light="true"]')).to_have_count(1)
