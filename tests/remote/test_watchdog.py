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

import psutil
import pytest
from processes import processes_with

HOST = """
import asyncio, sys
from pathlib import Path
from rlm_kernel.repl.repl import open_repl
from rlm_kernel.environments.kernel_config import KernelConfig
from rlm_kernel.repl.guest_client import KernelSetup

class Nobody:
    async def serve(self, call):
        raise AssertionError("no cell here asks")

STARTS = '''
import os, subprocess
kids = [subprocess.Popen(["sleep", "600"]),
        subprocess.Popen(["sleep", "600"], start_new_session=True),
        subprocess.Popen(["sh", "-c", "setsid sleep 600 & sleep 600"])]
print(os.getpid(), *(kid.pid for kid in kids))
'''

async def main():
    async with open_repl(Nobody(), KernelSetup(KernelConfig(Path(sys.argv[1])))) as repl:
        if sys.argv[2] == "early":
            print(repl.kernel.pid, flush=True)
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


def _gone_within_10_s(pids: list[int], folder: Path, but: set[int] | None = None) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        left = {pid for pid in pids if _running(pid)} | {*processes_with(folder)} - (but or set())
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


HOSTILE = """
import asyncio, sys
from pathlib import Path
from rlm_kernel.environments.kernel_config import KernelConfig
from rlm_kernel.repl.repl import open_repl
from rlm_kernel.repl.guest_client import KernelSetup
from rlm_kernel.environments.local.watchdog import adopt_orphans

class Nobody:
    async def serve(self, call):
        raise AssertionError("no cell here asks")

STARTS = '''
import os, signal, subprocess
def daemon():
    ours, theirs = os.pipe()
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.write(theirs, str(os.getpid()).encode())
            os.execve("/bin/sleep", ["sleep", "600"], {})
        os._exit(0)
    return int(os.read(ours, 20))
alone = subprocess.Popen(["sleep", "600"], start_new_session=True, env={})
script = "nohup setsid sleep 600 > /dev/null 2>&1 & echo $!"
shell = subprocess.run(["/bin/sh", "-c", script], env={}, stdout=subprocess.PIPE)
script = "sleep 600 & sleep 600"
deep = subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True, env={})
pids = [os.getpid(), os.getppid(), alone.pid, daemon(), int(shell.stdout), deep.pid]
with open(PIDS, "w") as file:
    print(*pids, file=file)
'''
ATTACKS = {
    "leaves": "1",
    "kills": "os.kill(os.getppid(), signal.SIGKILL)\\nimport time; time.sleep(20)",
    "stops": "os.kill(os.getppid(), signal.SIGSTOP)\\nimport time; time.sleep(20)",
    "dies": "os._exit(3)",
}

async def main():
    adopt_orphans()
    pids = str(Path(sys.argv[1], "pids"))
    async with open_repl(Nobody(), KernelSetup(KernelConfig(Path(sys.argv[1])))) as repl:
        await repl.run(STARTS.replace("PIDS", repr(pids)), cell=1)
        first = repl.kernel.pid
        await repl.run(ATTACKS[sys.argv[2]], cell=2)
        new = repl.kernel.pid != first
    print(new, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("attack", ["leaves", "kills", "stops", "dies"])
def test_what_cells_started_ends_with_its_kernel_whatever_they_did_about_it(
    tmp_path: Path, attack: str
) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOSTILE, str(tmp_path), attack],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as host:
        try:
            assert host.stdout is not None
            assert host.stdout.readline() == f"{attack != 'leaves'}\n"  # whether it is a new one
            pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
            assert len(pids) == 6
            nurseries = {child.pid for child in psutil.Process(host.pid).children()}
            _gone_within_10_s(pids, folder, but={host.pid, *nurseries})
            assert host.poll() is None
        finally:
            host.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux hides it")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root reads all")
def test_a_cell_cannot_read_or_trace_its_watchdog(tmp_path: Path) -> None:
    with _host(tmp_path, "early") as (_, [kernel]):
        watchdog = int(Path(f"/proc/{kernel}/stat").read_text().rsplit(")", 1)[1].split()[1])
        for name in ("environ", "mem", "maps", "fd/0"):
            with pytest.raises(PermissionError):
                Path(f"/proc/{watchdog}/{name}").read_bytes()


@pytest.mark.parametrize("entry", ["rlm_kernel.cli", "rlm_kernel.kernel.__main__"])
def test_an_entry_imports_nothing_of_weight_before_it_hides(entry: str) -> None:
    code = (
        f"import sys; before = set(sys.modules); import {entry}; "
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {name for name in done.stdout.split() if "." not in name} - set(sys.stdlib_module_names)
    assert heavy == {"rlm_kernel"}
    assert not {"asyncio", "subprocess", "json"} & set(done.stdout.split())
