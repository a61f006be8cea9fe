"""What reaches a kernel from outside and must not: strangers' messages, the host's environment."""

from __future__ import annotations

import os

import pytest
from environments import Bench, Opener
from jupyter_client.session import Session

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("key", [b"", b"another key"])
async def test_a_message_that_is_not_signed_by_us_is_not_obeyed(kernel: Bench, key: bytes) -> None:
    stranger = Session(key=key)
    content = {"code": "forged = 1", "silent": True, "allow_stdin": False}
    frames = stranger.serialize(stranger.msg("execute_request", content))
    await kernel.repl.kernel._client.shell_channel.socket.send_multipart(frames)
    assert await kernel.said("'forged' in globals()") == "False"


async def test_keys_of_the_host_are_not_in_the_kernels_environment(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("RLM_API_KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY")
    for name in names:
        monkeypatch.setenv(name, f"canary of {name}")
    assert all(name in os.environ for name in names)
    async with opened() as kernel:
        assert await kernel.said(f"import os\n[n for n in {names} if n in os.environ]") == "[]"
        assert await kernel.said("'canary ' + 'of' in str(dict(os.environ))") == "False"
