"""The inner kernel by itself."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from rlm_kernel.errors import KernelStartError, UsageError
from rlm_kernel.inner import open_kernel

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
