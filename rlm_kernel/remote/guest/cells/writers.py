"""Who writes what a cell puts out: the order in which several do is chance.

A replay forgives the order of whole lines. ``print`` writes a line in pieces, and those of threads
and tasks would come mixed: where there are several, each one's line is held until it is whole.
"""

import asyncio
import sys
import threading

import zmq

HELD_CHARS = 65_536
AT_ONCE = 1 << 16
"""Characters of one message, of which a thousand may be unread. ipykernel makes one of all that
comes in 0.2 s, however much."""


def lose_no_output(kernel):
    """Let outputs wait for a reader that lags. ipykernel's socket drops what is over zmq's 1,000
    messages, which a busy machine is enough for."""
    thread = kernel.iopub_thread
    if thread is not None:  # its socket is to be touched on its own thread only
        thread.schedule(lambda: thread.socket.setsockopt(zmq.XPUB_NODROP, 1))


class Writers:
    """The threads and asyncio tasks that write to the streams while a cell runs."""

    def __init__(self):
        self.several = False
        self._home = None
        self._streams = []

    def begin(self):
        """Begin a cell, which runs in this task."""
        self.end()
        self.several = False
        self._home = _writer()
        # At each cell anew: IPython puts a write of its own into the streams for every cell.
        self._streams = [_Stream(self, stream) for stream in (sys.stdout, sys.stderr)]

    def end(self):
        """End the cell: write what is held."""
        for stream in self._streams:
            stream.end()
        self._streams = []

    def alone(self):
        """Return whether the cell itself writes and nobody else has so far, and who writes."""
        writer = _writer()
        self.several = self.several or writer != self._home
        return not self.several, writer


class _Stream:
    def __init__(self, writers, stream):
        self._writers = writers
        self._stream = stream
        self._write_on = stream.write
        self._unsent = 0
        self._held = {}
        self._lock = threading.Lock()
        stream.write = self.write

    def write(self, text):
        alone, writer = self._writers.alone()
        if alone:
            return self._write(text)
        with self._lock:
            held = self._held.pop(writer, "") + text
            whole = max(held.rfind("\n"), held.rfind("\r")) + 1
            if len(held) > HELD_CHARS:
                whole = len(held)
            if whole:
                self._write(held[:whole])
            if whole < len(held):
                self._held[writer] = held[whole:]
        return len(text)

    def _write(self, text):
        """Write, and wait now and then until what was written is on its way: so that a cell is no
        faster than its reader, and holds little of what that has not read."""
        for start in range(0, len(text), AT_ONCE):
            piece = text[start : start + AT_ONCE]
            self._write_on(piece)
            self._unsent += len(piece)
            if self._unsent >= AT_ONCE:
                self._unsent = 0
                self._stream.flush()
        return len(text)

    def end(self):
        if self._stream.__dict__.get("write") == self.write:
            self._stream.write = self._write_on
        with self._lock:
            for text in self._held.values():
                self._write(text)
            self._held.clear()


def _writer():
    try:
        return threading.get_ident(), asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return threading.get_ident(), None
