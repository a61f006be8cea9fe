"""The kernel provisioner ``rlm-modal``: a kernel in a Modal sandbox."""

from __future__ import annotations

import asyncio
import itertools
import random
import re

from traitlets import Enum, Float, Int, List, Unicode

from ...endings import in_daemon_thread
from ...errors import UsageError
from ...settings.limits import Rate
from ..owner_tag import host_mark
from ..pipe.pipe import Pipe
from ..pipe.sandboxed import SandboxProvisioner
from .image import ModalImage
from .sandbox import PATIENCE_S, ModalSandbox, Shape, SharedPlace
from .sdk import HOST_TAG
from .tunnelled import SharedTunnelPlace, TunnelPlace

OWN_USERS = (20_000, 60_000)
_next = itertools.count(random.randrange(OWN_USERS[1]))  # sandboxes may be on one machine
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class ModalProvisioner(SandboxProvisioner):
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
    transport = Enum(
        ("exec", "http"),
        default_value="exec",
        config=True,
        help="'exec': over the SDK, with no network at all. 'http': over an HTTPS tunnel.",
    )
    cpus = Float(2.0, config=True, help="Limit of processor time, in physical cores.")
    gpu = Unicode("", config=True, help="A GPU such as 'L4' or 'H100:2'; by default none.")
    region = Unicode("", config=True, help="Where the sandbox runs, such as 'eu'.")
    sandbox_seconds = Int(
        3600, config=True, help="Seconds after which Modal ends the sandbox, 24 hours at most."
    )
    secrets: List[str] = List(
        Unicode(), config=True, help="Names of Modal secrets that code in the sandbox may read."
    )
    work = Unicode("/work", config=True, help="The working folder inside.")
    user = Unicode(
        "",
        config=True,
        help="User and group of the kernel, as numbers; by default each sandbox has its own, and"
        " over exec each kernel.",
    )
    silence = Float(
        PATIENCE_S, config=True, help="Seconds without a sign of life after which it is given up."
    )
    patience = Float(
        PATIENCE_S, config=True, help="Seconds after which a relay that hears nothing here ends."
    )

    vendor = "modal"
    clean_up = "rlm clean --env modal"
    place: ModalSandbox | None = None

    async def open_pipe(self) -> Pipe:
        await asyncio.to_thread(self._prepare)
        assert self.place is not None
        pipe: Pipe = await in_daemon_thread(self.place.open, self._program)
        return pipe

    def _prepare(self) -> None:
        """The recipe, and the one who terminates sandboxes if we cannot."""
        shape = self._shape()
        if not self.join:
            self._watch()
        if self.transport == "http":
            self.place = SharedTunnelPlace(shape, self.join) if self.join else TunnelPlace(shape)
        else:
            self.place = SharedPlace(shape, self.join) if self.join else ModalSandbox(shape)

    @property
    def _selector(self) -> str:
        return f"{self.app}/{HOST_TAG}={host_mark()}"

    def _shape(self) -> Shape:
        return Shape(
            recipe=ModalImage(self.image, tuple(self.packages), tuple(self.mounts.items())),
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

    @property
    def rate(self) -> Rate:
        return self.place.rate if self.place is not None else Rate()


def size(text: str) -> int:
    """Bytes, of a size such as 512m or 2g. Raises ``UsageError``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)b?", text.strip().lower())
    if found is None:
        raise UsageError(f"the setting `memory` is {text!r}: write a size, such as 512m or 2g")
    return int(float(found[1]) * SIZES[found[2]])
