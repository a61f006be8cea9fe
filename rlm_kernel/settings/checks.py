"""Whether a value is right for its setting, and how it is read where it is text."""

from __future__ import annotations

import difflib
import os
import re
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..errors import UsageError
from .limits import Limits
from .values import CHOICES, LIMIT_NAMES, SECRETS, Settings, mounted

_LEAST = {
    "temperature": 0,
    "output_tokens": 1,
    "window": 1,
    "retries": 0,
    "cpus": 0.01,
    "pids": 1,
    "sandbox_seconds": 10,
}
_SIZE = r"0*[1-9]\d*(\.\d+)?[kmg]?b?"
_SIZES = ("memory", "tmpfs")
_KEY_VARIABLES = {"RLM_API_KEY", "RLM_SUB_API_KEY", "OPENAI_API_KEY"}


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of a sentence that says what was probably meant; empty where nothing is near."""
    near = difflib.get_close_matches(name, list(names))
    # Of "mode" and "model" the second was meant by "modle": swapped letters come first.
    near.sort(key=lambda other: sorted(other) != sorted(name))
    return f"; did you mean {near[0]!r}?" if near else ""


def _kinds() -> dict[str, tuple[type, bool]]:
    """For each name the type of its value, and whether None is one."""
    limits = get_type_hints(Limits)
    hints = get_type_hints(Settings) | {name: limits[f] for name, f in LIMIT_NAMES.items()}
    found = {}
    for name, annotation in hints.items():
        members = get_args(annotation) if isinstance(annotation, types.UnionType) else [annotation]
        [kind] = [get_origin(member) or member for member in members if member is not type(None)]
        found[name] = (kind, type(None) in members)
    return found


KINDS = _kinds()
_WORDS = {str: "text", int: "a whole number", float: "a number", Path: "a path", tuple: "names"}


def checked(name: str, value: Any, label: str) -> Any:
    """The value of the setting ``name``, read where it is text, and found right.

    ``label`` is how an error calls it, e.g. ``RLM_MAX_TURNS``. Raises ``UsageError``, which never
    shows a key.
    """
    kind, optional = KINDS[name]
    if isinstance(value, str):
        value = _read(name, value, label)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is tuple and isinstance(value, list):
        value = tuple(value)
    if value is None and optional:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        shown = "..." if name in SECRETS else repr(value)
        raise UsageError(f"{label}={shown}: give {_WORDS[kind]}")
    _check_range(name, value, label)
    return value


def _read(name: str, text: str, label: str) -> Any:
    """The value of a setting that came as text."""
    kind, optional = KINDS[name]
    if kind is Path:
        return Path(os.path.expanduser(text))
    if kind is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind is str:
        return text
    lifts = optional and name in LIMIT_NAMES
    if lifts and text.strip().lower() in ("none", "off"):
        return None
    try:
        return kind(text)
    except ValueError:
        more = ", or none" if lifts else ""
        raise UsageError(f"{label}={text!r}: give {_WORDS[kind]}{more}") from None


def _check_range(name: str, value: Any, label: str) -> None:
    choices = CHOICES.get(name)
    if name in LIMIT_NAMES:
        try:
            Limits(**{LIMIT_NAMES[name]: value})
        except UsageError as error:
            raise UsageError(f"{label}: {error}") from None
    elif choices is not None and value not in choices:
        raise UsageError(f"{label}={value!r}: give {' or '.join(choices)}")
    elif name == "timeout_s" and not value > 0:
        raise UsageError(f"{label}={value!r}: give a number above 0")
    elif name in _LEAST and not value >= _LEAST[name]:
        raise UsageError(f"{label}={value!r}: give a number of at least {_LEAST[name]}")
    elif name in _SIZES and not re.fullmatch(_SIZE, value, re.IGNORECASE):
        raise UsageError(f"{label}={value!r}: give a size, such as 512m or 2g")
    elif name == "pass_env":
        _check_passed(value, label)
    elif name == "mounts":
        _check_mounts(value, label)


def _check_passed(names: tuple[Any, ...], label: str) -> None:
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(f"{label}: {name!r} is no name of an environment variable")
        if name in _KEY_VARIABLES:
            raise UsageError(
                f"{label}: {name} stays out of the cells' environment: code that an LM wrote could "
                "send the key anywhere. Cells ask LMs by llm_query, without a key."
            )


def _check_mounts(names: tuple[Any, ...], label: str) -> None:
    for name in names:
        if not isinstance(name, str) or not Path(name).expanduser().exists():
            raise UsageError(f"{label}: there is no folder or file {str(name)!r}")
    if len(mounted(names)) > len({*mounted(names).values()}):
        raise UsageError(f"{label}: two of {', '.join(names)} would be the same place under /mnt")
