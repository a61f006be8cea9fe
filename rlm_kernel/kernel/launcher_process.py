"""The program that started the kernel, as far as ``/proc`` tells: nothing where there is none."""

from __future__ import annotations

import os
from pathlib import Path

_PARENT = Path("/proc") / str(os.getppid())


def notebooks() -> list[Path]:
    """Return the notebooks in its command. papermill runs kernels in its own working folder and
    tells them nothing of the notebook."""
    try:
        folder = Path(os.readlink(_PARENT / "cwd"))
    except OSError:
        return []
    return [folder / os.fsdecode(word) for word in _command() if word.endswith(b".ipynb")]


def counts_errors() -> bool:
    """Return True for papermill, which takes every error output for a failure of the whole, also
    one that is expected and tagged so."""
    return any(word.rpartition(b"/")[2] == b"papermill" for word in _command()[:4])


def _command() -> list[bytes]:
    try:
        return (_PARENT / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
