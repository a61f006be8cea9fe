"""The REPL where those fail who read a cell's outputs or type its input."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nobody import Nobody

from rlm_kernel.environments.kernel import Kernel
from rlm_kernel.environments.kernel_config import KernelConfig
from rlm_kernel.events import Output
from rlm_kernel.repl.guest_client import KernelSetup
from rlm_kernel.repl.repl import Repl, open_repl

pytestmark = pytest.mark.anyio
STUBBORN = """
import time
while True:
    try:
        print("begun", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        pass
"""


@pytest.fixture
async def repl(tmp_path: Path) -> AsyncIterator[Repl]:
    async with open_repl(Nobody(), KernelSetup(KernelConfig(tmp_path))) as opened:
        yield opened


async def _works(repl: Repl) -> bool:
    ran = await repl.run("print(6 * 7)", cell=9, seconds=60.0)
    return "42" in str(ran.outputs)


async def test_a_kernel_that_does_not_stop_for_a_failed_reader_is_replaced(repl: Repl) -> None:
    def read(output: Output) -> None:
        raise OSError(28, "no space for the outputs")

    first = repl.kernel.pid
    with pytest.raises(OSError, match="no space for the outputs"):
        await repl.run(STUBBORN, cell=1, on_output=read)
    assert await _works(repl)
    assert repl.kernel.pid != first


async def test_a_line_that_cannot_be_typed_ends_its_cell(
    repl: Repl, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(kernel: Kernel, line: str) -> None:
        raise OSError(5, "no input")

    with monkeypatch.context() as patch:
        patch.setattr(Kernel, "answer_input", failing)
        with pytest.raises(OSError, match="no input"):
            await repl.run("input()", cell=1, author="human", inputs=["a line"])
    assert await _works(repl)
