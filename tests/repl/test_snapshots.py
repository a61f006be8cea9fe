"""Snapshots: a kernel goes back to after a cell with every object alive, or says why it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nobody import Nobody

from rlm_kernel.environments.kernel_config import KernelConfig
from rlm_kernel.record import outputs
from rlm_kernel.remote.watchdog import below, parents
from rlm_kernel.repl import snapshots
from rlm_kernel.repl.guest_client import KernelSetup
from rlm_kernel.repl.repl import Repl, open_repl
from rlm_kernel.repl.running_cell import Ran
from tests.modals import image

pytestmark = pytest.mark.anyio
OBJECTS = """
import logging, random, sys
from pathlib import Path
text = Path("lines.txt")
text.write_text("".join(f"line {n}\\n" for n in range(20_000)))
n, squares = 1, (i * i for i in range(10))
next(squares), next(squares)
read = lambda: n
lines = text.open()
for _ in range(3_000):
    next(lines)
written = open("written.txt", "w")
written.write("once ")
log = logging.getLogger("cell")
log.addHandler(logging.StreamHandler(sys.stdout))
random.random()
"""
LOOK = "print(n, read(), next(squares), next(lines).strip(), random.random())"


@pytest.fixture
async def repl(tmp_path: Path) -> AsyncIterator[Repl]:
    setup = KernelSetup(KernelConfig(tmp_path, snapshots="on"))
    async with asyncio.timeout(60), open_repl(Nobody(), setup) as opened:
        await opened.seed(7)
        yield opened


def text_of(ran: Ran) -> str:
    return outputs.text_of(ran.outputs, 2000)


async def _run(repl: Repl, cell: int, source: str) -> Ran:
    """Run a cell, and wait for the snapshot after it."""
    ran = await repl.run(source, cell=cell, seconds=30.0)
    if (task := repl.snapshots.task) is not None:
        await asyncio.wait({task})
    return ran


async def test_a_kernel_goes_back_with_every_object_alive(repl: Repl, tmp_path: Path) -> None:
    await _run(repl, 1, OBJECTS)
    first = text_of(await _run(repl, 2, LOOK))
    await _run(repl, 3, "n = 5; lines.close(); next(squares); random.seed(9)")
    for cell in (4, 5):
        assert await repl.go_back(1) is None
        again = await _run(repl, cell, LOOK)
        assert text_of(again) == first
    assert "line 3000" in first
    assert [kept.cell for kept in repl.snapshots.kept] == [1, 5]
    told = await _run(repl, 6, "log.warning('heard'); written.write('and again'); written.close()")
    assert "heard" in text_of(told)
    assert (tmp_path / "written.txt").read_text() == "once and again"


@pytest.mark.parametrize(
    "kill", ["import os; os._exit(3)", "import os; os.kill(os.getpid(), 9)",
             "import ctypes; ctypes.string_at(1)"]
)  # fmt: skip
async def test_a_cell_that_kills_its_kernel_costs_that_cell(repl: Repl, kill: str) -> None:
    await _run(repl, 1, "kept = [1]")
    ran = await _run(repl, 2, f"kept.append(2); made = 3\n{kill}")
    assert (ran.status, ran.back_to, ran.lost) == ("died", 1, [])
    assert ran.restarted is not None
    assert "[1]" in text_of(await _run(repl, 3, "print(kept)"))
    assert repl.names == ["kept"]


LOSSES = {
    "the thread waits": (
        "import threading; over = threading.Event()\n"
        "t = threading.Thread(target=over.wait, name='waits', daemon=True); t.start()",
        "over.set(); t.join()",
    ),
    "the process sleep": (
        "import subprocess; p = subprocess.Popen(['sleep', '30'])", "p.kill(); p.wait()",
    ),
    "a pipe": ("import os; r, w = os.pipe()", "os.close(r); os.close(w)"),
    "a socket": (
        "import socket; s = socket.create_server(('127.0.0.1', 0))", "s.close()",
    ),
    "the asyncio task": (
        "import asyncio; t = asyncio.ensure_future(asyncio.sleep(30))", "t.cancel()",
    ),
    "a lock on": (
        "import sqlite3; d = sqlite3.connect('d.db'); d.execute('create table t (x)')\n"
        "d.execute('begin'); d.execute('insert into t values (1)')",
        "d.rollback(); d.close()",
    ),
    "shared memory": (
        "import mmap; m = mmap.mmap(-1, 4096)", "m.close()",
    ),
    "a timer": (
        "import signal; signal.setitimer(signal.ITIMER_REAL, 60)",
        "signal.setitimer(signal.ITIMER_REAL, 0)",
    ),
}  # fmt: skip


async def test_what_a_fork_would_lose_is_named_and_no_snapshot_is_taken(repl: Repl) -> None:
    for number, (name, (begin, end)) in enumerate(LOSSES.items()):
        ran = await _run(repl, 2 * number + 1, begin)
        assert ran.status == "ok", text_of(ran)
        assert [lost for lost in repl.snapshots.lost if lost.startswith(name)], name
        assert repl.snapshots.at(2 * number + 1) is None
        await _run(repl, 2 * number + 2, end)
        assert repl.snapshots.lost == [], name
        assert repl.snapshots.at(2 * number + 2) is not None


@pytest.mark.parametrize(
    ("begin", "change", "why"),
    [
        ("f = open('f', 'a'); f.write('x')", "f.write('y'); f.flush()", "was written to since"),
        ("import tempfile; d = tempfile.TemporaryDirectory()", "d.cleanup()", "the folder"),
    ],
)
async def test_what_was_changed_outside_since_is_not_gone_back_to(
    repl: Repl, begin: str, change: str, why: str
) -> None:
    await _run(repl, 1, begin)
    await _run(repl, 2, change)
    said = await repl.go_back(1)
    assert said is not None
    assert why in said
    assert (await _run(repl, 3, "print(6 * 7)")).status == "ok"


async def test_a_snapshot_that_goes_leaves_no_trace(repl: Repl, tmp_path: Path) -> None:
    await _run(repl, 1, "import tempfile; d = tempfile.TemporaryDirectory(dir='.', prefix='kept-')")
    await _run(repl, 2, "import atexit; atexit.register(print, 'flushed', file=open('at', 'w'))")
    await repl.snapshots.drop_after(0)
    assert repl.snapshots.kept == []
    assert [path.name.startswith("kept-") for path in tmp_path.iterdir() if path.is_dir()] == [True]
    assert (tmp_path / "at").read_text() == ""


async def test_snapshots_are_thinned_from_the_oldest(
    repl: Repl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MOST", 3)
    watchdog = parents()[repl.kernel.pid]
    for cell in range(1, 9):
        await _run(repl, cell, f"x = {cell}")
    kept = [each.cell for each in repl.snapshots.kept]
    assert len(kept) == 3
    assert kept[-1] == 8
    assert len([pid for pid in below({watchdog}) if pid != repl.kernel.pid]) <= 4


async def test_a_cell_cannot_go_on_in_what_it_left_when_the_kernel_goes_back(repl: Repl) -> None:
    await _run(repl, 1, "import subprocess")
    left = "p = subprocess.Popen(['sleep', '60'], start_new_session=True); print(p.pid)"
    pid = int(text_of(await _run(repl, 2, left)))
    assert await repl.go_back(1) is None
    alive = f"import os\ntry: os.kill({pid}, 0); print('alive')\nexcept OSError: print('gone')"
    assert "gone" in text_of(await _run(repl, 3, alive))


async def test_a_cell_that_ends_or_garbles_its_snapshots_only_loses_them(repl: Repl) -> None:
    await _run(repl, 1, "x = 1")
    [kept] = repl.snapshots.kept
    folder = Path(repl.kernel.provisioner.parent.connection_file).parent
    assert folder.stat().st_mode & 0o077 == 0  # nobody else gets at its socket
    garble = f"""
import socket
nothing, end = b'{{"do": "nothing"}}\\n', b'{{"do": "end"}}\\n'
for said in (b"no json\\n", nothing, b"[]\\n", b"x" * 100_000, end):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect({str(folder / kept.name)!r})
        sock.settimeout(5)
        try:
            sock.sendall(said)
            sock.recv(100)
        except OSError:
            pass
"""
    assert (await _run(repl, 2, garble)).status == "ok"
    assert await repl.go_back(1) is not None
    assert text_of(await _run(repl, 3, "print(x)")) == "1"


async def test_a_woken_kernel_has_another_key_and_another_token(repl: Repl) -> None:
    look = (
        "import sys; guest = sys.modules['rlm_guest']._guest\n"
        "print(guest.broker._token, get_ipython().kernel.session.key.decode())"
    )
    before = text_of(await _run(repl, 1, look)).split()
    assert await repl.go_back(1) is None
    after = text_of(await _run(repl, 2, look)).split()
    assert len({*before, *after}) == 4


async def test_a_woken_kernel_is_a_whole_kernel(repl: Repl) -> None:
    await _run(repl, 1, "x = [1]")
    assert await repl.go_back(1) is None
    stopped = await repl.run("while True: pass", cell=2, seconds=0.3)
    assert (stopped.status, stopped.restarted) == ("timeout", None)
    typed = await repl.run("print(input('what? '))", cell=3, author="human", inputs=["a line"])
    assert "a line" in text_of(typed)
    awaited = await repl.run("import asyncio; await asyncio.sleep(0.01); len(x)", cell=4)
    assert text_of(awaited) == "1"
    message = repl.kernel._exchange.message("complete_request", {"code": "x.app", "cursor_pos": 5})
    reply = await repl.kernel.request_aside(message)
    assert reply is not None
    assert "append" in str(reply["content"]["matches"])
    shown = await repl.run("!echo below; echo wrong >&2", cell=5)
    assert "below" in text_of(shown)
    assert (await repl.run("1 / 0", cell=6)).status == "error"


async def test_when_memory_is_short_the_newest_snapshot_stays_and_the_others_go_first(
    repl: Repl,
) -> None:
    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    def scores() -> list[int]:
        return [score(each.pid) for each in repl.snapshots.kept]

    of_kernel = score(repl.kernel.pid)
    for cell in (1, 2, 3):
        await _run(repl, cell, "x = 1")
    assert scores() == [1000, 1000, of_kernel]
    assert await repl.go_back(2) is None
    assert scores() == [1000, of_kernel]
    assert score(repl.kernel.pid) == of_kernel


@pytest.mark.needs("docker")
async def test_a_cell_that_takes_a_containers_memory_costs_that_cell(tmp_path: Path) -> None:
    sandbox = {"image": image(), "memory": "1g", "pids": 40}
    setup = KernelSetup(KernelConfig(tmp_path, "docker", sandbox=sandbox, snapshots="on"))
    async with asyncio.timeout(60), open_repl(Nobody(), setup) as repl:
        await _run(repl, 1, "n = [1]; ones = iter(n)")
        await _run(repl, 2, "half = bytearray(b'x') * (200 << 20)")
        ran = await _run(
            repl, 3, "more = []\nwhile True: more.append(bytearray(b'x') * (50 << 20))"
        )
        assert (ran.status, ran.back_to, ran.lost) == ("died", 2, [])
        assert "out of memory" in str(ran.restarted)
        assert "1 209715200" in text_of(await _run(repl, 4, "print(next(ones), len(half))"))
        assert len(repl.snapshots.kept) == 2  # so many as its limit of processes has room for
