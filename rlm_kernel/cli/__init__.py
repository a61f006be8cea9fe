"""The command ``rlm``: the face of terminals, a module for each of its commands.

What a command does is in the room that it is about.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from ..environments.local.privacy import hide_from_others
from .statuses import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    hide_from_others()
    try:
        from .command import run  # after that: nothing is imported before we are hidden

        return run(arguments, own_process=arguments is None)
    except KeyboardInterrupt:  # meanwhile
        print("rlm: interrupted", file=sys.stderr)
        return INTERRUPTED
    finally:
        if arguments is None:  # all is done: an interrupt would only spoil the status
            signal.signal(signal.SIGINT, signal.SIG_IGN)
