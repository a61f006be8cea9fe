"""The byte pipe to a relay, and what the relay is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Pipe(Protocol):
    """Bytes to and from a relay, each way used on a thread of its own."""

    def read(self) -> bytes:
        """Return some bytes, as soon as there are any; ``b""`` at the end. May raise
        ``OSError``."""
        ...

    def write(self, data: bytes) -> None:
        """Return when all of it was taken. Raises ``OSError`` when nobody takes it any more."""
        ...

    def close(self) -> None:
        """End both ways: a ``read`` or ``write`` under way then returns or raises soon. May be
        called again, and on any thread."""
        ...


@dataclass(frozen=True)
class Order:
    """An order to a relay: start a kernel. ``argv`` has ``{connection_file}`` in it."""

    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the variables of the sandbox; nothing of this process's is."""
    cwd: str | None = None
    max_message: int = 1 << 30
    """Bytes of one message from the kernel; a note takes the place of a larger one."""
    max_put: int = 1 << 34
    """Bytes of one file or tree."""
    unread: int = 0
    """Outputs that wait for a reader at each step of their way; 0 for any number."""
    silence_s: float = 60.0
    """A relay that gives no sign of life for so long counts as dead."""
    patience_s: float = 600.0
    """The relay ends when it has no sign of life from us for so long."""


@dataclass(frozen=True)
class Woken:
    """A fork that has woken as the kernel of this number: its process, the address of its sockets
    and its log inside, what its client connects to here, and the processes to ``keep``."""

    number: int
    pid: int
    address: str
    log: str
    connection_info: Mapping[str, Any]
    keep: Collection[int]


def signing(info: Mapping[str, Any]) -> dict[str, str]:
    """Return how a kernel signs its messages, as the relay has it."""
    key = info["key"]
    scheme = info.get("signature_scheme", "hmac-sha256")
    return {"key": key.decode() if isinstance(key, bytes) else key, "signature_scheme": scheme}
