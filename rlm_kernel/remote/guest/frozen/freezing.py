"""A frozen fork: taken, asked, and gone without a trace.

It waits at a socket of its own in the kernel's private folder, in a session of its own, and does
nothing: no finaliser runs, nothing is flushed. Each time it is asked to wake it forks once more, so
that several kernels may go on from where it is. Its parent is whoever is the kernel's; the kernel
itself has no child by it.
"""

import contextlib
import ctypes
import gc
import json
import os
import random
import select
import signal
import socket
import tempfile
import time
import traceback
import warnings
import weakref

from .descriptors import changed, files, let_go, reopen, still_open, writable, write_to
from .history import at_rest
from .losses import MOST, Ours, losses, native_threads
from .waking import be_kernel

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
LINE = 1 << 16
ASKED_S = 5.0
"""So long who asks has to say what."""
ORPHANED_S = 5.0
FORKED_S = 5.0
"""So long the first of two forks may take."""
WAITING = 128
"""Who asks at once: all branches do."""
OOM_SCORE = "/proc/self/oom_score_adj"
FIRST_TO_GO = "1000"
"""The system ends such a process before any other when memory is short."""
LIBRARY = "threads of a library"


class Freezer:
    """Takes the frozen forks of this kernel. ``folder`` is that of its sockets, ``address`` where
    the broker is."""

    def __init__(self, guest, folder, address):
        self._guest = guest
        self._folder = folder
        self._unforkable = []
        self._drawn = random.getstate()
        self.kernel_anew(address)

    def kernel_anew(self, address):
        """Note what belongs to the kernel itself, before its first cell."""
        self._ours = Ours(self._folder, address)

    def note_random(self):
        """Note where the generator of random numbers is: the start of a kernel draws from it."""
        self._drawn = random.getstate()

    def is_awake(self):
        """Let what was drawn since the fork not count; return True. For a kernel that has woken and
        is about to be used."""
        random.setstate(self._drawn)
        return True

    def freeze(self, path):
        """Take one that waits at ``path``; return its process, or what it would have lost, and the
        seconds that this took. Raises ``OSError``."""
        began = time.perf_counter()
        # Not in the fork too: IPython waits before it for the end of the thread that is held up.
        with at_rest(self._guest.shell.history_manager):
            lost = losses(self._ours)
        if self._unforkable and self._unforkable == native_threads():
            lost.append(LIBRARY)
        pid = None if lost else self._taken(path)
        if pid is not None:
            self._unforkable = native_threads()
            if self._unforkable:
                os.kill(pid, signal.SIGKILL)
                pid, lost = None, [LIBRARY]
        return {"pid": pid, "lost": lost, "seconds": time.perf_counter() - began}

    def _taken(self, path):
        listener = socket.socket(socket.AF_UNIX)
        with listener:
            listener.bind(path)
            listener.listen(WAITING)
            opened = files(self._ours.inodes)
            here = Frozen(self._guest, listener, path, opened, self)
            return _grandchild(here.wait)


def _grandchild(work):
    """Let a process that is no child of this one do ``work``, which never returns; return its
    process id. All signals are held back in it, and ``work`` is given the mask that was. Raises
    ``OSError``."""
    random_state = random.getstate()
    told, tell = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    collected = gc.isenabled()
    gc.disable()  # a finaliser in the fork would be one too many
    try:
        child = _fork()
        if not child:
            try:
                _become_grandchild(told, tell, random_state)
                work(mask)
            finally:  # whatever happens: it must not go on as the kernel
                os._exit(1)
        _see_end(child)
    finally:
        if collected:
            gc.enable()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(tell)
        pid = os.read(told, 20) if select.select([told], [], [], 0)[0] else b""
        os.close(told)
    if not pid:
        raise OSError("the second fork failed")
    return int(pid)


def _see_end(child):
    """Return when a process has ended; one that takes too long, for want of a lock that a thread
    had, is killed."""
    limit = time.monotonic() + FORKED_S
    while time.monotonic() < limit:
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.0002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _become_grandchild(told, tell, random_state):
    between = os.getpid()
    pid = _fork()
    if pid:
        os.write(tell, b"%d" % pid)
        os._exit(0)
    os.close(told)
    os.close(tell)
    random.setstate(random_state)  # a fork is seeded anew
    os.setsid()
    limit = time.monotonic() + ORPHANED_S
    while os.getppid() == between and time.monotonic() < limit:
        time.sleep(0.0005)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _fork():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are threads is known
        return os.fork()


def _prctl(option, value):
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _temporary():
    """Return the folders that are deleted when an object is collected."""
    found = [done.peek() for done in list(weakref.finalize._registry)]  # type: ignore[attr-defined]
    made = [each for each in found if each is not None]
    kind = tempfile.TemporaryDirectory
    return [args[0] for _, call, args, _ in made if getattr(call, "__self__", None) is kind]


class Frozen:
    """The process that waits at ``path``, with the files that its cells had opened."""

    def __init__(self, guest, listener, path, opened, freezer):
        self._guest = guest
        self._listener = listener
        self._path = path
        self._files = opened
        self._freezer = freezer
        self._folders = _temporary()
        self._collected = gc.isenabled()
        self._oom_score = _oom_score()

    def wait(self, mask):
        """Answer until the end. Never returns."""
        gc.disable()
        _prctl(PR_SET_NAME, b"rlm-snapshot")
        let_go(self._listener.fileno())
        while True:
            asked, _ = self._listener.accept()
            with asked, contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                asked.settimeout(ASKED_S)
                with asked.makefile("rb") as read:
                    order = json.loads(read.readline(LINE))
                asked.sendall(json.dumps(self._answer(order, mask)).encode() + b"\n")

    def _answer(self, order, mask):
        if order["do"] == "end":
            os.unlink(self._path)
            os._exit(0)
        if order["do"] == "memory":
            return {"private": _private_bytes()}
        if order["do"] in ("go first", "stay"):
            _set_oom_score(self._oom_score if order["do"] == "stay" else FIRST_TO_GO)
            return {}
        lost = self._lost(order["beside"])
        if lost:
            return {"lost": lost[:MOST]}
        return {"pid": _grandchild(lambda _: self._wake(order, mask))}

    def _lost(self, beside):
        """Return what is not as it was, or would be of two kernels ``beside`` one another."""
        lost = ["the folder %s" % p for p in self._folders if beside or not os.path.isdir(p)]
        for file in filter(still_open, filter(writable, self._files)):
            if beside:
                lost.append("%s, which is open for writing" % file.path)
            elif changed(file):
                lost.append("%s, which was written to since" % file.path)
        return lost

    def _wake(self, order, mask):
        """Be a kernel. Never returns."""
        self._listener.close()
        write_to(order["log"])
        try:
            if "connection" in order:
                _write_connection(order["connection_file"], order["connection"])
            for file in filter(still_open, self._files):
                reopen(file)
            if order["beside"]:
                gc.freeze()  # a collection would copy the pages that the kernels share
            if self._collected:
                gc.enable()
            _set_oom_score(self._oom_score)
            _prctl(PR_SET_NAME, b"ipykernel")
            self._freezer.note_random()
            be_kernel(self._guest, order, mask, self._freezer.kernel_anew)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            raise


def _write_connection(path, connection):
    """Write the connection file, of this user only, where the host could not."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(connection, file)


def _oom_score():
    with open(OOM_SCORE, encoding="ascii") as file:
        return file.read()


def _set_oom_score(score):
    """Say how soon the system is to end this process when memory is short, where we may."""
    with contextlib.suppress(OSError), open(OOM_SCORE, "w", encoding="ascii") as file:
        file.write(score)


def _private_bytes():
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        sizes = [line.split()[1] for line in file if line.startswith("Private_")]
    return 1024 * sum(map(int, sizes))
