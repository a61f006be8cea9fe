"""``rlm export``: a run as one page to be sent."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich import filesize

from ..record.recording import Recording
from ..reports import export, provenance_of
from ..reports.terminal import standard_error
from .paths import check_there
from .statuses import ANSWERED
from .terminal import write_text

STANDARD_OUTPUT = Path("-")


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    check_there(options.path)
    recording = Recording.open(options.path)
    text = export.page(recording, provenance_of.find(recording))
    if options.output == STANDARD_OUTPUT:
        write_text(text)
        return ANSWERED
    target = options.output or Path(f"{recording.folder.resolve().name}.html")
    export.write(text, target, force=options.force)
    size = filesize.decimal(len(text.encode()))
    standard_error().print(f"{target}: {size}", style="dim", markup=False, soft_wrap=True)
    return ANSWERED
