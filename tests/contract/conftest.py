from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from environments import ENVIRONMENTS, Bench, Opener, bench, echo


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    """Where inner kernels run. The tests must not ask which one it is."""
    return str(request.param)


@pytest.fixture(scope="module")
async def shared(
    environment: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Bench]:
    async with bench(environment, tmp_path_factory.mktemp("kernel")) as made:
        yield made


@pytest.fixture
def kernel(shared: Bench) -> Bench:
    """The module's kernel, its calls echoed; for tests that leave nothing behind."""
    shared.calls.seen.clear()
    shared.calls.serving = echo
    shared.calls.asked.clear()
    shared.calls.cancelled.clear()
    return shared


@pytest.fixture
def opened(environment: str, tmp_path: Path) -> Opener:
    """Opens a kernel of the test's own: ``async with opened(seconds=1.0) as kernel``."""
    return partial(bench, environment, tmp_path)
