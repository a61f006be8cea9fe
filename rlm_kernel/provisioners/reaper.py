"""Removes a process's containers once it is gone, however it ended.

The containers' own pipes do so too, but for one that was made and not yet started, or whose first
process hangs. ``Reaper`` starts this same file as a small process of a session of its own; end of
file on its standard input means that the host died, kill -9 included. The Docker SDK, which takes
30 MB, is loaded only then.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from select import POLLIN, poll
from typing import Any

QUIET_S = 5.0
"""A container that was being made when the host died can come to be after the first look."""
GIVE_UP_S = 60.0
LOOK_S = 0.3


def wait_for_end(pid: int) -> None:
    """Return when standard input ends or, where that can be watched, the process does: a child
    that it forked may hold the other end of our input."""
    poller = poll()
    poller.register(0, POLLIN)
    if hasattr(os, "pidfd_open"):
        try:
            poller.register(os.pidfd_open(pid), POLLIN)
        except ProcessLookupError:
            return
    poller.poll()


def remove_all(label: str) -> None:
    """Remove containers with this label until none has come for a while."""
    began = quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_S and time.monotonic() - began < GIVE_UP_S:
        if _remove_found(label):
            quiet_since = time.monotonic()
        time.sleep(LOOK_S)


def _remove_found(label: str) -> bool:
    """False when there was none; an engine that does not answer may have some."""
    docker = import_module("docker")
    try:
        api: Any = docker.from_env(version="auto").api
        found = api.containers(all=True, filters={"label": label})
    except (docker.errors.DockerException, OSError):
        return True
    for each in found:
        with suppress(docker.errors.DockerException, OSError):  # gone already, or the next time
            api.remove_container(each["Id"], force=True, v=True)
    return bool(found)


class Reaper:
    """The host's end. One process a host process, started before the first container is made."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def watch(self, label: str) -> None:
        """See to it that containers with this label go with this process."""
        with self._lock:
            alive = self._process is not None and self._process.poll() is None
            if alive and self._owner == os.getpid():
                return
            self._owner = os.getpid()
            atexit.register(self._let_go)
            self._process = subprocess.Popen(
                # -P: or our docker.py, beside this file, would hide the SDK
                [sys.executable, "-P", __file__, label, str(self._owner)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _let_go(self) -> None:
        """At our end: it outlives us for some seconds, and that is meant."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.returncode = 0  # or Python warns of a process that is left running


REAPER = Reaper()

if __name__ == "__main__":
    wait_for_end(int(sys.argv[2]))
    remove_all(sys.argv[1])
