"""Notebooks that are run by the commands that run notebooks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import nbclient
import nbformat
import pytest
from harness import environment

SECONDS = 90


class Headless:
    """A folder with notebooks, and an environment in which the kernel RLM is installed."""

    def __init__(self, folder: Path, prefix: Path, env: Mapping[str, str]) -> None:
        self.folder = folder / "notebooks"
        self.folder.mkdir()
        (self.folder / "notes.txt").write_text("a note\n" * 10)
        tmp = folder / "t"
        tmp.mkdir()
        path = {"JUPYTER_PATH": str(prefix / "share" / "jupyter")}
        self.env = environment(folder, tmp, {**path, **env})

    def write(self, *cells: str, name: str = "asked.ipynb", parameters: bool = False) -> None:
        spec = {"name": "rlm", "display_name": "RLM", "language": "python"}
        made = [nbformat.v4.new_code_cell(source) for source in cells]
        if parameters:
            made[0].metadata["tags"] = ["parameters"]
        notebook = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": spec})
        nbformat.write(notebook, self.folder / name)

    def run(
        self, *command: str, typed: str = "", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=cwd or self.folder,
            env=self.env,
            input=typed,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def execute_here(self, notebook: Path, name: str = "done.ipynb") -> tuple[int, str]:
        """As nbconvert does it, without the seconds that the command takes to start: its status,
        and what the last code cell says, or the error of the one that failed."""
        made = nbformat.read(notebook, 4)
        client = nbclient.NotebookClient(
            made, timeout=SECONDS, resources={"metadata": {"path": str(notebook.parent)}}
        )
        paths = pytest.MonkeyPatch()
        with paths.context() as here:
            here.setenv("JUPYTER_PATH", self.env["JUPYTER_PATH"])
            try:
                client.execute(env=self.env)
            except nbclient.exceptions.CellExecutionError as error:
                return 1, str(error)
        nbformat.write(made, notebook.with_name(name))
        return 0, last(notebook.with_name(name))

    def execute(self, name: str = "asked.ipynb") -> subprocess.CompletedProcess[str]:
        options = ("--to", "notebook", "--execute", "--output", "done.ipynb", name)
        return self.run("nbconvert", *options)

    def outputs(self, cell: int, name: str = "done.ipynb") -> list[str]:
        """The texts of a cell's outputs."""
        notebook = nbformat.read(self.folder / name, 4)
        nbformat.validate(notebook)
        outputs = notebook.cells[cell].outputs
        return [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]


def last(notebook: Path) -> str:
    """What its last code cell says."""
    cells = [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
    return str(cells[-1].outputs[-1].data["text/plain"])
