"""The inner kernel by itself."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rlm_kernel.environments import exchange
from rlm_kernel.environments.kernel import Kernel
from rlm_kernel.environments.local import folders
from rlm_kernel.environments.local import kernel as local_kernel
from rlm_kernel.environments.local.folders import private_folder
from rlm_kernel.environments.local.kernel import open_kernel
from rlm_kernel.errors import KernelDied, KernelStartError, UsageError

pytestmark = pytest.mark.anyio


async def test_a_reply_that_comes_while_another_cell_is_being_sent_is_not_missed(
    tmp_path: Path,
) -> None:
    async with asyncio.timeout(60), open_kernel(tmp_path) as (kernel, _):
        for number in range(5):
            first = asyncio.ensure_future(kernel.execute(f"{number}"))
            await asyncio.sleep(0)
            threading.Event().wait(0.1)  # the loop stands still while the reply comes in
            second = await kernel.execute("2")
            assert (await first).ok
            assert second.ok


async def test_a_kernelspec_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there are: .*python3"):
        async with open_kernel(tmp_path, kernel_name="no-such-kernel"):
            pass


@pytest.mark.parametrize("command", ["no-such-program", "false"])
async def test_a_kernelspec_that_cannot_start_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    spec = tmp_path / "kernels" / "broken"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        f'{{"argv": ["{command}", "{{connection_file}}"], "display_name": "b", "language": "x"}}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    async with asyncio.timeout(60):
        with pytest.raises(KernelStartError, match="'broken' did not start"):
            async with open_kernel(tmp_path, kernel_name="broken"):
                pass


async def test_a_start_that_is_cancelled_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for steps in (1, 3, 6, 12):

        async def opened() -> None:
            async with open_kernel(tmp_path):
                await asyncio.Event().wait()

        task = asyncio.ensure_future(opened())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait({task})
        assert task.cancelled()
        assert list(tmp_path.glob("rlm-*")) == []


@pytest.fixture(scope="module")
async def kernel(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Kernel]:
    async with open_kernel(tmp_path_factory.mktemp("kernel")) as (kernel, _):
        yield kernel


async def value(kernel: Kernel, source: str) -> str:
    """What a cell displays as its value."""
    said: list[str] = []

    def listen(message: dict[str, Any]) -> None:
        if message["msg_type"] == "execute_result":
            said.append(message["content"]["data"]["text/plain"])

    async with asyncio.timeout(30):
        assert (await kernel.execute(source, on_message=listen)).ok
    return said[0]


async def test_a_listener_that_raises_ends_its_request_and_the_next_cell_works(
    kernel: Kernel,
) -> None:
    def full(message: dict[str, Any]) -> None:
        raise OSError("the disk is full")

    async with asyncio.timeout(30):
        with pytest.raises(OSError, match="the disk is full"):
            await kernel.execute("print(1)", on_message=full)
    assert await value(kernel, "6 * 7") == "42"


async def test_a_listener_that_raises_does_not_end_the_requests_of_others(kernel: Kernel) -> None:
    def full(message: dict[str, Any]) -> None:
        raise OSError("the disk is full")

    first = asyncio.ensure_future(kernel.execute("print(1)", on_message=full))
    assert await value(kernel, "6 * 7") == "42"
    with pytest.raises(OSError, match="the disk is full"):
        await first


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("history_request", {"hist_access_type": "range", "no_such_argument": 1}),
        ("inspect_request", {"code": "print", "cursor_pos": 3, "omit_sections": 5}),
        ("execute_request", {}),
        ("is_complete_request", {}),
    ],
)
async def test_a_request_that_the_kernel_gives_no_reply_gets_an_error(
    kernel: Kernel, kind: str, content: dict[str, Any]
) -> None:
    shown: list[str] = []
    message = kernel._exchange.message(kind, content)
    async with asyncio.timeout(30):
        reply = await kernel.request(message, lambda m: shown.append(m["msg_type"]))
    assert reply is not None
    assert reply["content"]["ename"] == "NoReply"
    assert ("error" in shown) == (kind == "execute_request")
    assert await value(kernel, "6 * 7") == "42"


async def test_a_message_that_ipykernel_leaves_out_does_not_wait_for_ever(kernel: Kernel) -> None:
    message = kernel._exchange.message("comm_msg", {"comm_id": {}, "data": {}})
    async with asyncio.timeout(30):
        await kernel.request(message, replies=False)


async def test_an_idle_that_a_cell_forges_does_not_end_it(kernel: Kernel) -> None:
    forge = (
        "k = get_ipython().kernel; p = k.get_parent('shell')\n"
        "k.session.send(k.iopub_socket, 'status', {'execution_state': 'idle'}, parent=p)\n"
        "import time; time.sleep(2)\n'the end'"
    )
    assert await value(kernel, forge) == "'the end'"


async def test_an_end_that_cannot_be_told_is_the_kernels_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = asyncio.Event()

    async def wait(self: Any) -> int:
        await broken.wait()
        raise LookupError("no such process")

    monkeypatch.setattr(local_kernel._WatchedProvisioner, "wait", wait)
    async with asyncio.timeout(60), open_kernel(tmp_path) as (kernel, _):
        running = asyncio.ensure_future(kernel.execute("import time; time.sleep(50)"))
        broken.set()
        with pytest.raises(KernelDied, match=r"its end cannot be told: LookupError\('no such"):
            await running
        monkeypatch.undo()


async def test_a_pump_that_fails_is_told_as_the_kernel_s_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exchange.receive

    def out_of_memory(session: Any, frames: list[bytes], channel: Any) -> Any:
        if any(b"too much" in frame for frame in frames):
            raise MemoryError
        return real(session, frames, channel)

    monkeypatch.setattr(exchange, "receive", out_of_memory)
    async with asyncio.timeout(60), open_kernel(tmp_path) as (kernel, _):
        with pytest.raises(KernelDied, match=r"cannot be read any more: MemoryError"):
            await kernel.execute("print('too ' + 'much')\nimport time; time.sleep(60)")
        assert not kernel.alive


async def test_a_kernel_that_answers_nothing_any_more_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "SILENCE_SECONDS", 1.0)
    async with asyncio.timeout(60), open_kernel(tmp_path) as (kernel, _):
        await kernel.execute("get_ipython().kernel.shell_handlers.clear()")
        with pytest.raises(KernelDied, match="answers no requests any more"):
            await kernel.execute("1")


async def test_a_kernel_that_shows_nothing_any_more_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "SILENCE_SECONDS", 1.0)
    async with asyncio.timeout(60), open_kernel(tmp_path) as (kernel, _):
        with pytest.raises(KernelDied, match="said nothing"):
            await kernel.execute("get_ipython().kernel.iopub_thread.stop()")


async def test_the_very_first_cell_can_ask_for_a_line(tmp_path: Path) -> None:
    for number in range(3):
        async with asyncio.timeout(60), open_kernel(tmp_path) as (kernel, _):
            asked = asyncio.Event()
            kernel.hear(lambda message: None, lambda message: asked.set())  # noqa: B023
            running = asyncio.ensure_future(kernel.execute("x = input()", stdin=True))
            await asked.wait()
            await kernel.answer_input(f"line {number}")
            assert (await running).ok
            assert await value(kernel, "x") == f"'line {number}'"


def _left(place: Path, name: str, age_s: float = 100) -> Path:
    folder = place / name
    folder.mkdir()
    (folder / "k.json").write_text("{}")
    then = time.time() - age_s
    os.utime(folder, (then, then))
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """The folder as a host holds it that lives."""
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    yield folder
    os.close(lock)


async def test_a_start_removes_what_hosts_left_that_were_killed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(folders, "MAX_PARENT", 200)  # no socket is made here
    left = _left(tmp_path, "rlm-0123abcd")
    kept = [_left(tmp_path, "rlm-0123abce", 0), _left(tmp_path, "rlm-mine0000")]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "rlm-0123abcf").symlink_to(tmp_path / "elsewhere")
    with _locked(_left(tmp_path, "rlm-aaaaaaaa")) as living:
        async with private_folder() as (folder, _):
            assert not left.exists()
            there = {path.name for path in tmp_path.iterdir()}
            assert there == {*(path.name for path in [*kept, folder, living]),
                             "elsewhere", "rlm-0123abcf"}  # fmt: skip
