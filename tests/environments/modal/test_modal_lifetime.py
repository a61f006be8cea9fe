"""A sandbox goes with the process that made it, whenever and however that ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from killed_host import Doomed, hosts
from sandboxes import Opener, comes_true, write_spec

from rlm_kernel.environments.modal import sdk
from tests.modals import TRANSPORTS
from tests.plane import ControlPlane

pytestmark = pytest.mark.needs("plane")
GONE_SECONDS = 20
APP = "rlm-kernel"


@pytest.fixture
def doomed(plane: ControlPlane, tmp_path: Path) -> Iterator[Callable[..., Doomed]]:
    with hosts("modal") as doomed_at:

        def made(moment: str, **config: Any) -> Doomed:
            return doomed_at(moment, write_spec(tmp_path, "doomed", config, "rlm-modal"))

        yield made


@pytest.mark.parametrize(
    ("transport", "moment", "count"),
    [
        ("exec", "created", 1),
        ("exec", "started", 1),
        ("exec", "busy", 1),
        ("exec", "two kernels", 2),
        ("http", "created", 1),
        ("http", "busy", 1),
    ],
)
def test_a_killed_host_leaves_no_sandbox(
    plane: ControlPlane, doomed: Callable[..., Doomed], transport: str, moment: str, count: int
) -> None:
    host = doomed(moment, transport=transport)
    assert len(plane.running()) == count
    host.kill()
    assert comes_true(lambda: plane.running() == [], GONE_SECONDS)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_sandbox_ends_by_itself_where_all_of_its_host_is_killed(
    plane: ControlPlane, doomed: Callable[..., Doomed], transport: str
) -> None:
    host = doomed("busy", transport=transport, patience=3.0)
    host.kill(reaper_too=True)
    assert comes_true(lambda: plane.running() == [], GONE_SECONDS)


def test_strays_are_listed_and_terminated(
    plane: ControlPlane, doomed: Callable[..., Doomed], opened: Opener
) -> None:
    host = doomed("created")
    (name,) = plane.running()
    assert sdk.strays(APP) == []  # its host lives
    host.kill(reaper_too=True)
    (stray,) = sdk.strays(APP)
    assert (stray.id, str(host.process.pid) in stray.host) == (name, True)
    with opened() as living:
        assert sdk.remove_strays(APP) == [stray]
        assert plane.running() == [living.name]
        assert living.run("print('alive')") == "alive"


def test_of_other_machines_nothing_is_a_stray(
    plane: ControlPlane, doomed: Callable[..., Doomed], monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed("created").kill(reaper_too=True)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("platform.node", lambda: "another-machine")
        assert sdk.strays(APP) == []
    assert len(sdk.remove_strays(APP)) == 1


def test_a_sandbox_in_which_no_relay_is_started_ends_by_itself(
    plane: ControlPlane, doomed: Callable[..., Doomed]
) -> None:
    doomed("created", patience=2.0).kill(reaper_too=True)
    assert comes_true(lambda: plane.running() == [], GONE_SECONDS)


def test_shutting_down_ends_the_sandbox_at_once(plane: ControlPlane, opened: Opener) -> None:
    with opened() as place:
        assert plane.running() == [place.name]
    assert plane.running() == []


def test_a_restart_leaves_one_sandbox(plane: ControlPlane, opened: Opener) -> None:
    with opened() as place:
        first = place.name
        place.run("kept = 1")
        place.manager.restart_kernel(now=True)
        place.client.wait_for_ready(timeout=30)
        assert place.run("kept").startswith("NameError")
        assert (place.name != first, plane.running()) == (True, [place.name])


def test_the_service_is_told_when_to_end_a_sandbox_whatever_becomes_of_us(
    plane: ControlPlane, opened: Opener
) -> None:
    with opened(sandbox_seconds=11) as place:
        place.start_cell("while True: pass")
        assert "limit of 11 s" in place.reason()
