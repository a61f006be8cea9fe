"""The settings in force, by subject, as ``rlm doctor`` shows them: in few lines, with what was set
in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..lm.models import names_in_words
from ..settings.option import Group, Option
from ..settings.resolved import OPTIONS, Resolved

_ALWAYS = ("model", "sub_model", "confirm", "environment", "kernel")
"""Those that are shown on a line of their own, whatever they are."""


def shown(force: Resolved) -> RenderableType:
    """Return what is in force: a line for each setting that somebody set, with where it came from;
    the others together. What is for sandboxes stands where cells run in one, or where it is set."""
    return Lines(*(part for group in Group for part in _of_group(force, group)))


def _of_group(force: Resolved, group: Group) -> Iterator[RenderableType]:
    here = [option for option in OPTIONS.values() if option.group is group]
    told = [o for o in here if o.name in force.origins or o.name in _ALWAYS]
    rest = [o for o in here if o not in told and _matters(force, o)]
    defaults = [f"{o.name} {value}" for o in rest if (value := _value(force, o))]
    if told or defaults:
        yield Text(group.value[0].upper() + group.value[1:], "bold")
    if told:
        table = Table.grid(padding=(0, 2))
        for option in told:
            value, origin = _value(force, option), force.origins.get(option.name, "default")
            table.add_row(f"  {option.name}", Text(value), Text(origin, "dim"))
        yield table
    if defaults:
        text = Text("by default: " + ", ".join(defaults), "dim")
        yield Padding(text, (0, 0, 0, 2), expand=False)


def _matters(force: Resolved, option: Option) -> bool:
    return not option.sandboxes or force.settings.environment in option.sandboxes


def _value(force: Resolved, option: Option) -> str:
    """Return a value in words; empty for one that is not there."""
    owner: Any = force.limits if option.group is Group.LIMIT else force.settings
    value = getattr(owner, option.field)
    if option.secret and value:
        return "(set)"
    if (name := names_in_words(force.settings).get(option.name)) is not None:
        return name
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None and option.name not in force.origins else str(value)
