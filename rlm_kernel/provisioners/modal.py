"""The kernel provisioner ``rlm-modal``: a kernel in a Modal sandbox."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from traitlets import Dict, Enum, Float, Int, List, Unicode

from ..errors import KernelStartError, UsageError
from ..limits import Rate
from . import images
from .base import BOOTSTRAP, RelayProvisioner, apart
from .cloud import HOST_TAG
from .marks import host_mark
from .pipe import Pipe
from .reaper import REAPERS
from .recipes import Recipe
from .sandbox import PATIENCE_S, Place, Shape, SharedPlace
from .tunnelled import SharedTunnelPlace, TunnelPlace

OWN_USERS = (20_000, 60_000)
_next = itertools.count(random.randrange(OWN_USERS[1]))  # sandboxes may be on one machine
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class ModalProvisioner(RelayProvisioner):
    """For any Jupyter client, from a kernelspec whose ``kernel_provisioner`` names it.

    The sandbox ends when its relay has gone; what this process leaves behind when it is killed,
    ``reaper`` terminates, and at ``timeout`` the service does.
    """

    app = Unicode("rlm-kernel", config=True, help="Modal app of the sandboxes; made if need be.")
    image = Unicode(
        "",
        config=True,
        help="Image of a registry, or the id of one at Modal (im-...), to use as it is; by default"
        " Debian with this Python version and ipykernel is built at Modal on first use.",
    )
    packages: List[str] = List(
        Unicode(), config=True, help="What pip installs besides, when the image is built."
    )
    network = Enum(
        ("none", "bridge"),
        default_value="none",
        config=True,
        help="'bridge' lets code in the sandbox reach the internet.",
    )
    transport = Enum(
        ("exec", "http"),
        default_value="exec",
        config=True,
        help="'exec': over the SDK, with no network at all. 'http': over an HTTPS tunnel.",
    )
    memory = Unicode("2g", config=True, help="Limit of memory.")
    cpus = Float(2.0, config=True, help="Limit of processor time, in physical cores.")
    pids = Int(1024, config=True, help="Limit of processes and threads.")
    gpu = Unicode("", config=True, help="A GPU such as 'L4' or 'H100:2'; by default none.")
    region = Unicode("", config=True, help="Where the sandbox runs, such as 'eu'.")
    sandbox_seconds = Int(
        3600, config=True, help="Seconds after which Modal ends the sandbox, 24 hours at most."
    )
    secrets: List[str] = List(
        Unicode(), config=True, help="Names of Modal secrets that code in the sandbox may read."
    )
    mounts: Dict[str, str] = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        config=True,
        help="Folders or files here to paths inside; copies.",
    )
    work = Unicode("/work", config=True, help="The working folder inside.")
    user = Unicode(
        "",
        config=True,
        help="User and group of the kernel, as numbers; by default each sandbox has its own, and"
        " over exec each kernel.",
    )
    labels: Dict[str, str] = Dict(
        key_trait=Unicode(), value_trait=Unicode(), config=True, help="More tags."
    )
    join = Unicode(
        "",
        config=True,
        help="Id of a sandbox of ours that runs: start in it, with its image and limits. That is"
        " quicker; the kernels in it can reach each other, and end together.",
    )

    silence = Float(
        PATIENCE_S, config=True, help="Seconds without a sign of life after which it is given up."
    )
    patience = Float(
        PATIENCE_S, config=True, help="Seconds after which a relay that hears nothing here ends."
    )

    place: Place | None = None
    _program = BOOTSTRAP
    _last_words = ""

    async def open_pipe(self) -> Pipe:
        await asyncio.to_thread(self._prepare)
        assert self.place is not None
        pipe: Pipe = await apart(self.place.open, self._program)
        return pipe

    def _prepare(self) -> None:
        """The recipe, and the one who terminates sandboxes if we cannot."""
        shape = self._shape()
        if not self.join:
            REAPERS["modal"].watch(self._selector)
        if self.transport == "http":
            self.place = SharedTunnelPlace(shape, self.join) if self.join else TunnelPlace(shape)
        else:
            self.place = SharedPlace(shape, self.join) if self.join else Place(shape)

    @property
    def _selector(self) -> str:
        return f"{self.app}/{HOST_TAG}={host_mark()}"

    def _shape(self) -> Shape:
        return Shape(
            recipe=Recipe(self.image, tuple(self.packages), tuple(self.mounts.items())),
            app=self.app,
            network=self.network != "none",
            cpus=self.cpus,
            memory=size(self.memory),
            pids=self.pids,
            gpu=self.gpu or None,
            region=self.region or None,
            timeout_s=self.sandbox_seconds,
            secrets=tuple(self.secrets),
            tags=self.labels,
            work=self.work,
            user=self._user(),
            patience_s=self.patience,
        )

    def _user(self) -> tuple[int, int]:
        """The limit of processes is counted by user, and users cannot end each other's."""
        if not self.user:
            own = OWN_USERS[0] + next(_next) % (OWN_USERS[1] - OWN_USERS[0])
            return own, own
        uid, _, gid = self.user.partition(":")
        if not (uid.isdigit() and gid.isdigit()):
            raise UsageError(f"the setting `user` is {self.user!r}: write numbers: 65534:65534")
        return int(uid), int(gid)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """As the base's; the error has what the relay wrote last."""
        self._program = images.GUARD + BOOTSTRAP if "ipykernel" in str(cmd) else BOOTSTRAP
        try:
            return await super().launch_kernel(cmd, **kwargs)
        except (KernelStartError, UsageError) as error:
            if not self._last_words:
                raise
            raise type(error)(f"{error}; it wrote:\n{self._last_words}") from error

    async def close_place(self) -> None:
        place, self.place = self.place, None
        if place is not None:
            self._last_words = place.last_words()
            try:
                await asyncio.to_thread(place.close)
                if not self.join:
                    REAPERS["modal"].gone(self._selector)
            except (KernelStartError, UsageError) as error:
                # Its relay gives up, and the sandbox ends with it or at its time limit.
                self.log.warning("%s; `rlm clean --env modal` ends what is left", error)

    @property
    def sandbox(self) -> str:
        return self.place.name if self.place is not None else ""

    @property
    def rate(self) -> Rate:
        return self.place.rate if self.place is not None else Rate()

    async def reason(self) -> str:
        if self.carrier is None or self.place is None or not self.carrier.exited.done():
            return ""
        said = self.carrier.reason
        if self.place.pipe is not None and self.place.pipe.reason:
            return str(self.place.pipe.reason)
        if "out of memory" in said:
            return f"{said}\nThe sandbox's limit of memory is {self.memory} (`memory`)."
        return said


def size(text: str) -> int:
    """Bytes, of a size such as 512m or 2g. Raises ``UsageError``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)b?", text.strip().lower())
    if found is None:
        raise UsageError(f"the setting `memory` is {text!r}: write a size, such as 512m or 2g")
    return int(float(found[1]) * SIZES[found[2]])
