"""Those who run sandboxes: what is the same to ask of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from .docker import client, strays
from .docker.provisioner import DockerProvisioner
from .modal import sdk
from .modal.provisioner import ModalProvisioner

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Vendor:
    """``check``, ``strays`` and ``remove_strays`` block, and raise ``UsageError`` with what to do
    where the vendor cannot be used, ``KernelStartError`` where it does not answer. They are given
    ``Settings.sandbox``."""

    provisioner: str
    """The entry point's name."""
    options: Set[str]
    """The names that its provisioner can be given."""
    things: str
    """What it runs, in the plural."""
    check: Callable[[], None]
    strays: Callable[[Config], list[str]]
    """Those of ours whose process is gone, each in words."""
    remove_strays: Callable[[Config], list[str]]


def _containers(do: Callable[[Any], list[strays.Stray]]) -> list[str]:
    with closing(client.connect()) as engine:
        return [f"{stray.name} ({stray.state}, {stray.image})" for stray in do(engine)]


def _traits(provisioner: Any) -> Set[str]:
    return set(provisioner.class_trait_names(config=True))


VENDORS = {
    "docker": Vendor(
        provisioner="rlm-docker",
        options=_traits(DockerProvisioner),
        things="containers",
        check=lambda: client.connect().close(),
        strays=lambda config: _containers(strays.strays),
        remove_strays=lambda config: _containers(strays.remove_strays),
    ),
    "modal": Vendor(
        provisioner="rlm-modal",
        options=_traits(ModalProvisioner),
        things="sandboxes",
        check=sdk.check,
        strays=lambda config: [stray.id for stray in sdk.strays(config["app"])],
        remove_strays=lambda config: [stray.id for stray in sdk.remove_strays(config["app"])],
    ),
}
"""By the name of the environment."""
