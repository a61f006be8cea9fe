"""Values of options read from text, and found right or refused in words."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .limits import Limits
from .option import WORDS, Group, Option
from .values import OPTIONS


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence that says what was meant; empty where nothing is near."""
    near = difflib.get_close_matches(name, list(names))
    # Of "mode" and "model" the second was meant by "modle": swapped letters come first.
    near.sort(key=lambda other: sorted(other) != sorted(name))
    return f"; did you mean {near[0]!r}?" if near else ""


def checked(name: str, value: Any, label: str) -> Any:
    """Return the value of the option ``name``, read where it is text, and found right.

    ``label`` is how an error calls it, e.g. ``RLM_MAX_TURNS``. Raises ``UsageError``, which never
    shows a key.
    """
    option = OPTIONS[name]
    if isinstance(value, str):
        value = _read(option, value, label)
    if option.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if option.kind is tuple and isinstance(value, list):
        value = tuple(value)
    if option.kind is dict and isinstance(value, Mapping):
        value = dict(value)
    if value is None and option.optional:
        return None
    if not isinstance(value, option.kind) or isinstance(value, bool):
        shown = "..." if option.secret else repr(value)
        raise UsageError(f"{label}={shown}: give {WORDS[option.kind]}")
    _check_range(option, value, label)
    return value


def _read(option: Option, text: str, label: str) -> Any:
    """Return the value of an option that came as text."""
    kind = option.kind
    if kind is Path:
        return Path(os.path.expanduser(text))
    if kind is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind is str:
        return text
    if option.lifts and text.strip().lower() in ("none", "off"):
        return None
    try:
        return json.loads(text) if kind is dict else kind(text)
    except ValueError:
        none = ", or none" if option.lifts else ""
        shown = "..." if option.secret else repr(text)
        raise UsageError(f"{label}={shown}: give {WORDS[kind]}{none}") from None


def _check_range(option: Option, value: Any, label: str) -> None:
    if option.group is Group.LIMIT:
        try:
            Limits(**{option.field: value})
        except UsageError as error:
            raise UsageError(f"{label}: {error}") from None
    elif option.choices and value not in option.choices:
        raise UsageError(f"{label}={value!r}: give {' or '.join(option.choices)}")
    elif option.least is not None and not value >= option.least:
        raise UsageError(f"{label}={value!r}: give {option.wanted}")
    if option.check is not None:
        option.check(value, label)
