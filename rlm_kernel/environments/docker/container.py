"""One hardened container with a relay as its first process, and the pipe to it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import KernelStartError, RLMError, UsageError
from ..owner_tag import host_mark
from .attach_pipe import DockerPipe
from .client import plain_errors
from .strays import HOST_LABEL, LABEL, remove

WORK = "/work"
REASON_SECONDS = 2.0


@dataclass(frozen=True)
class ContainerSpec:
    """The reach of a container and what it may use."""

    image: str
    network: str
    """``none`` or ``bridge``."""
    memory: str
    """Swap is not added to it."""
    cpus: float
    pids: int
    """Processes and threads."""
    tmpfs: str
    """Size of the work folder and of /tmp, each. What lies there counts as memory too."""
    user: str
    """User and group, as numbers."""
    read_only: bool
    runtime: str
    """The engine's own for none."""
    mounts: Mapping[str, str]
    """Folder or file on the engine's machine to path inside; none can be written to."""
    labels: Mapping[str, str]


def host_config(api: Any, spec: ContainerSpec) -> Any:
    """Return the engine's settings for a container. Its default seccomp profile stays on."""
    options = _tmpfs_options(spec)
    return api.create_host_config(
        network_mode=spec.network,
        mem_limit=spec.memory,
        memswap_limit=spec.memory,
        nano_cpus=int(spec.cpus * 1e9),
        pids_limit=spec.pids,
        read_only=spec.read_only,
        tmpfs={WORK: options, "/tmp": options},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        mounts=[_mount(source, inside) for source, inside in spec.mounts.items()],
        runtime=spec.runtime or None,
        auto_remove=True,
        log_config={"Type": "none"},  # the pipe is the output: the engine would keep it on disk
    )


def _tmpfs_options(spec: ContainerSpec) -> str:
    """Return them. Raises ``UsageError`` for a wrong size, and for a user by name: mounting takes
    numbers."""
    if not re.fullmatch(r"\d+:\d+", spec.user):
        raise UsageError(f"the setting `user` is {spec.user!r}: write numbers, such as 65534:65534")
    if not re.fullmatch(r"\d+[kmg]?", spec.tmpfs):
        raise UsageError(f"the setting `tmpfs` is {spec.tmpfs!r}: write a size, such as 512m")
    uid, _, gid = spec.user.partition(":")
    # Where the image has such a folder, runc keeps its mode: the owner must be right then. Without
    # `exec` the engine mounts noexec, and what a cell compiles cannot be loaded.
    return f"size={spec.tmpfs},mode=1777,uid={uid},gid={gid},exec,nosuid,nodev"


def _mount(source: str, inside: str) -> dict[str, Any]:
    # Not recursive: engines before 25 leave a file system mounted below writable.
    options = {"NonRecursive": True, "Propagation": "rprivate"}
    return {
        "Type": "bind",
        "Source": source,
        "Target": inside,
        "ReadOnly": True,
        "BindOptions": options,
    }


class DockerContainer:
    """A container to be. ``open`` makes it and ``close`` removes it, on any thread each; a
    ``close`` that comes while ``open`` is under way has it remove what it makes."""

    def __init__(self, client: Any, spec: ContainerSpec, name: str) -> None:
        self.name = name
        self.pipe: DockerPipe | None = None
        self._client = client
        self._spec = spec
        self._lock = threading.Lock()
        self._unwanted = False
        self._began = time.time()

    def open(self, command: list[str], environment: Mapping[str, str]) -> DockerPipe:
        """Make and start it; return the pipe. Raises ``UsageError`` or ``KernelStartError``;
        nothing is left then."""
        with self._lock:
            if self._unwanted:
                raise KernelStartError("the container is not wanted any more")
            with plain_errors(f"cannot start a container of the image {self._spec.image}"):
                try:
                    return self._open(command, environment)
                except BaseException:
                    self._remove()
                    raise

    def _open(self, command: list[str], environment: Mapping[str, str]) -> DockerPipe:
        api = self._client.api
        api.create_container(
            self._spec.image,
            entrypoint=command[:1],
            command=command[1:],
            name=self.name,
            user=self._spec.user,
            working_dir=WORK,
            environment={"HOME": WORK, "USER": "sandbox", **environment},
            labels={**self._spec.labels, LABEL: "1", HOST_LABEL: host_mark()},
            stdin_open=True,
            host_config=host_config(api, self._spec),
        )
        # Before the start: what the relay says first would be lost.
        wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        self.pipe = DockerPipe(api.attach_socket(self.name, wanted), self.how_it_ended)
        api.start(self.name)
        return self.pipe

    def close(self) -> None:
        """Remove the container. May be called again."""
        self._unwanted = True
        with self._lock, plain_errors(f"cannot remove the container {self.name}"):
            if self.pipe is not None:
                self.pipe.close()
            self._remove()

    def _remove(self) -> None:
        remove(self._client, self.name)

    def last_words(self) -> str:
        """Return what the relay wrote to its standard error: of use where it did not start."""
        said = b"" if self.pipe is None else self.pipe.stderr
        return said.decode("utf-8", "replace").strip()

    def state(self) -> dict[str, Any]:
        """Return the engine's words for its state: Running, Paused, OOMKilled; empty when it is
        gone."""
        with plain_errors(f"cannot look at the container {self.name}"):
            found = self._client.api.containers(all=True, filters={"name": f"^/?{self.name}$"})
            return dict(self._client.api.inspect_container(self.name)["State"]) if found else {}

    def how_it_ended(self) -> str:
        """Return why it ended: out of memory, killed, the engine gone; empty for an end of its
        own."""
        try:
            with plain_errors("the container is lost"):
                code, causes = self._end_by_events()
        except RLMError as error:
            return str(error)
        if "oom" in causes:
            return (
                f"the container ran out of memory (its limit is {self._spec.memory}: the setting"
                " `memory`)"
            )
        if "kill" in causes:
            return f"the container was killed from outside (exit code {code})"
        return f"the container ended (exit code {code})" if code not in ("", "0") else ""

    def _end_by_events(self) -> tuple[str, set[str]]:
        """Return exit code and what befell it. The engine forgets a container that is gone, but
        keeps its last events; the end of the pipe comes a little before that of the container."""
        limit = time.monotonic() + REASON_SECONDS
        while True:
            events = self._client.api.events(
                since=int(self._began) - 1,
                until=f"{time.time():.6f}",
                filters={"container": self.name},
                decode=True,
            )
            happened = {each["Action"]: each["Actor"]["Attributes"] for each in events}
            if "die" in happened or time.monotonic() > limit:
                return happened.get("die", {}).get("exitCode", ""), set(happened)
            time.sleep(0.05)


class SharedContainer(DockerContainer):
    """A further kernel in a container that runs: it starts sooner, and shares that container's
    limits, files and end. Its code can read and end the other kernels' there."""

    _exec = ""

    def _open(self, command: list[str], environment: Mapping[str, str]) -> DockerPipe:
        api = self._client.api
        started = api.exec_create(
            self.name,
            command,
            stdin=True,
            user=self._spec.user,
            workdir=WORK,
            environment=dict(environment),
        )
        self._exec = started["Id"]
        connection = api.exec_start(self._exec, socket=True)
        self.pipe = DockerPipe(connection, self.how_it_ended)
        return self.pipe

    def _remove(self) -> None:
        """Leave the container to the kernel that made it; this one's relay ends with the pipe."""

    def _end_by_events(self) -> tuple[str, set[str]]:
        """Return at once for a relay that ended by itself: the container runs on, and no event
        comes."""
        if self._client.api.exec_inspect(self._exec)["ExitCode"] == 0:
            return "0", set()
        return super()._end_by_events()
