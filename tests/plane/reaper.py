"""Ends what a plane left behind, when the process that held it is gone, however it ended.

``Reaper`` starts this file as a small process of a session of its own. End of file on its standard
input means that the plane's process is gone, kill -9 included; a line means that the plane has
seen to everything itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path

LABEL = "rlm_kernel.plane"
KEPT = ("PATH", "DOCKER_HOST")
GIVE_UP_S = 10.0
QUIET_S = 3.0
"""A container that was being made can come to be after the first look."""


def kill_all_with(folder: Path) -> None:
    """Kill every process whose environment names the folder, until there is none (Linux)."""
    while found := _processes_with(folder):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _processes_with(folder: Path) -> list[int]:
    name, found = os.fsencode(folder), []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and name in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def remove_containers(plane_id: str) -> None:
    """Remove the plane's containers until none has come for a while."""
    docker = import_module("docker")
    with closing(docker.from_env()) as client:
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < QUIET_S:
            for each in client.api.containers(all=True, filters={"label": f"{LABEL}={plane_id}"}):
                quiet_since = time.monotonic()
                with suppress(docker.errors.APIError):  # gone already, or the next time
                    client.api.remove_container(each["Id"], force=True, v=True)
            time.sleep(0.2)


class Reaper:
    """The plane's end of it."""

    def __init__(self, folder: Path, plane_id: str, backend: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(folder), plane_id, backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={name: os.environ[name] for name in KEPT if name in os.environ},
            start_new_session=True,
        )

    def dismiss(self, nothing_left: bool) -> None:
        """Let it end at once, or see to what is left. It may outlive us by some seconds."""
        with suppress(subprocess.TimeoutExpired):
            self._process.communicate(b"done\n" if nothing_left else b"", timeout=GIVE_UP_S)


def main(folder: str, plane_id: str, backend: str) -> None:
    if sys.stdin.readline():
        return
    kill_all_with(Path(folder))
    shutil.rmtree(folder, ignore_errors=True)
    if backend == "docker":
        remove_containers(plane_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
