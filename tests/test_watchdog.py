"""Whatever way the host ends, nothing of its kernels is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import processes_with

HOST = """
import asyncio, sys
from pathlib import Path
from rlm_kernel.protocol import Nobody
from rlm_kernel.repl import open_repl
from rlm_kernel.places import Spot
from rlm_kernel.room import Setup

STARTS = '''
import os, subprocess
kids = [subprocess.Popen(["sleep", "600"]),
        subprocess.Popen(["sleep", "600"], start_new_session=True),
        subprocess.Popen(["sh", "-c", "setsid sleep 600 & sleep 600"])]
print(os.getpid(), *(kid.pid for kid in kids))
'''

async def main():
    async with open_repl(Nobody(), Setup(Spot(Path(sys.argv[1])))) as repl:
        if sys.argv[2] == "early":
            print(repl.pid, flush=True)
        else:
            ran = await repl.run(STARTS, cell=1)
            print(ran.outputs[0]["text"].strip(), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def _host(tmp_path: Path, how: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A host with a running kernel, and the processes it has started."""
    folder = tmp_path / "t"
    folder.mkdir()
    env = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path), how], stdout=subprocess.PIPE, text=True, env=env
    ) as host:
        try:
            assert host.stdout is not None
            yield host, [int(pid) for pid in host.stdout.readline().split()]
        finally:
            host.kill()


def _running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def _gone_within_10_s(pids: list[int], folder: Path) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        left = [pid for pid in pids if _running(pid)] + processes_with(folder)
        if not left and not list(folder.glob("rlm-*")):
            return
        os.sched_yield()
    pytest.fail(f"left: processes {left}, files {list(folder.glob('rlm-*'))}")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["early", "late"])
@pytest.mark.parametrize("how_killed", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_host_that_was_killed(
    tmp_path: Path, how: str, how_killed: signal.Signals
) -> None:
    with _host(tmp_path, how) as (host, pids):
        assert len(pids) == (1 if how == "early" else 4)
        assert all(_running(pid) for pid in pids)
        host.send_signal(how_killed)
        host.wait(10)
        _gone_within_10_s(pids, tmp_path / "t")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("millis", [50, 400, 600, 700, 800, 900, 1000])
def test_nothing_is_left_of_a_host_killed_while_its_kernel_starts(
    tmp_path: Path, millis: int
) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path), "early"],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as host:
        try:
            host.wait(millis / 1000)
        except subprocess.TimeoutExpired:
            host.kill()
        host.wait(10)
        _gone_within_10_s([], folder)
