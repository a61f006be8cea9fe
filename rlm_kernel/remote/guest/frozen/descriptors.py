"""The open files of a process that forks: a fork shares their positions, and all that is no file
of a disk belongs to one process only."""

import collections
import fcntl
import os
import stat
import sys

KEPT = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | getattr(os, "O_DIRECT", 0)
"""Flags with which a file is opened again."""
File = collections.namedtuple("File", "fd inode flags position state path")


def opened():
    """Yield the open descriptors with what they are."""
    for name in os.listdir("/proc/self/fd"):
        try:
            yield int(name), os.fstat(int(name))
        except OSError:
            continue  # the one that listed them


def path_of(fd):
    """Return the path of an open file, or what Linux calls it."""
    try:
        return os.readlink("/proc/self/fd/%d" % fd)
    except OSError:
        return "a file"


def files(ours):
    """Return the files on disks that were opened by cells: not ``ours``, by device and inode."""
    found = []
    for fd, about in opened():
        if stat.S_ISREG(about.st_mode) and (about.st_dev, about.st_ino) not in ours:
            position = os.lseek(fd, 0, os.SEEK_CUR)
            flags = fcntl.fcntl(fd, fcntl.F_GETFL)
            inode = about.st_dev, about.st_ino
            found.append(File(fd, inode, flags, position, _state(about), path_of(fd)))
    return found


def still_open(file):
    """Return whether a descriptor is that of the file yet: one that nobody holds any more may be
    closed at any time."""
    try:
        about = os.fstat(file.fd)
    except OSError:
        return False
    return (about.st_dev, about.st_ino) == file.inode


def writable(file):
    """Return whether a file is open for writing."""
    return file.flags & os.O_ACCMODE != os.O_RDONLY


def changed(file):
    """Return whether a file was written to or deleted since."""
    return _state(os.fstat(file.fd)) != file.state


def _state(about):
    return about.st_size, about.st_mtime_ns, about.st_nlink


def reopen(file):
    """Give a descriptor a position of its own, where it was. Raises ``OSError``."""
    again = os.open("/proc/self/fd/%d" % file.fd, file.flags & KEPT)
    try:
        os.lseek(again, file.position, os.SEEK_SET)
        os.dup2(again, file.fd, inheritable=os.get_inheritable(file.fd))
    finally:
        os.close(again)


def let_go(*kept_too):
    """Release what belongs to the process that was forked: sockets, pipes, event queues. Their
    numbers stay taken, since objects that know them may close them some day."""
    kept = {0, 1, 2, *kept_too}
    for stream in (sys.stdout, sys.stderr):
        copy = getattr(stream, "_original_stdstream_copy", None)
        if copy is not None:  # ipykernel has put a pipe in its place
            os.dup2(copy, getattr(stream, "_original_stdstream_fd"))  # noqa: B009
            kept.add(copy)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd, about in list(opened()):
        file = stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)
        if not file and not stat.S_ISCHR(about.st_mode) and fd not in kept:
            os.dup2(nothing, fd, inheritable=False)
    os.close(nothing)


def write_to(log):
    """Let what is written outside of cells go to a file of this process's own."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for out in (1, 2):
        os.dup2(file, out)
    os.close(file)
