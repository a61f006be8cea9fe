"""Keeps what this process knows from code that runs as the same user.

It is imported before all else, so it imports little.
"""

from __future__ import annotations

import ctypes
import sys

PR_SET_DUMPABLE = 4


def hide_from_others() -> None:
    """Keep an LM's code, which runs as the same user, out of our memory and environment.

    On Linux; root can read them all the same, and before this is called everybody of this user.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
