"""Removes a process's containers and sandboxes once it is gone, however it ended.

Their own pipes end them too, but for one that was made and not yet started, or whose first
process hangs. ``Reaper`` starts this same file as a small process of a group of its own; end of
file on its standard input means that the host died, kill -9 included. An SDK, which takes 30 MB
and more, is loaded only then.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from select import POLLIN, poll
from typing import Any

QUIET_S = 5.0
"""What was being made when the host died can come to be after the first look."""
GIVE_UP_S = 60.0
LOOK_S = 0.3
KEPT = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH")
KEPT_PREFIXES = ("DOCKER_", "MODAL_", "SSL_CERT_", "XDG_")
PR_SET_DUMPABLE = 4


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


def remove_all(remove_found: Callable[[str], bool], selector: str) -> None:
    """Remove what carries this label or tag until none has come for a while."""
    began = quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_S and time.monotonic() - began < GIVE_UP_S:
        if remove_found(selector):
            quiet_since = time.monotonic()
        time.sleep(LOOK_S)


def _remove_containers(label: str) -> bool:
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


def _remove_sandboxes(selector: str) -> bool:
    """As for containers; the selector is app/tag=value."""
    modal, grpc = import_module("modal"), import_module("grpclib.exceptions")
    app, _, tag = selector.partition("/")
    name, _, value = tag.partition("=")
    try:
        app_id = modal.App.lookup(app, create_if_missing=True).app_id
        found = list(modal.Sandbox.list(app_id=app_id, tags={name: value}))
        for sandbox in found:
            sandbox.terminate()
    except (modal.exception.Error, grpc.GRPCError, grpc.StreamTerminatedError, OSError):
        return True
    return bool(found)


REMOVERS: dict[str, Callable[[str], bool]] = {
    "docker": _remove_containers,
    "modal": _remove_sandboxes,
}


class Reaper:
    """The host's end. One process a host process and selector, started before the first thing is
    made that it selects."""

    def __init__(self, sdk: str) -> None:
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        """By selector."""
        self._there: Counter[str] = Counter()
        self._sdk = sdk
        self._owner = 0
        self._lock = threading.Lock()

    def watch(self, selector: str) -> None:
        """See to it that what carries this label or tag goes with this process. It is about to be
        made: say ``gone`` when it has been removed."""
        with self._lock:
            if self._owner != os.getpid():  # a forked process has none yet
                self._owner = os.getpid()
                self.processes, self._there = {}, Counter()
                atexit.register(self._let_go)
            self._there[selector] += 1
            running = self.processes.get(selector)
            if running is not None and running.poll() is None:
                return
            self.processes[selector] = subprocess.Popen(
                # -P: or our docker.py, beside this file, would hide the SDK
                [sys.executable, "-P", __file__, self._sdk, selector, str(self._owner)],
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is ours to answer
            )

    def gone(self, selector: str) -> None:
        """One of what ``watch`` was told of is no longer there."""
        with self._lock:
            self._there[selector] -= 1

    def _let_go(self) -> None:
        """At our end: those that have something to look for outlive us for some seconds."""
        for selector, process in self.processes.items():
            if self._there[selector] <= 0:
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()
            process.returncode = 0  # or Python warns of a process that is left running


def _environment() -> dict[str, str]:
    """Of ours what reaching the engine or the service takes; no LM's key."""
    return {k: v for k, v in os.environ.items() if k in KEPT or k.startswith(KEPT_PREFIXES)}


REAPERS = {sdk: Reaper(sdk) for sdk in REMOVERS}

if __name__ == "__main__":
    if sys.platform == "linux":  # a token of the service is in our environment
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
    wait_for_end(int(sys.argv[3]))
    remove_all(REMOVERS[sys.argv[1]], sys.argv[2])
