"""A key that a cell has found on the machine stands in nothing that is kept or shown of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import block
from stories import cell

from rlm_kernel import RLM
from rlm_kernel.events import Event
from rlm_kernel.record.masking import MASK, masking
from rlm_kernel.testing import FakeEndpoint

KEY, OTHER = "sk-0123456789abcdef", "tok-fedcba9876543210"
FINDS = """\
found = open(context).read()
print(found, {found: [found]}, 'x' * 40_000 + found)
asked = llm_query('what is ' + found)
raise ValueError(found)"""


def test_a_key_that_a_cell_prints_asks_and_answers_with_is_masked(tmp_path: Path) -> None:
    leaked = tmp_path / "leaked.txt"
    leaked.write_text(f"{KEY} {OTHER}")
    turns = iter([FINDS, "FINAL_VAR(found)"])

    def reply(request: dict[str, Any]) -> str:
        told = str(request["messages"][-1]["content"])
        return f"it is {KEY}" if told.startswith("what is") else block(next(turns))

    with (
        FakeEndpoint(reply) as endpoint,
        RLM(
            model="fake-model",
            base_url=endpoint.base_url,
            api_key=KEY,
            headers={"X-Auth-Token": OTHER, "X-Title": "leaked.txt"},
            out=tmp_path / "run",
        ) as rlm,
    ):
        result = rlm.completion(str(leaked), "What is in the file?")
    kept = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    for secret in (KEY, OTHER):
        assert not [data for data in kept if secret.encode() in data]
    assert any(f"{MASK} {MASK}".encode() in data for data in kept)
    assert any(b"leaked.txt" in data for data in kept)  # a header that is no secret
    assert result.status == "answered"


@pytest.mark.parametrize("secrets", [[], [KEY]])
def test_an_event_without_a_key_is_passed_on_as_it_is(secrets: list[str]) -> None:
    got: list[Event] = []
    event = cell("0", 1, outputs=[{"output_type": "stream", "name": "stdout", "text": "plain"}])
    masking(got.append, secrets)(event)
    assert got[0] is event
