"""What goes wrong at Modal is said in words that help, and leaves no sandbox behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grpclib import Status
from sandboxes import Opener, comes_true

from rlm_kernel.environments import registry
from rlm_kernel.environments.kernel_config import KernelConfig
from rlm_kernel.environments.modal import sdk
from rlm_kernel.environments.registry import open_live
from rlm_kernel.errors import KernelStartError, UsageError
from tests.modals import TRANSPORTS
from tests.plane import ControlPlane

pytestmark = [pytest.mark.needs("plane"), pytest.mark.anyio]


def _checked(plane: ControlPlane, **changes: str) -> str:
    """What a process of its own says when it tries Modal with these variables."""
    program = "from rlm_kernel.environments.modal.sdk import check\ncheck()"
    env = {**plane.environment, **changes}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin", **{k: v for k, v in env.items() if v}},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def test_a_token_that_is_right_is_taken(plane: ControlPlane) -> None:
    assert _checked(plane) == ""


def test_a_missing_token_says_how_to_get_one(plane: ControlPlane) -> None:
    said = _checked(plane, MODAL_TOKEN_ID="", MODAL_TOKEN_SECRET="")
    assert "UsageError" in said
    assert "`modal token new`" in said


def test_a_refused_token_is_said_and_not_shown(plane: ControlPlane) -> None:
    said = _checked(plane, MODAL_TOKEN_SECRET="as-canary")
    assert "Modal takes no token of ours" in said
    assert "as-canary" not in said


async def test_a_service_that_does_not_answer_is_said(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.delay("ClientHello", 5.0)
    monkeypatch.setattr(registry, "CHECK_SECONDS", 1.0)
    with pytest.raises(KernelStartError, match="modal gave no answer within 1 s"):
        await registry.check(KernelConfig(Path(), "modal"))


@pytest.mark.parametrize(
    "there",
    ["sys.modules['modal'] = None", "sys.modules['modal'] = types.ModuleType('modal')"],
    ids=["nothing", "a folder of that name"],
)
def test_without_the_sdk_the_extra_is_named(there: str) -> None:
    program = (
        f"import sys, types; {there}\n"
        "from rlm_kernel.environments.modal.sdk import sdk\n"
        "sys.modules['modal.exception'] = None\n"
        "sdk()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert 'pip install "rlm_kernel[modal]"' in done.stderr


@pytest.mark.parametrize(("found", "age"), [("1.5.4", "older"), ("2.0.0", "newer")])
def test_another_sdk_is_named_with_those_that_are_right(
    monkeypatch: pytest.MonkeyPatch, found: str, age: str
) -> None:
    monkeypatch.setattr("modal.__version__", found)
    said = rf'Modal SDK {found} is {age} than what this works with: pip install "modal>=1.5.5,<2"'
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        sdk.sdk()


@pytest.mark.parametrize(
    ("rpc", "status", "kind"),
    [
        ("AppGetOrCreate", Status.PERMISSION_DENIED, UsageError),
        ("ImageGetOrCreate", Status.INVALID_ARGUMENT, UsageError),
        ("SandboxCreate", Status.PERMISSION_DENIED, UsageError),
        ("SandboxCreate", Status.RESOURCE_EXHAUSTED, KernelStartError),
        ("TaskExecStart", Status.PERMISSION_DENIED, KernelStartError),
    ],
)
def test_what_modal_refuses_is_said_in_its_words(
    plane: ControlPlane, opened: Opener, rpc: str, status: Status, kind: type[Exception]
) -> None:
    from rlm_kernel.environments.modal import image

    image.forget()
    plane.refuse(rpc, status, "not for you, says the test")
    with pytest.raises(kind, match="not for you, says the test"), opened():
        pass


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("memory", "2x", "memory='2x': give a size"),
        ("user", "me", "`user` is 'me': write numbers"),
        ("mounts", {"/no/such/folder": "/data"}, "/no/such/folder"),
        ("secrets", ["none-such"], "none-such"),
    ],
)
def test_a_wrong_setting_is_named(opened: Opener, setting: str, value: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said), opened(**{setting: value}):
        pass


def test_a_service_that_errs_and_is_slow_is_asked_again(
    plane: ControlPlane, opened: Opener
) -> None:
    plane.delay("SandboxCreate", 1.0)
    plane.refuse("TaskExecStart", Status.UNAVAILABLE, "busy", times=2)
    with opened() as place:
        plane.refuse("TaskExecStdinWrite", Status.UNAVAILABLE, "busy", times=2)
        assert place.run("print('here')") == "here"


async def test_a_start_that_is_called_off_does_not_wait_for_modal(
    plane: ControlPlane, tmp_path: Path
) -> None:
    plane.delay("SandboxCreate", 10.0)
    before = len(plane.calls)

    def ended() -> bool:
        return any(call.startswith("SandboxTerminate") for call in plane.calls[before:])

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.0), open_live(KernelConfig(tmp_path, "modal")):
            pass
    assert not ended()
    assert comes_true(ended, 30)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_lost_connection_keeps_the_kernel_and_its_names(
    plane: ControlPlane, opened: Opener, transport: str
) -> None:
    with opened(transport=transport) as place:
        place.run("kept = 1")
        for _ in range(3):
            plane.cut(place.name)
            assert place.run("kept += 1; print(kept)").isdigit()
        assert place.run("print(kept)") == "4"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_service_that_is_gone_for_a_while_keeps_the_kernel_and_its_names(
    plane: ControlPlane, opened: Opener, transport: str
) -> None:
    with opened(transport=transport) as place:
        place.run("kept = 1")
        place.start_cell("import time; time.sleep(1); kept = 2")
        plane.stop()
        plane.start()
        assert place.run("print(kept)") == "2"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("kill", "the sandbox was killed (exit code 137): its memory of 2048 MiB ran out (the"),
        ("terminate", "the sandbox was terminated from outside"),
        ("expire", "the sandbox reached its limit of 3600 s (the setting `sandbox_seconds`)"),
    ],
)
def test_the_end_of_a_sandbox_in_a_cell_is_told(
    plane: ControlPlane, opened: Opener, transport: str, end: str, said: str
) -> None:
    with opened(transport=transport) as place:
        place.start_cell("while True: pass")
        getattr(plane, end)(place.name)
        assert said in place.reason()


def test_a_tunnel_that_is_gone_for_good_is_said_to_be(plane: ControlPlane, opened: Opener) -> None:
    with opened(transport="http", patience=3.0) as place:
        place.start_cell("while True: pass")
        plane.close_tunnels(place.name)
        assert "the tunnel to the sandbox was lost" in place.reason()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_relay_that_a_cell_kills_ends_the_kernel_and_the_sandbox(
    plane: ControlPlane, opened: Opener, transport: str
) -> None:
    with opened(transport=transport) as place:
        place.start_cell("import os\nos.kill(os.getppid(), 9)")
        assert "137" in (reason := place.reason()) or "signal 9" in reason
        assert comes_true(lambda: plane.running() == [], 15)


def test_running_out_of_memory_names_the_limit(opened: Opener) -> None:
    with opened(memory="300m") as place:
        place.start_cell("len(bytearray(b'x') * (700 << 20))")
        assert "out of memory" in (reason := place.reason())
        assert "limit of memory is 300m" in reason
