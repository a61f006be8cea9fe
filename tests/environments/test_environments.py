"""What is said of environments elsewhere agrees with the registry."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from documents import GUIDE

import rlm_kernel
from rlm_kernel.environments import registry
from rlm_kernel.environments.kernel_config import KernelConfig
from rlm_kernel.environments.live_kernel import LiveKernel
from rlm_kernel.environments.local.environment import LocalEnvironment
from rlm_kernel.environments.pipe.environment import SandboxEnvironment
from rlm_kernel.environments.registry import ENVIRONMENTS
from rlm_kernel.settings.values import ENVIRONMENTS as NAMES
from rlm_kernel.settings.values import OPTIONS as SETTINGS
from rlm_kernel.settings.values import SANDBOX, Settings

SANDBOXES = {
    name: each for name, each in ENVIRONMENTS.items() if isinstance(each, SandboxEnvironment)
}
REAPED = [name for name, each in SANDBOXES.items() if hasattr(each.provisioner, "reaper")]
OPTIONS = [(name, option) for name, options in SANDBOX.items() for option in options]


def test_the_settings_name_every_environment_and_the_usual_one_is_local() -> None:
    assert tuple(ENVIRONMENTS) == NAMES
    assert Settings().environment == "local"


def test_the_settings_have_options_for_those_environments_that_have_sandboxes() -> None:
    assert set(SANDBOX) == {name for name, each in ENVIRONMENTS.items() if each.options}
    assert set(REAPED) == {name for name, each in ENVIRONMENTS.items() if each.leavings}


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=" ".join)
def test_an_option_is_the_provisioners_with_the_same_default(name: str, option: str) -> None:
    trait = SANDBOXES[name].provisioner.class_traits(config=True)[option]
    default, ours = trait.default(), getattr(Settings(), option)
    assert default == ours or not (default or ours)  # None and an empty text, list or dict


def test_a_record_cannot_decide_what_an_environment_bills() -> None:
    billed = {name: set(each.billed) for name, each in ENVIRONMENTS.items() if each.billed}
    held_back = {
        environment: {name for name, option in SETTINGS.items() if environment in option.billed}
        for environment in NAMES
    }
    assert {name: options for name, options in held_back.items() if options} == billed


@pytest.mark.parametrize("name", SANDBOXES)
def test_any_jupyter_client_finds_the_provisioner_under_the_environments_name(name: str) -> None:
    [found] = entry_points(group="jupyter_client.kernel_provisioners", name=f"rlm-{name}")
    assert found.load() is SANDBOXES[name].provisioner


def test_the_guide_compares_every_environment() -> None:
    head = " | ".join(
        f"`{name}` (the default)" if name == "local" else f"`--env {name}`" for name in NAMES
    )
    assert f"| | {head} |\n" in GUIDE["sandboxes"]


def test_the_registry_loads_no_vendors_sdk() -> None:
    program = (
        "import sys, rlm_kernel.environments.registry\n"
        "print(sorted({'docker', 'modal', 'grpclib'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("name", REAPED)
def test_what_the_reaper_runs_imports_nothing_of_ours(name: str) -> None:
    program = Path(rlm_kernel.__file__).parent / "environments" / name / "reaping.py"
    for node in ast.walk(ast.parse(program.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert str(node.module).partition(".")[0] in sys.stdlib_module_names
        elif isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= sys.stdlib_module_names


class Fake(LocalEnvironment):
    """Nowhere at all; it notes what it was asked."""

    name = "fake"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def check(self, config: KernelConfig) -> None:
        self.asked.append("check")

    @asynccontextmanager
    async def open(self, config: KernelConfig) -> AsyncIterator[LiveKernel]:
        async with super().open(config) as live:
            self.asked.append("open")
            yield live
        self.asked.append("closed")


def test_an_environment_is_used_by_its_entry_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake()
    monkeypatch.setitem(ENVIRONMENTS, fake.name, fake)
    config = KernelConfig(tmp_path, fake.name)

    async def use() -> bool:
        await registry.check(config)
        async with registry.open_live(config) as live:
            return (await live.kernel.execute("assert True")).ok

    assert asyncio.run(use())
    assert fake.asked == ["check", "open", "closed"]
