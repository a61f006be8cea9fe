"""Files of Jupyter's configuration that are ours: read, and what is wrong with one in words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from traitlets.config.loader import JSONFileConfigLoader, PyFileConfigLoader

from ..errors import UsageError

NAME = "jupyter_rlm_config"
_LOADERS: dict[str, Callable[[str], Any]] = {
    ".json": JSONFileConfigLoader,  # before .py: in Jupyter it wins over the .py beside it
    ".py": PyFileConfigLoader,
}
FILES = [NAME + ending for ending in _LOADERS]
"""Their names, the stronger first."""


def read(file: Path) -> tuple[str, Any]:
    """Return a file's path as it is shown, and its sections by name. Raises ``UsageError`` where it
    cannot be read or run, with the line where it failed."""
    shown = _shown(file)
    try:
        return shown, _LOADERS[file.suffix](str(file)).load_config()
    except (Exception, SystemExit) as error:
        raise UsageError(f"{shown}{_line(error, file)}: {_why(error)}") from error


def _shown(file: Path) -> str:
    """Return the file's path, short: it is shown in notebooks."""
    home = os.path.expanduser("~")
    return str(Path("~", file.relative_to(home))) if file.is_relative_to(home) else str(file)


def _line(error: BaseException, file: Path) -> str:
    """Return the line where it went wrong, as the end of a sentence's subject."""
    if isinstance(error, (SyntaxError, json.JSONDecodeError)):
        return f", line {error.lineno}"
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == str(file):
            line = step.tb_lineno
        step = step.tb_next
    return "" if line is None else f", line {line}"


def _why(error: BaseException) -> str:
    if isinstance(error, (SyntaxError, json.JSONDecodeError)):
        return f"it does not parse: {error.msg}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"
