"""Every setting: its name, what it means, its default."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STYLES = ("strong", "small")
"""The names of ``rlm.prompts.STYLES``."""
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
    "prompt": STYLES,
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
the user to say; so is what an environment bills."""
BILLED = {"modal": ("memory", "cpus")}
"""By environment: the options that cost more the more is asked for."""
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
    "timeout_s": "seconds for a request; in a stream for the silence between two pieces, "
    "and six times as many for all of it",
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


def mounted(paths: tuple[str, ...]) -> dict[str, str]:
    """Folders and files here to where code in a container finds them."""
    whole = [Path(path).expanduser().resolve() for path in paths]
    return {str(path): f"/mnt/{path.name or 'root'}" for path in whole}


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
