"""Those who run sandboxes: what is the same to ask of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from . import cloud, engine, strays
from .docker import DockerProvisioner
from .modal import ModalProvisioner

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
    with closing(engine.connect()) as client:
        return [f"{stray.name} ({stray.state}, {stray.image})" for stray in do(client)]


def _traits(provisioner: Any) -> Set[str]:
    return set(provisioner.class_trait_names(config=True))


VENDORS = {
    "docker": Vendor(
        provisioner="rlm-docker",
        options=_traits(DockerProvisioner),
        things="containers",
        check=lambda: engine.connect().close(),
        strays=lambda config: _containers(strays.strays),
        remove_strays=lambda config: _containers(strays.remove_strays),
    ),
    "modal": Vendor(
        provisioner="rlm-modal",
        options=_traits(ModalProvisioner),
        things="sandboxes",
        check=cloud.check,
        strays=lambda config: [stray.id for stray in cloud.strays(config["app"])],
        remove_strays=lambda config: [stray.id for stray in cloud.remove_strays(config["app"])],
    ),
}
"""By the name of the environment."""
