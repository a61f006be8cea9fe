"""Hosts of the kernel RLM: a server that requires encryption."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import zmq
from harness import LM, block, environment
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

pytestmark = pytest.mark.anyio
START_S = 60.0


async def _asked(client: AsyncKernelClient, code: str) -> list[str]:
    """The plain texts of what a cell gives."""
    given: list[str] = []

    def take(message: dict[str, object]) -> None:
        content = message["content"]
        assert isinstance(content, dict)
        if message["msg_type"] == "execute_result":
            given.append(content["data"]["text/plain"])

    await client.execute_interactive(code, timeout=START_S, output_hook=take)
    return given


async def test_a_server_that_requires_encryption_has_it_with_the_kernel(
    lm: LM, prefix: Path, tmp_path: Path
) -> None:
    specs = KernelSpecManager(kernel_dirs=[str(prefix / "share/jupyter/kernels")])
    server = AsyncMappingKernelManager(kernel_spec_manager=specs, root_dir=str(tmp_path))
    server.transport_encryption = "required"
    tmp = tmp_path / "t"
    tmp.mkdir()
    env = {**environment(tmp_path, tmp, lm.environment), "PATH": os.environ["PATH"]}
    identity = await server.start_kernel(kernel_name="rlm", env=env)
    kernel = server.get_kernel(identity)
    client = kernel.client()
    client.start_channels()
    try:
        assert client.shell_channel.socket.mechanism == zmq.CURVE
        await client.wait_for_ready(START_S)
        lm.say(block("FINAL_VAR(len(context))"))
        assert await _asked(client, "context = 'abc'\ncontext") == ["'abc'"]
        assert await _asked(client, "%%rlm\nHow long is it?") == ["3"]
    finally:
        client.stop_channels()
        await server.shutdown_kernel(identity, now=True)
