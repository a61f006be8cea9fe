from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from setup import NEEDS, required
from workers import Handed, Workers

settings.register_profile("shared", deadline=None)  # the machine may be busy
settings.load_profile("shared")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _no_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A machine on which somebody has fetched the weights has no LM here either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(name): skipped, or failed, where `name` is missing")
    config.addinivalue_line("markers", "impatient: of the contract; a cell does not obey")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Workers())
    required()  # a wrong name stops the run before its first test


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Handed:
    return Handed(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in (name for marker in item.iter_markers("needs") for name in marker.args):
        if NEEDS[name].found():
            continue
        if name in required():
            pytest.fail(f"RLM_REQUIRE={name}, and there is {NEEDS[name].missing}", pytrace=False)
        pytest.skip(f"{NEEDS[name].missing}; RLM_SETUP=1 make test installs it")
