"""The Modal that tests use: a control plane of our own, one for each process of the tests.

With RLM_TEST_MODAL=service the tests of tests/contract that are named modal use the real one, with
the credentials that the SDK finds; they cost a little. The SDK keeps its first client for as long
as the process lives, so that there is one plane for all tests of a process.
"""

from __future__ import annotations

import atexit
import os
from contextlib import closing
from functools import cache

from rlm_kernel.environments.docker.client import connect
from tests.hostimage import host_image
from tests.plane import ControlPlane

TRANSPORTS = ["exec", "http"]
SECRETS = {"shop": {"SHOP": "open"}, "bank": {"BANK": "shut"}}
SERVICE = os.environ.get("RLM_TEST_MODAL") == "service"


@cache
def image() -> str:
    """What stands for every image: there is no registry here."""
    with closing(connect()) as client:
        return host_image(client)


@cache
def use_plane() -> ControlPlane:
    """The plane, which the SDK in this process and in its children talks to from now on."""
    plane = ControlPlane(backend="docker", image=image(), secrets=SECRETS)
    plane.__enter__()
    atexit.register(plane.__exit__, None, None, None)
    os.environ.update(plane.environment)
    return plane
