"""The kernel provisioner ``rlm-modal``: a kernel in a Modal sandbox."""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path

from traitlets import Enum, Float, Int, List, Unicode

from ...endings import in_daemon_thread
from ...errors import UsageError
from ...remote import bootstrap
from ...settings.limits import Rate
from ...settings.rules import size
from ...settings.values import CHOICES, Settings
from ..owner_tag import host_mark
from ..pipe.pipe import Pipe
from ..pipe.programs import source
from ..pipe.reaper import Reaper
from ..pipe.vendor import VendorProvisioner
from .image import ModalImage
from .sandbox import PATIENCE_S, ModalSandbox, SandboxSpec, SharedSandbox
from .sdk import HOST_TAG

OWN_USERS = (20_000, 60_000)
_next = itertools.count(random.randrange(OWN_USERS[1]))  # sandboxes may be on one machine


class ModalProvisioner(VendorProvisioner):
    """For any Jupyter client, from a kernelspec whose ``kernel_provisioner`` names it.

    The sandbox ends when its relay has gone; what this process leaves behind when it is killed,
    ``remote.reaper`` terminates, and at ``sandbox_seconds`` the service does.
    """

    app = Unicode(Settings.app, config=True, help="Modal app of the sandboxes; made if need be.")
    image = Unicode(
        "",
        config=True,
        help="Image of a registry, or the id of one at Modal (im-...), to use as it is; by default"
        " Debian with this Python version and ipykernel is built at Modal on first use.",
    )
    transport = Enum(
        CHOICES["transport"],
        default_value=Settings.transport,
        config=True,
        help="'exec': over the SDK, with no network at all. 'http': over an HTTPS tunnel.",
    )
    cpus = Float(Settings.cpus, config=True, help="Limit of processor time, in physical cores.")
    gpu = Unicode("", config=True, help="A GPU such as 'L4' or 'H100:2'; by default none.")
    region = Unicode("", config=True, help="Where the sandbox runs, such as 'eu'.")
    sandbox_seconds = Int(
        Settings.sandbox_seconds,
        config=True,
        help="Seconds after which Modal ends the sandbox, 24 hours at most.",
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
    reaper = Reaper(Path(__file__).with_name("reaping.py"), ("MODAL_",))
    sandbox: ModalSandbox | None = None

    async def open_pipe(self) -> Pipe:
        await asyncio.to_thread(self._prepare)
        assert self.sandbox is not None
        pipe: Pipe = await in_daemon_thread(self.sandbox.open, source(bootstrap))
        return pipe

    def _prepare(self) -> None:
        """Make ready the sandbox, and the one who terminates sandboxes if we cannot."""
        spec = self._spec()
        if not self.join:
            self._watch()
        if self.transport == "http":
            from .tunnelled import SharedTunnelSandbox, TunnelSandbox  # a web server among it

            tunnelled = SharedTunnelSandbox if self.join else TunnelSandbox
            self.sandbox = tunnelled(spec, self.join)
        else:
            self.sandbox = (SharedSandbox if self.join else ModalSandbox)(spec, self.join)

    @property
    def _selector(self) -> str:
        return f"{self.app}/{HOST_TAG}={host_mark()}"

    def _spec(self) -> SandboxSpec:
        return SandboxSpec(
            image=ModalImage(self.image, tuple(self.packages), tuple(self.mounts.items())),
            app=self.app,
            network=self.network != "none",
            cpus=self.cpus,
            memory=size(self.memory, "memory"),
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
        """Return user and group. The limit of processes is counted by user, and users cannot end
        each other's."""
        if not self.user:
            own = OWN_USERS[0] + next(_next) % (OWN_USERS[1] - OWN_USERS[0])
            return own, own
        uid, _, gid = self.user.partition(":")
        if not (uid.isdigit() and gid.isdigit()):
            raise UsageError(f"the setting `user` is {self.user!r}: write numbers: 65534:65534")
        return int(uid), int(gid)

    @property
    def rate(self) -> Rate:
        return self.sandbox.rate if self.sandbox is not None else Rate()
