"""The config files ``jupyter_rlm_config.py`` and ``jupyter_rlm_config.json``.

They lie in the folders that ``jupyter --paths`` lists under config. The working folder is not one
of them: to open a notebook would then run a file that came with it (CVE-2022-39286).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_config_path
from traitlets import Dict, Float, Int, List, TraitError, TraitType, Unicode
from traitlets.config import Config, Configurable

from ..errors import UsageError
from . import caps
from .files import FILES, read
from .option import Option
from .resolved import OPTIONS, Layer, checked, did_you_mean

SECTION = "RLM"
_HOW = 'write c.RLM.NAME = VALUE, or in JSON {"RLM": {"NAME": VALUE}}'


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
    files = [Path(folder, name) for folder in folders for name in FILES]
    return [_layer(file) for file in dict.fromkeys(files) if file.is_file()]


def _layer(file: Path) -> Layer:
    shown, config = read(file)
    for name, section in config.items():
        if name == caps.SECTION:
            _check_place(file, shown)
            continue
        if name != SECTION or not isinstance(section, Config):
            raise UsageError(f"{shown}: {name!r} is no section of ours: {_HOW}")
    values = {name: _value(name, config[SECTION], shown) for name in config[SECTION]}
    return Layer(shown, values)


def _check_place(file: Path, shown: str) -> None:
    """Raise ``UsageError`` for caps in a file where they would not hold."""
    if str(file.parent) not in caps.folders():
        counts = ", ".join(caps.folders())
        raise UsageError(f"{shown}: {caps.SECTION} counts in these folders only: {counts}")


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
