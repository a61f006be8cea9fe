"""Containers carry the mark of the process that made them; those whose process is gone are strays.

A container ends with its pipe and the engine then removes it; ``remote.reaper`` ends what does not.
Left for here is what was made while both were killed.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..owner_tag import is_gone

LABEL = "rlm_kernel"
"""On each container of ours, with the value 1."""
HOST_LABEL = "rlm_kernel.host"
"""The mark of the process that made it."""
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


def labelled(client: Any, label: str) -> list[dict[str, Any]]:
    """Return the engine's containers with this label, those that never ran included."""
    found: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": label})
    return found


def strays(client: Any) -> list[Stray]:
    """Return the containers of ours on this engine whose process on this machine is gone."""
    found = []
    for each in labelled(client, f"{LABEL}=1"):
        mark = each["Labels"].get(HOST_LABEL, "")
        if is_gone(mark):
            name = (each["Names"] or [each["Id"][:12]])[0].lstrip("/")
            found.append(Stray(each["Id"], name, each["State"], each["Image"], mark))
    return found


def remove_strays(client: Any) -> list[Stray]:
    """Remove them; return those that were there."""
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
