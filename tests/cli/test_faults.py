"""Bad input through ``rlm run``: the quick half of ``python -m tests.faults``."""

from __future__ import annotations

import sys

import pytest
from faults import table
from faults.running import Case, run

QUICK = [
    pytest.param(case, id=f"{group}: {case.name}")
    for group, cases in table.GROUPS.items()
    for case in cases
    if case.quick
]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left is read from /proc")


@pytest.mark.parametrize("case", QUICK)
def test_bad_input_gets_a_message_a_valid_record_and_leaves_nothing(case: Case) -> None:
    seen = run(case)
    assert seen.problems() == []
    assert len(seen.message) < 1000
