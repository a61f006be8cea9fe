from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from lab import Lab, Shoot, run_lab
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
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


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a browser keeps what it has read: JupyterLab's scripts are compiled once, not for each
    test."""
    return tmp_path_factory.mktemp("profile")


@pytest.fixture(scope="module")
async def visitor(anyio_backend: str, profile: Path) -> AsyncIterator[BrowserContext]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium(), viewport={"width": 1280, "height": 900}
        )
        yield opened
        await opened.close()


@pytest.fixture
async def page(visitor: BrowserContext, lab: Lab) -> AsyncIterator[Page]:
    before = lab.log.stat().st_size
    there = set(visitor.pages)
    yield await visitor.new_page()
    for page in set(visitor.pages) - there:
        await page.close()
    await _end_kernels(visitor, lab)
    # pytest shows it when the test failed.
    print(lab.log.read_bytes()[before:].decode(errors="replace"))


async def _end_kernels(visitor: BrowserContext, lab: Lab) -> None:
    """A page leaves its kernel behind; all of them at once would be long in ending."""
    headers = {"Authorization": f"token {lab.token}"}
    listed = await visitor.request.get(f"{lab.url}/api/kernels", headers=headers)
    for kernel in await listed.json():
        await visitor.request.delete(f"{lab.url}/api/kernels/{kernel['id']}", headers=headers)


@pytest.fixture
async def shoot(page: Page, tmp_path: Path) -> Shoot:
    """Take a picture of the page, into RLM_SCREENSHOTS if that names a folder."""
    folder = Path(os.environ.get("RLM_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    async def taken(name: str, of: Page = page) -> None:
        await of.screenshot(path=folder / f"{name}.png")

    return taken
