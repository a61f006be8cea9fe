"""What is in force and where it came from.

An argument wins over the layers handed in (a cell's options, ``%rlm`` lines), those over
``RLM_<NAME>`` in the environment, that over the config files, those over OpenAI's own variables,
those over the default. Limits are settings too: ``RLM_MAX_TURNS``, ``RLM_MAX_COST``, ...
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import types
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

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
ENVIRONMENTS = ("local", "docker", "modal")
CHOICES = {
    "prompt": tuple(STYLES),
    "environment": ENVIRONMENTS,
    "network": ("none", "bridge"),
    "children": ("own", "shared"),
    "transport": ("exec", "http"),
}
"""The values of settings that have few."""
_EVERY_SANDBOX = ("image", "packages", "network", "memory", "cpus", "pids", "mounts")
SANDBOX = {
    "docker": (*_EVERY_SANDBOX, "tmpfs"),
    "modal": (
        *_EVERY_SANDBOX,
        "app",
        "transport",
        "gpu",
        "region",
        "secrets",
        "sandbox_seconds",
    ),
}
"""The settings of each environment that has a sandbox, by the names its provisioner has for them.
"""
RECORD_DECIDES = ("image", "packages", "memory", "cpus", "pids", "tmpfs", "transport")
"""Of those, the ones that a record may decide for a run that comes from it. Whether its code may
reach the network, files of this machine or secrets, and what it is given that costs more, is for
the user to say."""
SECRETS = ("api_key", "sub_api_key")
MEANINGS = {
    "model": "the LM that writes the cells",
    "sub_model": "the LM that llm_query asks",
    "base_url": "any OpenAI-compatible endpoint",
    "sub_base_url": "the sub-LM's endpoint, where it is another",
    "api_key": "the endpoint's key",
    "sub_api_key": "the key of the sub-LM's endpoint",
    "environment": f"where cells run: {', '.join(ENVIRONMENTS)}",
    "kernel": "the kernelspec that runs cells",
    "prompt": f"{' or '.join(STYLES)}; by default small for the embedded LM, strong for all others",
    "temperature": "the author's sampling temperature; sent only when set",
    "output_tokens": "the longest reply asked for",
    "window": "the LM's context window in tokens, where it is not known by its name",
    "timeout_s": "seconds for a request; in a stream for the silence between two pieces",
    "retries": "how often a failed request is tried again",
    "out": "the run's folder; by default a new one under rlm-runs",
    "pass_env": "names of environment variables that cells are given besides the usual ones",
    "image": "a sandbox's image; by default one is built on first use",
    "packages": "Python packages that are put into a sandbox's image",
    "network": "none or bridge: whether code in a sandbox reaches the network",
    "memory": "a sandbox's limit of memory, such as 2g",
    "cpus": "a sandbox's limit of processor time, in processors",
    "pids": "a sandbox's limit of processes and threads",
    "tmpfs": "the size of a container's /work and /tmp, such as 1g",
    "mounts": "folders and files that code in a sandbox may read, each at /mnt/NAME",
    "children": "own or shared: whether a child has a sandbox of its own or uses the root's",
    "app": "the Modal app that sandboxes belong to",
    "transport": "exec or http: how a Modal sandbox is reached",
    "gpu": "the GPU of a Modal sandbox, such as L4 or H100:2",
    "region": "where a Modal sandbox runs, such as eu",
    "secrets": "names of Modal secrets that code in a sandbox may read",
    "sandbox_seconds": "seconds after which Modal ends a sandbox, whatever becomes of us",
    "max_turns": "LM replies in each node",
    "max_depth": "levels of children",
    "max_calls": "sub-calls and children",
    "max_tokens": "tokens, in and out, or none",
    "max_cost": "US dollars, where prices are known, or none",
    "max_seconds": "seconds for the run, or none",
    "max_cell_seconds": "running seconds of a cell",
    "max_in_flight": "requests in flight",
    "max_kernels": "live children at each depth",
}
"""Every name that can be set, in the words of help texts."""

_LEAST = {
    "temperature": 0,
    "output_tokens": 1,
    "window": 1,
    "retries": 0,
    "cpus": 0.01,
    "pids": 1,
    "sandbox_seconds": 10,
}
_OTHER_VARIABLES = {"RLM_CACHE", "RLM_NODE"}
_KEY_VARIABLES = {"RLM_API_KEY", "RLM_SUB_API_KEY", "OPENAI_API_KEY"}


@dataclass(frozen=True)
class Settings:
    """Everything that can be set but the limits and the tools. No ``repr`` shows a key.

    ``MEANINGS`` says what each is.
    """

    model: str | None = None
    sub_model: str | None = None
    base_url: str | None = None
    sub_base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    sub_api_key: str | None = field(default=None, repr=False)
    environment: str = "local"
    kernel: str = "python3"
    prompt: str | None = None
    temperature: float | None = None
    output_tokens: int | None = None
    window: int | None = None
    timeout_s: float = 300.0
    retries: int = 5
    out: Path | None = None
    pass_env: tuple[str, ...] = ()
    image: str | None = None
    packages: tuple[str, ...] = ()
    network: str = "none"
    memory: str = "2g"
    cpus: float = 2.0
    pids: int = 1024
    tmpfs: str = "1g"
    mounts: tuple[str, ...] = ()
    children: str = "own"
    app: str = "rlm-kernel"
    transport: str = "exec"
    gpu: str | None = None
    region: str | None = None
    secrets: tuple[str, ...] = ()
    sandbox_seconds: int = 3600

    @property
    def sandbox(self) -> dict[str, Any]:
        """What the provisioner of the environment's sandbox is told; empty where there is none."""
        values = {name: getattr(self, name) for name in SANDBOX.get(self.environment, ())}
        values |= {"mounts": mounted(self.mounts)} if "mounts" in values else {}
        lists = {n: list(v) for n, v in values.items() if isinstance(v, tuple)}
        return {n: v for n, v in (values | lists).items() if v not in (None, {}, [])}

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


@dataclass(frozen=True)
class Layer:
    """Values by name and where they were written; a string is read as text from outside.

    ``origin`` is what ``InForce.origins`` shows. In it ``{name}`` stands for the setting's name,
    ``{option}`` for the name as an option has it, ``{NAME}`` for it in capitals: a cell's options
    are ``Layer("--{option}", ...)``. A None in a layer counts: it lifts a limit.
    """

    origin: str
    values: Mapping[str, Any]

    def source(self, name: str) -> str:
        """Where the value of ``name`` came from."""
        forms = {"{name}": name, "{option}": option_name(name), "{NAME}": name.upper()}
        for form, text in forms.items():
            if form in self.origin:
                return self.origin.replace(form, text)
        return self.origin

    def label(self, name: str) -> str:
        """How an error calls the value of ``name``."""
        source = self.source(name)
        return source if source != self.origin else f"{source}: {name}"


def option_name(name: str) -> str:
    """A setting's name as an option has it, without the dashes before it."""
    return {"environment": "env"}.get(name, name.replace("_", "-"))


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


def mounted(paths: tuple[str, ...]) -> dict[str, str]:
    """Folders and files here to where code in a container finds them."""
    whole = [Path(path).expanduser().resolve() for path in paths]
    return {str(path): f"/mnt/{path.name or 'root'}" for path in whole}


def in_force(
    given: Mapping[str, Any] | None = None,
    *,
    limits: Limits | None = None,
    layers: Sequence[Layer] = (),
    environ: Mapping[str, str] | None = None,
    config: Sequence[Layer] = (),
) -> InForce:
    """Settle every setting.

    ``given`` holds arguments by name, where None counts as not given. ``layers``, strongest first,
    come between them and the environment; ``config``, strongest first, is what ``config.load``
    read. ``limits`` is an argument: beside it only ``given`` and ``layers`` set limits.

    Raises ``UsageError`` for an unknown name (with the nearest right one) or a wrong value.
    """
    environ = os.environ if environ is None else environ
    arguments = {name: value for name, value in (given or {}).items() if value is not None}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in [Layer("argument {name}", arguments), *layers]:
        _fill(values, origins, layer, without=())
    for layer in [_variables(environ), *config]:
        _fill(values, origins, layer, without=LIMIT_NAMES if limits else ())
    _keep_keys_at_home(values, origins, config)
    _openai_variables(values, origins, environ)
    settings = Settings(**{n: v for n, v in values.items() if n not in LIMIT_NAMES})
    changed = {LIMIT_NAMES[n]: v for n, v in values.items() if n in LIMIT_NAMES}
    return InForce(settings, dataclasses.replace(limits or Limits(), **changed), origins)


def _fill(
    values: dict[str, Any], origins: dict[str, str], layer: Layer, without: Container[str]
) -> None:
    """Take from a layer what no stronger one has set."""
    for name, value in layer.values.items():
        if name not in MEANINGS:
            raise UsageError(f"unknown setting {name!r}{did_you_mean(name, MEANINGS)}")
        if name not in values and name not in without:
            values[name] = checked(name, value, layer.label(name))
            origins[name] = layer.source(name)


def _variables(environ: Mapping[str, str]) -> Layer:
    ours = {name: environ.get(f"RLM_{name.upper()}") for name in MEANINGS}
    return Layer("RLM_{NAME}", {name: text for name, text in ours.items() if text})


def _keep_keys_at_home(
    values: dict[str, Any], origins: dict[str, str], config: Sequence[Layer]
) -> None:
    """Drop a config file's key where a stronger layer names the endpoint: it is not that one's."""
    files = {layer.origin for layer in config}
    for key, url in (("api_key", "base_url"), ("sub_api_key", "sub_base_url")):
        if values.get(url) and origins.get(key) in files and origins[url] not in files:
            del values[key]
            origins[key] = f"the one in {origins[key]} is not for the {url} of {origins[url]}"


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
    """A sentence for each ``RLM_...`` variable that is no setting but nearly one. No values."""
    environ = os.environ if environ is None else environ
    known = {f"RLM_{name.upper()}" for name in MEANINGS}
    sentences = []
    for variable in sorted(environ):
        if variable.startswith("RLM_") and variable not in known | _OTHER_VARIABLES:
            near = difflib.get_close_matches(variable[4:], [name[4:] for name in known], 1, 0.7)
            if near:
                sentences.append(f"{variable} is no setting; did you mean RLM_{near[0]}?")
    return sentences
