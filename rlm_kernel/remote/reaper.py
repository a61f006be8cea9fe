"""Removes a process's containers or sandboxes once it is gone, however it ended.

``environments.pipe.reaper`` starts this as a small process with a group of its own. It waits until
the host is gone, kill -9 included, and only then loads the vendor's program, and with it an SDK
that takes 30 MB and more. That program is a file with a function ``remove_found``: it removes what
carries a label or tag, and returns False where there was nothing.

Arguments: the path of that program, the label or tag, and the host's process id. Standard input
ends with the host.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import sys
import time
from collections.abc import Callable
from select import POLLIN, poll

QUIET_S = 5.0
"""What was being made when the host died can come to be after the first look."""
GIVE_UP_S = 60.0
LOOK_S = 0.3
PR_SET_DUMPABLE = 4


def wait_for_end(pid: int) -> None:
    """Return when standard input ends or, where that can be watched, the process does: a child
    that it forked may hold the other end of our input."""
    poller = poll()
    poller.register(0, POLLIN)
    if hasattr(os, "pidfd_open"):
        try:
            poller.register(os.pidfd_open(pid), POLLIN)
        except ProcessLookupError:
            return
    poller.poll()


def remove_all(remove_found: Callable[[str], bool], selector: str) -> None:
    """Remove what carries this label or tag until none has come for a while."""
    began = quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_S and time.monotonic() - began < GIVE_UP_S:
        if remove_found(selector):
            quiet_since = time.monotonic()
        time.sleep(LOOK_S)


def main(program: str, selector: str, host: str) -> None:
    if sys.platform == "linux":  # a token of the service is in our environment
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
    wait_for_end(int(host))
    remove_all(runpy.run_path(program)["remove_found"], selector)


if __name__ == "__main__":
    main(*sys.argv[1:])
