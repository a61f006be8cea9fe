"""Rules for values of single options. Each raises ``UsageError``, which begins with ``label``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import UsageError

_SIZE = r"0*[1-9]\d*(\.\d+)?[kmg]?b?"
_KEY_VARIABLES = {"RLM_API_KEY", "RLM_SUB_API_KEY", "OPENAI_API_KEY"}


def mounted(paths: tuple[str, ...]) -> dict[str, str]:
    """Return where code in a container finds files and folders of this machine, by their paths."""
    whole = [Path(path).expanduser().resolve() for path in paths]
    return {str(path): f"/mnt/{path.name or 'root'}" for path in whole}


def check_positive(value: float, label: str) -> None:
    if not value > 0:
        raise UsageError(f"{label}={value!r}: give a number above 0")


def check_size(value: str, label: str) -> None:
    if not re.fullmatch(_SIZE, value, re.IGNORECASE):
        raise UsageError(f"{label}={value!r}: give a size, such as 512m or 2g")


def check_variables(names: tuple[Any, ...], label: str) -> None:
    """Names of environment variables, and none that holds a key."""
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(f"{label}: {name!r} is no name of an environment variable")
        if name in _KEY_VARIABLES:
            raise UsageError(
                f"{label}: {name} stays out of the cells' environment: code that an LM wrote could "
                "send the key anywhere. Cells ask LMs by llm_query, without a key."
            )


def check_files(names: tuple[Any, ...], label: str) -> None:
    """Paths that are there, no two of which would be at the same place in a sandbox."""
    for name in names:
        if not isinstance(name, str) or not Path(name).expanduser().exists():
            raise UsageError(f"{label}: there is no folder or file {str(name)!r}")
    if len(mounted(names)) > len({*mounted(names).values()}):
        raise UsageError(f"{label}: two of {', '.join(names)} would be the same place under /mnt")
