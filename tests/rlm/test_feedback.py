"""What becomes of outputs on their way to the LM."""

from __future__ import annotations

import pytest

from rlm_kernel.events import Output
from rlm_kernel.rlm.feedback import LEAST_CHARS, within_room


def _printed(size: int) -> list[Output]:
    return [{"output_type": "stream", "name": "stdout", "text": "x" * size}]


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ([500, 500], [500, 500]),
        ([9000, 10, 10], [9000, 10, 10]),
        ([20_000] + [10] * 11, [9890] + [10] * 11),
        ([9000, 9000], [5000, 5000]),
        ([1000, 9000, 7000], [1000, 4500, 4500]),
        ([9000] * 100, [LEAST_CHARS] * 100),
        ([], []),
    ],
)
def test_room_that_one_output_does_not_use_the_others_have(
    sizes: list[int], shown: list[int]
) -> None:
    texts = within_room([_printed(size) for size in sizes], 10_000)
    assert [len(text) for text in texts] == [
        n if n == s else n - 1 for n, s in zip(shown, sizes, strict=True)
    ]
