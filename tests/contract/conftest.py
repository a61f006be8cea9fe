from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from environments import BWRAP, ENVIRONMENTS, ONE_TRANSPORT, SECONDS, Bench, Opener, bench

from rlm_kernel.repl import repl

WHOLE = os.environ.get("RLM_TEST_CONTRACT") == "whole"
EITHER_TRANSPORT = {
    "test_contract_calls",
    "test_contract_floods",
    "test_contract_messages",
    "test_contract_runs",
    "test_contract_session",
}
"""The modules of what the two pipes to a sandbox at Modal could do in different ways: messages,
calls, bytes, interrupts, and whole runs. The others run over one of them."""
THE_SANDBOXES_OWN = {
    "test_contract_hostile",
    "test_contract_isolation",
    "test_contract_runs",
    "test_contract_sandbox",
    "test_contract_snapshots",
}
"""The modules of what bubblewrap could do in another way than Docker, whose relay is the same. With
RLM_TEST_CONTRACT=whole all modules run in its sandboxes."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its environments, unless its module names them."""
    if "environment" not in metafunc.fixturenames or hasattr(metafunc.module, "environment"):
        return
    either = metafunc.module.__name__ in EITHER_TRANSPORT
    chosen = ENVIRONMENTS if either else ONE_TRANSPORT
    if metafunc.module.__name__ not in THE_SANDBOXES_OWN and not WHOLE:
        chosen = [each for each in chosen if each is not BWRAP]
    metafunc.parametrize("environment", chosen, indirect=True, scope="module")


@pytest.fixture(scope="module")
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
    """The module's kernel, its calls echoed; for tests that leave nothing behind but names."""
    return shared.as_made()


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an interrupt take its time on a busy machine, but where a cell is not to obey it."""
    if "impatient" not in request.keywords:
        monkeypatch.setattr(repl, "GRACE_SECONDS", SECONDS / 2)


@pytest.fixture
def opened(environment: str, tmp_path: Path) -> Opener:
    """Opens a kernel of the test's own: ``async with opened(tools=...) as kernel``."""
    return partial(bench, environment, tmp_path)
