"""Kernels in sandboxes for the tests, started as any Jupyter client starts them."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

ARGV = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
SECONDS = 30
STATUS = """
fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
names = ("Uid", "CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")
print({name: fields[name].split()[0] for name in names})
"""
"""Prints what rights code has."""
NO_PRIVILEGES = {
    "Uid": "65534",
    **dict.fromkeys(("CapEff", "CapPrm", "CapBnd"), "0" * 16),
    "NoNewPrivs": "1",
    "Seccomp": "2",
}


def write_spec(
    folder: Path, name: str, config: dict[str, Any], provisioner: str = "rlm-docker"
) -> Path:
    """A kernelspec that names the provisioner; returns the folder for ``kernel_dirs``."""
    spec = {
        "argv": ARGV,
        "display_name": name,
        "language": "python",
        "metadata": {"kernel_provisioner": {"provisioner_name": provisioner, "config": config}},
    }
    (folder / name).mkdir(parents=True)
    (folder / name / "kernel.json").write_text(json.dumps(spec))
    return folder


class Sandbox:
    """A kernel in a sandbox, and what its cells print."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    @property
    def provisioner(self) -> Any:
        return self.manager.provisioner

    @property
    def name(self) -> str:
        """The container's name, the sandbox's id."""
        return str(self.provisioner.sandbox_name)

    def run(self, source: str, timeout: float = SECONDS) -> str:
        """What a cell prints, or its error's name and text."""
        said: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                said.append(content["text"])
            elif message["msg_type"] == "error":
                said.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(source, timeout=timeout, output_hook=hear)
        return "".join(said).strip()

    def start_cell(self, source: str) -> None:
        self.client.execute(source)

    def death(self) -> str:
        """What the carrier says of it, once the kernel is gone."""
        self.provisioner.carrier.exited.result(SECONDS)
        return str(self.provisioner.carrier.reason)

    def reason(self) -> str:
        """What a user is told of it, once the kernel is gone."""
        self.death()
        said = asyncio.run(self.provisioner.reason())
        assert isinstance(said, str)
        return said


@contextmanager
def sandbox(
    folder: Path, config: dict[str, Any], provisioner: str = "rlm-docker"
) -> Iterator[Sandbox]:
    """A kernel that answers; gone with its place afterwards."""
    name = f"{provisioner}-{uuid.uuid4().hex[:8]}"
    folder = write_spec(folder / name, name, config, provisioner)
    specs = KernelSpecManager(kernel_dirs=[str(folder)])
    manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
    client = None
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as sockets:
        # Not ports: jupyter_client chooses them before they are bound, and another may be first.
        manager.transport, manager.ip = "ipc", f"{sockets}/k"
        try:
            manager.start_kernel()
            client = manager.client()
            client.start_channels()
            client.wait_for_ready(timeout=SECONDS)
            yield Sandbox(manager, client)
        finally:
            if client is not None:
                client.stop_channels()
            if manager.has_kernel:
                manager.shutdown_kernel(now=True)
            manager.context.destroy(linger=0)


Opener = Callable[..., AbstractContextManager[Sandbox]]
"""Settings by name to a kernel in a sandbox."""


def comes_true(condition: Callable[[], Any], seconds: float) -> bool:
    """Whether it does within that time."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())
