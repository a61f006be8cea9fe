"""Every setting: its name, what it means, its default, and all that a face must know of it.

A new one is a field of ``Settings``; ``python -m tests.guide`` makes the guide's table anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .limits import LIMITS
from .option import Cap, Face, Group, declared, options_of
from .rules import (
    check_fields,
    check_files,
    check_headers,
    check_positive,
    check_size,
    check_variables,
    mounted,
)

CONFIRM = ("off", "first", "always")
"""The cells that a human is asked for, the least strict first."""
STYLES = ("strong", "small")
"""The names of ``rlm.prompts.STYLES``."""
ENVIRONMENTS = ("local", "bwrap", "docker", "modal")
_SANDBOXES = ("bwrap", "docker", "modal")
_WITH_IMAGES = ("docker", "modal")

_of_lm = partial(declared, group=Group.LM)
_spoken = partial(_of_lm, faces=Face.EVERY, recorded=True, from_record=True)
_added = partial(_of_lm, faces=Face.COMMAND, metavar="JSON", recorded=True, check=check_fields)
_of_folder = partial(declared, group=Group.FOLDER)
_of_place = partial(declared, group=Group.PLACE)
_cells = partial(_of_place, faces=Face.COMMAND | Face.LINE, recorded=True, from_record=True)
_of_sandbox = partial(_of_place, faces=Face.COMMAND, sandboxes=_SANDBOXES)
_of_image = partial(_of_sandbox, sandboxes=_WITH_IMAGES)
_of_modal = partial(_of_sandbox, sandboxes=("modal",))


@dataclass(frozen=True)
class Settings:
    """Everything that can be set but the limits and the tools. No ``repr`` shows a key.

    Whether code may reach the network, files of this machine or secrets, and what it is given that
    costs more, is for the user to say: no record decides it.
    """

    model: str | None = _spoken(
        None,
        "the LM that writes the cells; by default gpt-5 at OpenAI, elsewhere the only one there is",
        cap=Cap.AMONG,
    )
    sub_model: str | None = _spoken(
        None,
        "the LM that llm_query asks; by default gpt-5-mini beside gpt-5, else the author",
        cap=Cap.AMONG,
    )
    base_url: str | None = _of_lm(
        None, "any OpenAI-compatible endpoint", faces=Face.EVERY, metavar="URL", cap=Cap.AMONG
    )
    sub_base_url: str | None = _of_lm(
        None,
        "the sub-LM's endpoint, where it is another",
        faces=Face.EVERY,
        metavar="URL",
        cap=Cap.AMONG,
    )
    api_key: str | None = _of_lm(None, "the endpoint's key", secret=True)
    api_key_file: str | None = _of_lm(
        None, "a file with the endpoint's key", faces=Face.COMMAND, metavar="PATH"
    )
    api_key_command: str | None = _of_lm(
        None, "a command that writes the endpoint's key, such as a keyring's; no shell runs it"
    )
    sub_api_key: str | None = _of_lm(None, "the key of the sub-LM's endpoint", secret=True)
    sub_api_key_file: str | None = _of_lm(None, "a file with that key")
    sub_api_key_command: str | None = _of_lm(None, "a command that writes that key")
    headers: dict[str, str] | None = _of_lm(  # noqa: RUF009 (it is a field)
        None,
        "HTTP headers for the endpoint, as a JSON object; their values are secrets",
        secret=True,
        check=check_headers,
    )
    sub_headers: dict[str, str] | None = _of_lm(  # noqa: RUF009 (it is a field)
        None, "those for the sub-LM's endpoint", secret=True, check=check_headers
    )
    body: dict[str, Any] | None = _added(  # noqa: RUF009 (it is a field)
        None, "fields that are added to every request to the endpoint, as a JSON object"
    )
    sub_body: dict[str, Any] | None = _added(  # noqa: RUF009 (it is a field)
        None, "those that are added to the sub-LM's requests instead"
    )
    confirm: str = declared(
        "off",
        "off, first or always: the LM's cells that a human must accept before they run: none, the "
        "first one of a question and of each child, or every one",
        group=Group.CONSENT,
        faces=Face.EVERY,
        choices=CONFIRM,
        cap=Cap.LEAST,
        recorded=True,
        from_record=True,
    )
    environment: str = _cells(
        "local",
        f"where cells run: {', '.join(ENVIRONMENTS)}",
        choices=ENVIRONMENTS,
        called="env",
        cap=Cap.AMONG,
    )
    kernel: str = _cells("python3", "the kernelspec that runs cells")
    prompt: str | None = _spoken(
        None,
        f"{' or '.join(STYLES)}; by default small for the embedded LM, strong for all others",
        choices=STYLES,
    )
    temperature: float | None = _spoken(
        None,
        "the author's sampling temperature; sent only when set",
        metavar="T",
        least=0,
    )
    reasoning_effort: str | None = _spoken(
        None,
        "how hard the author thinks, in the endpoint's words, such as low; sent only when set",
        metavar="WORD",
    )
    vision: str = _spoken(
        "off",
        "off or on: whether the author, if it sees, is shown the figures and images of its cells",
        choices=("off", "on"),
    )
    loops: str = _spoken(
        "batched",
        "batched or serial: whether a loop of the LM's that asks llm_query about each item asks "
        "about many at once",
        choices=("batched", "serial"),
    )
    output_tokens: int | None = _of_lm(None, "the longest reply asked for", least=1)
    window: int | None = _of_lm(
        None, "the LM's context window in tokens, where it is not known by its name", least=1
    )
    timeout_s: float = _of_lm(
        300.0,
        "seconds for a request; in a stream for the silence between two pieces, "
        "and six times as many for all of it",
        check=check_positive,
    )
    retries: int = _of_lm(5, "how often a failed request is tried again", least=0)
    telemetry: str = _of_lm(
        "off",
        "off, on or content: whether a run is exported as OpenTelemetry spans, and with its texts",
        faces=Face.COMMAND,
        choices=("off", "on", "content"),
    )
    out: Path | None = _of_folder(  # noqa: RUF009 (it is a field)
        None,
        "the run's folder; by default a new one under rlm-runs",
        faces=Face.EVERY,
        metavar="DIR",
    )
    exclude: tuple[str, ...] = declared(
        (),
        "patterns, as in .gitignore, of what a folder leaves out; "
        "!NAME takes in what it skips by default",
        group=Group.INPUT,
        faces=Face.EVERY,
        metavar="PATTERNS",
    )
    pass_env: tuple[str, ...] = _of_place(
        (),
        "names of environment variables that cells are given besides the usual ones",
        check=check_variables,
    )
    nursery: str = _of_place(
        "on",
        "on or off: whether kernels on this machine are forked from a process that has imported "
        "what they need",
        choices=("on", "off"),
    )
    snapshots: str = _of_place(
        "auto",
        "auto, on or off: whether kernels keep frozen forks of themselves to go back to; auto: "
        "after the LM's cells, as far as that costs no time; on: after every cell",
        faces=Face.COMMAND | Face.LINE,
        choices=("auto", "on", "off"),
    )
    image: str | None = _of_image(
        None, "a sandbox's image; by default one is built on first use", from_record=True
    )
    packages: tuple[str, ...] = _of_image(
        (),
        "Python packages that are put into a sandbox's image",
        metavar="NAMES",
        from_record=True,
    )
    network: str = _of_sandbox(
        "none",
        "none or bridge: whether code in a sandbox reaches the network",
        choices=("none", "bridge"),
        cap=Cap.AMONG,
    )
    memory: str = _of_sandbox(
        "2g",
        "a sandbox's limit of memory, such as 2g",
        metavar="SIZE",
        check=check_size,
        from_record=True,
        billed=("modal",),
    )
    cpus: float = _of_image(
        2.0,
        "a sandbox's limit of processor time, in processors",
        metavar="N",
        least=0.01,
        from_record=True,
        billed=("modal",),
    )
    pids: int = _of_sandbox(
        1024,
        "a sandbox's limit of processes and threads",
        metavar="N",
        least=16,  # a kernel and what it speaks through have about ten
        from_record=True,
    )
    tmpfs: str = _of_sandbox(
        "1g",
        "the size of /work and of /tmp in a sandbox of this machine, such as 1g",
        sandboxes=("bwrap", "docker"),
        metavar="SIZE",
        check=check_size,
        from_record=True,
    )
    mounts: tuple[str, ...] = _of_sandbox(
        (),
        "folders and files that code in a sandbox may read, each at /mnt/NAME",
        metavar="PATHS",
        check=check_files,
    )
    children: str = _of_place(
        "own",
        "own or shared: whether a child has a sandbox of its own or uses the root's",
        faces=Face.COMMAND,
        choices=("own", "shared"),
    )
    app: str = _of_modal("rlm-kernel", "the Modal app that sandboxes belong to")
    transport: str = _of_modal(
        "exec",
        "exec or http: how a Modal sandbox is reached",
        choices=("exec", "http"),
        from_record=True,
    )
    gpu: str | None = _of_modal(None, "the GPU of a Modal sandbox, such as L4 or H100:2")
    region: str | None = _of_modal(None, "where a Modal sandbox runs, such as eu")
    secrets: tuple[str, ...] = _of_modal(
        (), "names of Modal secrets that code in a sandbox may read", metavar="NAMES"
    )
    sandbox_seconds: int = _of_modal(
        3600,
        "seconds after which Modal ends a sandbox, whatever becomes of us",
        metavar="N",
        least=10,
    )

    @property
    def sandbox(self) -> dict[str, Any]:
        """The settings that the sandbox's provisioner is told; empty where there is no sandbox."""
        values = {name: getattr(self, name) for name in SANDBOX.get(self.environment, ())}
        values |= {"mounts": mounted(self.mounts)} if "mounts" in values else {}
        lists = {n: list(v) for n, v in values.items() if isinstance(v, tuple)}
        return {n: v for n, v in (values | lists).items() if v not in (None, {}, [])}

    @property
    def embedded(self) -> bool:
        """True where nothing names an endpoint, so that the embedded LM is the one."""
        return not (self.base_url or self.api_key or self.api_key_file or self.api_key_command)


OPTIONS = options_of(Settings) | LIMITS
"""Everything that can be set, by name."""
LIMIT_NAMES = {name: option.field for name, option in LIMITS.items()}
CHOICES = {name: option.choices for name, option in OPTIONS.items() if option.choices}
"""The values of settings that have few."""
SECRETS = tuple(name for name, option in OPTIONS.items() if option.secret)
SANDBOX = {
    environment: tuple(n for n, option in OPTIONS.items() if environment in option.sandboxes)
    for environment in _SANDBOXES
}
"""The settings of each environment that has a sandbox, by the names its provisioner has for them.
"""
BILLED = {
    environment: names
    for environment in SANDBOX
    if (names := tuple(n for n, option in OPTIONS.items() if environment in option.billed))
}
"""By environment: the options that cost more the more is asked for."""
