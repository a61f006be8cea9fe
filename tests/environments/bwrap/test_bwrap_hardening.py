"""What code in a sandbox of bubblewrap's cannot do, each with the same probe where it can."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sandboxes import NO_PRIVILEGES, STATUS, Opener, Sandbox

pytestmark = pytest.mark.needs("bwrap")

READ = """
try:
    print(open({path!r}).read())
except OSError as error:
    print(type(error).__name__)
"""
WRITE = """
import errno
try:
    with open({path!r}, "wb") as file:
        for piece in range({mb}):
            file.write(bytes(1 << 20))
    print("written")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
PROCESSES = """
import os
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))
"""
VARIABLES = """
import glob
seen = []
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        seen.append(open(path, "rb").read())
    except OSError:
        pass
print(b"twe" b"et" in b"".join(seen))
"""
DIAL = """
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=5)
    print("connected")
except OSError as error:
    print("no way:", error)
"""
DIAL_ABSTRACT = """
import socket
try:
    socket.socket(socket.AF_UNIX).connect("\\0{name}")
    print("connected")
except OSError as error:
    print("no way:", error)
"""
TAKE = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
pid = {pid}
try:
    found = os.listdir("/proc/%d/fd" % pid) and "found"
except OSError as error:
    found = errno.errorcode[error.errno]
traced = libc.ptrace(16, pid, 0, 0) == 0
print(found, "done" if traced else errno.errorcode[ctypes.get_errno()])
"""
CALL = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
done = libc.syscall({number}, *{arguments})
print("done" if done >= 0 else errno.errorcode[ctypes.get_errno()])
"""
CALLS = {
    "a namespace": (("x86_64", 272), ("aarch64", 97), (0x10000000,)),  # unshare, CLONE_NEWUSER
    "a key of the session's": (("x86_64", 250), ("aarch64", 219), (0, -3, 1)),  # keyctl
    "memory without a process": (("x86_64", 29), ("aarch64", 194), (0, 4096, 0o1600)),  # shmget
}

HOLD_TOGETHER = """
import subprocess, sys
hold = "import sys; held = bytearray(b'x') * (120 << 20); print('held', flush=True); input()"
started = [
    subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    for process in range({processes})
]
for process in started:
    process.stdout.readline()
for process in started:
    process.communicate("end\\n")
print(sorted({{process.returncode for process in started}} - {{0}}))
"""
SHARE = """
import os, time
held = bytearray(b"x") * (200 << 20)
forks = []
for number in range(8):
    pid = os.fork()
    if not pid:
        time.sleep(1.5)
        os._exit(0)
    forks.append(pid)
print(sorted({os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in forks}))
"""
OWN = (sys.prefix, sys.base_prefix)


def _outside(source: str) -> str:
    """What the probe prints on this machine."""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_files_of_the_host_are_not_there(shared: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("of the host")
    for path in (secret, Path("/etc/passwd"), Path(__file__)):
        assert _outside(READ.format(path=str(path))) not in ("FileNotFoundError", "")
        assert shared.run(READ.format(path=str(path))) == "FileNotFoundError"


def test_home_is_the_empty_work_folder(shared: Sandbox) -> None:
    assert shared.run("import os; print(os.path.expanduser('~'), os.getcwd())") == "/work /work"
    inside = shared.run(f"import os; print(os.path.exists({str(Path.home())!r}))")
    assert inside == str(any(Path(each).is_relative_to(Path.home()) for each in OWN))
    if inside == "True":  # what is on the way to this Python, and nothing else
        found = shared.run(f"import os; print(len(os.listdir({str(Path.home())!r})))")
        assert found == "1"


@pytest.mark.parametrize("path", ["/usr/new", "/etc/new", "/dev/new", "/new", "/proc/sys/new"])
def test_only_folders_in_memory_can_be_written_to(shared: Sandbox, path: str) -> None:
    assert shared.run(WRITE.format(path=path, mb=0)) in ("EROFS", "EACCES", "ENOENT")
    for folder in ("/work", "/tmp", "/dev/shm"):
        assert shared.run(WRITE.format(path=f"{folder}/new", mb=0)) == "written"


def test_settings_of_the_machine_cannot_be_changed(shared: Sandbox) -> None:
    path = "/proc/sys/kernel/hostname"
    assert shared.run(WRITE.format(path=path, mb=0)) in ("EACCES", "EROFS", "EPERM")


def test_this_python_and_its_packages_are_there_and_cannot_be_changed(shared: Sandbox) -> None:
    assert shared.run("import sys; print(sys.prefix)") == sys.prefix
    assert shared.run("import pandas; print(pandas.DataFrame({'a': [1]}).a.sum())") == "1"
    path = f"{sys.prefix}/new"
    assert shared.run(WRITE.format(path=path, mb=0)) == "EROFS"


def test_a_mounted_folder_can_be_read_and_not_written(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "note books"
    folder.mkdir()
    (folder / "data.txt").write_text("of the notebook")
    folder.chmod(0o777)
    with opened(mounts={str(folder): "/mnt/note books"}) as place:
        assert place.run(READ.format(path="/mnt/note books/data.txt")) == "of the notebook"
        assert place.run(WRITE.format(path="/mnt/note books/new", mb=0)) == "EROFS"
    assert _outside(WRITE.format(path=str(folder / "new"), mb=0)) == "written"


def test_no_process_of_the_machine_is_seen(shared: Sandbox) -> None:
    assert str(os.getpid()) in _outside(PROCESSES)
    assert len(eval(shared.run(PROCESSES))) < 10


def test_the_hosts_variables_are_not_seen(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLM_CANARY", "twe" + "et")
    assert _outside(VARIABLES) == "True"
    with opened() as place:
        assert place.run(VARIABLES) == "False"


def test_code_has_no_privileges(shared: Sandbox) -> None:
    assert eval(shared.run(STATUS)) == NO_PRIVILEGES
    outside = eval(_outside(STATUS))
    assert (outside["NoNewPrivs"], outside["Seccomp"]) == ("0", "0")


def test_the_way_to_the_host_cannot_be_taken(shared: Sandbox) -> None:
    """The first process holds it: it can be neither looked into nor traced."""
    assert shared.run(TAKE.format(pid=1)) == "EACCES EPERM"
    start = "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\n"
    assert shared.run(start + TAKE.format(pid="child.pid")) == "found done"


@pytest.mark.parametrize("what", CALLS)
def test_calls_that_nobody_needs_are_refused(shared: Sandbox, what: str) -> None:
    *numbers, arguments = CALLS[what]
    number = dict(numbers).get(os.uname().machine)
    if number is None:
        pytest.skip(f"the calls of a machine {os.uname().machine} are not known here")
    probe = CALL.format(number=number, arguments=arguments)
    assert shared.run(probe) in ("EPERM", "ENOSPC")
    assert "EPERM" not in _outside(probe)


def test_nothing_that_listens_on_the_machine_is_reached(opened: Opener) -> None:
    name = f"rlm-test-{os.getpid()}"
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as server,
        closing(socket.socket(socket.AF_UNIX)) as abstract,
    ):
        abstract.bind(f"\0{name}")
        abstract.listen()
        dial = DIAL.format(port=server.getsockname()[1])
        dial_abstract = DIAL_ABSTRACT.format(name=name)
        assert (_outside(dial), _outside(dial_abstract)) == ("connected", "connected")
        with opened() as place:
            assert place.run(dial).startswith("no way:")
            assert place.run(dial_abstract).startswith("no way:")
        with opened(network="bridge") as connected:
            assert connected.run(dial) == "connected"


def test_folders_in_memory_end_at_their_size(opened: Opener) -> None:
    with opened(tmpfs="16m") as place:
        for folder in ("/work", "/tmp", "/dev/shm"):
            probes = [WRITE.format(path=f"{folder}/big", mb=mb) for mb in (8, 20)]
            remove = f"import os\nos.remove('{folder}/big')"  # IPython keeps its history there
            assert place.run("\n".join([*probes, remove])).split() == ["written", "ENOSPC"]


def test_many_processes_have_the_limit_of_memory_together(opened: Opener) -> None:
    with opened(memory="600m") as place:
        assert place.run(HOLD_TOGETHER.format(processes=2), 90) == "[]"
        assert place.run(HOLD_TOGETHER.format(processes=8), 90) == "[-9]"
        assert place.run("print('alive')") == "alive"


def test_memory_that_processes_share_counts_once(opened: Opener) -> None:
    with opened(memory="600m") as place:
        assert place.run(SHARE) == "[0]"


def test_a_kernel_that_takes_too_much_says_so(opened: Opener) -> None:
    with opened(memory="300m") as place:
        place.start_cell("big = bytearray(b'x') * (1 << 30)")
        assert "out of memory" in place.reason()
        assert "The sandbox's limit of memory is 300m" in place.reason()


def test_an_error_of_bubblewrap_is_told(opened: Opener, tmp_path: Path) -> None:
    missing = tmp_path / "nothing here"
    with pytest.raises(Exception, match="nothing here"), opened(mounts={str(missing): "/mnt/x"}):
        raise AssertionError("it started")
