from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from lab import Lab, Shoot, run_lab
from playwright.async_api import Browser, Page, async_playwright
from replies import Turns
from setup import chromium

from rlm_kernel.testing import FakeEndpoint


def _no_reply(request: object) -> str:
    raise AssertionError("the test has not said what the endpoint replies")


@pytest.fixture(scope="session")
def endpoint() -> Iterator[FakeEndpoint]:
    """The one that every kernel of the server asks; a test sets its ``reply``."""
    with FakeEndpoint(_no_reply) as server:
        yield server


@pytest.fixture
def replies(endpoint: FakeEndpoint) -> Iterator[list[Turns]]:
    """What the endpoint says: the last in this list. Nothing is withheld after the test."""
    said: list[Turns] = []
    before, endpoint.reply = endpoint.reply, lambda request: said[-1](request)
    yield said
    endpoint.reply = before
    for turns in said:
        turns.gate.set()


@pytest.fixture(scope="session")
def lab(endpoint: FakeEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    env = {
        "RLM_BASE_URL": endpoint.base_url,
        "RLM_API_KEY": "sk-canary",
        "RLM_MODEL": "fake-model",
    }
    with run_lab(tmp_path_factory.mktemp("lab"), env) as running:
        yield running


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium())
        yield opened
        await opened.close()


@pytest.fixture
async def page(browser: Browser, lab: Lab) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    before = lab.log.stat().st_size
    yield await context.new_page()
    await context.close()
    # pytest shows it when the test failed.
    print(lab.log.read_bytes()[before:].decode(errors="replace"))


@pytest.fixture
async def shoot(page: Page, tmp_path: Path) -> Shoot:
    """Take a picture of the page, into RLM_SCREENSHOTS if that names a folder."""
    folder = Path(os.environ.get("RLM_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    async def taken(name: str) -> None:
        await page.screenshot(path=folder / f"{name}.png")

    return taken
