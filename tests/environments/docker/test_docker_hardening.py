"""What code in a container cannot do, each with the same probe where it can."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from forkbomb import FORK_BOMB
from sandboxes import NO_PRIVILEGES, STATUS, Opener, Sandbox

pytestmark = pytest.mark.needs("docker")

DIAL = """
import socket
try:
    with socket.create_connection(({host!r}, {port}), timeout=5) as line:
        print(line.recv(5).decode())
except OSError as error:
    print("no way:", error)
"""
GATEWAY = """
import socket, struct
for line in open("/proc/net/route"):
    interface, target, gateway = line.split()[:3]
    if target == "00000000":
        print(socket.inet_ntoa(struct.pack("<I", int(gateway, 16))))
"""
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
        file.write(bytes({size}))
    print("written")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
ENVIRONMENTS = """
import os
seen = [os.environ.get("RLM_CANARY")]
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            seen.append(open(f"/proc/{name}/environ", "rb").read())
        except OSError:
            pass
print("tweet" in str(seen))
"""


def _outside(source: str) -> str:
    """What the probe prints on this machine."""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_there_is_no_route_out(opened: Opener) -> None:
    with closing(socket.create_server(("0.0.0.0", 0))) as server:
        server.settimeout(20)
        with opened(network="bridge") as connected:
            host = connected.run(GATEWAY)
            probe = DIAL.format(host=host, port=server.getsockname()[1])
            connected.start_cell(probe)
            with closing(server.accept()[0]) as line:
                line.sendall(b"hello")
            assert connected.run("print('done')") == "done"
        with opened() as place:
            assert place.run(GATEWAY) == ""
            assert place.run(probe).startswith("no way:")
            assert place.run("import os; print(os.listdir('/sys/class/net'))") == "['lo']"


def test_a_file_of_the_host_is_not_there(opened: Opener, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("of the host")
    tmp_path.chmod(0o755)
    probe = READ.format(path=str(secret))
    assert _outside(probe) == "of the host"
    with opened() as place:
        assert place.run(probe) == "FileNotFoundError"


def test_a_mounted_folder_can_be_read_and_not_written(opened: Opener, tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "data.txt").write_text("of the notebook")
    folder.chmod(0o777)
    with opened(mounts={str(folder): "/data"}) as place:
        assert place.run(READ.format(path="/data/data.txt")) == "of the notebook"
        assert place.run(WRITE.format(path="/data/new", size=1)) == "EROFS"
    assert _outside(WRITE.format(path=str(folder / "new"), size=1)) == "written"


def test_the_hosts_environment_is_not_seen(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLM_CANARY", "tweet")
    assert _outside(ENVIRONMENTS.replace("tweet", "twe" + "et")) == "True"
    with opened() as place:
        assert place.run(ENVIRONMENTS) == "False"


def test_the_root_is_read_only_even_for_root(opened: Opener) -> None:
    probe = WRITE.format(path="/usr/local/new", size=1)
    with opened(user="0:0") as place:
        assert place.run(probe) == "EROFS"
    with opened(user="0:0", read_only=False) as place:
        assert place.run(probe) == "written"


def test_code_has_no_privileges(shared: Sandbox) -> None:
    assert eval(shared.run(STATUS)) == NO_PRIVILEGES
    outside = eval(_outside(STATUS))
    assert (outside["NoNewPrivs"], outside["Seccomp"]) == ("0", "0")
    if os.geteuid() == 0:
        assert int(outside["CapEff"], 16) > 0


def test_a_fork_bomb_ends_at_the_limit(opened: Opener) -> None:
    bomb = FORK_BOMB.format(most=200)
    with opened(pids=64) as place:
        error, children = place.run(bomb, 60).split()
        assert (error, int(children) < 64) == ("BlockingIOError", True)
        assert place.run("print('alive')") == "alive"
    with opened(pids=300) as place:
        assert place.run(bomb, 60) == "200"


def test_an_allocation_over_the_limit_ends_the_kernel_and_says_so(opened: Opener) -> None:
    probe = "print(len(bytearray(b'x') * (700 << 20)))"
    with opened(memory="300m") as place:
        place.start_cell(probe)
        assert "out of memory" in place.death()
    with opened(memory="1g") as place:
        assert place.run(probe) == str(700 << 20)


def test_a_full_work_folder_is_an_error_in_the_cell(opened: Opener) -> None:
    with opened(tmpfs="16m") as place:
        assert place.run(WRITE.format(path="/work/big", size=17 << 20)) == "ENOSPC"
        # IPython complains too, when its history is due.
        assert place.run(WRITE.format(path="big", size=10 << 20)).endswith("written")


def test_what_a_cell_writes_can_be_run(shared: Sandbox) -> None:
    made = shared.run(
        "import os, subprocess\n"
        "open('hi', 'w').write('#!/bin/sh\\necho hi\\n')\n"
        "os.chmod('hi', 0o755)\n"
        "print(subprocess.check_output('./hi', text=True))"
    )
    assert made == "hi"


def test_code_cannot_reach_the_relay(shared: Sandbox) -> None:
    probe = "import os\ntry: print(os.listdir('/proc/{}/fd'))\nexcept OSError as e: print(e.errno)"
    assert shared.run(probe.format(1)) == "13"
    assert shared.run(probe.format("self")).startswith("[")
    # The first process of a container cannot be stopped or killed from inside of it.
    assert shared.run("os.kill(1, 9); os.kill(1, 19); print('alive')") == "alive"
    assert shared.run("print('still')") == "still"
