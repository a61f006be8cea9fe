"""``rlm spend``: what the runs of a folder have used, by day, model and folder."""

from __future__ import annotations

import argparse
import itertools
import json

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from ..errors import RecordError
from ..reports import listing, spending
from ..reports.spending import Spent
from ..reports.terminal import live, standard_error, standard_output
from .paths import check_there
from .statuses import ANSWERED, USAGE
from .terminal import write_line


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    check_there(*options.paths)
    found = listing.find(options.paths)
    if not found:
        names = ", ".join(map(str, options.paths))
        raise RecordError(f"{names}: no run is there, nor {listing.MAX_LEVELS} folders below")
    errors = standard_error(highlight=False)
    progress = Progress(console=errors, transient=True, disable=not errors.is_terminal)
    with live(progress):
        read = progress.track(map(spending.read, found), len(found), description="reading")
        every, unread = spending.told(itertools.chain.from_iterable(read))
    keys = [options.by] if options.by else list(spending.KEYS)
    console = standard_output()
    if options.json:
        write_line(json.dumps(spending.as_json(every), indent=1))
    for at, by in enumerate(() if options.json else keys):
        _print(console, every, by, first=at == 0)
    for sentence in spending.unread(unread):
        errors.print(f"rlm: {sentence}", style="red", markup=False, soft_wrap=True)
    return USAGE if unread else ANSWERED


def _print(console: Console, every: list[Spent], by: str, *, first: bool) -> None:
    head, *rows, whole = spending.rows(every, by)
    if not console.is_terminal:
        for row in [*([] if first else [()]), head, *rows, whole]:
            write_line("\t".join(row))
        return
    table = Table(box=None, pad_edge=False, show_footer=True)
    for at, (name, footer) in enumerate(zip(head, whole, strict=True)):
        side = "right" if at else "left"
        table.add_column(name, Text(footer, "bold"), justify=side)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(*([] if first else [""]), table, sep="\n")
