"""A cell over its time is interrupted, and once more where the first interrupt was lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from nobody import Nobody

from rlm_kernel.environments.kernel_config import KernelConfig
from rlm_kernel.repl.guest_client import KernelSetup
from rlm_kernel.repl.repl import open_repl
from rlm_kernel.settings.limits import CellLimits

pytestmark = pytest.mark.anyio
LOST_ONCE = """
import time
kept = "here"
try:
    time.sleep(60)
except KeyboardInterrupt:
    pass
time.sleep(60)
"""


async def test_a_cell_that_has_lost_an_interrupt_costs_no_kernel(tmp_path: Path) -> None:
    setup = KernelSetup(KernelConfig(tmp_path))
    async with open_repl(Nobody(), setup, CellLimits(seconds=0.5)) as repl:
        ran = await repl.run(LOST_ONCE, cell=1)
        assert (ran.status, ran.restarted, ran.lost) == ("timeout", None, [])
        assert (await repl.run("assert kept == 'here'", cell=2)).status == "ok"
