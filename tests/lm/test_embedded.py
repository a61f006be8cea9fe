"""The serving process, with the real weights where they are."""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import openai
import pytest

import rlm_kernel
from rlm_kernel.errors import LMError, NoLM
from rlm_kernel.lm.embedded import EmbeddedServer, available, cache_dir, process

pytestmark = pytest.mark.anyio
missing = available()
needs_weights = pytest.mark.skipif(missing is not None, reason=str(missing))

CACHE = str(cache_dir())


@pytest.fixture(autouse=True)
def _with_weights(monkeypatch):
    monkeypatch.setenv("RLM_CACHE", CACHE)


PREFIX = [{"role": "system", "content": "You answer with one word. " + "Be brief. " * 20}]


@asynccontextmanager
async def running():
    embedded = EmbeddedServer()
    await embedded.start()
    try:
        yield embedded
    finally:
        await embedded.stop()


@pytest.fixture
async def server():
    async with running() as embedded:
        yield embedded


def client(endpoint):
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url, api_key=endpoint.api_key, max_retries=0, timeout=120
    )


@needs_weights
async def test_both_models_answer_streamed_and_not_and_only_with_the_key(server):
    for endpoint in (server.author, server.sub):
        ask = {
            "model": endpoint.model,
            "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 8,
        }
        async with client(endpoint) as lm:
            reply = await lm.chat.completions.create(**ask)
            assert reply.choices[0].message.content
            assert reply.usage.completion_tokens <= 8
            stream = await lm.chat.completions.create(
                stream=True, stream_options={"include_usage": True}, **ask
            )
            chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text
        assert chunks[-1].usage.prompt_tokens == reply.usage.prompt_tokens
        async with client(replace(endpoint, api_key="guess")) as stranger:
            with pytest.raises(openai.AuthenticationError):
                await stranger.chat.completions.create(**ask)


@needs_weights
async def test_idle_waits_for_a_request_whose_client_hung_up(server):
    async with client(server.author) as lm:
        ask = {"role": "user", "content": "Count: " + "one two three four five six seven " * 60}
        with anyio.move_on_after(1):
            await lm.chat.completions.create(model="m", messages=[ask], max_tokens=64)
    with anyio.fail_after(120):
        await server.idle(server.author)
        await server.idle(server.sub)
    slots = await process._request(server.author, "/slots")
    assert not any(slot["is_processing"] for slot in slots)


@needs_weights
async def test_a_warmed_prefix_is_on_disk_for_the_next_server_and_made_again_when_spoilt(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(process, "_states", lambda: tmp_path)
    async with running() as first:
        assert await first.warm(PREFIX) is False
    async with running() as second:
        assert await second.warm(PREFIX) is True
        async with client(second.author) as lm:
            ask = [*PREFIX, {"role": "user", "content": "Which colour is snow?"}]
            reply = await lm.chat.completions.create(model="m", messages=ask, max_tokens=2)
        assert reply.usage.prompt_tokens_details.cached_tokens > 40
        (state,) = tmp_path.iterdir()
        state.write_bytes(b"not a state")
        assert await second.warm(PREFIX) is False
        assert await second.warm(PREFIX) is True


PARENT = """
    import asyncio, sys
    from rlm_kernel.lm.embedded import EmbeddedServer

    async def main():
        server = EmbeddedServer()
        await server.start()
        print(server._process.pid, flush=True)
        await asyncio.sleep(600)

    asyncio.run(main())
"""


@needs_weights
async def test_the_server_ends_when_its_parent_is_killed():
    env = {**os.environ, "PYTHONPATH": str(Path(rlm_kernel.__path__[0]).parent)}
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT)], stdout=subprocess.PIPE, env=env
    )
    with parent, anyio.fail_after(60):
        pid = int(await anyio.to_thread.run_sync(parent.stdout.readline))
        parent.send_signal(signal.SIGKILL)
        while _alive(pid):
            await anyio.sleep(0.05)


@needs_weights
async def test_the_server_ends_with_its_stdin(server):
    with anyio.fail_after(30):
        server._process.stdin.close()
        assert await server._process.wait() == 0


def _alive(pid: int) -> bool:
    try:
        return b"\nState:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_without_weights_the_command_that_brings_them_is_named(tmp_path, monkeypatch):
    pytest.importorskip("xllamacpp")
    monkeypatch.setenv("RLM_CACHE", str(tmp_path))
    with pytest.raises(NoLM, match="rlm local fetch"):
        await EmbeddedServer().start()


async def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(process, "find_spec", lambda _name: None)
    with pytest.raises(NoLM, match=r'pip install "rlm_kernel\[local\]"'):
        await EmbeddedServer().start()


async def test_weights_that_are_no_model_end_in_an_error_that_shows_the_log(tmp_path, monkeypatch):
    pytest.importorskip("xllamacpp")
    monkeypatch.setenv("RLM_CACHE", str(tmp_path))
    monkeypatch.setattr(process, "is_present", lambda _weights: True)
    with pytest.raises(LMError, match=r"did not start; its log ends:\n(?s:.*)Failed to init"):
        await EmbeddedServer().start()
