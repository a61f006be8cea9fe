"""``rlm seal`` and ``rlm verify``: files of a run, signed and checked."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable

from ..record.signing import verifying
from ..record.signing.verifying import Verified
from ..reports.terminal import standard_output
from .paths import check_there
from .statuses import ANSWERED, FAILED
from .terminal import write_line


def work(options: argparse.Namespace) -> int:
    """Sign, or without a key tell what the seals are worth; return the exit status."""
    check_there(options.path)
    if options.sign is None:
        return _told(verifying.verify(options.path))
    return _told(verifying.sign(options.path, options.sign))


def verify(options: argparse.Namespace) -> int:
    """Tell what is known of the files; return the exit status."""
    check_there(options.path)
    if not options.json:
        return _told(verifying.verify(options.path, options.by))
    found = list(verifying.verify(options.path, options.by))
    rows = [
        {
            "path": str(each.path),
            "kind": each.kind,
            "signer": each.signer,
            "faults": list(each.faults),
        }
        for each in found
    ]
    write_line(json.dumps(rows, indent=1))
    return _status(found)


def _told(found: Iterable[Verified]) -> int:
    console, all_of_them = standard_output(), []
    for each in found:
        all_of_them.append(each)
        style = "red" if each.faults else None
        text = f"{each.path}: {each.words}"
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
    return _status(all_of_them)


def _status(found: list[Verified]) -> int:
    return FAILED if any(each.faults for each in found) else ANSWERED
