from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import LM, Front, RunningKernel, running_kernel, scripted_lm

from rlm_kernel.kernel.install import install


@pytest.fixture(scope="module")
def lm() -> Iterator[LM]:
    with scripted_lm() as lm:
        yield lm


@pytest.fixture(scope="module")
def kernel(lm: LM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKernel]:
    """One RLM kernel for the tests of a module, that asks the scripted LM."""
    with running_kernel(tmp_path_factory.mktemp("rlm"), env=lm.environment) as kernel:
        yield kernel


@pytest.fixture
def front(kernel: RunningKernel) -> Iterator[Front]:
    """A front end of that kernel, new for each test."""
    yield kernel.front()
    kernel.forget_fronts()


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the kernel RLM is installed."""
    folder = tmp_path_factory.mktemp("prefix")
    install(prefix=folder)
    return folder
