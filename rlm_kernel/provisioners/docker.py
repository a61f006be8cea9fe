"""The kernel provisioner ``rlm-docker``: a kernel in a container with no network."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import closing
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from traitlets import Bool, Dict, Enum, Float, Int, List, Unicode

from ..errors import KernelStartError, UsageError
from . import images, strays
from .base import BOOTSTRAP, RelayProvisioner
from .carrier import Pipe
from .container import Box, Place, SharedPlace
from .engine import connect
from .marks import host_mark
from .reaper import REAPERS


class DockerProvisioner(RelayProvisioner):
    """For any Jupyter client, from a kernelspec whose ``kernel_provisioner`` names it.

    The container's first process is the relay: it ends with its pipe, and the engine removes the
    container then. What this process leaves behind when it is killed, ``reaper`` removes.
    """

    image = Unicode(
        "", config=True, help="Image to use as it is; by default one is built on first use."
    )
    base = Unicode(images.BASE, config=True, help="Image that the default one is built on.")
    packages: List[str] = List(
        Unicode(),
        config=True,
        help="What pip installs besides, into an image built for it: there is no network inside.",
    )
    network = Enum(
        ("none", "bridge"),
        default_value="none",
        config=True,
        help="'bridge' lets code in the container reach whatever this machine reaches.",
    )
    memory = Unicode("2g", config=True, help="Limit of memory; no swap is added.")
    cpus = Float(1.0, config=True, help="Limit of processor time, in processors.")
    pids = Int(1024, config=True, help="Limit of processes and threads.")
    tmpfs = Unicode(
        "1g", config=True, help="Size of /work and of /tmp; what lies there counts as memory."
    )
    user = Unicode("65534:65534", config=True, help="User and group, as numbers.")
    read_only = Bool(True, config=True, help="Whether all but /work and /tmp is read-only.")
    runtime = Unicode("", config=True, help="Runtime of the engine, such as runsc.")
    mounts: Dict[str, str] = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        config=True,
        help="Folders or files here to paths inside; read-only.",
    )
    labels: Dict[str, str] = Dict(
        key_trait=Unicode(), value_trait=Unicode(), config=True, help="More labels."
    )
    join = Unicode(
        "",
        config=True,
        help="Name of a container of ours that runs: start in it, with its image and limits. That"
        " is quicker; the kernels in it can reach each other, and end together.",
    )

    place: Place | None = None
    _client: Any = None
    _image = ""
    _program = BOOTSTRAP
    _last_words = ""

    async def open_pipe(self) -> Pipe:
        await asyncio.to_thread(self._prepare)
        assert self.place is not None
        return await asyncio.to_thread(self.place.open, ["python3", "-c", self._program], {})

    def _prepare(self) -> None:
        """The engine, the image, and the one who removes containers if we cannot."""
        self._client = connect()
        if self.join:
            self.place = SharedPlace(self._client, self._box(), self.join)
            return
        recipe = images.Recipe(self.image, self.base, tuple(self.packages))
        self._image = images.ready_image(self._client, recipe, self.log.info)
        REAPERS["docker"].watch(self._selector)
        self.place = Place(self._client, self._box(), f"rlm-{uuid.uuid4().hex[:12]}")

    @property
    def _selector(self) -> str:
        return f"{strays.HOST_LABEL}={host_mark()}"

    def _box(self) -> Box:
        return Box(
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

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """As the base's; raises ``UsageError`` where the image is at fault."""
        self._program = images.GUARD + BOOTSTRAP if "ipykernel" in str(cmd) else BOOTSTRAP
        try:
            return await super().launch_kernel(cmd, **kwargs)
        except (KernelStartError, UsageError) as error:
            if not self._image:
                raise
            fault = await asyncio.to_thread(self._fault)
            if fault:
                raise UsageError(f"{fault} ({error})") from error
            if self._last_words:
                raise type(error)(f"{error}; it wrote:\n{self._last_words}") from error
            raise

    def _fault(self) -> str:
        with closing(connect()) as client:
            return images.fault(client, self._image)

    async def close_place(self) -> None:
        place, self.place = self.place, None
        if place is not None:
            self._last_words = place.last_words()
            try:
                await asyncio.to_thread(place.close)
                if not self.join:
                    REAPERS["docker"].gone(self._selector)
            except KernelStartError as error:
                # Its pipe is closed: it ends alone, or with the engine.
                self.log.warning("%s; `rlm clean` removes what is left", error)
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def sandbox(self) -> str:
        return self.place.name if self.place is not None else ""

    async def reason(self) -> str:
        if self.carrier is None or self.place is None or not self.carrier.exited.done():
            return ""
        said = self.carrier.reason
        if self.place.pipe is not None and self.place.pipe.reason:
            return self.place.pipe.reason
        if "out of memory" in said:
            return f"{said}\nThe sandbox's limit of memory is {self.memory} (`memory`)."
        state = await asyncio.to_thread(self.place.state)
        return f"the container is paused: {said}" if state.get("Paused") else said
