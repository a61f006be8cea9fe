"""The values in force, and where each came from.

An argument wins over the layers handed in (a cell's options, ``%rlm`` lines), those over
``RLM_<NAME>`` in the environment, that over the config files, those over OpenAI's own variables,
those over the default. Limits are settings too: ``RLM_MAX_TURNS``, ``RLM_MAX_COST``, ...
"""

from __future__ import annotations

import difflib
import enum
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import UsageError
from .checks import checked, did_you_mean
from .limits import Limits
from .option import Group
from .values import (
    BILLED,
    CHOICES,
    ENVIRONMENTS,
    LIMIT_NAMES,
    OPTIONS,
    SANDBOX,
    SECRETS,
    Settings,
)

__all__ = [
    "CHOICES",
    "ENVIRONMENTS",
    "LIMIT_NAMES",
    "OPTIONS",
    "SANDBOX",
    "SECRETS",
    "Layer",
    "Resolved",
    "Settings",
    "Wrote",
    "checked",
    "decided_by_record",
    "did_you_mean",
    "in_force",
    "option_name",
    "recorded_place",
    "unknown_variables",
]

_FOR = {
    "api_key": "base_url",
    "headers": "base_url",
    "sub_api_key": "sub_base_url",
    "sub_headers": "sub_base_url",
}
"""The secrets, each with the setting that names the endpoint which it is for."""
_OTHER_VARIABLES = {"RLM_CACHE"}


class Wrote(enum.Enum):
    """The writer of a value. Where a key may go depends on it, not on the words of an origin."""

    CALLER = enum.auto()
    NOTEBOOK = enum.auto()
    ENVIRONMENT = enum.auto()
    FILE = enum.auto()


@dataclass(frozen=True)
class Resolved:
    """Settings, limits, and for each of their names where its value came from, in words.

    ``withheld`` says of keys that are set why they are not sent to the endpoint that is.
    """

    settings: Settings
    limits: Limits
    origins: dict[str, str]
    withheld: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """Values by name and where they were written; a string is read as text from outside.

    ``origin`` is what ``Resolved.origins`` shows. In it ``{name}`` stands for the setting's name,
    ``{option}`` for the name as an option has it, ``{NAME}`` for it in capitals: a cell's options
    are ``Layer("--{option}", ...)``. A None in a layer counts: it lifts a limit.
    """

    origin: str
    values: Mapping[str, Any]
    wrote: Wrote = Wrote.CALLER

    def source(self, name: str) -> str:
        """Return where the value of ``name`` came from."""
        forms = {"{name}": name, "{option}": option_name(name), "{NAME}": name.upper()}
        for form, text in forms.items():
            if form in self.origin:
                return self.origin.replace(form, text)
        return self.origin

    def label(self, name: str) -> str:
        """Return what an error calls the value of ``name``."""
        source = self.source(name)
        return source if source != self.origin else f"{source}: {name}"


def decided_by_record(group: Group, made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a group that a record may decide, of those at its head."""
    options = [o for o in OPTIONS.values() if o.group is group and o.recorded and o.from_record]
    return _given([option.name for option in options], made)


def recorded_place(environment: str, made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a record's sandbox that the record may decide."""
    decided = [name for name, o in OPTIONS.items() if o.sandboxes and o.from_record]
    return _given([n for n in decided if n not in BILLED.get(environment, ())], made)


def _given(names: Iterable[str], made: Mapping[str, Any]) -> dict[str, Any]:
    return {name: made[name] for name in names if made.get(name) not in (None, "", [])}


def option_name(name: str) -> str:
    """Return a setting's name as an option has it, without the dashes before it."""
    return OPTIONS[name].flag


@dataclass
class _Found:
    """Values while they are being settled, and of each where it came from and who wrote it."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    wrote: dict[str, Wrote] = field(default_factory=dict)

    def fill(self, layer: Layer, without: Container[str]) -> None:
        """Take from a layer what no stronger one has set."""
        for name, value in layer.values.items():
            if name not in OPTIONS:
                called = {option.called: n for n, option in OPTIONS.items() if option.called}
                meant = did_you_mean(called.get(name, name), OPTIONS)
                raise UsageError(f"unknown setting {name!r}{meant}")
            if name not in self.values and name not in without:
                self.values[name] = checked(name, value, layer.label(name))
                self.origins[name] = layer.source(name)
                self.wrote[name] = layer.wrote

    def keep_keys_at_home(self) -> dict[str, str]:
        """Drop keys and headers that are not for the endpoint; returns of each why, in words.

        A config file's key is for the endpoint of a config file. An endpoint that a notebook names
        gets no key of this machine, since notebooks travel.
        """
        withheld = {}
        for key, url in _FOR.items():
            if not (self.values.get(url) and self.values.get(key)):
                continue
            by, of_key, origin = self.wrote[url], self.wrote[key], self.origins[key]
            if by is Wrote.NOTEBOOK:
                why = f"the one of {origin} does not go to an endpoint that a cell names"
            elif of_key is Wrote.FILE and by is not Wrote.FILE:
                why = f"the one in {origin} is not for the {url} of {self.origins[url]}"
            else:
                continue
            del self.values[key], self.origins[key]
            withheld[key] = why
        return withheld


def in_force(
    given: Mapping[str, Any] | None = None,
    *,
    limits: Limits | None = None,
    layers: Sequence[Layer] = (),
    environ: Mapping[str, str] | None = None,
    config: Sequence[Layer] = (),
) -> Resolved:
    """Settle every setting.

    ``given`` holds arguments by name, where None counts as not given. ``layers``, strongest first,
    come between them and the environment; ``config``, strongest first, is what ``config.load``
    read. ``limits`` is an argument: beside it only ``given`` and ``layers`` set limits.

    Raises ``UsageError`` for an unknown name (with the nearest right one) or a wrong value.
    """
    if limits is not None and not isinstance(limits, Limits):
        raise UsageError(f"limits={limits!r}: give Limits(...), for example Limits(cost=0.50)")
    environ = os.environ if environ is None else environ
    arguments = {name: value for name, value in (given or {}).items() if value is not None}
    found = _Found()
    for layer in [Layer("argument {name}", arguments), *layers]:
        found.fill(layer, without=())
    for layer in [_variables(environ), *(replace(layer, wrote=Wrote.FILE) for layer in config)]:
        found.fill(layer, without=LIMIT_NAMES if limits else ())
    withheld = found.keep_keys_at_home()
    values, origins = found.values, found.origins
    _openai_variables(values, origins, environ)
    settings = Settings(**{n: v for n, v in values.items() if n not in LIMIT_NAMES})
    changed = {LIMIT_NAMES[n]: v for n, v in values.items() if n in LIMIT_NAMES}
    return Resolved(settings, replace(limits or Limits(), **changed), origins | withheld, withheld)


def _variables(environ: Mapping[str, str]) -> Layer:
    ours = {name: environ.get(option.variable) for name, option in OPTIONS.items()}
    set_ones = {name: text for name, text in ours.items() if text}
    return Layer("RLM_{NAME}", set_ones, Wrote.ENVIRONMENT)


def _openai_variables(
    values: dict[str, Any], origins: dict[str, str], environ: Mapping[str, str]
) -> None:
    """OpenAI's own variables. Its key is not sent to an endpoint that was named in another way."""
    if not values.get("base_url"):
        if environ.get("OPENAI_BASE_URL"):
            values["base_url"], origins["base_url"] = environ["OPENAI_BASE_URL"], "OPENAI_BASE_URL"
        if not values.get("api_key") and environ.get("OPENAI_API_KEY"):
            values["api_key"], origins["api_key"] = environ["OPENAI_API_KEY"], "OPENAI_API_KEY"


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return a sentence for each ``RLM_...`` variable that is nearly a setting. No values."""
    environ = os.environ if environ is None else environ
    known = {option.variable for option in OPTIONS.values()}
    sentences = []
    for variable in sorted(environ):
        if variable.startswith("RLM_") and variable not in known | _OTHER_VARIABLES:
            near = difflib.get_close_matches(variable[4:], [name[4:] for name in known], 1, 0.7)
            if near:
                sentences.append(f"{variable} is no setting; did you mean RLM_{near[0]}?")
    return sentences
