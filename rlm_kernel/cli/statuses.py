"""The exit statuses of the command. The first also means: done, equal, good."""

from __future__ import annotations

ANSWERED, FAILED, USAGE, LIMIT, INTERRUPTED = 0, 1, 2, 3, 130
