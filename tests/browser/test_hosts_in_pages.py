"""What stands beside a notebook in JupyterLab: a subshell's console, an administrator's caps."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import nbformat
import pytest
from asking import block
from capping import capped_python
from lab import SECONDS, Lab, Notebook, Shoot
from panel import choose
from playwright.async_api import Page, expect
from replies import Turns

pytestmark = [pytest.mark.anyio, pytest.mark.needs("browser")]

MOST_MS = SECONDS * 1000
HEBREW = "יש שלוש מילים."


def _heard(page: Page, words: bytes) -> asyncio.Event:
    """Return what is set once a kernel has sent these words to a connection that is made later."""
    heard = asyncio.Event()

    def hear(frame: bytes | str) -> None:
        if words in (frame if isinstance(frame, bytes) else frame.encode()):
            heard.set()

    page.on("websocket", lambda socket: socket.on("framereceived", hear))
    return heard


async def test_a_subshell_console_answers_beside_a_question(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    lab.write("beside.ipynb", "context = 'one two three'", "%rlm replay off\n%%rlm\nHow many?")
    turns = Turns(block("n = len(context.split())"), block(f"FINAL_VAR({HEBREW!r})"), free=1)
    replies.append(turns)
    book = await Notebook(page).open(lab, "beside.ipynb")
    await book.run(0)
    await book.done(0)
    await book.run(1)
    await turns.wait_until_withheld()
    subshell = _heard(page, b"create_subshell_reply")
    await choose(page, "New Subshell Console for Notebook")
    async with asyncio.timeout(SECONDS):  # a cell that comes before waits for the question
        await subshell.wait()
    console = page.locator(".jp-CodeConsole")
    await console.locator(".jp-CodeConsole-input .cm-content").click()
    await page.keyboard.insert_text("n * 14")
    await page.keyboard.press("Shift+Enter")
    await expect(console.locator(".jp-OutputArea-output")).to_have_text("42", timeout=MOST_MS)
    await expect(book.prompt(1)).to_have_text("[*]:")
    await shoot("subshell-console")
    turns.gate.set()
    await book.shows(1, HEBREW)
    await book.done(1)
    said = book.output(1).locator("[dir=auto] p", has_text=HEBREW)
    assert await said.evaluate("p => getComputedStyle(p).textAlign") == "start"


def _kernelspec(lab: Lab, name: str, python: str, **env: str) -> None:
    """Let the server have one kernel more."""
    spec = {
        "argv": [python, "-P", "-m", "rlm_kernel.kernel", "-f", "{connection_file}"],
        "display_name": name,
        "language": "python",
        "interrupt_mode": "message",
        "env": env,
    }
    folder = lab.folder.parent / "home/.local/share/jupyter/kernels" / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))


async def test_a_user_loosens_no_cap_in_a_page(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns], tmp_path: Path
) -> None:
    python, _ = capped_python(tmp_path, {"confirm": "always", "max_turns": 3})
    mine = tmp_path / "mine"
    mine.mkdir()
    _kernelspec(lab, "by-variable", python, RLM_CONFIRM="off")
    _kernelspec(lab, "capped", python, JUPYTER_CONFIG_DIR=str(mine))
    turns = Turns(block("FINAL_VAR(len(context))"))
    replies.append(turns)
    asks = "%rlm replay off\n%%rlm\nHow long is it?"
    lab.write("by-variable.ipynb", asks, kernel="by-variable")
    by_code = (
        f"import os, pathlib\nos.environ['RLM_CONFIRM'] = 'off'\ncontext = 'abc'\n"
        f"mine = pathlib.Path({str(mine)!r}, 'jupyter_rlm_config.json')\n"
        'mine.write_text(\'{"RLM": {"max_turns": 9}}\')\nprint("written")'
    )
    words = ("%rlm confirm off", "%rlm limits turns=9", "%%rlm --confirm first\nHow long is it?")
    lab.write("capped.ipynb", by_code, *words, asks, kernel="capped")
    claims = {"rlm": {"confirm": "off", "max_turns": 9, "author": "human"}}
    claimed = nbformat.read(lab.folder / "capped.ipynb", as_version=4)
    for part in (claimed, *claimed.cells):
        part.metadata.update(claims)
    nbformat.write(claimed, lab.folder / "capped.ipynb")

    book = await Notebook(page).open(lab, "by-variable.ipynb")
    await book.run(0)
    await book.shows(0, "an administrator allows 'always' at least")
    await book.menu("File", "Open from Path")
    await expect(page.locator(".jp-Dialog input")).to_be_focused(timeout=MOST_MS)
    await page.keyboard.insert_text("capped.ipynb")
    await page.keyboard.press("Enter")
    shown = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    book.cells = shown.locator(".jp-Notebook .jp-Cell")
    await expect(book.cells).to_have_count(5, timeout=MOST_MS)
    await expect(shown).to_have_attribute("data-rlm", "live", timeout=MOST_MS)
    await book.run(0)
    await book.shows(0, "written")
    for index, allowed in enumerate(("'always' at least", "3 at most", "'always' at least"), 1):
        await book.run(index)
        await book.shows(index, f"an administrator allows {allowed}")
    await shoot("capped")
    await book.run(4)
    waits = page.locator(".rlm-consent")
    await expect(waits).to_be_visible(timeout=MOST_MS)
    await waits.get_by_role("button", name="Run", exact=True).click()
    await book.shows(4, "answered")
    await book.done(4)
    await book.menu("Kernel", "Restart Kernel and Clear Outputs")
    await page.locator(".jp-Dialog .jp-mod-accept").click()
    # They are cleared once the kernel is a new one.
    await expect(shown.locator(".jp-OutputArea-output")).to_have_count(0, timeout=MOST_MS)
    await book.run(1, asks)
    await book.shows(1, "max_turns=9 is not allowed here: an administrator allows 3 at most")
