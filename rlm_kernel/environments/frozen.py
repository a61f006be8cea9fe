"""A frozen fork of a kernel, as it is spoken to over a connection."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

from ..errors import KernelStartError

WAKE_SECONDS = 10.0
"""One that does not answer as a kernel in that time is given up."""
ANSWER_SECONDS = 10.0
"""The limit for each step of one answer."""
MAX_ANSWER = 1 << 16


def ask(connection: socket.socket, order: Mapping[str, Any]) -> dict[str, Any]:
    """Return what it answers, an object. Blocks. Raises ``OSError`` and ``ValueError``."""
    connection.settimeout(ANSWER_SECONDS)
    connection.sendall(json.dumps(order).encode() + b"\n")
    with connection.makefile("rb") as answers:
        answer = json.loads(answers.readline(MAX_ANSWER))
    if not isinstance(answer, dict):
        raise ValueError(f"no answer of a frozen kernel: {answer!r:.80}")
    return answer


def woken_pid(answer: Mapping[str, Any]) -> int:
    """Return the process of the kernel that it says it has become. Raises ``KernelStartError`` with
    what it says it has lost."""
    pid, lost = answer.get("pid"), answer.get("lost")
    if isinstance(pid, int):
        return pid
    if isinstance(lost, list):
        raise KernelStartError(f"it has lost {', '.join(map(str, lost))}")
    raise KernelStartError(f"it did not wake: {answer!r:.80}")
