from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from victims import Victims, victims

from tests.contract.environments import Bench, bench


@pytest.fixture(scope="module")
async def kernel(
    environment: str, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Bench]:
    """A kernel that all attacks of an environment share: what one leaves, the next may use."""
    async with bench(environment, tmp_path_factory.mktemp("kernel")) as made:
        yield made


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
    folder = tmp_path_factory.mktemp("host")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    with victims(folder) as made:
        yield made
