"""``rlm export``: a run as one page to be sent, or many as rows to learn from."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rich import filesize

from ..batch.results import RESULTS, read_results
from ..errors import RecordError, UsageError
from ..record import files
from ..record.numbers import counted
from ..record.recording import Recording
from ..reports import dialogues, export, listing, provenance_of
from ..reports.terminal import standard_error
from ..settings.resolved import in_force
from .paths import check_runs, check_there
from .statuses import ANSWERED, FAILED
from .terminal import write_text

STANDARD_OUTPUT = Path("-")
PAGE = "html"
SHORTEST_SECRET = 8
MOST_NAMED = 5


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    check_there(*options.paths)
    if options.format != PAGE:
        return _rows(options)
    if len(options.paths) > 1 or options.only or options.ended or options.with_calls:
        raise UsageError("a page is of one run: --format sft or chat takes several, and filters")
    return _page(options, options.paths[0])


def _page(options: argparse.Namespace, path: Path) -> int:
    check_runs(path)
    recording = Recording.open(path)
    text = export.page(recording, provenance_of.find(recording))
    if options.output == STANDARD_OUTPUT:
        write_text(text)
        return ANSWERED
    target = options.output or Path(f"{recording.folder.resolve().name}.html")
    export.write(text, target, force=options.force)
    size = filesize.decimal(len(text.encode()))
    standard_error().print(f"{target}: {size}", style="dim", markup=False, soft_wrap=True)
    return ANSWERED


def _rows(options: argparse.Namespace) -> int:
    count, target = dialogues.Count(), options.output or STANDARD_OUTPUT
    wanted = dialogues.Wanted(
        right=options.only == "right",
        accepted=options.only == "accepted",
        ended=options.ended,
        asking=options.with_calls,
    )
    found = dialogues.rows(
        listing.find(options.paths),
        options.format,
        wanted,
        count,
        right=_was_right,
        secrets=_secrets(),
    )
    if target == STANDARD_OUTPUT:
        for row in found:
            write_text(dialogues.line(row).decode())
    else:
        if target.exists() and not options.force:
            raise UsageError(f"{target}: it is there already: choose another name, or --force")
        _write(target, map(dialogues.line, found))
    _tell(target, count)
    return ANSWERED if count.rows else FAILED


def _write(target: Path, lines: Iterator[bytes]) -> None:
    """Put the lines there as they come, and under their name once all are there."""
    try:
        files.write(target, lines)
    except RecordError as error:
        said = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise UsageError(f"{target}: cannot be written: {said}") from error


def _tell(target: Path, count: dialogues.Count) -> None:
    """Say what was written, and what was left out."""
    left = [
        f"{counted(count.unfit, 'run')} by the filters" if count.unfit else "",
        f"{counted(count.twice, 'row')} that came before" if count.twice else "",
        f"{counted(count.secret, 'row')} with a key of yours in it" if count.secret else "",
        f"{counted(len(count.damaged), 'run')} that cannot be read" if count.damaged else "",
    ]
    told = f"{target}: {counted(count.rows, 'row')} of {counted(count.runs, 'run')}"
    if any(left):
        told += f"; left out: {', '.join(filter(None, left))}"
    console = standard_error(markup=False, highlight=False, soft_wrap=True)
    console.print(told, style="dim")
    for problem in count.damaged[:MOST_NAMED]:
        console.print(f"rlm: {problem}", style="yellow")


def _was_right(folder: Path) -> bool | None:
    """Return whether a run of a batch was answered right; None of any other run, and where nothing
    was expected."""
    for batch in folder.absolute().parents[:4]:
        if (batch / RESULTS).is_file():
            return _scores(batch).get(folder.resolve())
    return None


@cache
def _scores(batch: Path) -> dict[Path, bool]:
    """Return by its folder whether each run of a batch was right, where that is known. A score that
    is a number is right from 1 on."""
    results, _ = read_results(batch / RESULTS)
    return {
        (batch / result.trajectory).parent.resolve(): result.correct >= 1
        for result in results
        if result.trajectory is not None and result.correct is not None
    }


def _secrets() -> list[str]:
    """Return the keys and the headers' values that are set here."""
    settings = in_force({}).settings
    values = [settings.api_key, settings.sub_api_key]
    for headers in (settings.headers, settings.sub_headers):
        values += (headers or {}).values()
    return [value for value in values if value and len(value) >= SHORTEST_SECRET]
