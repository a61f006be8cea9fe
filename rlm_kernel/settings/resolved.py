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
from . import caps as capped
from .caps import Caps
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
    "api_key_file": "base_url",
    "api_key_command": "base_url",
    "headers": "base_url",
    "sub_api_key": "sub_base_url",
    "sub_api_key_file": "sub_base_url",
    "sub_api_key_command": "sub_base_url",
    "sub_headers": "sub_base_url",
}
"""The secrets and the ways to them, each with the setting that names its endpoint."""
_KEYS = [tuple(f"{sub}api_key{way}" for way in ("", "_file", "_command")) for sub in ("", "sub_")]
"""Ways to one key: the nearest counts, whichever it is; the first of them where two are as near."""
_OTHER_VARIABLES = {"RLM_CACHE"}


class Wrote(enum.Enum):
    """The writer of a value. Where a key may go depends on it, not on the words of an origin."""

    CALLER = enum.auto()
    RECORD = enum.auto()
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
    caps: Caps = field(default_factory=Caps)


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
        passed = self._keys_known(layer)
        for name, value in layer.values.items():
            if name not in OPTIONS:
                called = {option.called: n for n, option in OPTIONS.items() if option.called}
                meant = did_you_mean(called.get(name, name), OPTIONS)
                raise UsageError(f"unknown setting {name!r}{meant}")
            if name not in self.values and name not in without and name not in passed:
                self.values[name] = checked(name, value, layer.label(name))
                self.origins[name] = layer.source(name)
                self.wrote[name] = layer.wrote

    def _keys_known(self, layer: Layer) -> set[str]:
        """Return the ways to keys which a layer has no say in."""
        passed: set[str] = set()
        for ways in _KEYS:
            if any(name in self.values for name in ways):
                passed.update(ways)
            else:
                passed.update([name for name in ways if layer.values.get(name)][1:])
        return passed

    def refuse_without_sandbox(self, environment: str) -> None:
        """Raise ``UsageError`` for what the caller wants of a sandbox, where cells run in none that
        has it: who asks for no network must not believe that there is none."""
        for name, origin in self.origins.items():
            places = OPTIONS[name].sandboxes
            if places and self.wrote[name] is Wrote.CALLER and environment not in places:
                raise UsageError(
                    f"{origin}: it is for cells that run in {' or '.join(places)}, and these run "
                    f"in {environment}; add --env {places[0]} (environment={places[0]!r}), or "
                    "leave it out"
                )

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
    typed: Mapping[str, str] | None = None,
) -> Resolved:
    """Settle every setting.

    ``given`` holds arguments by name, where None counts as not given. ``layers``, strongest first,
    come between them and the environment; ``config``, strongest first, is what ``config.load``
    read. ``typed`` are keys that a human typed, by endpoint (empty for the default one), which win
    over all others. ``limits`` is an argument: beside it only ``given`` and ``layers`` set limits.

    Raises ``UsageError`` for an unknown name (with the nearest right one), a wrong value, and one
    beyond an administrator's cap.
    """
    caps = capped.load()
    if limits is not None and not isinstance(limits, Limits):
        raise UsageError(f"limits={limits!r}: give Limits(...), for example Limits(cost=0.50)")
    environ = os.environ if environ is None else environ
    arguments = {name: value for name, value in (given or {}).items() if value is not None}
    found = _Found()
    for layer in [Layer("argument {name}", arguments), *layers]:
        found.fill(layer, without=())
    for layer in [_variables(environ), *(replace(layer, wrote=Wrote.FILE) for layer in config)]:
        found.fill(layer, without=LIMIT_NAMES if limits else ())
    for name, value, origin in caps.defaults():
        layer = Layer(origin, {name: value}, Wrote.FILE)
        found.fill(layer, without=LIMIT_NAMES if limits else ())
    withheld = found.keep_keys_at_home()
    values, origins = found.values, found.origins
    _openai_variables(values, origins, environ)
    for ways in _KEYS:
        key = (typed or {}).get(str(values.get(_FOR[ways[0]]) or ""))
        if key and (ways is _KEYS[0] or values.get(_FOR[ways[0]])):
            values[ways[0]], origins[ways[0]] = key, "%rlm key"
            withheld = {n: why for n, why in withheld.items() if n not in ways}
    settings = Settings(**{n: v for n, v in values.items() if n not in LIMIT_NAMES})
    found.refuse_without_sandbox(settings.environment)
    changed = {LIMIT_NAMES[n]: v for n, v in values.items() if n in LIMIT_NAMES}
    whole = replace(_within(limits, caps) if limits else Limits(), **changed)
    for name, option in capped.CAPPED.items():
        value = getattr(whole if name in LIMIT_NAMES else settings, option.field)
        caps.check(name, value, origins.get(name, "limits=Limits(...)"))
    return Resolved(settings, whole, origins | withheld, withheld, caps)


def _within(limits: Limits, caps: Caps) -> Limits:
    """Return limits that were handed in, with those that are the default within their caps."""
    own = {LIMIT_NAMES[name]: value for name, value, _ in caps.defaults() if name in LIMIT_NAMES}
    left = {
        name: value
        for name, value in own.items()
        if getattr(limits, name) == getattr(Limits(), name)
    }
    return replace(limits, **left)


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
        set_already = any(values.get(way) for way in _KEYS[0])
        if not set_already and environ.get("OPENAI_API_KEY"):
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
