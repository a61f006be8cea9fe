"""A fake endpoint in a process of its own: sub-calls take 100 ms, the turn none.

Prints its address, then serves until its standard input is closed.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from rlm_kernel.testing import FakeEndpoint

from . import scripts

LATENCY_S = 0.1


async def reply(request: dict[str, Any]) -> str:
    said = str(request["messages"][-1]["content"])
    if not said.startswith("item "):
        return scripts.batches()[0]
    await asyncio.sleep(LATENCY_S)
    return f"reply to {said}"


if __name__ == "__main__":
    with FakeEndpoint(reply) as endpoint:
        print(endpoint.base_url, flush=True)
        sys.stdin.read()
