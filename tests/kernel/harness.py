"""A kernel as Jupyter starts it, front ends that speak to it, and an LM that says what it is told.

Everything is synchronous, and every wait ends: with what was waited for, or after ``WAIT_SECONDS``
with an ``AssertionError`` that says what was heard until then.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_client.session import Session
from processes import processes_with

from rlm_kernel.testing import FakeEndpoint, Hang
from rlm_kernel.testing.endpoint import Said

WAIT_SECONDS = 40.0
RLM = (sys.executable, "-P", "-m", "rlm_kernel.kernel", "-f", "{connection_file}")
PLAIN = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")

Message = dict[str, Any]


# the LM
class Withheld:
    """A reply that the endpoint keeps back until the test releases it.

    ``asked`` is set when the LM was asked.
    """

    def __init__(self, reply: Said) -> None:
        self.asked = threading.Event()
        self._reply = reply
        self._go: Future[None] = Future()

    def wait_asked(self) -> None:
        assert self.asked.wait(WAIT_SECONDS), "the LM was not asked"

    def release(self) -> None:
        if not self._go.done():
            self._go.set_result(None)

    async def __call__(self) -> Said:
        self.asked.set()
        await asyncio.shield(asyncio.wrap_future(self._go))
        return self._reply


Reply = Said | Withheld


class LM:
    """An endpoint whose turns are said in order. ``sub`` answers a sub-call's prompt.

    ``say`` gives the turns to come and forgets the earlier ones.
    """

    def __init__(self) -> None:
        self._turns: Iterator[Reply] = iter(())
        self.sub: Callable[[str], Reply] = lambda prompt: f"<{prompt[:60]}>"
        self.endpoint = FakeEndpoint(self._reply)

    def say(self, *turns: Reply) -> None:
        self._turns = iter(turns)
        self.sub = lambda prompt: f"<{prompt[:60]}>"

    async def _reply(self, request: dict[str, Any]) -> Said:
        messages = request["messages"]
        if any(message["role"] == "system" for message in messages):
            reply = next(self._turns, "The script of the test has no turn left.")
        else:
            reply = self.sub(str(messages[-1]["content"]))
        return await reply() if isinstance(reply, Withheld) else reply

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make an RLM kernel ask this LM."""
        return {
            "RLM_BASE_URL": self.endpoint.base_url,
            "RLM_API_KEY": "canary-key-123",
            "RLM_MODEL": "fake-model",
        }

    def hung_up(self) -> bool:
        """Whether every request that got no whole reply was closed by the client."""
        unfinished = [e for e in self.endpoint.log if e.status is None]
        return all(e.hung_up for e in unfinished)


@contextmanager
def scripted_lm() -> Iterator[LM]:
    lm = LM()
    with lm.endpoint:
        yield lm


def block(source: str) -> str:
    """An LM's turn that is one cell."""
    return f"I run this.\n```python\n{source}\n```"


# kernels
class _Manager(KernelManager):
    """A manager whose kernelspec is given here: nothing needs to be installed."""

    argv: tuple[str, ...] = RLM

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=list(self.argv),
            display_name="RLM",
            language="python",
            interrupt_mode="message" if self.argv == RLM else "signal",
        )


class RunningKernel:
    """A kernel process, its working folder ``cwd`` and its temporary folder ``tmp``."""

    def __init__(self, manager: _Manager, cwd: Path, tmp: Path, log: Path) -> None:
        self.manager = manager
        self.cwd = cwd
        self.tmp = tmp
        self._log = log
        self._fronts: list[Front] = []

    @property
    def pid(self) -> int:
        return int(self.manager.provisioner.pid)  # type: ignore[union-attr]

    @property
    def log(self) -> str:
        """What the process wrote on its terminal."""
        return self._log.read_text()

    def front(self) -> Front:
        """One more front end, which hears the kernel."""
        front = Front(self.manager)
        self._fronts.append(front)
        front.wait_ready(lambda: f"process {self.pid}, which wrote:\n{self.log}")
        return front

    def forget_fronts(self) -> None:
        for front in self._fronts:
            front.close()
        self._fronts.clear()

    def restart(self) -> None:
        """As a front end's menu does it; the front ends there are stay connected."""
        self.manager.restart_kernel()

    def shut_down(self) -> None:
        self.manager.shutdown_kernel()

    def processes(self) -> list[int]:
        """Every process that has our temporary folder in its environment."""
        return processes_with(self.tmp)


def environment(folder: Path, tmp: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """All that a kernel of a test is told: nothing of the user's is read or written."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(tmp),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter-config"),
        "JUPYTER_DATA_DIR": str(home / "jupyter-data"),
        "JUPYTER_RUNTIME_DIR": str(home / "jupyter-runtime"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        **extra,
    }


@contextmanager
def running_kernel(
    folder: Path, *, argv: tuple[str, ...] = RLM, env: Mapping[str, str] | None = None
) -> Iterator[RunningKernel]:
    """A kernel that works in ``folder / "notebooks"``, with an environment of its own.

    ``env`` comes on top, for example ``lm.environment``.
    """
    cwd = folder / "notebooks"
    cwd.mkdir(parents=True, exist_ok=True)
    tmp = Path(tempfile.mkdtemp(prefix="rk-"))  # short: socket paths end at 108 bytes
    manager = _Manager(
        connection_file=str(tmp / "outer.json"),
        # Ports are chosen before the kernel binds them: two workers' kernels can choose the same.
        transport="ipc",
        ip=str(tmp / "outer"),
        shutdown_wait_time=10.0,
    )
    manager.argv = argv
    manager.context.rcvhwm = 0  # a busy machine's front end is slow, and a publisher drops the rest
    log = folder / "terminal.log"
    kernel = RunningKernel(manager, cwd, tmp, log)
    try:
        with log.open("wb") as sink:
            manager.start_kernel(
                cwd=str(cwd), env=environment(folder, tmp, env or {}), stdout=sink, stderr=sink
            )
            yield kernel  # a restart writes there too
    finally:
        kernel.forget_fronts()
        if manager.has_kernel:
            manager.shutdown_kernel()
        manager.context.destroy(linger=0)
        shutil.rmtree(tmp, ignore_errors=True)


# front ends
@dataclass(frozen=True)
class Outcome:
    """The reply to a request, and every iopub message that the request caused, in order."""

    reply: Message
    iopub: list[Message]

    @property
    def status(self) -> str:
        return str(self.reply["content"]["status"])

    @property
    def count(self) -> int:
        return int(self.reply["content"]["execution_count"])

    def of(self, *kinds: str) -> list[Message]:
        return [message for message in self.iopub if message["msg_type"] in kinds]

    def stream(self, name: str = "stdout") -> str:
        contents = [message["content"] for message in self.of("stream")]
        return "".join(content["text"] for content in contents if content["name"] == name)

    @property
    def result(self) -> str | None:
        """The cell's value as plain text."""
        found = self.of("execute_result")
        return found[-1]["content"]["data"]["text/plain"] if found else None

    @property
    def error(self) -> tuple[str, str]:
        """Name and text of the error that is shown; empty where there is none."""
        found = self.of("error")
        return (
            (found[-1]["content"]["ename"], found[-1]["content"]["evalue"]) if found else ("", "")
        )

    @property
    def shown(self) -> str:
        """The plain text of everything that was displayed, updates included."""
        kinds = ("display_data", "update_display_data")
        return "\n".join(m["content"]["data"].get("text/plain", "") for m in self.of(*kinds))


class Front:
    """One front end: its own session, sockets and inbox.

    ``heard`` has every iopub message since it connected, those of other front ends too.
    """

    def __init__(self, manager: KernelManager) -> None:
        key, scheme = manager.session.key, manager.session.signature_scheme
        self.session = Session(key=key, signature_scheme=scheme)
        identity = self.session.bsession
        self.heard: list[Message] = []
        self._replies: dict[str, Message] = {}
        self._asked: list[Message] = []
        self._sockets = {
            "shell": manager.connect_shell(identity=identity),
            "control": manager.connect_control(identity=identity),
            "stdin": manager.connect_stdin(identity=identity),
            "iopub": manager.connect_iopub(),
        }
        self._poller = zmq.Poller()
        for socket in self._sockets.values():
            self._poller.register(socket, zmq.POLLIN)

    def close(self) -> None:
        for socket in self._sockets.values():
            socket.close(linger=0)

    def _take(self, timeout_s: float) -> None:
        """Take in what comes next, if anything does in time."""
        for socket, _ in self._poller.poll(max(0, timeout_s) * 1000):
            _, message = self.session.recv(socket, mode=zmq.DONTWAIT)
            if message is None:
                continue
            if socket is self._sockets["iopub"]:
                self.heard.append(message)
            elif socket is self._sockets["stdin"]:
                self._asked.append(message)
            else:
                self._replies[message["parent_header"]["msg_id"]] = message

    def until(self, done: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
        """What ``done`` gives once that is true; ``what`` says what is waited for."""
        end = time.monotonic() + seconds
        while not (found := done()):
            left = end - time.monotonic()
            if left <= 0:
                last = [(m["msg_type"], m["content"]) for m in self.heard[-10:]]
                raise AssertionError(f"waited {seconds:g} s for {what}; last heard: {last}")
            self._take(min(left, 0.25))
        return found

    def wait_ready(self, who: Callable[[], str] = lambda: "the kernel") -> None:
        """Until requests are answered and iopub is heard; ``who`` says whose fault it is if not."""
        end = time.monotonic() + WAIT_SECONDS
        while not self.heard:
            assert time.monotonic() < end, f"no answer from {who()}"
            identity = self.send("kernel_info_request", {})
            again = time.monotonic() + 1
            while time.monotonic() < again and not (self.heard and identity in self._replies):
                self._take(0.05)

    # requests
    def send(
        self,
        kind: str,
        content: dict[str, Any],
        *,
        channel: str = "shell",
        buffers: list[bytes] | None = None,
        metadata: dict[str, Any] | None = None,
        subshell: str | None = None,
    ) -> str:
        """Send a request; its identity, for ``finish``."""
        message = self.session.msg(kind, content, metadata=metadata)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.session.send(self._sockets[channel], message, buffers=buffers)
        return str(message["header"]["msg_id"])

    def start(
        self, code: str, *, cell: str | None = None, subshell: str | None = None, **flags: Any
    ) -> str:
        """Send an execute request and do not wait; its identity, for ``finish``. ``cell`` is the id
        of the notebook's cell, as JupyterLab sends it."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": True,
        }
        about = None if cell is None else {"cellId": cell}
        sent = {**content, **flags}
        return self.send("execute_request", sent, metadata=about, subshell=subshell)

    def subshell(self) -> str:
        """The id of a new subshell."""
        reply = self.ask("create_subshell_request", {}, channel="control")
        assert reply["content"]["status"] == "ok", reply["content"]
        return str(reply["content"]["subshell_id"])

    def finish(self, identity: str, seconds: float = WAIT_SECONDS) -> Outcome:
        """The outcome of a request that was sent: its reply and its ``idle`` have come."""
        self.until(
            lambda: identity in self._replies and self.is_idle(identity),
            f"the end of request {identity}",
            seconds,
        )
        return Outcome(self._replies[identity], self.caused_by(identity))

    def run(self, code: str, seconds: float = WAIT_SECONDS, **flags: Any) -> Outcome:
        return self.finish(self.start(code, **flags), seconds)

    def ask(self, kind: str, content: dict[str, Any], *, channel: str = "shell") -> Message:
        """The reply to a request, as soon as it is there."""
        identity = self.send(kind, content, channel=channel)
        reply: Message = self.until(lambda: self._replies.get(identity), f"the reply to {kind}")
        return reply

    def interrupt(self) -> Message:
        """As a front end's button does it where interrupts are messages."""
        return self.ask("interrupt_request", {}, channel="control")

    # what was heard
    def caused_by(self, identity: str) -> list[Message]:
        return [m for m in self.heard if m["parent_header"].get("msg_id") == identity]

    def is_idle(self, identity: str) -> bool:
        return any(
            m["msg_type"] == "status" and m["content"]["execution_state"] == "idle"
            for m in self.caused_by(identity)
        )

    def hear(self, identity: str, text: str) -> None:
        """Until something that the request caused has this text in it; its own code apart."""
        self.until(
            lambda: any(
                text in str(m["content"])
                for m in self.caused_by(identity)
                if m["msg_type"] != "execute_input"
            ),
            f"{text!r} from request {identity}",
        )

    def hear_any(self, text: str, since: int = 0) -> Message:
        """The first iopub message, whoever caused it, that has this text in it."""
        message: Message = self.until(
            lambda: next((m for m in self.heard[since:] if text in str(m["content"])), None),
            f"{text!r} from anybody",
        )
        return message

    # stdin
    def asked_input(self) -> Message:
        """The next request for a line of input to this front end."""
        self.until(lambda: self._asked, "a request for input")
        return self._asked.pop(0)

    def type(self, line: str) -> None:
        self.send("input_reply", {"value": line, "status": "ok"}, channel="stdin")

    def was_asked_input(self) -> bool:
        return bool(self._asked)


def gone(kernel: RunningKernel, seconds: float = 10.0) -> None:
    """Until no process of a kernel and none of its private folders is left."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        left = kernel.processes(), list(kernel.tmp.glob("rlm-*"))
        if left == ([], []):
            return
        os.sched_yield()
    raise AssertionError(f"left after {seconds:g} s: {left}")


HANG = Hang()
