"""``summary.ipynb``: a batch's notebook, made and executed when the batch ends.

Its cells read ``results.jsonl`` by functions of this package, so that Run All shows what is there
by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from ..endings import within
from ..environments.kernel import Kernel
from ..environments.local.kernel import open_kernel
from ..environments.messages import Message
from ..errors import KernelDied, KernelStartError, UsageError
from ..record import files
from ..record.markdown import literal
from ..record.notebooks import ipynb
from ..record.outputs import Collector
from ..record.versions import versions
from .results import RESULTS
from .summing import Results
from .tables import totals

NAME = "summary.ipynb"
SECONDS = 120.0
"""How long the notebook may take to be executed."""
MARK_CHARS = 16
DOLLAR = literal("$")
OUTCOMES = "batch.outcomes_table(results)"
Cell = dict[str, Any]
Texts: TypeAlias = Callable[[Results, str], list[str]]
"""Makes the sources of the cells, of the results and the sha256 of the tasks; one that begins with
``#`` is prose."""


def is_current(folder: Path) -> bool:
    """Return True where the notebook there was written after the last of the results."""
    made, read = folder / NAME, folder / RESULTS
    return made.exists() and made.stat().st_mtime_ns > read.stat().st_mtime_ns


async def write(results: Results, sources: list[str]) -> str | None:
    """Make the notebook in the results' folder, execute it there in a kernel of its own, and write
    it. Return None, or why some of its outputs are missing. Raises ``RecordError`` where it cannot
    be written."""
    cells = [_cell(number, text) for number, text in enumerate(sources)]
    try:
        async with within(SECONDS, _slow), open_kernel(results.folder) as (kernel, _):
            problem = await _execute(kernel, [c for c in cells if c["cell_type"] == "code"])
    except (KernelStartError, KernelDied, UsageError) as error:
        problem = str(error)
    path = results.folder / NAME
    made = _notebook(cells)
    await asyncio.to_thread(_check_and_write, made, path)
    return problem


def _slow() -> KernelDied:
    return KernelDied(f"it took longer than {SECONDS:g} s")


def _check_and_write(made: ipynb.Notebook, path: Path) -> None:
    ipynb.check(made, path)
    files.write(path, ipynb.dumps(made))


async def _execute(kernel: Kernel, cells: list[Cell]) -> str | None:
    """Run cells up to the first that fails, and keep their outputs in them. Return why it failed,
    if one did."""
    for number, cell in enumerate(cells, 1):
        collector = Collector(trust_html=True)  # the cells are ours, and escape what is not

        def listen(message: Message, collector: Collector = collector) -> None:
            collector.add(message["msg_type"], message["content"])

        done = await kernel.execute(cell["source"], on_message=listen)
        cell["outputs"], cell["execution_count"] = collector.outputs, done.execution_count
        if not done.ok:
            errors = [out for out in collector.outputs if out["output_type"] == "error"]
            said = f"{errors[0]['ename']}: {errors[0]['evalue']}" if errors else "it failed"
            return f"cell {number}: {said}"
    return None


def texts(results: Results, sha256: str) -> list[str]:
    """Return the sources of a batch's notebook."""
    title = f"# Batch {literal(results.folder.name)}\n\n{told_of(results)}"
    return [title, loading(results, sha256, OUTCOMES), *figures()]


def told_of(results: Results) -> str:
    """Return the line of the batch's sums as Markdown."""
    return literal(totals(results)).replace(DOLLAR, "$")  # one alone begins no formula


def loading(results: Results, sha256: str, show: str, names: str = "batch") -> str:
    """Return the cell that imports ``names`` of this package, loads the results, and shows
    something of them."""
    where = f"{str(results.folder)!r}, sha256={sha256[:MARK_CHARS]!r}"
    return f"from rlm_kernel import {names}\n\nresults = batch.load({where})\n{show}"


def figures(command: str = "rlm batch") -> list[str]:
    """Return the cells after that one: figures, and what failed and how ``command`` goes on."""
    return [
        "batch.outcomes_figure(results)",
        "batch.distributions_figure(results)",
        "batch.course_figure(results)",
        (f"## What failed or is wrong\n\n`{command}` with the same arguments resumes what was not "
         "finished; `--retry-failed` also tries again what failed."),
        "batch.failures_table(results)",
        ("## All results\n\n`results.results` has an object for each task: "
         "`pandas.DataFrame(results.results)` makes a table of them."),
    ]  # fmt: skip


def _cell(number: int, text: str) -> Cell:
    prose = {"cell_type": "markdown", "id": f"batch-{number}", "metadata": {}, "source": text}
    if text.startswith("#"):
        return prose
    return {**prose, "cell_type": "code", "outputs": [], "execution_count": None}


def _notebook(cells: list[Cell]) -> ipynb.Notebook:
    language = {"name": "python", "version": versions()["python"]}
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": spec, "language_info": language}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
