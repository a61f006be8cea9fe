"""``rlm show``: a run, or a table of many."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.progress import Progress

from ..errors import RecordError
from ..record.recording import Recording
from ..reports import listing, run_table, show
from ..reports.terminal import live, standard_error, standard_output
from .paths import check_there, missing
from .statuses import ANSWERED, USAGE
from .terminal import write_line


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    [first, *others] = options.paths
    if others or (first.is_dir() and not listing.is_run(first)):
        return _show_many(options)
    check_there(first)
    recording = Recording.open(first)
    if options.json:
        write_line(json.dumps(show.as_json(recording), indent=1))
    else:
        show.render(recording, standard_output())
    return ANSWERED


def _show_many(options: argparse.Namespace) -> int:
    found = listing.find(options.paths)
    if not found:
        names = ", ".join(map(str, options.paths))
        raise RecordError(f"{names}: no run is there, nor {listing.MAX_LEVELS} folders below")
    console = standard_error()
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    with live(progress):
        read = progress.track(map(listing.read, found), len(found), description="reading")
        rows = listing.ordered(read, options.sort, reverse=options.reverse)
    console = standard_output()
    if options.json:
        write_line(json.dumps(run_table.as_json(rows), indent=1))
    elif console.is_terminal:
        run_table.render(rows, listing.totals(rows), console)
    else:
        for line in run_table.lines(rows, listing.totals(rows)):
            write_line(line)
    return USAGE if _told_of_missing(options.paths) else ANSWERED


def _told_of_missing(paths: list[Path]) -> bool:
    """Say which of them are not there; return whether any is not."""
    console = standard_error(highlight=False)
    for sentence in (told := missing(paths)):
        console.print(f"rlm: {sentence}", style="red", markup=False, soft_wrap=True)
    return bool(told)
