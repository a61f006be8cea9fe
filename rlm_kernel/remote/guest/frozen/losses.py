"""The things that a fork of this kernel would lose, found before one is taken."""

import asyncio
import os
import signal
import socket
import stat
import threading
import weakref

from .descriptors import opened, path_of

MOST = 10
"""Losses that are named."""
GPU = ("/dev/nvidia", "/dev/kfd", "/dev/dri/", "/dev/dxg")
KERNEL = ("ipykernel", "tornado", "zmq", "IPython", "jupyter_client", "traitlets")
"""Packages whose threads and tasks a woken kernel has anew."""


def can_be_seen():
    """Return whether this system shows what a fork would lose: a sandbox's own may leave out some
    of Linux's files."""
    children = "/proc/self/task/%d/children" % os.getpid()
    of_self = ("fd", "maps", "smaps_rollup", "oom_score_adj")
    needed = "/proc/locks", children, *map("/proc/self/".__add__, of_self)
    return all(map(os.path.exists, needed))


class Ours:
    """Notes what belongs to the kernel itself as it starts; its sockets are in ``folder``, the
    broker is at ``address``."""

    def __init__(self, folder, address):
        self.folder = folder
        self.address = address
        self.threads = weakref.WeakSet(threading.enumerate())
        self.inodes = {(about.st_dev, about.st_ino) for _, about in opened()}
        self.maps = set(_shared_maps())
        self.ports = {name[1] for _, _, name, _ in _sockets(set()) if isinstance(name, tuple)}


def losses(ours):
    """Return what would be lost, in words, the first ``MOST``."""
    found = [*_threads(ours), *_children(), *_tasks(), *_descriptors(ours)]
    found += ["shared memory: %s" % path for path in _shared_maps() if path not in ours.maps]
    found += ["a lock on %s" % path for path in _locks()]
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        found.append("a timer")
    return list(dict.fromkeys(found))[:MOST]


def native_threads():
    """Return the threads that are neither Python's nor zmq's. Asked after a fork: libraries that
    know of forks have ended theirs before it, and start them again."""
    known = {str(thread.native_id) for thread in threading.enumerate()} | {str(os.getpid())}
    return [tid for tid in os.listdir("/proc/self/task") if tid not in known and not _of_zmq(tid)]


def _of_zmq(tid):
    return _read("/proc/self/task/%s/comm" % tid).startswith("ZMQ")


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _of_kernel(thing):
    return type(thing).__module__.split(".")[0] in KERNEL


def _threads(ours):
    for thread in threading.enumerate():
        main = thread is threading.main_thread()
        if not (main or thread in ours.threads or _of_kernel(thread)):
            yield "the thread %s" % thread.name


def _children():
    """Name child processes; those that have ended do not count."""
    for tid in os.listdir("/proc/self/task"):
        for pid in _read("/proc/self/task/%s/children" % tid).split():
            name, _, state = _read("/proc/%s/stat" % pid).rpartition(")")
            if state.split()[:1] not in ([], ["Z"]):
                yield "the process %s" % name.partition("(")[2]


def _tasks():
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop runs
        return
    for task in tasks - {asyncio.current_task()}:
        code = getattr(task.get_coro(), "cr_code", None)
        parts = [] if code is None else code.co_filename.split(os.sep)
        if not set(parts) & set(KERNEL):
            yield "the asyncio task %s" % task.get_name()


def _descriptors(ours):
    for fd, about in opened():
        if (about.st_dev, about.st_ino) in ours.inodes:
            continue
        if stat.S_ISFIFO(about.st_mode):
            yield "a pipe"
        elif stat.S_ISCHR(about.st_mode) and path_of(fd).startswith(GPU):
            yield "the state of a GPU"
    for _, family, name, peer in _sockets(ours.inodes):
        if not any(_is_ours(end, ours) for end in (name, peer)):
            yield "a socket (%s)" % (_told(peer) or _told(name) or family)


def _sockets(known):
    """Yield family and ends of the sockets that are not ``known``, but for pairs without names."""
    for fd, about in list(opened()):
        if not stat.S_ISSOCK(about.st_mode) or (about.st_dev, about.st_ino) in known:
            continue
        with socket.socket(fileno=os.dup(fd)) as sock:
            ends = []
            for end in (sock.getsockname, sock.getpeername):
                try:
                    ends.append(end())
                except OSError:
                    ends.append("")
            if any(ends):
                yield (fd, sock.family.name, *ends)


def _is_ours(end, ours):
    if isinstance(end, tuple):
        return list(end[:2]) == ours.address or end[1] in ours.ports
    return bool(end) and os.fsdecode(end).startswith(ours.folder)


def _told(end):
    return "%s:%s" % end[:2] if isinstance(end, tuple) else os.fsdecode(end)


def _shared_maps():
    """Yield the files and memory that are mapped to be written by several processes."""
    for line in _read("/proc/self/maps").splitlines():
        parts = line.split(None, 5)
        if "w" in parts[1] and "s" in parts[1]:
            yield parts[5] if len(parts) > 5 else "without a name"


def _locks():
    """Yield the paths of files on which this process has a lock, as in a transaction of SQLite."""
    held = set()
    for line in _read("/proc/locks").splitlines():
        words = line.split()
        if words[1] != "->" and words[4] == str(os.getpid()):
            held.add(int(words[5].rpartition(":")[2]))
    for fd, about in opened() if held else ():
        if stat.S_ISREG(about.st_mode) and about.st_ino in held:
            yield path_of(fd)
