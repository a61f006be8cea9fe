"""A Modal sandbox that is reached over an HTTPS tunnel to a port inside, as any vendor's can be."""

from __future__ import annotations

import secrets
from typing import Any
from weakref import WeakValueDictionary

from ...errors import KernelStartError
from ..pipe.tunnel import Patience, TunnelPipe, gateway_command
from .sandbox import ModalSandbox, SandboxSpec
from .sdk import plain_errors

PORT = 8888
TUNNEL_SECONDS = 50
_LIVE: WeakValueDictionary[str, TunnelSandbox] = WeakValueDictionary()
"""Those of this process by the sandbox's id, for others to join: what opens them, the token, stays
here."""


class TunnelSandbox(ModalSandbox):
    """A sandbox whose first process is the gateway to the relays in it. The way out is blocked by
    an empty allowlist: blocking all of the network would block the tunnel."""

    def __init__(self, spec: SandboxSpec, joined: str = "") -> None:
        super().__init__(spec, joined)
        self.url = ""
        self.token = secrets.token_urlsafe(32)

    def _make(self) -> None:
        spec = self.spec
        command = gateway_command(
            self.token,
            port=PORT,
            patience_s=spec.patience_s,
            folder=spec.work,
            user=spec.user,
            pids=spec.pids,
        )
        allowed: list[str] | None = None if spec.network else []
        self._sandbox = spec.create(
            *command, encrypted_ports=[PORT], outbound_cidr_allowlist=allowed
        )
        with plain_errors(f"the sandbox {self.name} has no tunnel", KernelStartError):
            self.url = self._sandbox.tunnels(timeout=TUNNEL_SECONDS)[PORT].url
        _LIVE[self.name] = self

    def _start(self, program: str) -> Any:
        self.pipe = TunnelPipe(
            self.url,
            self.token,
            f"kernel-{secrets.token_hex(4)}",
            program,
            find_reason=lambda: self.how_it_ended() or "",
            patience=Patience(lost_s=self.spec.patience_s),
        )
        self.pipe.start()
        return self.pipe

    def _look(self, sandbox: Any) -> str | None:
        return self._verdict(sandbox) if sandbox.poll() is not None else None


class SharedTunnelSandbox(TunnelSandbox):
    """A further kernel in a sandbox of this process that runs; see ``sandbox.SharedSandbox``."""

    def _make(self) -> None:
        root = _LIVE.get(self.joined)
        if root is None or not root.name:
            raise KernelStartError(f"there is no sandbox {self.joined} of this process to join")
        self._sandbox, self.url, self.token = root._sandbox, root.url, root.token

    def _end(self) -> None:
        """Leave the sandbox to the kernel that made it; the pipe's end has ended this one's
        relay."""
