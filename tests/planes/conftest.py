from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import modal
import pytest
from hostimage import host_image
from plane import ControlPlane
from sandboxed import DOCKER, Create

from rlm_kernel.environments.docker.client import connect


@pytest.fixture(scope="module")
def image() -> str:
    with closing(connect()) as client:
        return host_image(client)


@pytest.fixture(scope="module", params=["process", DOCKER])
def plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    image = request.getfixturevalue("image") if request.param == "docker" else None
    secrets = {"mine": {"SECRET": "s3"}}
    with (
        ControlPlane(request.param, image=image, secrets=secrets) as made,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="module")
def client(plane: ControlPlane) -> Any:
    env = plane.environment
    return modal.Client.from_credentials(env["MODAL_TOKEN_ID"], env["MODAL_TOKEN_SECRET"])


@pytest.fixture(scope="module")
def create(client: Any) -> Create:
    app = modal.App.lookup("plane", create_if_missing=True, client=client)
    return lambda *argv, **kwargs: modal.Sandbox.create(*argv, app=app, client=client, **kwargs)


@pytest.fixture(scope="module")
def shared(create: Create) -> Any:
    """A sandbox for the tests that do not harm it."""
    return create(env={"GIVEN": "by env"}, secrets=[modal.Secret.from_name("mine")])


@pytest.fixture
def sandbox(create: Create) -> Iterator[Any]:
    made = create()
    yield made
    made.terminate()
