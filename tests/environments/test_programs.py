"""The programs of ``remote`` that a sandbox is given as text, each alone."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rlm_kernel.environments.pipe.programs import command
from rlm_kernel.environments.pipe.provisioner import preamble
from rlm_kernel.remote import (
    bootstrap,
    drop_root,
    keeper,
    kill_user,
    probe,
    reaper,
    relay,
    unpack,
)

PROGRAMS = [bootstrap, drop_root, keeper, kill_user, probe, unpack]
FEW_S = 20.0
root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


def start(
    program: ModuleType, *arguments: str, folder: Path, **options: object
) -> subprocess.Popen[bytes]:
    """Start it as a sandbox would, in a folder of a cell's."""
    _, *rest = command(program, *arguments)
    return subprocess.Popen(
        [sys.executable, *rest],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def run(
    program: ModuleType, *arguments: str, folder: Path, given: bytes = b"", **options: object
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    with start(program, *arguments, folder=folder, **options) as process:
        said, told = process.communicate(given, timeout=FEW_S)
    return process.returncode, said.decode(), told.decode()


def hide(folder: Path, *names: str) -> None:
    """Put modules into the folder that a cell could have put there."""
    for name in names:
        (folder / f"{name}.py").write_text("raise SystemExit(f'a cell got in by {__name__}')")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_it_is_python_3_9_of_the_standard_library_alone(program: ModuleType) -> None:
    assert program.__file__ is not None
    source = Path(program.__file__).read_text("utf-8")
    imported: set[str] = set()
    for node in ast.walk(ast.parse(source, feature_version=(3, 9))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= sys.stdlib_module_names


def test_the_bootstrap_becomes_the_relay_that_comes_through_the_pipe(tmp_path: Path) -> None:
    hide(tmp_path, "types", "importlib", "struct", "zmq")
    code, _, told = run(bootstrap, folder=tmp_path, given=preamble(["json", "zmq"]))
    assert "a cell got in" not in told
    assert (code, told) == run_relay(tmp_path)


def run_relay(tmp_path: Path) -> tuple[int, str]:
    """The end of a relay that is told nothing."""
    folder = tmp_path / "clean"
    folder.mkdir()
    ran = subprocess.run(
        [sys.executable, relay.__file__],
        cwd=folder,
        input=b"",
        capture_output=True,
        timeout=FEW_S,
        check=False,
    )
    return ran.returncode, ran.stderr.decode()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (preamble(["json", "no_such_module"]), "no no_such_module\n"),
        (preamble()[:100], "the pipe ended before the relay had come\n"),
        (b"", "the pipe ended before the relay had come\n"),
    ],
    ids=["a module is missing", "half of the relay came", "nothing came"],
)
def test_the_bootstrap_that_cannot_go_on_says_why(tmp_path: Path, given: bytes, said: str) -> None:
    assert run(bootstrap, folder=tmp_path, given=given) == (1, "", said)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "keeper"))
        made.listen()
        yield made


def test_the_keeper_ends_when_the_last_relay_has_gone(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LINGER_S", 0.01)
    relays = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    for each in relays:
        each.connect(str(tmp_path / "keeper"))
    keeping = threading.Thread(target=keeper.keep, args=(listener, FEW_S))
    keeping.start()
    relays[0].close()
    keeping.join(0.2)
    assert keeping.is_alive()
    relays[1].close()
    keeping.join(FEW_S)
    assert not keeping.is_alive()


def test_a_keeper_that_no_relay_comes_to_ends(listener: socket.socket) -> None:
    keeper.keep(listener, 0.01)  # or the test runs into its limit


SHOW = """
import os, json, resource
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "cwd": os.getcwd(), "home": os.environ["HOME"], "uid": os.getuid(), "gid": os.getgid(),
    "groups": os.getgroups(), "pids": resource.getrlimit(resource.RLIMIT_NPROC)[0],
    "new privileges": status["NoNewPrivs"].strip() == "0",
}))
"""


@root
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_root_is_laid_down_before_the_program_runs(tmp_path: Path) -> None:
    work = tmp_path / "work"
    hide(tmp_path, "json", "socket", "ctypes", "resource", "time")
    home = {**os.environ, "HOME": str(tmp_path)}
    with start(keeper, str(work), "20", folder=tmp_path / "..", env=home) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"ready\n"
        for each in (tmp_path, *tmp_path.parents[:3]):
            each.chmod(0o755)
        settings = {"work": str(work), "uid": 20_000, "gid": 20_001, "pids": 77}
        code, said, told = run(drop_root, json.dumps(settings), SHOW, folder=tmp_path, env=home)
        first.kill()
    assert (code, told) == (0, "")
    assert json.loads(said) == {
        "cwd": str(work),
        "home": str(work),
        "uid": 20_000,
        "gid": 20_001,
        "groups": [],
        "pids": 77,
        "new privileges": False,
    }


@root
def test_all_that_a_user_runs_is_ended_and_nothing_else(tmp_path: Path) -> None:
    with (
        subprocess.Popen(["sleep", "60"], user=20_002) as theirs,
        subprocess.Popen(["sleep", "60"], user=20_003) as others,
    ):
        assert run(kill_user, "20002", folder=tmp_path) == (0, "", "")
        assert theirs.wait(FEW_S) == -9
        assert others.poll() is None
        others.kill()


def test_the_probe_says_which_python_there_is_and_what_it_lacks(tmp_path: Path) -> None:
    assert run(probe, folder=tmp_path)[:2] == (0, f"[{list(sys.version_info[:2])}, []]\n")
    _, *rest = command(probe)
    bare = subprocess.run(
        [sys.executable, "-S", *rest], capture_output=True, timeout=FEW_S, check=True
    )
    assert json.loads(bare.stdout)[1] == ["No module named 'zmq'", "No module named 'ipykernel'"]


def watches_a_process(pid: int) -> bool:
    """Whether it holds the descriptor of another process; waits for it."""
    limit = time.monotonic() + FEW_S
    while time.monotonic() < limit:
        folder = f"/proc/{pid}/fd"
        with contextlib.suppress(OSError):
            if any("pidfd" in os.readlink(f"{folder}/{name}") for name in os.listdir(folder)):
                return True
    return False


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_the_reaper_loads_the_vendors_program_once_its_host_is_gone(tmp_path: Path) -> None:
    program = tmp_path / "reaping.py"
    program.write_text(
        "import sys\n"
        "print('host', open(f'/proc/{sys.argv[3]}/stat').read().split()[2], flush=True)\n"
        "def remove_found(selector):\n"
        "    print('removes', selector, flush=True)\n"
        "    return False\n"
    )
    with (
        subprocess.Popen(["sleep", "60"]) as host,
        subprocess.Popen(
            [sys.executable, "-P", reaper.__file__, str(program), "a=b", str(host.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as reaping,
    ):
        assert watches_a_process(reaping.pid)
        host.kill()
        assert reaping.stdout is not None
        lines = [reaping.stdout.readline() for _ in range(2)]
        reaping.kill()
    assert lines == [b"host Z\n", b"removes a=b\n"]  # dead, and not yet waited for
