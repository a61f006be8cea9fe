"""The kernel provisioner ``rlm-docker``: a kernel in a container with no network."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

from traitlets import Bool, Float, Unicode

from ...remote import bootstrap
from ...settings.values import Settings
from ..owner_tag import host_mark
from ..pipe.carrier import PipedKernel
from ..pipe.pipe import Pipe
from ..pipe.programs import command
from ..pipe.reaper import Reaper
from ..pipe.vendor import VendorProvisioner
from . import images, strays
from .client import connect
from .container import ContainerSpec, DockerContainer, SharedContainer


class DockerProvisioner(VendorProvisioner):
    """For any Jupyter client, from a kernelspec whose ``kernel_provisioner`` names it.

    The container's first process is the relay: it ends with its pipe, and the engine removes the
    container then. What this process leaves behind when it is killed, ``remote.reaper`` removes.
    """

    image = Unicode(
        "", config=True, help="Image to use as it is; by default one is built on first use."
    )
    base = Unicode(images.BASE, config=True, help="Image that the default one is built on.")
    cpus = Float(Settings.cpus, config=True, help="Limit of processor time, in processors.")
    tmpfs = Unicode(
        Settings.tmpfs,
        config=True,
        help="Size of /work and of /tmp; what lies there counts as memory.",
    )
    user = Unicode("65534:65534", config=True, help="User and group, as numbers.")
    read_only = Bool(True, config=True, help="Whether all but /work and /tmp is read-only.")
    runtime = Unicode("", config=True, help="Runtime of the engine, such as runsc.")
    vendor = "docker"
    reaper = Reaper(Path(__file__).with_name("reaping.py"), ("DOCKER_",))
    sandbox: DockerContainer | None = None
    _client: Any = None
    _image = ""

    async def open_pipe(self) -> Pipe:
        await asyncio.to_thread(self._prepare)
        assert self.sandbox is not None
        return await asyncio.to_thread(self.sandbox.open, command(bootstrap), {})

    def _prepare(self) -> None:
        """Make ready the engine, the image, and the one who removes containers if we cannot."""
        self._client = connect()
        if self.join:
            self.sandbox = SharedContainer(self._client, self._spec(), self.join)
            return
        recipe = images.ImageRecipe(self.image, self.base, tuple(self.packages))
        self._image = images.ready_image(self._client, recipe, self.log.info)
        self._watch()
        self.sandbox = DockerContainer(self._client, self._spec(), f"rlm-{uuid.uuid4().hex[:12]}")

    @property
    def _selector(self) -> str:
        return f"{strays.HOST_LABEL}={host_mark()}"

    def _spec(self) -> ContainerSpec:
        return ContainerSpec(
            image=self._image,
            network=self.network,
            memory=self.memory,
            cpus=self.cpus,
            pids=self.pids,
            tmpfs=self.tmpfs,
            user=self.user,
            read_only=self.read_only,
            runtime=self.runtime,
            mounts=self.mounts,
            labels=self.labels,
        )

    def _fault(self) -> str:
        if not self._image:
            return ""
        with closing(connect()) as client:
            return images.fault(client, self._spec())

    async def close_sandbox(self) -> None:
        await super().close_sandbox()
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def reason_of(self, kernel: PipedKernel) -> str:
        said, container = await super().reason_of(kernel), self.sandbox
        if not said or container is None or (container.pipe and container.pipe.reason):
            return said
        state = await asyncio.to_thread(container.state)
        return f"the container is paused: {said}" if state.get("Paused") else said
