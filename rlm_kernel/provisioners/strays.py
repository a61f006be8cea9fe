"""Containers carry the mark of the process that made them; those whose process is gone are strays.

A container ends with its pipe and the engine then removes it; ``reaper`` ends what does not. Left
for here is what was made while both were killed.
"""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABEL = "rlm_kernel"
"""On each container of ours, with the value 1."""
HOST_LABEL = "rlm_kernel.host"
"""The process that made it: machine, start of the machine, pid namespace, pid, start."""
REMOVAL_SECONDS = 30


@dataclass(frozen=True)
class Stray:
    """A container whose process is gone."""

    id: str
    name: str
    state: str
    """As the engine says: created, running, paused, exited."""
    image: str
    host: str


def host_mark() -> str:
    """What tells this process from all others, on this machine and on others."""
    return "/".join([*_here(), str(os.getpid()), _started(os.getpid())])


def _here() -> list[str]:
    """Machine, its start and our pid namespace: where a pid means something."""
    boot, namespace = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    return [platform.node(), boot, namespace]


def _started(pid: int) -> str:
    """When a process started, in whatever unit; empty when there is no such process."""
    if os.path.exists("/proc/self/stat"):
        try:
            return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
        except OSError:
            return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return "-".join(done.stdout.split())


def _is_gone(mark: str) -> bool:
    """Whether the process is known to be gone. Of other machines and namespaces nothing is."""
    machine, boot, namespace, pid, started = mark.split("/")
    here = _here()
    if machine != here[0]:
        return False
    if boot != here[1]:
        return True  # the machine was started anew since
    return namespace == here[2] and _started(int(pid)) != started


def labelled(client: Any, label: str) -> list[dict[str, Any]]:
    """The engine's containers with this label, those that never ran included."""
    found: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": label})
    return found


def strays(client: Any) -> list[Stray]:
    """Containers of ours on this engine whose process on this machine is gone."""
    found = []
    for each in labelled(client, f"{LABEL}=1"):
        mark = each["Labels"].get(HOST_LABEL, "")
        if mark.count("/") == 4 and _is_gone(mark):
            name = (each["Names"] or [each["Id"][:12]])[0].lstrip("/")
            found.append(Stray(each["Id"], name, each["State"], each["Image"], mark))
    return found


def remove_strays(client: Any) -> list[Stray]:
    """Remove them; returns those that were there."""
    found = strays(client)
    for stray in found:
        remove(client, stray.id)
    return found


def remove(client: Any, container: str) -> None:
    """End and remove a container, whatever its state; return when it is gone."""
    docker = importlib.import_module("docker")
    with suppress(docker.errors.NotFound):
        try:
            client.api.remove_container(container, force=True, v=True)
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise
            # Its first process ended by itself, and the engine is at it.
            client.api.wait(container, timeout=REMOVAL_SECONDS, condition="removed")
