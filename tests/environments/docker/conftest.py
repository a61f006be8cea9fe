from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from hostimage import host_image
from sandboxes import Opener, Sandbox, sandbox

from rlm_kernel.environments.docker.client import connect


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    with closing(connect()) as client:
        yield client


@pytest.fixture(scope="session")
def image(engine: Any) -> str:
    return host_image(engine)


@pytest.fixture
def label(engine: Any) -> Iterator[str]:
    """For the containers of one test, which must be gone after it."""
    name = f"rlm-test={uuid.uuid4().hex[:8]}"
    yield name
    left = engine.api.containers(all=True, filters={"label": name})
    for each in left:
        engine.api.remove_container(each["Id"], force=True)
    assert left == []


@pytest.fixture
def opened(image: str, label: str, tmp_path: Path) -> Opener:
    """Settings by name to a context manager of a kernel in a container."""

    def opening(**config: Any) -> AbstractContextManager[Sandbox]:
        labels = dict([label.split("=")])
        return sandbox(tmp_path, {"image": image, "labels": labels, "cpus": 2.0, **config})

    return opening


@pytest.fixture(scope="module")
def shared(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One kernel with the default settings, for the tests of a file that do not harm it."""
    with sandbox(tmp_path_factory.mktemp("shared"), {"image": image}) as place:
        yield place
