"""The programs of ``remote`` as they are sent."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType


def source(program: ModuleType) -> str:
    """Return the whole text of a program."""
    assert program.__file__ is not None
    return Path(program.__file__).read_text("utf-8")


def command(program: ModuleType, *arguments: str) -> list[str]:
    """Return what runs a program in a sandbox, where its file is not."""
    return ["python3", "-c", source(program), *arguments]
