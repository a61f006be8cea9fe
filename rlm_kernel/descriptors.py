"""How many files this process may have open."""

from __future__ import annotations

import sys

WANTED = 8192
"""Each live kernel takes some 25, and up to 300 while its cells make all the calls that they can;
few, so that kernels, which inherit the limit, do not loop over a million."""

if sys.platform != "win32":
    import resource

    def allow_many() -> None:
        """Raise the soft limit to ``WANTED``, as far as the system allows it."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

else:

    def allow_many() -> None:
        """Windows has no such limit."""
