"""What attacks are after on the host: who would hear, what could be read, and be changed."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from attacks import Attack, aimed

SECONDS = 10
SIGNAL_SECONDS = 0.1
HOLD = "import sys, time\nheld = open(sys.argv[1])\ntime.sleep(3600)"


class Victims:
    """All that an attack could strike; ``struck`` tells if one has. Nothing here is of worth."""

    def __init__(self, folder: Path) -> None:
        self.canary = f"CANARY{secrets.token_hex(8)}"
        self.folder = folder
        self._heard = bytearray()
        self._news = threading.Condition()
        self._stack = contextlib.ExitStack()
        self._secrets()
        self._changeable()
        self._listeners()
        self._restart()

    def _secrets(self) -> None:
        self.secret = self._written(self.folder / "secrets/secret.txt", self.canary)
        self.home = Path.home() / f".rlm-test-{secrets.token_hex(8)}"
        self._written(self.home, self.canary)
        self._stack.callback(self.home.unlink, missing_ok=True)
        self.record = self._written(self.folder / "rlm-runs/1/journal.jsonl", self.canary)

    def _changeable(self) -> None:
        self.victim = self.folder / "victim"
        self.run = self.folder / "rlm-runs/2"
        self._restore()

    def _restore(self) -> None:
        for folder in (self.victim, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        self._written(self.victim / "there.txt", "as it was")
        (self.victim / "folder").mkdir(exist_ok=True)
        self._written(self.run / "trajectory.ipynb", "as it was")
        for where, folders, files in os.walk(self.folder):
            for name in (".", *folders):
                Path(where, name).chmod(0o777)
            for name in files:
                Path(where, name).chmod(0o666)
        self._before = self._tree()

    def _written(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o666)
        return path

    def _tree(self) -> dict[str, object]:
        """Everything that could be changed, with its contents and its rights."""
        found: dict[str, object] = {}
        for root in (self.victim, self.run):
            for path in sorted(root.rglob("*")):
                text = path.read_bytes() if path.is_file() else None
                found[str(path)] = text, path.lstat().st_mode
        return found

    def _listeners(self) -> None:
        self.tcp = self._stack.enter_context(socket.create_server(("0.0.0.0", 0), backlog=64))
        self.udp = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.bind(("0.0.0.0", 0))
        self.unix, self.abstract = (
            self._stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2)
        )
        self.unix_path = self.folder / "s"
        self.unix.bind(str(self.unix_path))
        self.abstract.bind(f"\0{self.canary}")
        for listening in (self.unix, self.abstract):
            listening.listen(64)
        self.unix_path.chmod(0o777)
        self.fifo = self.folder / "fifo"
        os.mkfifo(self.fifo)
        self.fifo.chmod(0o666)
        self._fifo = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        self._stack.callback(os.close, self._fifo)
        self._over, over = os.pipe()
        thread = threading.Thread(target=self._hear, daemon=True)
        thread.start()
        self._stack.callback(thread.join, 10)
        self._stack.callback(os.close, over)

    def _hear(self) -> None:
        listening = [self.tcp, self.unix, self.abstract]
        connected: list[socket.socket] = []
        while True:
            sources = [*listening, self.udp, self._fifo, self._over, *connected]
            for ready in select.select(sources, [], [])[0]:
                if ready == self._over:
                    for each in connected:
                        each.close()
                    os.close(self._over)
                    return
                if ready in listening:
                    connected.append(ready.accept()[0])
                elif ready == self._fifo:
                    self._note(os.read(self._fifo, 1 << 16))
                else:
                    said = b""
                    with contextlib.suppress(OSError):  # who sent it has cut the line
                        said = ready.recv(1 << 16)
                    self._note(said)
                    if not said and ready in connected:
                        connected.remove(ready)
                        ready.close()

    def _note(self, said: bytes) -> None:
        with self._news:
            self._heard += said
            self._news.notify_all()

    def _restart(self) -> None:
        """The process that is attacked, anew where it has ended."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(self.secret), self.canary],
            cwd=self.secret.parent,
            env={"SECRET": self.canary},
            start_new_session=True,
        )

    def cell(self, attack: Attack) -> str:
        """The attack's cell, aimed."""
        words = {
            "CANARY": self.canary,
            "OWN": _own_address(),
            "PORT": str(self.tcp.getsockname()[1]),
            "UDP": str(self.udp.getsockname()[1]),
            "UNIX": str(self.unix_path),
            "ABSTRACT": self.canary,
            "FIFO": str(self.fifo),
            "SECRET": str(self.secret),
            "HOME": str(self.home),
            "RECORD": str(self.record),
            "VICTIM": str(self.victim),
            "RUN": str(self.run),
            "PID": str(self.process.pid),
        }
        return aimed(attack.cell, words)

    def struck(self, attack: Attack, shown: str) -> bool:
        """Whether an attack reached what it was after; all is as it was before, afterwards.
        ``shown`` is what its cell put out."""
        match attack.kind:
            case "tell":
                return self.canary.encode() in self._all_heard()
            case "read":
                return self.canary[::-1] in shown
            case "change":
                return self._changed()
            case _:
                return "DONE" in shown

    def _all_heard(self) -> bytes:
        """What was sent to any listener until now, when a mark has come that is sent after it."""
        mark = secrets.token_bytes(8)
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", self.tcp.getsockname()[1])),
            (socket.AF_UNIX, str(self.unix_path)),
            (socket.AF_UNIX, f"\0{self.canary}"),
        ):
            with socket.socket(family) as sending:
                sending.connect(address)
                sending.sendall(mark)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            sending.sendto(mark, ("127.0.0.1", self.udp.getsockname()[1]))
        os.write(self._fifo, mark)
        with self._news:
            assert self._news.wait_for(lambda: self._heard.count(mark) == 5, SECONDS)
            heard, self._heard = bytes(self._heard), bytearray()
        return heard

    def _changed(self) -> bool:
        ended = self._has_ended()
        nice = 0 if ended else os.getpriority(os.PRIO_PROCESS, self.process.pid)
        changed = ended or nice != 0 or self._tree() != self._before
        if changed:
            self._end_process()
            self._restart()
            for root in (self.victim, self.run):
                for path in sorted(root.rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
            self._restore()
        return changed

    def _has_ended(self) -> bool:
        """Whether the process has ended; a signal takes a moment."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(SIGNAL_SECONDS)
        return self.process.poll() is not None

    def _end_process(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        self._end_process()
        self._stack.close()


@contextlib.contextmanager
def victims(folder: Path) -> Iterator[Victims]:
    made = Victims(folder)
    try:
        yield made
    finally:
        made.close()


def _own_address() -> str:
    """This machine's address for others; the loopback's where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
