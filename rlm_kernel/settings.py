"""What is in force and where it came from.

An argument wins over ``RLM_<NAME>`` in the environment, that over OpenAI's own variables, those
over the default. Limits are settings too: ``RLM_MAX_TURNS``, ``RLM_MAX_COST``, ...
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import UsageError
from .limits import Limits
from .prompts import STYLES

LIMIT_NAMES = {
    "max_turns": "turns",
    "max_depth": "depth",
    "max_calls": "calls",
    "max_tokens": "tokens",
    "max_cost": "cost",
    "max_seconds": "seconds",
    "max_cell_seconds": "cell_seconds",
    "max_in_flight": "in_flight",
    "max_kernels": "kernels",
}


@dataclass(frozen=True)
class Settings:
    """Everything that can be set but the limits and the tools. No ``repr`` shows a key."""

    model: str | None = None
    sub_model: str | None = None
    base_url: str | None = None
    sub_base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    sub_api_key: str | None = field(default=None, repr=False)
    environment: str = "local"
    kernel: str = "python3"
    prompt: str | None = None
    """``strong`` or ``small``; by default small for the embedded LM, strong for all others."""
    temperature: float | None = None
    output_tokens: int | None = None
    """The longest reply asked for."""
    window: int | None = None
    """The LM's context window in tokens, where it is not known by its name."""
    timeout_s: float = 300.0
    """For one request; in a stream for the silence between two pieces."""
    retries: int = 5
    out: Path | None = None
    """The run's folder; by default a new one under ``rlm-runs``."""

    @property
    def embedded(self) -> bool:
        """Whether nothing names an endpoint, so that the embedded LM is the one."""
        return not (self.base_url or self.api_key)


@dataclass(frozen=True)
class InForce:
    """Settings, limits, and for each of their names where its value came from."""

    settings: Settings
    limits: Limits
    origins: dict[str, str]


def _number(name: str, text: str, whole: bool, optional: bool) -> float | int | None:
    if optional and text.strip().lower() in ("none", "off"):
        return None
    try:
        return int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        more = ", or none" if optional else ""
        raise UsageError(f"{name}={text!r}: give {kind}{more}") from None


def _parsed(name: str, text: str, origin: str) -> Any:
    """The value of a setting that came as text."""
    limit = LIMIT_NAMES.get(name)
    if limit is not None:
        whole = limit not in ("cost", "seconds", "cell_seconds")
        return _number(origin, text, whole, limit in ("tokens", "cost", "seconds"))
    if name in ("output_tokens", "window", "retries"):
        return _number(origin, text, True, False)
    if name in ("temperature", "timeout_s"):
        return _number(origin, text, False, False)
    return Path(text) if name == "out" else text


def _from_environment(name: str, environ: Mapping[str, str]) -> tuple[Any, str] | None:
    variable = f"RLM_{name.upper()}"
    if environ.get(variable):
        return _parsed(name, environ[variable], variable), variable
    return None


def in_force(
    given: Mapping[str, Any] | None = None,
    *,
    limits: Limits | None = None,
    environ: Mapping[str, str] | None = None,
) -> InForce:
    """Settle every setting. ``given`` holds arguments by name; None counts as not given, and a
    string is read as from the environment (so a command line's options can be passed on).

    Raises ``UsageError`` for an unknown name (with the nearest right one) or a wrong value.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (given or {}).items() if value is not None}
    names = [f.name for f in dataclasses.fields(Settings)]
    for name in given:
        if name not in names and name not in LIMIT_NAMES:
            near = difflib.get_close_matches(name, [*names, *LIMIT_NAMES], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"unknown setting {name!r}{hint}")
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name in [*names, *LIMIT_NAMES]:
        if name in given:
            value = given[name]
            values[name] = _parsed(name, value, name) if isinstance(value, str) else value
            origins[name] = "given"
        elif (found := _from_environment(name, environ)) is not None:
            values[name], origins[name] = found
    _openai_variables(values, origins, environ)
    settings = Settings(**{n: v for n, v in values.items() if n in names})
    _check(settings)
    base = limits or Limits()
    changed = {LIMIT_NAMES[n]: v for n, v in values.items() if n in LIMIT_NAMES}
    if limits is not None:  # a Limits handed in is an argument and wins over the environment
        changed = {LIMIT_NAMES[n]: v for n, v in given.items() if n in LIMIT_NAMES}
    return InForce(settings, dataclasses.replace(base, **changed), origins)


def _openai_variables(
    values: dict[str, Any], origins: dict[str, str], environ: Mapping[str, str]
) -> None:
    """OpenAI's own variables. Its key is not sent to an endpoint that was named in another way."""
    if not values.get("base_url"):
        if environ.get("OPENAI_BASE_URL"):
            values["base_url"], origins["base_url"] = environ["OPENAI_BASE_URL"], "OPENAI_BASE_URL"
        if not values.get("api_key") and environ.get("OPENAI_API_KEY"):
            values["api_key"], origins["api_key"] = environ["OPENAI_API_KEY"], "OPENAI_API_KEY"


def _check(settings: Settings) -> None:
    if settings.prompt is not None and settings.prompt not in STYLES:
        raise UsageError(f"prompt={settings.prompt!r}: give one of {', '.join(STYLES)}")
    if settings.environment != "local":
        raise UsageError(f"environment={settings.environment!r}: there is: local")
    if settings.retries < 0 or not settings.timeout_s > 0:
        raise UsageError(
            f"retries={settings.retries}, timeout_s={settings.timeout_s:g}: give retries of at "
            "least 0 and a timeout above 0"
        )
