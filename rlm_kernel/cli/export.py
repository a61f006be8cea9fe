"""``rlm export``: a run as one page to be sent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich import filesize

from ..record.recording import Recording
from ..reports import provenance_of
from ..reports.terminal import standard_error
from .statuses import ANSWERED


def add(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="write a run as one HTML page that can be read anywhere, offline",
        description="Write a run as one HTML page: question, answer, where it came from, every "
        "turn, every sub-call. The page needs no network and runs nothing that a model wrote. "
        "Only an older export is written over.",
    )
    export.set_defaults(work=_export)
    export.add_argument("path", metavar="PATH", type=Path, help="a run's folder or notebook")
    export.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="by default the run's name with .html"
    )
    export.add_argument("--force", action="store_true", help="write over whatever is there")


def _export(options: argparse.Namespace) -> int:
    from ..reports import export

    recording = Recording.open(options.path)
    text = export.page(recording, provenance_of.find(recording))
    target = options.output or Path(f"{recording.folder.resolve().name}.html")
    export.write(text, target, force=options.force)
    size = filesize.decimal(len(text.encode()))
    standard_error().print(f"{target}: {size}", style="dim", markup=False, soft_wrap=True)
    return ANSWERED
