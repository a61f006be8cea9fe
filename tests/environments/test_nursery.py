"""Kernels that are forked: like those that are programs, strangers to each other, replaceable."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from rlm_kernel.environments.kernel import Kernel
from rlm_kernel.environments.local import nursery
from rlm_kernel.environments.local.kernel import open_kernel
from rlm_kernel.environments.local.nursery import Nurseries, kind_of
from rlm_kernel.environments.local.watchdog import Watchdog

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has nurseries"),
]


@pytest.fixture
def nurseries(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nurseries]:
    """Those of this test alone."""
    ours = Nurseries()
    monkeypatch.setattr(nursery, "_nurseries", ours)
    yield ours
    ours.close()


async def _told(kernel: Kernel, source: str) -> Any:
    """What a cell prints, as JSON."""
    said: list[str] = []
    request = kernel._exchange.message("execute_request", {"code": source, "silent": False})
    await kernel.request(request, lambda m: said.append(m["content"].get("text", "")))
    return json.loads("".join(said))


@asynccontextmanager
async def _kernel(tmp_path: Path, **options: Any) -> AsyncIterator[Kernel]:
    async with open_kernel(tmp_path, **options) as (kernel, _):
        yield kernel


def _nursery(kernel: Kernel) -> psutil.Process:
    """The parent of the kernel's watchdog."""
    return psutil.Process(kernel.pid).parents()[1]


def _forked(kernel: Kernel) -> bool:
    return _nursery(kernel).pid != os.getpid()


SURROUNDINGS = """
import ctypes, json, locale, os, re, resource, signal, sys, threading, time
def neutral(text):
    return re.sub(r"0x[0-9a-f]+|rlm-[0-9a-f]{8}", "", str(text))
print(json.dumps({
    "variables": {k: v for k, v in os.environ.items() if k != "JPY_PARENT_PID"},
    "words": [neutral(word) for word in [*sys.argv, *sys.orig_argv]],
    "python": [*sys.path, sys.executable, sys.prefix, str(sys.flags), hash("x"),
               sys.getrecursionlimit(), neutral(sys.meta_path), neutral(sys.path_hooks)],
    "handlers": {s.name: neutral(signal.getsignal(s)) for s in signal.Signals},
    "mask": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "limits": [resource.getrlimit(getattr(resource, n)) for n in dir(resource) if "RLIMIT_" in n],
    "process": [os.umask(0o77), os.getcwd(), os.getsid(0) == os.getpid(), os.nice(0)],
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "main": neutral(sys.modules["__main__"]),
    "place": [locale.setlocale(locale.LC_ALL), time.tzname],
    "streams": [sys.__stdin__.encoding, sys.__stdout__.encoding, sys.__stderr__.encoding],
}))
"""


async def test_a_forked_kernel_has_the_surroundings_of_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    env = {"GIVEN": "one, two"}
    async with (
        _kernel(tmp_path, env=env) as forked,
        _kernel(tmp_path, env=env, nursery=False) as program,
    ):
        assert (_forked(forked), _forked(program)) == (True, False)
        told = await _told(forked, SURROUNDINGS)
        assert told == await _told(program, SURROUNDINGS)
        assert told["variables"]["GIVEN"] == "one, two"


SHARED = """
import json, os, random, uuid
links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
links = {os.readlink(link) for link in links if os.path.exists(link) or os.path.islink(link)}
key = get_ipython().kernel.session.key.decode()
print(json.dumps({
    "open": [link for link in links if link.startswith(("socket:", "pipe:"))],
    "drawn": [random.random(), str(uuid.uuid4()), os.urandom(8).hex()],
    "key": key,
    "session": get_ipython().kernel.session.session,
    "seen": [name for name in CANARIES if name in open("/proc/self/environ").read()],
}))
"""


def _memory(pid: int, sought: list[bytes]) -> list[bytes]:
    """Those that stand anywhere in the writable memory of a process."""
    found = []
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(part, 16) for part in span.split("-"))
            if rights.startswith("rw"):
                memory.seek(start)
                data = memory.read(end - start)
                found += [one for one in sought if one in data]
    return found


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root reads all")
async def test_two_kernels_of_a_nursery_share_nothing_that_is_theirs(
    tmp_path: Path, nurseries: Nurseries
) -> None:
    async with _kernel(tmp_path, env={"ONLY": "first-canary"}) as first:
        await _told(first, "canary = 'canary-' + 'of-the-first'; print(len(canary))")
        async with _kernel(tmp_path) as second:
            assert _nursery(first).pid == _nursery(second).pid
            source = "CANARIES = ['first-canary']" + SHARED
            one, two = await _told(first, source), await _told(second, source)
            for name in ("open", "drawn"):
                assert not set(one[name]) & set(two[name])
            assert one["key"] != two["key"]
            assert one["session"] != two["session"]
            assert one["seen"] == two["seen"] == []  # neither tells its own to who lists processes
            canaries = [b"canary-of-the-first", one["key"].encode()]
            assert set(_memory(first.pid, canaries)) == set(canaries)
            for process in (second.pid, _nursery(second).pid):
                assert _memory(process, canaries) == []


async def test_the_nursery_has_one_thread_and_is_not_to_be_read(
    tmp_path: Path, nurseries: Nurseries
) -> None:
    async with _kernel(tmp_path) as kernel:
        mother = _nursery(kernel)
        assert mother.num_threads() == 1
        owner = os.stat(f"/proc/{mother.pid}/environ").st_uid
        assert owner == 0  # root's: who started it cannot read it


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_nursery_that_fails_costs_no_kernel_and_is_told_once(
    tmp_path: Path,
    nurseries: Nurseries,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    blow: signal.Signals,
) -> None:
    caplog.set_level(logging.WARNING, "rlm_kernel")
    async with _kernel(tmp_path) as before:
        assert _forked(before)
        monkeypatch.setattr(nursery, "FORK_S", 0.5)
        _nursery(before).send_signal(blow)
        for _ in range(2):
            async with _kernel(tmp_path) as after:
                assert not _forked(after)
                assert await _told(after, "print(1)") == 1
        assert await _told(before, "print(2)") == 2
    assert [r.message[:32] for r in caplog.records] == ["kernels are no longer forked, whi"[:32]]


async def test_a_fork_that_comes_too_late_takes_no_folder_from_the_kernel_that_was_started_instead(
    tmp_path: Path, nurseries: Nurseries, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, late = nursery.Nursery.fork, list[Watchdog]()

    def forked_too_late(self: nursery.Nursery, folder: Path) -> Watchdog:
        late.append(real(self, folder))
        raise nursery.NurseryFailed("timed out")

    monkeypatch.setattr(nursery.Nursery, "fork", forked_too_late)
    async with open_kernel(tmp_path) as (kernel, place):
        await asyncio.to_thread(late[0].close)
        assert place.folder.is_dir()
        assert await _told(kernel, "print(1)") == 1


async def test_a_nursery_that_ended_for_want_of_use_is_replaced(
    tmp_path: Path, nurseries: Nurseries, caplog: pytest.LogCaptureFixture
) -> None:
    async with _kernel(tmp_path) as kernel:
        first = _nursery(kernel)
    (alive,) = nurseries._alive.values()
    alive.close()
    await asyncio.to_thread(alive.process.wait, 30)
    async with _kernel(tmp_path) as kernel:
        assert _forked(kernel)
        assert _nursery(kernel).pid != first.pid
    assert not caplog.records


async def test_no_more_than_two_nurseries_live_whatever_the_variables(
    tmp_path: Path, nurseries: Nurseries
) -> None:
    for number in range(3):
        async with _kernel(tmp_path, env={"LC_CTYPE": f"C.UTF-{number}"}) as kernel:
            assert _forked(kernel)
            assert len(nurseries._alive) <= nursery.MOST


@pytest.mark.parametrize(
    ("argv", "forked"),
    [
        (["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], True),
        (["/opt/python", "-X", "frozen_modules=off", "-m", "ipykernel", "-f", "{c}"], True),
        (["/opt/python", "-m", "xeus_python", "-f", "{connection_file}"], False),
        (["/opt/python", "/opt/start.py", "-f", "{connection_file}"], False),
        (["conda", "run", "python", "-m", "ipykernel_launcher", "-f", "{c}"], False),
        (["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"], False),
        (["bash", "-c", "python -m ipykernel_launcher -f {connection_file}"], False),
        (["python", "-m"], False),
    ],
)
def test_only_an_interpreter_with_ipykernel_is_forked(argv: list[str], forked: bool) -> None:
    assert (kind_of(argv, {}) is not None) is forked


async def test_a_kernelspec_has_its_own_variables_and_options(
    tmp_path: Path, nurseries: Nurseries, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "kernels" / "own"
    made.mkdir(parents=True)
    argv = ["python", "-X", "dev", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    env = {"PYTHONPATH": "${HOME}/own", "OWN": "of the kernelspec"}
    spec = {"argv": argv, "display_name": "own", "language": "python", "env": env}
    (made / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    source = "import json, os, sys; print(json.dumps([os.environ['OWN'], sys.flags.dev_mode, "
    source += "os.path.expanduser('~/own') in sys.path]))"
    async with _kernel(tmp_path, kernel_name="own") as kernel:
        assert _forked(kernel)
        assert await _told(kernel, source) == ["of the kernelspec", True, True]


async def test_a_command_line_that_only_seemed_to_be_the_nurserys_is_run(
    tmp_path: Path, nurseries: Nurseries, monkeypatch: pytest.MonkeyPatch
) -> None:
    guessed = kind_of([sys.executable, "-X", "dev", "-m", "ipykernel"], {})
    monkeypatch.setattr("rlm_kernel.environments.local.kernel._kind", lambda spec, env: guessed)
    async with _kernel(tmp_path) as kernel:
        assert await _told(kernel, "import sys; print(int(sys.flags.dev_mode))") == 0


async def test_an_interpreter_without_ipykernel_fails_as_a_program_would(
    tmp_path: Path, nurseries: Nurseries
) -> None:
    kind = kind_of([sys.executable, "-S", "-m", "ipykernel_launcher"], {})
    assert kind is not None
    watchdog = await asyncio.to_thread(nurseries.watchdog, tmp_path / "k", kind, {})
    try:
        argv = [*kind.command, "-m", "ipykernel_launcher"]
        process = watchdog.start(argv, {}, str(tmp_path), tmp_path / "log")
        assert process.wait(30) == 1
        assert "No module named ipykernel_launcher" in (tmp_path / "log").read_text()
    finally:
        watchdog.close()


async def test_a_working_folder_may_be_given_from_ours(
    tmp_path: Path, nurseries: Nurseries, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    async with _kernel(Path("below")) as kernel:
        assert _forked(kernel)
        where = await _told(kernel, "import json, os; print(json.dumps(os.getcwd()))")
        assert where == str(tmp_path / "below")


async def test_a_folder_that_is_not_there_is_told_by_its_name(
    tmp_path: Path, nurseries: Nurseries
) -> None:
    kind = kind_of([sys.executable, "-m", "ipykernel_launcher"], dict(os.environ))
    assert kind is not None
    watchdog = await asyncio.to_thread(nurseries.watchdog, tmp_path / "k", kind, os.environ)
    try:
        argv = [*kind.command, "-m", "ipykernel_launcher"]
        with pytest.raises(FileNotFoundError, match="nowhere"):
            watchdog.start(argv, {}, str(tmp_path / "nowhere"), tmp_path / "log")
    finally:
        watchdog.close()
