"""Make the guide's tables and outputs anew: ``python -m tests.guide``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat

from rlm_kernel import guide

from .running import outputs, pages_kernel
from .tables import TABLES, table_of


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, pages_kernel(Path(folder)) as kernel:
        for topic in (*guide.TOPICS, "index"):
            path = guide.file_of(topic)
            notebook, before = kernel.run(path), nbformat.read(path, as_version=4)
            if outputs(notebook) == outputs(before):  # but for times: nothing needs to change
                notebook = before
            for cell in notebook.cells:
                if name := table_of(cell):
                    cell.source = TABLES[name]()
            nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
