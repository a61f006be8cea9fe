"""Lays down root's rights in a Modal sandbox and becomes another program, in the same process.

First it connects to the keeper, which lives as long as the connection. Arguments: the settings as
JSON (``work``, the folder to work in; ``uid`` and ``gid``; ``pids``, the limit of processes and
threads of that user), and the program's source. ``python -c`` gets this text whole.
"""

import os
import sys

# Imports stand in functions: before ``main`` begins, a module that a cell put into the working
# folder would be found first.

KEEPER = "~/.rlm/keeper"
ATTEMPTS, PAUSE_S = 100, 0.02
PR_SET_NO_NEW_PRIVS = 38


def connect(path: str) -> object:
    """Return a connection to the keeper, which may have to start first."""
    import socket
    import time

    keeper = socket.socket(socket.AF_UNIX)
    for _ in range(ATTEMPTS):
        if keeper.connect_ex(path) == 0:
            return keeper
        time.sleep(PAUSE_S)
    sys.exit("the sandbox's first process does not answer")


def lower(uid: int, gid: int, pids: int) -> None:
    """Become that user, for good, if we are root; and bound what it starts."""
    import ctypes
    import resource

    resource.setrlimit(resource.RLIMIT_NPROC, (pids, pids))
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main() -> None:
    sys.path[:] = [folder for folder in sys.path if folder]
    import json

    settings, program = json.loads(sys.argv[1]), sys.argv[2]
    work = settings.pop("work")
    keeper = connect(os.path.expanduser(KEEPER))
    os.chdir(work)
    lower(**settings)
    os.environ.update(HOME=work, USER="sandbox")
    sys.argv[1:] = []
    exec(compile(program, "program.py", "exec"), {"__name__": "__main__", "keeper": keeper})


if __name__ == "__main__":
    main()
