"""What Modal is asked for: image, limits, network, life, GPU and place, and how it is marked."""

from __future__ import annotations

import pytest
from modal_proto import api_pb2
from sandboxes import Opener

from rlm_kernel.environments.modal import image
from rlm_kernel.environments.modal.prices import CORE, GIB, GPUS, per_second
from rlm_kernel.environments.owner_tag import host_mark
from rlm_kernel.errors import UsageError
from rlm_kernel.settings.rules import size
from tests.plane import ControlPlane

pytestmark = pytest.mark.needs("plane")
GIB_BYTES = 1 << 30


def test_the_limits_are_limits_and_little_is_set_aside(plane: ControlPlane, opened: Opener) -> None:
    with opened(cpus=1.5, memory="3g", sandbox_seconds=77, region="eu") as place:
        asked = plane.definition(place.name)
    resources = asked.resources
    assert (resources.memory_mb, resources.memory_mb_max) == (512, 3072)
    assert (resources.milli_cpu, resources.milli_cpu_max) == (250, 1500)
    assert asked.timeout_secs == 77
    assert list(asked.scheduler_placement.regions) == ["eu"]


def test_a_gpu_is_asked_for_by_name(plane: ControlPlane, opened: Opener) -> None:
    with opened(gpu="L4:2") as place:
        gpu = plane.definition(place.name).resources.gpu_config
        assert (gpu.gpu_type, gpu.count) == ("L4", 2)
        assert place.provisioner.rate == per_second(0.25, 512 << 20, "L4:2")


@pytest.mark.parametrize(
    ("settings", "blocked"),
    [
        ({}, True),
        ({"network": "bridge"}, False),
        ({"transport": "http", "network": "bridge"}, False),
    ],
)
def test_the_network_is_blocked_unless_it_is_asked_for(
    plane: ControlPlane, opened: Opener, settings: dict[str, str], blocked: bool
) -> None:
    with opened(**settings) as place:
        access = plane.definition(place.name).network_access.network_access_type
    assert (access == api_pb2.NetworkAccess.BLOCKED) is blocked


def test_over_http_nothing_outside_is_allowed(plane: ControlPlane, opened: Opener) -> None:
    with opened(transport="http") as place:
        access = plane.definition(place.name).network_access
        ports = [port.port for port in plane.definition(place.name).open_ports.ports]
    assert access.network_access_type == api_pb2.NetworkAccess.ALLOWLIST
    assert (list(access.allowed_cidrs), ports) == ([], [8888])


def test_the_image_has_our_python_ipykernel_and_the_packages(
    plane: ControlPlane, opened: Opener
) -> None:
    image.forget()
    before = set(plane.images)
    with opened(packages=["polars", "httpx"]):
        pass
    lines = "\n".join(line for name in set(plane.images) - before for line in plane.images[name])
    assert "ipykernel==" in lines
    assert "httpx polars" in lines


def test_a_sandbox_carries_the_mark_of_its_process_and_the_users_tags(
    plane: ControlPlane, opened: Opener
) -> None:
    with opened(labels={"team": "blue"}) as place:
        tags = plane.tags(place.name)
    assert tags == {"team": "blue", "rlm_kernel": "1", "rlm_kernel_host": host_mark()}


def test_a_second_sandbox_asks_neither_for_the_app_nor_for_the_image(
    plane: ControlPlane, opened: Opener
) -> None:
    with opened():
        pass
    before = len(plane.calls)
    with opened():
        pass
    again = set(plane.calls[before:])
    assert not {call for call in again if call.startswith(("App", "Image"))}, again


@pytest.mark.parametrize(
    ("text", "size_in_bytes"), [("512m", 512 << 20), ("2g", 2 << 30), ("1.5G", 3 << 29), ("7", 7)]
)
def test_sizes_are_read_as_docker_reads_them(text: str, size_in_bytes: int) -> None:
    assert size(text, "memory") == size_in_bytes


@pytest.mark.parametrize("text", ["", "2x", "-1g", "g"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give a size, such as 512m or 2g"):
        size(text, "memory")


def test_the_rate_is_that_of_what_is_set_aside() -> None:
    assert per_second(0.5, 2 * GIB_BYTES).known == pytest.approx(0.5 * CORE + 2 * GIB)
    with_gpu = per_second(0, 0, "H100!:2")
    assert (with_gpu.known, with_gpu.whole) == (2 * GPUS["h100"], True)


def test_a_gpu_of_no_known_price_leaves_the_rest_counted() -> None:
    rate = per_second(1, 0, "X9000")
    assert (rate.known, rate.whole) == (CORE, False)
