"""A REPL whose cells have nobody to ask."""

from __future__ import annotations

from rlm_kernel.errors import CallRefused
from rlm_kernel.repl.protocol import Call, Slot


class Nobody:
    """``repl.Calls`` that refuses every call."""

    async def serve(self, call: Call) -> list[Slot]:
        raise CallRefused("nobody answers here")
