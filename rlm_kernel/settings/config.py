"""The config files ``jupyter_rlm_config.py`` and ``jupyter_rlm_config.json``.

They lie in the folders that ``jupyter --paths`` lists under config. The working folder is not one
of them: to open a notebook would then run a file that came with it (CVE-2022-39286).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_config_path
from traitlets import Dict, Float, Int, List, TraitError, TraitType, Unicode
from traitlets.config import Config, Configurable
from traitlets.config.loader import JSONFileConfigLoader, PyFileConfigLoader

from ..errors import UsageError
from .option import Option
from .resolved import OPTIONS, Layer, checked, did_you_mean

NAME = "jupyter_rlm_config"
SECTION = "RLM"
_HOW = 'write c.RLM.NAME = VALUE, or in JSON {"RLM": {"NAME": VALUE}}'
_LOADERS: dict[str, Callable[[str], Any]] = {
    ".json": JSONFileConfigLoader,  # before .py: in Jupyter it wins over the .py beside it
    ".py": PyFileConfigLoader,
}


def _trait(option: Option) -> TraitType[Any, Any]:
    kind, optional = option.kind, option.optional
    if kind is dict:
        return Dict(None, allow_none=True, help=option.help).tag(config=True)
    if kind is tuple:
        return List(Unicode(), help=option.help).tag(config=True)
    maker: Callable[..., TraitType[Any, Any]] = {int: Int, float: Float}.get(kind, Unicode)
    default = None if optional else kind()
    return maker(default, allow_none=optional, help=option.help).tag(config=True)


RLM: type[Configurable] = type(
    SECTION,
    (Configurable,),
    {
        "__doc__": "Every setting and limit, as ``c.RLM`` has them in a config file.",
        "__module__": __name__,
        **{name: _trait(option) for name, option in OPTIONS.items()},
    },
)


def load(folders: Sequence[str | Path] | None = None) -> list[Layer]:
    """Return what the config files set: a layer for each file, strongest first.

    ``folders``, strongest first, are Jupyter's own by default.

    Raises ``UsageError`` for a file that cannot be read or run, with the line where it failed, and
    for an unknown name or a wrong value in it. No error shows a key.
    """
    folders = jupyter_config_path() if folders is None else folders
    files = [Path(folder, NAME + ending) for folder in folders for ending in _LOADERS]
    return [_layer(file) for file in dict.fromkeys(files) if file.is_file()]


def _layer(file: Path) -> Layer:
    shown = _shown(file)
    try:
        config = _LOADERS[file.suffix](str(file)).load_config()
    except (Exception, SystemExit) as error:
        raise UsageError(f"{shown}{_line(error, file)}: {_why(error)}") from error
    for name, section in config.items():
        if name != SECTION or not isinstance(section, Config):
            raise UsageError(f"{shown}: {name!r} is no section of ours: {_HOW}")
    values = {name: _value(name, config[SECTION], shown) for name in config[SECTION]}
    return Layer(shown, values)


def _value(name: str, section: Config, shown: str) -> Any:
    if name not in OPTIONS:
        raise UsageError(f"{shown}: unknown setting {name!r}{did_you_mean(name, OPTIONS)}")
    try:
        value = getattr(RLM(config=Config({SECTION: {name: section[name]}})), name)
    except TraitError:
        written = "..." if OPTIONS[name].secret else repr(section[name])
        wanted = RLM.class_traits()[name].info()
        raise UsageError(f"{shown}: {name}={written}: give {wanted}") from None
    return checked(name, value, f"{shown}: {name}")


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
