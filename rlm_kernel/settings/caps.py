"""Caps: the settings that an administrator bounds, and that no user's setting loosens.

They stand as section ``RLMCaps`` in ``jupyter_rlm_config.py`` or ``.json`` in a folder of the
system or of the Python that runs, and are read from nowhere else: no variable leads there. Those of
several files hold together. They hold for whoever uses this package as it is, not for another
program.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_core.paths import SYSTEM_CONFIG_PATH

from ..errors import UsageError
from .checks import checked, did_you_mean
from .files import FILES, read
from .option import Cap
from .values import OPTIONS, SANDBOX

SECTION = "RLMCaps"
UNATTENDED = "unattended"
"""The sandboxes in which cells may run unasked where nobody can be asked, though ``confirm`` is
capped."""
CAPPED = {name: option for name, option in OPTIONS.items() if option.cap is not Cap.NONE}
_OF_ROOT = {"sub_model": "model", "sub_base_url": "base_url"}
"""Those that are bounded as another one where they are not by themselves, and may be unset."""


@dataclass(frozen=True)
class Bound:
    """A cap, and where it is written. ``value`` is a limit, a choice, or a tuple of names."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Caps:
    """All caps by the names of their options."""

    bounds: Mapping[str, Bound] = field(default_factory=dict)
    unattended: tuple[str, ...] = ()

    def of(self, name: str) -> Bound | None:
        """Return the cap of an option; of the sub-LM's that of the root's, where it has none."""
        return self.bounds.get(name) or self.bounds.get(_OF_ROOT.get(name, ""))

    def defaults(self) -> Iterator[tuple[str, Any, str]]:
        """Yield names and values of options whose own default is beyond a cap, and the origins."""
        for name, bound in self.bounds.items():
            if name not in _OF_ROOT and not allows(name, OPTIONS[name].default, bound.value):
                first = bound.value[0] if isinstance(bound.value, tuple) else bound.value
                yield name, first, bound.origin

    def check(self, name: str, value: Any, origin: str) -> None:
        """Raise ``UsageError`` for a value beyond its cap."""
        bound = self.of(name)
        if bound is None or (value is None and name in _OF_ROOT):
            return
        if not allows(name, value, bound.value):
            shown = "none" if value is None else value
            raise UsageError(
                f"{origin}: {name}={shown} is not allowed here: an administrator allows "
                f"{_words(name, bound.value)} ({bound.origin})"
            )

    def refused_model(self, name: str) -> str | None:
        """Return why a cell may not ask a model of this name; None where it may."""
        bound = self.of("sub_model")
        if bound is None or name in bound.value:
            return None
        return f"an administrator allows {_words('model', bound.value)} alone"


def allows(name: str, value: Any, bound: Any) -> bool:
    """Return whether a value of an option is within a cap."""
    match CAPPED[name].cap:
        case Cap.MOST:
            return value is not None and value <= bound
        case Cap.LEAST:
            order = CAPPED[name].choices
            return order.index(value) >= order.index(bound)
        case _:
            return str(value).rstrip("/") in [one.rstrip("/") for one in bound]


def _words(name: str, bound: Any) -> str:
    match CAPPED[name].cap:
        case Cap.MOST:
            return f"{bound:,.12g} at most"
        case Cap.LEAST:
            return f"{bound!r} at least"
        case _:
            return ", ".join(bound)


def folders() -> list[str]:
    """Return the folders in which caps count, none of which the environment names."""
    return [*SYSTEM_CONFIG_PATH, os.path.join(sys.prefix, "etc", "jupyter")]


@functools.cache
def load() -> Caps:
    """Return the caps of this machine, read once. Raises ``UsageError`` for a file that is wrong:
    without its caps nothing is to run."""
    caps = Caps()
    for file in (Path(folder, name) for folder in dict.fromkeys(folders()) for name in FILES):
        if file.is_file():
            shown, sections = read(file)
            section = sections.get(SECTION)
            for name, value in (section or {}).items():
                caps = _with(caps, name, value, shown + _writable(file))
    return caps


def _writable(file: Path) -> str:
    """Return the end of an origin that says where a cap binds nobody."""
    mine = os.access(file, os.W_OK) or os.access(file.parent, os.W_OK)
    return ", which you can write" if mine and getattr(os, "geteuid", int)() else ""


def _with(caps: Caps, name: str, value: Any, origin: str) -> Caps:
    label = f"{origin}: {SECTION}.{name}"
    if name == UNATTENDED:
        names = _names(value, label)
        if wrong := [each for each in names if each not in SANDBOX]:
            raise UsageError(f"{label}: {wrong[0]!r} is no sandbox: give {', '.join(SANDBOX)}")
        return Caps(caps.bounds, names)
    if name not in CAPPED:
        near = did_you_mean(name, [*CAPPED, UNATTENDED]) or f"; give {', '.join(CAPPED)}"
        raise UsageError(f"{label} cannot be capped{near}")
    if CAPPED[name].cap is Cap.AMONG:
        made: Any = tuple(checked(name, each, label) for each in _names(value, label))
    else:
        made = checked(name, value, label)
        if made is None:
            raise UsageError(f"{label}: give a number")
    before = caps.bounds.get(name)
    if before is not None:
        made = _both(name, before.value, made, label)
        origin = f"{before.origin} and {origin}"
    return Caps({**caps.bounds, name: Bound(made, origin)}, caps.unattended)


def _both(name: str, one: Any, other: Any, label: str) -> Any:
    """Return the cap that is both."""
    if CAPPED[name].cap is Cap.AMONG:
        both = tuple(each for each in one if allows(name, each, other))
        if not both:
            raise UsageError(f"{label}: nothing of it is allowed by another file")
        return both
    return one if allows(name, one, other) else other


def _names(value: Any, label: str) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and names and all(isinstance(n, str) for n in names):
        return tuple(names)
    raise UsageError(f"{label}: give a list of names, the first one for where none is given")
