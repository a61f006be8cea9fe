"""``rlm diff``: two runs side by side."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from ..errors import RecordError, UsageError
from ..record.numbers import counted
from ..reports import comparable_run, side_by_side
from ..reports.cell_diff import CellDiff
from ..reports.comparable_run import ComparableRun
from ..reports.compare import Comparison, compare
from ..reports.terminal import standard_output
from .paths import check_runs
from .statuses import ANSWERED, FAILED
from .terminal import write_line


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    check_runs(options.a, options.b)
    try:
        a, b = comparable_run.load(options.a), comparable_run.load(options.b)
    except RecordError as error:  # its own exit status, 1, would say that the runs differ
        raise UsageError(str(error)) from error
    found = compare(a, b)
    if options.json:
        data = side_by_side.as_json(a, b, found)
        if options.cells:
            data["cells"] = [
                {"a": x, "b": y, "diff": cells.data(), "left_out": cells.left_out}
                for x, y, cells in _cells(a, b, found)
            ]
        write_line(json.dumps(data, indent=1))
    else:
        side_by_side.render(a, b, found, console := standard_output())
        if options.cells:
            _print_cells(a, b, found, console)
    return ANSWERED if found.same else FAILED


def _cells(
    a: ComparableRun, b: ComparableRun, found: Comparison
) -> Iterator[tuple[str, str, CellDiff]]:
    """Yield the names in both runs of each node whose cells differ, and the difference."""
    for pair in found.nodes:
        if pair.a in a.nodes and pair.b in b.nodes and pair.a and pair.b:
            ours, theirs = a.nodes[pair.a].cells, b.nodes[pair.b].cells
            if (len(ours), len(theirs)) != (pair.same, pair.same):
                yield pair.a, pair.b, CellDiff(ours, theirs)


def _print_cells(a: ComparableRun, b: ComparableRun, found: Comparison, console: Console) -> None:
    color = console.is_terminal and not console.no_color
    for x, y, cells in _cells(a, b, found):
        name = x if x == y else f"{x} (in B {y})"
        said = f"\nthe cells of node {name}, from A (-) to B (+):\n{cells.text(color=color)}"
        if cells.left_out:
            said += f"(not compared: {counted(cells.left_out, 'cell')} behind these)\n"
        console.print(Text.from_ansi(said.removesuffix("\n")), soft_wrap=True)
