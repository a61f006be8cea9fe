"""A container goes with the process that made it, whenever and however that ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from killed_host import Doomed, hosts
from sandboxes import Opener, comes_true, write_spec

from rlm_kernel.environments.docker import strays

pytestmark = pytest.mark.needs("docker")
GONE_SECONDS = 10


@pytest.fixture
def doomed(image: str, label: str, tmp_path: Path) -> Iterator[Callable[[str], Doomed]]:
    labels = dict([label.split("=")])
    with hosts("docker") as doomed_at:
        specs = write_spec(tmp_path, "doomed", {"image": image, "labels": labels})
        yield lambda moment: doomed_at(moment, specs)


@pytest.fixture
def left(engine: Any, label: str) -> Callable[[], list[str]]:
    """The states of the test's containers."""

    def states() -> list[str]:
        found = engine.api.containers(all=True, filters={"label": label})
        return [each["State"] for each in found]

    return states


@pytest.fixture
def own_strays(engine: Any, label: str) -> Callable[[], list[strays.Stray]]:
    """The strays among the test's containers. Others may use the engine at the same time."""

    def found() -> list[strays.Stray]:
        own = {each["Id"] for each in strays.labelled(engine, label)}
        return [stray for stray in strays.strays(engine) if stray.id in own]

    return found


@pytest.mark.parametrize(
    ("moment", "states"),
    [
        ("created", ["created"]),
        ("attached", ["created"]),
        ("started", ["running"]),
        ("ready", ["running"]),
        ("busy", ["running"]),
        ("forked", ["running"]),
        ("two kernels", ["running", "running"]),
    ],
)
def test_a_killed_host_leaves_no_container(
    doomed: Callable[[str], Doomed], left: Callable[[], list[str]], moment: str, states: list[str]
) -> None:
    host = doomed(moment)
    assert left() == states
    host.kill()
    assert comes_true(lambda: left() == [], GONE_SECONDS)


def test_a_container_ends_with_its_pipe_where_all_of_its_host_is_killed(
    doomed: Callable[[str], Doomed], left: Callable[[], list[str]]
) -> None:
    host = doomed("busy")
    host.kill(reaper_too=True)
    assert comes_true(lambda: left() == [], GONE_SECONDS)


def test_strays_are_listed_and_removed(
    engine: Any,
    doomed: Callable[[str], Doomed],
    left: Callable[[], list[str]],
    own_strays: Callable[[], list[strays.Stray]],
    opened: Opener,
) -> None:
    host = doomed("created")
    assert left() == ["created"]
    assert own_strays() == []  # its host lives
    host.kill(reaper_too=True)
    (stray,) = own_strays()
    assert (stray.state, str(host.process.pid) in stray.host) == ("created", True)
    with opened() as living:
        assert stray in strays.remove_strays(engine)
        assert left() == ["running"]
        assert living.run("print('alive')") == "alive"
    assert left() == []


def test_of_other_machines_nothing_is_a_stray(
    doomed: Callable[[str], Doomed],
    own_strays: Callable[[], list[strays.Stray]],
    monkeypatch: pytest.MonkeyPatch,
    engine: Any,
) -> None:
    doomed("created").kill(reaper_too=True)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("platform.node", lambda: "another-machine")
        assert strays.strays(engine) == []
    (stray,) = own_strays()
    assert stray in strays.remove_strays(engine)


def test_shutting_down_removes_the_container_at_once(
    opened: Opener, left: Callable[[], list[str]]
) -> None:
    with opened():
        assert left() == ["running"]
    assert left() == []


def test_a_restart_leaves_one_container(opened: Opener, left: Callable[[], list[str]]) -> None:
    with opened() as place:
        first = place.name
        place.run("kept = 1")
        place.manager.restart_kernel(now=True)
        place.client.wait_for_ready(timeout=30)
        assert place.run("kept").startswith("NameError")
        assert (place.name != first, left()) == (True, ["running"])
