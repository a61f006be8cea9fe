"""A JupyterLab of the tests' own, and a notebook in it as a human's hands and eyes have it."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from playwright.async_api import Locator, Page, expect

SERVER = Path(__file__).with_name("labserver.py")
PACKAGE = Path(__file__).parents[2] / "rlm_kernel"
EXTENSION = PACKAGE / "labextension"
SERVER_CONFIG = PACKAGE / "server" / "jupyter_server_config.json"
END_SECONDS = 30
SECONDS = 60.0
"""For anything that a page is to show, and so for whatever is expected of one."""
expect.set_options(timeout=SECONDS * 1000)

SHARING = ("@jupyter/collaboration-extension", "@jupyter/docprovider-extension")
"""What jupyter-collaboration adds to pages."""

Shoot = Callable[..., Awaitable[None]]
"""Takes a picture of the page, or of another one, by this name."""

SETTINGS = {
    # It would ask on the first screen, and look for news on the network.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # By default a cell outside the window is not drawn, so that its text is not in the page.
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@dataclass(frozen=True)
class Lab:
    """A server that runs. ``folder`` is where its notebooks are."""

    url: str
    token: str
    folder: Path
    log: Path

    def write(self, name: str, *cells: str, kernel: str = "rlm") -> None:
        """A notebook of these code cells."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": kernel, "display_name": kernel}},
        )
        nbformat.write(notebook, self.folder / name)

    def address(self, path: str = "") -> str:
        return f"{self.url}/lab{path}?token={self.token}&reset"

    def notebook_7(self, name: str) -> str:
        """The address of a notebook in Notebook 7, which the same server has."""
        return f"{self.url}/notebooks/{name}?token={self.token}"

    def cells(self, name: str) -> list[dict[str, Any]]:
        """The cells of a notebook as it is saved."""
        cells: list[dict[str, Any]] = json.loads((self.folder / name).read_text())["cells"]
        return cells


def _environment(home: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the human's own Jupyter, endpoints or keys."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RLM_", "OPENAI_", "JUPYTER", "IPYTHON", "XDG_"))
    }
    return {**kept, "HOME": str(home), **env}


def _settings(home: Path, *, shared: bool) -> None:
    config = home / ".jupyter/labconfig/page_config.json"
    config.parent.mkdir(parents=True)
    disabled = {} if shared else dict.fromkeys(SHARING, True)
    config.write_text(json.dumps({"disabledExtensions": disabled}))
    for name, settings in SETTINGS.items():
        path = home / ".jupyter/lab/user-settings/@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))


@contextmanager
def run_lab(root: Path, env: Mapping[str, str], *, shared: bool = False) -> Iterator[Lab]:
    """The server, with ``env`` added to its environment and so to its kernels'. Pages of a
    ``shared`` one have their notebooks in common, by jupyter-collaboration."""
    home, folder, log = root / "home", root / "notebooks", root / "server.log"
    folder.mkdir(parents=True)
    _settings(home, shared=shared)
    extensions = root / "labextensions"
    extensions.mkdir()
    (extensions / "rlm_kernel").symlink_to(EXTENSION)  # as it is here, and not as it was installed
    config = root / "config/jupyter_server_config.d"
    config.mkdir(parents=True)
    (config / "rlm_kernel.json").symlink_to(SERVER_CONFIG)
    token = secrets.token_hex(16)
    command = [
        *(sys.executable, str(SERVER), "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"),
        *(f"--ServerApp.root_dir={folder}", "--ServerApp.terminals_enabled=False"),
        "--LabApp.extension_manager=readonly",
        f"--YDocExtension.disable_rtc={not shared}",
        f"--LabServerApp.extra_labextensions_path={extensions}",
    ]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command,
            cwd=folder,
            env={
                **_environment(home, env),
                "JUPYTER_TOKEN": token,
                "JUPYTER_CONFIG_PATH": str(config.parent),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is for pytest alone
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, f"JupyterLab did not start:\n{log.read_text()[-4000:]}"
            yield Lab(url, token, folder, log)
        finally:
            process.stdin.close()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
  }).observe({type: "layout-shift"});
}"""
"""Adds up in a page how far what is on the screen moves, but for what its human has moved."""


class Notebook:
    """An open notebook. Cells are counted from 0."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.cells = page.locator(".jp-Notebook .jp-Cell")

    async def open(self, lab: Lab, name: str) -> Notebook:
        """From its file; returns when its kernel is ready."""
        await self.page.goto(lab.address(f"/tree/{name}"))
        await self.status("Idle")
        return self

    async def open_in_7(self, lab: Lab, name: str) -> Notebook:
        """The same in Notebook 7, which has no status bar."""
        await self.page.goto(lab.notebook_7(name))
        live = self.page.locator('.jp-NotebookPanel[data-rlm="live"]')
        await expect(live).to_be_visible(timeout=SECONDS * 1000)
        return self

    async def status(self, status: str) -> None:
        """Wait for a kernel's status: Idle, Busy.

        The status bar's: the sign at the notebook's top is idle before there is a kernel.
        """
        shown = self.page.get_by_role("button", name=re.compile(rf"\| {status}$"))
        await expect(shown).to_be_visible(timeout=SECONDS * 1000)

    async def reload(self, status: str) -> None:
        """Save it and load the page anew; returns when it shows its kernel, in this status.

        A cell that is run earlier gets a new kernel from JupyterLab, in the place of its own.
        """
        await self.save()
        await self.page.reload()
        await self.status(status)

    async def write(self, index: int, source: str) -> None:
        """Put ``source`` in the place of what the cell has, as a paste would."""
        await self.cells.nth(index).locator(".cm-content").click()
        await self.page.keyboard.press("ControlOrMeta+A")
        await self.page.keyboard.insert_text(source)

    async def run(self, index: int, source: str | None = None) -> None:
        """Shift+Enter in a cell, with new text in it if there is any; it is not waited for."""
        if source is not None:
            await self.write(index, source)
        await self.cells.nth(index).locator(".cm-content").click()
        await self.page.keyboard.press("Shift+Enter")

    def prompt(self, index: int) -> Locator:
        return self.cells.nth(index).locator(".jp-InputPrompt")

    def output(self, index: int) -> Locator:
        return self.cells.nth(index).locator(".jp-OutputArea").first

    async def shows(self, index: int, text: str | re.Pattern[str]) -> None:
        """Wait until the outputs of a cell have this text, and not in a folded part of them."""
        await expect(self.output(index)).to_contain_text(
            text, use_inner_text=True, timeout=SECONDS * 1000
        )

    async def unfold(self, index: int, text: str) -> None:
        """Open what is folded in the outputs of a cell under this text."""
        await self.output(index).locator("summary", has_text=text).click()

    async def done(self, index: int) -> None:
        """Wait until a cell has a number, that is, until its reply has come."""
        await expect(self.prompt(index)).to_have_text(
            re.compile(r"\[\d+\]:"), timeout=SECONDS * 1000
        )

    async def source(self, index: int) -> str:
        """The text of a cell's editor."""
        lines = self.cells.nth(index).locator(".cm-content .cm-line")
        return "\n".join(await lines.all_inner_texts())

    async def save(self) -> None:
        """Save it; a run makes it dirty again at once."""
        async with self.page.expect_response(
            lambda reply: reply.request.method == "PUT" and "/api/contents/" in reply.url
        ):
            # Not by a key: where a cell has just been deleted nothing has the focus yet.
            await self.menu("File", "Save Notebook")

    async def menu(self, menu: str, item: str) -> None:
        """Choose an item of the menu bar, by the beginning of its text."""
        await self.page.get_by_role("menuitem", name=menu, exact=True).click()
        await self.page.locator(".lm-Menu-item", has_text=re.compile(f"^{item}")).first.click()
