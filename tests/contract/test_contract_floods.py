"""Cells that put out more than anybody can hold: the host's memory stays as it was."""

from __future__ import annotations

import resource
import threading

import pytest
from environments import Bench, shown

pytestmark = pytest.mark.anyio
MIB = 1 << 20
GROWTH_MIB = 100
FLOODS = {
    "a line": "print('x' * 120_000_000)",
    "displays": "for _ in range(200):\n    display({'text/plain': 'x' * 500_000}, raw=True)",
}


def _resident_mib() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // MIB


class Peak:
    """The most memory of this process while the body runs, in MiB above what it had before."""

    def __enter__(self) -> Peak:
        self._before = self.most = _resident_mib()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.most = max(self.most, _resident_mib())

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        return self.most - self._before


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_of_output_leaves_the_hosts_memory_as_it_was(
    kernel: Bench, flood: str
) -> None:
    with Peak() as peak:
        ran = await kernel.run(FLOODS[flood])
    assert ran.status == "ok"
    assert len(shown(ran)) < (250_000 if flood == "a line" else 30_000_000)
    assert peak.growth < GROWTH_MIB
    assert await kernel.said("print('next')") == "next"
