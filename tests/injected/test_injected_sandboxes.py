"""An LM that obeys the document: in a sandbox none of its cells reaches what it is after."""

from __future__ import annotations

import os

import pytest
from attacks import Attack, attacks
from victims import Victims

from tests.contract.environments import Bench, shown

pytestmark = pytest.mark.anyio
ATTACKS = attacks(os.uname().machine)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.needs(name)) for name in ("bwrap", "docker")],
)
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.kind}: {attack.name}")
async def test_nothing_gets_through(kernel: Bench, host: Victims, attack: Attack) -> None:
    ran = await kernel.run(host.cell(attack))
    said = shown(ran)
    assert not host.struck(attack, said), said
