"""A Modal sandbox with a relay in it, and the pipe to it.

The sandbox's first process is a keeper: it ends, and the sandbox with it, when the relays that
were started in it have gone. Each relay is one ``Sandbox.exec``. It lays down its rights before it
reads anything: code in a sandbox starts as root on Modal.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...errors import KernelStartError, UsageError
from ...remote import drop_root, keeper, kill_user
from ...settings.limits import Rate
from ..pipe.programs import command
from ..pipe.said import printable
from .exec_pipe import ExecPipe
from .image import ModalImage, app, forget
from .prices import per_second
from .sdk import host_tags, plain_errors, sdk

REASON_SECONDS = 3.0
PATIENCE_S = 120.0
"""So long a lost connection is tried again, and a relay waits for us; then both give up."""
KILLED = 137
MIB = 1 << 20
STDERR_KEPT = 1 << 14


@dataclass(frozen=True)
class SandboxSpec:
    """The makings of a sandbox, its reach, what it may use, and how long it lives."""

    image: ModalImage
    app: str
    network: bool
    cpus: float
    memory: int
    """Bytes."""
    pids: int
    """Processes and threads of the user."""
    gpu: str | None
    region: str | None
    timeout_s: int
    """The server ends it then, whatever becomes of us."""
    secrets: tuple[str, ...]
    tags: Mapping[str, str]
    work: str
    """The working folder."""
    user: tuple[int, int]
    """User and group."""
    patience_s: float
    """So long relays wait for us, and we for a lost connection."""

    @property
    def requested(self) -> tuple[float, int]:
        """Return processors and bytes that are set aside: what a kernel that waits for an LM needs.
        Up to the limits it is given more when it asks, where the machine has it."""
        return min(0.25, self.cpus), min(512 * MIB, self.memory)

    @property
    def rate(self) -> Rate:
        """Return the price of what is set aside, the least that is billed."""
        return per_second(*self.requested, self.gpu)

    def create(self, *command: str, **more: Any) -> Any:
        """Return a ``modal.Sandbox``. Raises what ``plain_errors`` makes of the SDK's errors."""
        modal = sdk()
        cpus, memory = self.requested
        with plain_errors("cannot create a sandbox"), _nothing_stale():
            client = modal.Client.from_env()
            return modal.Sandbox.create(
                *command,
                app=app(client, self.app),
                image=self.image.made(client),
                cpu=(cpus, self.cpus),
                memory=(memory // MIB, self.memory // MIB),
                gpu=self.gpu,
                region=self.region,
                timeout=self.timeout_s,
                secrets=[modal.Secret.from_name(name) for name in self.secrets],
                tags={**self.tags, **host_tags()},
                **more,
            )

    def without_rights(self, program: str) -> list[str]:
        """Return what runs a Python program without root's rights, in the work folder."""
        settings = {"work": self.work, "pids": self.pids, "uid": self.user[0], "gid": self.user[1]}
        return command(drop_root, json.dumps(settings), program)


@contextmanager
def _nothing_stale() -> Iterator[None]:
    """Forget the app and the image where the body fails: the next time they are looked up."""
    try:
        yield
    except BaseException:
        forget()
        raise


class ModalSandbox:
    """A sandbox to be. ``open`` makes it and ``close`` ends it, on any thread each. ``open`` may
    wait long for Modal: a ``close`` meanwhile returns at once, and ``open`` ends what it makes."""

    def __init__(self, spec: SandboxSpec, joined: str = "") -> None:
        self.spec = spec
        self.joined = joined
        self.pipe: Any = None
        self._sandbox: Any = None
        self._process: Any = None
        self._lock = threading.Lock()
        self._unwanted = False
        self._stderr = b""

    @property
    def name(self) -> str:
        """Return its id at Modal; empty before it is there."""
        return str(self._sandbox.object_id) if self._sandbox is not None else ""

    @property
    def rate(self) -> Rate:
        """Return what it costs; a sandbox that is joined is paid for already."""
        return Rate() if self.joined else self.spec.rate

    def open(self, program: str) -> Any:
        """Make it, and return the pipe to ``program``. Raises ``UsageError`` or
        ``KernelStartError``; nothing is left then."""
        with self._lock:
            if self._unwanted:
                raise KernelStartError("the sandbox is not wanted any more")
            try:
                self._make()
                if self._unwanted:
                    raise KernelStartError("the sandbox is not wanted any more")
                return self._start(program)
            except BaseException:
                self._end()
                raise

    def _make(self) -> None:
        first = command(keeper, self.spec.work, str(self.spec.patience_s))
        self._sandbox = self.spec.create(*first, block_network=not self.spec.network)

    def _start(self, program: str) -> Any:
        doing = f"cannot start a relay in the sandbox {self.name}"
        with plain_errors(doing, KernelStartError):
            self._process = self._sandbox.exec(*self.spec.without_rights(program), text=False)
        self.pipe = ExecPipe(self._process, self.how_it_ended, self.spec.patience_s)
        return self.pipe

    def close(self) -> None:
        """End the sandbox. May be called again."""
        self._unwanted = True
        if self._lock.acquire(blocking=False):
            try:
                if self.pipe is not None:
                    self.pipe.close()
                self._end()
            finally:
                self._lock.release()

    def _end(self) -> None:
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            with plain_errors(f"cannot end the sandbox {sandbox.object_id}"):
                sandbox.terminate()
                sandbox.detach()  # its connections

    def last_words(self) -> str:
        """Return what the relay wrote to its standard error: of use where it did not start."""
        return printable(self._stderr.decode("utf-8", "replace")).strip()

    def how_it_ended(self) -> str | None:
        """Return why the pipe ended: time was up, terminated, killed; empty for an end of its own,
        None when it has not ended for all we know."""
        sandbox = self._sandbox  # ``close`` may take it away at any moment
        if self._unwanted or sandbox is None:
            return ""
        try:
            with plain_errors("the sandbox is lost"):
                return self._look(sandbox)
        except KernelStartError:
            return None  # the service does not answer now
        except UsageError as error:
            return str(error)

    def _look(self, sandbox: Any) -> str | None:
        """Return why it ended. The relay's end is told at once; that of the sandbox, which is its
        cause, a little later."""
        limit = time.monotonic() + REASON_SECONDS
        while True:
            if sandbox.poll() is not None:
                return self._verdict(sandbox)
            if self._unwanted:  # it was ended from here meanwhile: the SDK would log an error
                return ""
            code = self._process.poll()
            if code is None:
                return None
            if (code != KILLED and code >= 0) or time.monotonic() > limit:
                for piece in self._process.stderr:
                    self._stderr = (self._stderr + piece)[-STDERR_KEPT:]
                killed = "the relay was killed, perhaps for want of memory"
                return f"{killed} (exit code {code})" if code in (KILLED, -9) else ""
            time.sleep(0.1)

    def _verdict(self, sandbox: Any) -> str:
        errors = sdk().exception
        try:
            sandbox.wait()
        except errors.SandboxTimeoutError:
            return (
                f"the sandbox reached its limit of {self.spec.timeout_s} s (the setting"
                " `sandbox_seconds`)"
            )
        except errors.SandboxTerminatedError:
            return "the sandbox was terminated from outside"
        code = sandbox.returncode
        if code == KILLED:
            return (
                f"the sandbox was killed (exit code {code}): its memory of"
                f" {self.spec.memory // MIB} MiB ran out (the setting `memory`), or Modal took the"
                " machine back"
            )
        return f"the sandbox ended (exit code {code})" if code else ""


class SharedSandbox(ModalSandbox):
    """A further kernel in a sandbox that runs: it starts sooner, and shares that sandbox's memory,
    processors, files and end."""

    def _make(self) -> None:
        with plain_errors(f"cannot join the sandbox {self.joined}"):
            self._sandbox = sdk().Sandbox.from_id(self.joined)

    def _end(self) -> None:
        """End what this kernel's user runs: the sandbox is another kernel's."""
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            with plain_errors(f"cannot end a kernel in the sandbox {self.joined}"):
                if self._process is not None and sandbox.poll() is None:
                    sandbox.exec(*command(kill_user, str(self.spec.user[0]))).wait()
                sandbox.detach()
