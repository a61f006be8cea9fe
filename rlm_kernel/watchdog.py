"""Ends inner kernels when their host is gone, however the host ended.

``Watchdog`` starts this same file as a small process of its own session that reads lines from a
pipe; end of file means that the host died, kill -9 included. A kernel's own parent poller would
end the kernel but not what its cells have started.

Stdlib only: the process is started with ``-I -S`` and is up in some 20 ms.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

MARK = "RLM_NODE"
"""Environment variable that marks a kernel and all that it starts."""


def _marked(mark: str) -> list[int]:
    """Processes whose environment carries the mark (Linux; elsewhere none are found)."""
    needle = f"{MARK}={mark}".encode()
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as environ:
                if needle in environ.read().split(b"\0"):
                    found.append(int(name))
    return found


def reap(pgid: int | None, mark: str) -> None:
    """End a kernel's process group and whatever else it started that kept its environment.

    Not promised: a process that left the group and cleared its environment. On macOS only the
    group is ended.
    """
    if pgid is not None and hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pgid, signal.SIGKILL)
    for _ in range(5):  # a process may fork while we look
        left = _marked(mark)
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Take orders from standard input until it ends, then end every kernel still listed."""
    kernels: dict[str, dict[str, object]] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "watch":
            kernels[order["mark"]] = order
        else:
            kernels.pop(order["mark"], None)
    for mark, order in kernels.items():
        pgid = order["pgid"]
        reap(pgid if isinstance(pgid, int) else None, mark)
        shutil.rmtree(str(order["folder"]), ignore_errors=True)


class Watchdog:
    """The host's end. One process a host process, started with the first kernel."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def _tell(self, order: dict[str, object]) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", __file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    env={},
                )
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def watch(self, pgid: int | None, mark: str, folder: str) -> None:
        """End the group and delete the folder if this process ends before ``forget``."""
        self._tell({"do": "watch", "pgid": pgid, "mark": mark, "folder": folder})

    def forget(self, mark: str) -> None:
        self._tell({"do": "forget", "mark": mark})


WATCHDOG = Watchdog()

if __name__ == "__main__":
    main()
