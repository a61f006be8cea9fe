"""Raises the number of files that this process may have open."""

from __future__ import annotations

import sys

from ..errors import UsageError

WANTED = 8192
"""Each live kernel takes some 25, and up to 300 while its cells make all the calls that they can;
few, so that kernels, which inherit the limit, do not loop over a million."""
FEWEST = 64
"""As many as a run of one kernel needs."""

if sys.platform != "win32":
    import resource

    def allow_many() -> None:
        """Raise the soft limit to ``WANTED``, as far as the system allows it."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

    def check_enough() -> None:
        """Raise ``UsageError`` where not even one kernel can be reached."""
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if allowed != resource.RLIM_INFINITY and allowed < FEWEST:
            raise UsageError(
                f"this process may have {allowed} open files: allow {FEWEST} (ulimit -n)"
            )

else:

    def allow_many() -> None:
        """Do nothing: Windows has no such limit."""

    def check_enough() -> None:
        """Do nothing: Windows has no such limit."""
