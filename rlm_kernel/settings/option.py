"""Options: all that is known of each, declared once, beside the field that holds its value.

``values.Settings`` and ``limits.Limits`` declare them; ``values.OPTIONS`` is the table of both,
from which the command line, the words of a notebook, the config files, the variables, the record
and the guide's tables are made.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    tuple: "names",
    dict: "a JSON object",
}
"""The kinds of values, in the words of an error."""


class Face(enum.Flag):
    """The places where a person may write an option. Python, the variables and the config files
    are no part of it: they have all options."""

    COMMAND = enum.auto()
    """An option of the command ``rlm``."""
    CELL = enum.auto()
    """An option of ``%%rlm``."""
    LINE = enum.auto()
    """A word after ``%rlm``; the limits share one."""
    NOTEBOOK = CELL | LINE
    EVERY = NOTEBOOK | COMMAND
    NONE = 0


class Group(enum.Enum):
    """The subject of an option."""

    LM = "the LMs and how they are asked"
    CONSENT = "what a human decides"
    PLACE = "where cells run and what is given to them"
    INPUT = "what of an input is read"
    FOLDER = "where the run is kept"
    LIMIT = "what a run may use"


class Cap(enum.Enum):
    """The way in which an administrator may bound an option."""

    NONE = "not at all"
    MOST = "by the most"
    LEAST = "by the least strict of its choices"
    AMONG = "by those that are allowed"


@dataclasses.dataclass(frozen=True)
class Option:
    """An option, in the words of help texts, and what values are right for it.

    The last five fields are filled in by ``options_of``, from the field that declares it.
    """

    meaning: str
    _: dataclasses.KW_ONLY
    group: Group
    faces: Face = Face.NONE
    metavar: str = "NAME"
    """The stand-in for the value where it is not one of ``choices``."""
    choices: tuple[str, ...] = ()
    least: float | None = None
    check: Callable[[Any, str], None] | None = None
    """Raises ``UsageError`` for a wrong value, which it calls by the label that it is given."""
    secret: bool = False
    """No error, no ``repr`` and no record shows it, and no notebook or command takes it."""
    sandboxes: tuple[str, ...] = ()
    """The environments to whose sandboxes it is given."""
    billed: tuple[str, ...] = ()
    """Those of them where more of it costs more."""
    recorded: bool = False
    """It stands at the head of a run's record under its own name. The limits are all under
    ``limits`` there, and a sandbox's settings under ``sandbox``."""
    from_record: bool = False
    """The record decides it for a run that comes from it, where the user does not."""
    cap: Cap = Cap.NONE
    called: str = ""
    """Its name as an option, where it is another one."""
    name: str = ""
    field: str = ""
    """Its name in the dataclass that declares it."""
    kind: type = str
    optional: bool = False
    """None is a value, too."""
    default: Any = None

    @property
    def flag(self) -> str:
        """Its name on a command line, without the dashes before it."""
        return self.called or self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return f"RLM_{self.name.upper()}"

    @property
    def lifts(self) -> bool:
        """True for a limit that the value ``none`` lifts."""
        return self.optional and self.group is Group.LIMIT

    @property
    def help(self) -> str:
        """Its meaning, as help texts have it."""
        return self.meaning + (", or none" if self.lifts else "")

    @property
    def placeholder(self) -> str:
        """The stand-in for its value in a usage line."""
        return "|".join(self.choices) or self.metavar

    @property
    def wanted(self) -> str:
        """The values that are right for it, in the words of an error."""
        least = "" if self.least is None else f" of at least {self.least}"
        return WORDS[self.kind] + least


def declared(default: Any, meaning: str, **more: Any) -> Any:
    """Return the dataclass field of an option; ``more`` is what else ``Option`` has."""
    option = Option(meaning, **more)
    return dataclasses.field(default=default, repr=not option.secret, metadata={"option": option})


def options_of(cls: type, prefix: str = "") -> dict[str, Option]:
    """Return the options that the fields of a dataclass declare, by ``prefix`` and name."""
    hints = get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        annotation = hints[field.name]
        members = get_args(annotation) if isinstance(annotation, types.UnionType) else [annotation]
        [kind] = [get_origin(member) or member for member in members if member is not type(None)]
        found[prefix + field.name] = dataclasses.replace(
            field.metadata["option"],
            name=prefix + field.name,
            field=field.name,
            kind=kind,
            optional=type(None) in members,
            default=field.default,
        )
    return found
