"""One sandbox with a relay in it, and the pipe to it."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from ...errors import KernelStartError, UsageError
from ..launch import LOG
from ..local.folders import kept_folder
from ..local.watchdog import WatchedProcess
from .command import BwrapSpec, command
from .memory import MemoryBound
from .syscalls import write_filter

FILTER, PIPE = "filter", "pipe"
START_SECONDS = 20.0
END_SECONDS = 2.0
READ = 1 << 18
LOG_BYTES = 1 << 14


class SocketPipe:
    """The relay's standard input and output, a socket. ``find_reason`` is asked when it ended
    without being closed."""

    def __init__(self, connected: socket.socket, find_reason: Callable[[], str]) -> None:
        self.reason = ""
        """The cause of its end; set before ``read`` tells of the end."""
        self._socket = connected
        self._find_reason = find_reason
        self._closed = threading.Event()

    def read(self) -> bytes:
        with suppress(OSError):  # closed here
            if data := self._socket.recv(READ):
                return data
        self.reason = "" if self._closed.is_set() else self._find_reason()
        return b""

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        self._closed.set()
        with suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class BwrapSandbox:
    """A sandbox to be. ``open`` makes it and ``close`` ends it, on any thread each. It is below a
    watchdog, as a local kernel is, and so ends with this process."""

    name = ""
    """Nothing can join it."""

    def __init__(self, spec: BwrapSpec) -> None:
        self.pipe: SocketPipe | None = None
        self._spec = spec
        self._made = ExitStack()
        self._log: Path | None = None
        self._process: WatchedProcess | None = None
        self._memory: MemoryBound | None = None
        self._lock = threading.Lock()
        self._unwanted = False

    def open(self, program: Sequence[str]) -> SocketPipe:
        """Start the program in it; return the pipe. Raises ``UsageError`` or ``KernelStartError``;
        ``close`` it then too."""
        with self._lock:
            if self._unwanted:
                raise KernelStartError("the sandbox is not wanted any more")
            folder, watchdog = self._made.enter_context(kept_folder())
            write_filter(folder / FILTER)
            argv = command(self._spec, program, folder / FILTER)
            self._log = folder / LOG
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(folder / PIPE))
                listening.listen(1)
                listening.settimeout(START_SECONDS)
                try:
                    self._process = watchdog.start(argv, {}, "/", self._log, pipe=folder / PIPE)
                    connected, _ = listening.accept()
                except OSError as error:
                    raise KernelStartError(f"no sandbox can be started: {error}") from error
            connected.settimeout(None)
            self._memory = MemoryBound(self._process.pid, self._spec.memory)
            self._made.callback(self._memory.close)
            self.pipe = SocketPipe(connected, self._how_it_ended)
            return self.pipe

    def close(self) -> None:
        """End all that is in it. May be called again."""
        self._unwanted = True
        with self._lock:
            if self.pipe is not None:
                self.pipe.close()
            self._made.close()

    @property
    def out_of_memory(self) -> bool:
        """True where a process was ended a moment ago since there were too many bytes."""
        return self._memory is not None and self._memory.lately

    def last_words(self) -> str:
        """Return what bubblewrap or the relay wrote to its standard error."""
        if self._log is None:
            return ""
        with suppress(OSError):  # it is gone, or was never made
            return self._log.read_bytes()[-LOG_BYTES:].decode("utf-8", "replace").strip()
        return ""

    def _how_it_ended(self) -> str:
        """Return why it ended; empty for an end of its own."""
        assert self._process is not None
        code = self._process.wait(END_SECONDS)
        if code in (None, 0):
            return ""
        said = self.last_words()
        return f"the sandbox ended (exit code {code})" + (f": {said}" if said else "")


def try_one(spec: BwrapSpec) -> None:
    """Run a program that does nothing in a sandbox. Raises ``UsageError`` where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, FILTER)
        write_filter(path)
        argv = command(spec, ["true"], path)
        try:
            subprocess.run(argv, capture_output=True, env={}, check=True, timeout=START_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", None) or b"").decode("utf-8", "replace").strip()
            raise UsageError(
                f"bubblewrap makes no sandbox here: {said or error}. It takes bubblewrap 0.8 or "
                "newer, and a system that lets its users make user namespaces "
                "(`unshare --user true` tries that); `--env docker` does without."
            ) from error
