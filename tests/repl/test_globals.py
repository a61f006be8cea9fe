"""The REPL globals are declared once: what names them elsewhere agrees with the one list."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from typing import get_args, get_type_hints

import pytest

from rlm_kernel.errors import UsageError
from rlm_kernel.events import CallEnded
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.kernel.cell_parser import split
from rlm_kernel.record.notebooks.metadata import SCHEMA
from rlm_kernel.remote.guest.globals import GLOBALS, OPS, RESERVED, Global
from rlm_kernel.rlm import prompts

RECORDED = {*OPS, "tool"}


def _ids(entry: Global) -> str:
    return entry.name


@pytest.mark.parametrize("entry", [g for g in GLOBALS if g.told], ids=_ids)
def test_the_strong_system_message_has_each_call_as_it_is_written(entry: Global) -> None:
    assert f"`{entry.told_call}" in prompts.STRONG


def test_calls_are_recorded_under_the_names_of_those_that_ask() -> None:
    assert set(get_args(get_type_hints(CallEnded)["op"])) == RECORDED


def _ops(version: str) -> set[str]:
    schema = files("rlm_kernel.record").joinpath(f"schema/trajectory-{version}.json")
    return set(json.loads(schema.read_text("utf-8"))["$defs"]["call"]["properties"]["op"]["enum"])


def test_the_schema_of_records_knows_each_name_that_asks() -> None:
    assert _ops(str(SCHEMA)) == RECORDED


@pytest.mark.parametrize("version", ["1", "2"])
def test_older_schemas_know_the_names_of_their_time(version: str) -> None:
    assert _ops(version) == RECORDED - {"llm_map"}


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_tool_takes_the_name_of_a_global(name: str) -> None:
    with pytest.raises(UsageError, match="taken by the REPL itself"):
        Tools({name: 1})


@pytest.mark.parametrize("name", sorted(RESERVED - {"context"}))
def test_no_answer_takes_the_name_of_a_global_but_that_of_the_input(name: str) -> None:
    with pytest.raises(UsageError, match="of their own"):
        split(f"%%rlm {name}\nwho?")
    split("%%rlm context\nwho?")


def test_a_host_that_reads_a_guests_frames_needs_no_ipython() -> None:
    code = (
        "import sys, rlm_kernel.repl.repl as r; print([m for m in sys.modules if 'IPython' in m])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stdout.strip() == "[]"
