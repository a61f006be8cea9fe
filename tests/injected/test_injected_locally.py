"""The same cells where nothing stops them: they are attacks, and ``local`` is no bound to any."""

from __future__ import annotations

import os

import pytest
from attacks import Attack, attacks
from victims import Victims

from tests.contract.environments import Bench, shown

pytestmark = pytest.mark.anyio
HARMLESS = [a for a in attacks(os.uname().machine) if a.kind != "escape"]


@pytest.fixture(scope="module")
def environment() -> str:
    return "local"


@pytest.mark.parametrize("attack", HARMLESS, ids=lambda attack: f"{attack.kind}: {attack.name}")
async def test_locally_it_gets_through(kernel: Bench, host: Victims, attack: Attack) -> None:
    ran = await kernel.run(host.cell(attack))
    said = shown(ran)
    assert host.struck(attack, said), said
