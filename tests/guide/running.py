"""The guide's pages run one after another in one kernel; each makes a folder for its runs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbformat.v4 import output_from_msg

WAIT_SECONDS = 60
FRESH = """
import os
for name in [name for name in os.environ if name.startswith("RLM_")]:
    del os.environ[name]
%reset -f
"""
"""The cell before a page, which takes away what the page before it set."""
SHOWN = ("stream", "execute_result", "display_data", "error")
LOG = "[rlm] "
"""The beginning of a line for the log of the one who runs a notebook without a screen."""
_VARIES = (
    (r"\d+(\.\d+)? m?s\b", "N s"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?|\d{8}-\d{6}", "TIME"),
)
Notebook = Any


class PagesKernel:
    """A kernel in which pages run."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, path: Path) -> Notebook:
        """Return the notebook with what its cells put out now. Raises where a cell fails."""
        notebook = nbformat.read(path, as_version=4)
        self._execute(FRESH)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = self._execute(cell.source)
        return notebook

    def _execute(self, source: str) -> list[Any]:
        made: list[Any] = []
        displays: dict[str, Any] = {}

        def heard(message: dict[str, Any]) -> None:
            content = message["content"]
            known = content.get("transient", {}).get("display_id")
            if message["msg_type"] == "clear_output":
                made.clear()
            elif message["msg_type"] == "update_display_data" and known in displays:
                displays[known].data = content["data"]
            elif message["msg_type"] in SHOWN and not content.get("text", "").startswith(LOG):
                made.append(output_from_msg(message))
                displays[known] = made[-1]

        reply = self._client.execute_interactive(source, timeout=WAIT_SECONDS, output_hook=heard)
        ended = reply["content"]
        assert ended["status"] == "ok", f"{source}\n{ended.get('ename')}: {ended.get('evalue')}"
        return _joined(made)


def _joined(outputs: list[Any]) -> list[Any]:
    """The outputs with what one stream wrote in pieces as one, and without styles."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and last.get("name") == output.get("name", ""):
            last.text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.output_type == "stream":  # of a command, which thinks it is on a terminal
            output.text = re.sub(r"\x1b\[[\d;]*m", "", output.text).replace("\r\n", "\n")
        elif output.output_type == "execute_result":
            output.execution_count = None
    return joined


@contextmanager
def pages_kernel(folder: Path) -> Iterator[PagesKernel]:
    """A kernel without settings of ours, which writes below the folder."""
    # In a test ipykernel's streams have no file, which a process of a cell needs.
    left = ("RLM_", "OPENAI_", "PYTEST_")
    kept = {n: v for n, v in os.environ.items() if not n.startswith(left)}
    plain = {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "100", "TMPDIR": str(folder)}
    ours = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    manager = KernelManager(kernel_name="python3", transport="ipc", ip=str(folder / "kernel"))
    manager.start_kernel(cwd=str(folder), env={**kept, **plain, **ours})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=WAIT_SECONDS)
        yield PagesKernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def outputs(notebook: Notebook) -> list[str]:
    """What its code cells put out, but for times."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [_steady("".join(map(_text, cell.outputs))) for cell in cells]


def _text(output: Any) -> str:
    return str(output["text"] if output.output_type == "stream" else output.data["text/plain"])


def _steady(text: str) -> str:
    for pattern, word in _VARIES:
        text = re.sub(pattern, word, text)
    return text
