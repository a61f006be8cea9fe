"""An embedded LM whose process is a fake endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from asking import block

from rlm_kernel.lm import embedded
from rlm_kernel.lm.embedded import Endpoint, sharing
from rlm_kernel.testing import FakeEndpoint

FINISH = block("print(context)\nFINAL_VAR(context.upper())")


class Serving:
    """An embedded LM whose process is a fake endpoint; counts those that live."""

    endpoint: FakeEndpoint
    alive = 0
    most = 0
    started = 0

    async def start(self) -> None:
        where = self.endpoint.base_url, "none"
        self.author, self.sub = Endpoint(*where, "author", 4096), Endpoint(*where, "sub", 4096)
        await asyncio.sleep(0)
        Serving.started += 1
        Serving.alive += 1
        Serving.most = max(Serving.most, Serving.alive)

    async def stop(self) -> None:
        Serving.alive -= 1

    async def idle(self, endpoint: Endpoint) -> None:
        pass

    async def warm(self, prefix: object) -> bool:
        return True


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Serving]]:
    Serving.alive = Serving.most = Serving.started = 0
    monkeypatch.setattr(embedded, "available", lambda: None)
    monkeypatch.setattr(sharing, "EmbeddedServer", Serving)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with FakeEndpoint(lambda request: FINISH) as Serving.endpoint:
        yield Serving
