"""Keys in files, and those that a command says."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from rlm_kernel.errors import UsageError
from rlm_kernel.lm.keys import key_of
from rlm_kernel.session.event_loop import engine
from rlm_kernel.settings.resolved import Layer, Wrote, in_force


def _key(sub: bool = False, **given: str) -> str | None:
    return engine().run(key_of(in_force(given, environ={}).settings, sub))


def _saying(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


def test_a_key_is_read_from_a_file_or_said_by_a_command(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-file\n")
    assert _key(api_key_file=str(file)) == "sk-file"
    assert _key(api_key_command=_saying("print('sk-said')")) == "sk-said"
    assert _key(sub=True, sub_base_url="http://s/v1", sub_api_key_file=str(file)) == "sk-file"
    assert _key() is None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('sk-a sk-b')", "one key"),
        ("", "one key"),
        ("import sys; print('sk-x'); sys.exit('locked')", "exit status 1: locked"),
    ],
)
def test_a_command_that_gives_no_key_says_why(code: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        _key(api_key_command=_saying(code))
    assert "Error: sk-" not in str(refused.value)


def test_a_file_or_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"RLM_API_KEY_FILE=.*No such file"):
        _key(api_key_file=str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"RLM_API_KEY_COMMAND=.*No such file"):
        _key(api_key_command="no-such-command-here get")


def test_the_nearest_way_to_a_key_counts() -> None:
    environ = {"RLM_API_KEY": "sk-env", "OPENAI_API_KEY": "sk-openai"}
    config = [Layer("c.py", {"api_key_command": "pass show x"})]
    assert in_force(environ=environ, config=config).settings.api_key_command is None
    near = in_force({"api_key_file": "f"}, environ=environ, config=config).settings
    assert (near.api_key, near.api_key_file, near.api_key_command) == (None, "f", None)
    both = in_force({"api_key_file": "f", "api_key": "k"}, environ={}).settings
    assert (both.api_key, both.api_key_file) == ("k", None)
    assert not in_force({"api_key_file": "f"}, environ={}).settings.embedded


def test_a_file_of_the_machine_s_is_not_for_an_endpoint_that_a_cell_names() -> None:
    cell = Layer("--{option}", {"base_url": "http://evil/v1"}, Wrote.NOTEBOOK)
    force = in_force(layers=[cell], environ={"RLM_API_KEY_FILE": "f"})
    assert force.settings.api_key_file is None
    assert "a cell names" in force.withheld["api_key_file"]


def test_a_typed_key_wins_for_its_endpoint_alone() -> None:
    environ = {"RLM_BASE_URL": "http://a/v1", "RLM_API_KEY_FILE": "f"}
    force = in_force(environ=environ, typed={"http://a/v1": "sk-t"})
    assert (force.settings.api_key, force.origins["api_key"]) == ("sk-t", "%rlm key")
    assert in_force(environ=environ, typed={"http://b/v1": "sk-t"}).settings.api_key is None
    assert json.dumps(str(force.settings)).find("sk-t") == -1
