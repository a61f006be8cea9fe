"""The byte pipe to a relay in a Modal sandbox: standard input and output of one ``Sandbox.exec``.

The SDK reads and writes by offset, and tries again when a connection is lost. Here it is asked
again, from where it was, for as long as the sandbox lives and our patience lasts: a lost
connection costs time and no state.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from .sdk import failures

log = logging.getLogger("rlm_kernel")
WAITING = 16
"""Pieces that were read and not yet taken; after that the service keeps them."""
MOST_AT_ONCE = 4 << 20
"""Bytes of one write: what came while the last one was under way goes together."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
END = b""


class ExecPipe:
    """A ``pipe.Pipe``. ``find_reason`` is asked when it ended without being closed; it may say that
    nothing has ended yet, by None, and then it is gone on with for ``patience_s``."""

    def __init__(
        self, process: Any, find_reason: Callable[[], str | None], patience_s: float
    ) -> None:
        self.reason = ""
        """The cause of its end; set before ``read`` tells of the end."""
        self._process = process
        self._find_reason = find_reason
        self._patience_s = patience_s
        # A ValueError is for an input that was closed.
        self._lost: tuple[type[Exception], ...] = (*failures(), ValueError)
        self._closed = threading.Event()
        self._came: queue.Queue[bytes] = queue.Queue(WAITING)
        self._changed = threading.Condition()
        self._going = bytearray()
        self._ended = False
        for work in (self._pull, self._push):
            threading.Thread(target=work, name=f"rlm-modal-{work.__name__}", daemon=True).start()

    # from the relay
    def read(self) -> bytes:
        said = self._came.get()
        return END if self._closed.is_set() else said

    def _pull(self) -> None:
        """The reading thread: the SDK's read cannot be called off."""
        try:
            self._end(self._read_all())
        except Exception as error:
            log.exception("reading from the sandbox failed")
            self._end(f"reading from the sandbox failed: {error!r}")

    def _read_all(self) -> str:
        """Take what comes, to its end; return why that came."""
        pause = Pause(self._patience_s)
        while not self._closed.is_set():
            try:
                for piece in self._process.stdout:
                    self._came.put(piece)
                    pause.reset()
                    if self._closed.is_set():
                        return ""
                how = ""
            except self._lost as error:
                how = f"the connection to the sandbox was lost ({error})"
            reason = self._find_reason()  # an end of the output may be told before its cause
            if reason is None and pause.wait(self._closed):
                continue
            return reason or how
        return ""

    def _end(self, reason: str) -> None:
        """Note that nothing goes either way any more; the first reason is kept."""
        self.reason = self.reason or reason
        self._came.put(END)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    # to the relay
    def write(self, data: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._going) < MOST_AT_ONCE or self._over)
            if self._over:
                raise BrokenPipeError("the sandbox takes no more")
            self._going += data
            self._changed.notify_all()

    @property
    def _over(self) -> bool:
        return self._ended or self._closed.is_set()

    def _push(self) -> None:
        """The writing thread."""
        try:
            self._write_all()
        except Exception as error:
            log.exception("writing to the sandbox failed")
            self._end(f"writing to the sandbox failed: {error!r}")

    def _write_all(self) -> None:
        """Send what is written, until the sandbox takes no more."""
        pause = Pause(self._patience_s)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._going or self._over)
                if self._over:
                    return
                data, self._going = bytes(self._going), bytearray()
                self._changed.notify_all()
            try:
                self._process.stdin.write(data)
                while not self._drained(pause):
                    pass
            except self._lost:
                with self._changed:
                    self._ended = True
                    self._changed.notify_all()
                return

    def _drained(self, pause: Pause) -> bool:
        """Return whether all was taken; else try again: by offset nothing is taken twice."""
        try:
            self._process.stdin.drain()
        except self._lost:
            if self._find_reason() is not None or not pause.wait(self._closed):
                raise
            return False
        pause.reset()
        return True

    def close(self) -> None:
        """Let go of the sandbox, which others end; our threads end with it, at the latest."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        while not self._came.empty():  # lets go of the thread that wants to put something there
            self._came.get_nowait()
        self._came.put(END)


class Pause:
    """Between attempts that fail one after another: longer each time, until patience ends."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.reset()

    def reset(self) -> None:
        self._next = FIRST_PAUSE_S
        self._since: float | None = None

    def wait(self, called_off: threading.Event) -> bool:
        """Wait before the next attempt; return False where there is no use in one."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > self._patience_s or called_off.wait(self._next):
            return False
        self._next = min(self._next * 2, LONGEST_PAUSE_S)
        return True
