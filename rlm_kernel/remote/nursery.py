"""Forks kernels, each below a watchdog of its own, from a process with what they need imported.

``environments.local.nursery`` starts this with a kernelspec's interpreter. It asks over the socket
that is our input: each request carries the private folder of a kernel and two descriptors, which
become the input and the output of that kernel's watchdog, and is answered with the watchdog's
process id and a descriptor of the process. What a kernel is to run, its connection file and its
variables are told to the watchdog, never to us.

We have one thread, hold no secret and cannot be read or traced by code of a kernel. We are a
subreaper (Linux): what a watchdog that was killed or stopped leaves becomes ours and is ended. We
end when the host closes the socket or has died, and the watchdogs, which see that too, have ended.

Stdlib and what ipykernel brings only, in the syntax of Python 3.9.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

NEEDED = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell",
)  # fmt: skip
"""Without these no kernel starts."""
USUAL = (
    "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger",
    "IPython.core.magics", "IPython.core.oinspect", "IPython.extensions.storemagic", "comm",
    "encodings.idna", "faulthandler", "fractions", "ipykernel.control", "ipykernel.debugger",
    "ipykernel.shellchannel", "ipykernel.subshell_manager", "mmap", "sqlite3", "statistics",
    "tornado.platform.asyncio", "tornado.queues", "zmq.asyncio",
)  # fmt: skip
"""A kernel and the guest import these as they start; other versions may not have all."""
IDLE_S = 600.0
"""So long without a kernel, we end."""
END_S = 15.0
"""So long we wait for the watchdogs when the host is gone."""


def import_beside(name: str) -> Any:
    """Return a module whose file is beside this one. (Our folder is not on the path, or a kernel
    would find there what its cells import.)"""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(name + ".py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Nursery:
    """Forks the watchdogs and buries what they leave."""

    def __init__(self, asked: socket.socket, host: int, watchdog: Any) -> None:
        self._asked = asked
        self._host = host
        self._watchdog = watchdog
        self._watchdogs: set[int] = set()
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def serve(self) -> str | None:
        """Fork as asked until the host is gone, or has no use for us; return None then. In the
        process of a watchdog that is forked meanwhile, return its kernel's folder."""
        while True:
            patience = None if self._watchdogs else IDLE_S
            watched = [self._asked.fileno(), self._woken, self._host]
            ready = select.select(watched, [], [], patience)[0]
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._bury()
            elif self._asked.fileno() in ready:
                data, given, _, _ = socket.recv_fds(self._asked, 1 << 16, 2)
                if not data:
                    return None
                folder = str(json.loads(data)["folder"])
                if self._fork(given):
                    return folder
            else:
                return None

    def _fork(self, given: list[int]) -> bool:
        """Fork a watchdog with these descriptors as its input and output. True in its process."""
        try:
            pid = os.fork()
        except OSError as error:
            self._close(given)
            self._asked.send(json.dumps({"error": error.strerror}).encode())
            return False
        if not pid:
            signal.set_wakeup_fd(-1)
            os.setsid()
            for target, source in enumerate(given):
                os.dup2(source, target)
            self._asked.detach()  # its descriptor is the new input now
            self._close([*given, self._woken, self._wake])
            return True
        self._watchdogs.add(pid)
        self._close(given)
        seen = os.pidfd_open(pid)
        try:
            socket.send_fds(self._asked, [json.dumps({"pid": pid}).encode()], [seen])
        finally:
            os.close(seen)
        return False

    @staticmethod
    def _close(descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    def _bury(self) -> None:
        """Collect who ended, end a watchdog that was stopped, and what has become ours."""
        self._collect()
        for pid, parent in self._watchdog.parents().items():
            if parent == os.getpid() and pid not in self._watchdogs:
                for one in {pid, *self._watchdog.below({pid})}:
                    self._watchdog.kill(one)
        self._collect()

    def _collect(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
                if not pid:
                    return
                if os.WIFSTOPPED(status):
                    self._watchdog.kill(pid)
                else:
                    self._watchdogs.discard(pid)

    def end(self) -> None:
        """Wait until the watchdogs have ended, and bury the rest."""
        limit = time.monotonic() + END_S
        while self._watchdogs and time.monotonic() < limit:
            select.select([self._woken], [], [], 0.1)
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
            self._bury()


def prepare() -> None:
    """Import what kernels need. Raises ``ImportError`` for what must be there, and ``RuntimeError``
    where the imports have started threads, which a fork would not have."""
    for name in NEEDED:
        importlib.import_module(name)
    for name in USUAL:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("what it has imported has started threads")
    gc.collect()
    gc.freeze()  # a collection in a kernel would copy our pages


def run_kernel(order: dict[str, Any], set_by_imports: dict[str, str]) -> None:
    """Run ipykernel as ``python -m ipykernel_launcher`` would."""
    os.environ.clear()
    os.environ.update({**set_by_imports, **order["env"]})
    time.tzset()
    sys.orig_argv[:] = order["argv"]
    module, *given = order["argv"][order["argv"].index("-m") + 1 :]
    found = importlib.util.find_spec(module)
    sys.argv[:] = [str(found and found.origin), *given]
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(parent_handle=1)  # it need not look for its parent: it dies with it


def main() -> None:
    del sys.path[0]
    watchdog = import_beside("watchdog")
    watchdog.prctl(watchdog.PR_SET_DUMPABLE, 0)
    watchdog.prctl(watchdog.PR_SET_CHILD_SUBREAPER, 1)
    watchdog.prctl(watchdog.PR_SET_NAME, b"rlm-nursery")
    host = os.pidfd_open(os.getppid())
    asked = socket.socket(fileno=0)
    before = set(os.environ)
    try:
        prepare()
    except (ImportError, RuntimeError) as error:
        asked.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        sys.exit(1)
    nursery = Nursery(asked, host, watchdog)
    asked.send(b"{}")  # we are ready
    folder = nursery.serve()
    if folder is None:
        nursery.end()
        os._exit(0)
    parent = os.getppid()
    order = watchdog.serve(folder, host)
    if order is None:
        if os.getppid() == parent:  # the nursery lives, but a cell may have stopped it
            os.kill(parent, signal.SIGCONT)
        os._exit(0)
    run_kernel(order, {name: value for name, value in os.environ.items() if name not in before})


if __name__ == "__main__":
    main()
