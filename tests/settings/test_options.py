"""An option is declared once; each face has what the table says that it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from asking import block

from rlm_kernel import RLM, Limits, UsageError
from rlm_kernel.cli import parser
from rlm_kernel.kernel import cell_parser, grammar
from rlm_kernel.settings import config
from rlm_kernel.settings.option import Face, Group, Option
from rlm_kernel.settings.resolved import OPTIONS, Layer, Wrote, in_force
from rlm_kernel.testing import ScriptedLM

every_option = pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)


def _right(option: Option) -> str:
    """A value that is right for it, as text."""
    if option.choices:
        return option.choices[-1]
    if option.name in ("memory", "tmpfs"):
        return "3g"
    one = "/tmp" if option.name == "mounts" else "ONE"
    of_kind = {int: "17", float: "1.5", tuple: one, dict: '{"one": "some"}'}
    return of_kind.get(option.kind, "some")


def _plain(option: Option, text: str) -> Any:
    """The same as a config file has it."""
    if option.kind is tuple:
        return [text]
    return json.loads(text) if option.kind is dict else option.kind(text)


def _value(option: Option, force: Any) -> Any:
    owner = force.limits if option.group is Group.LIMIT else force.settings
    return getattr(owner, option.field)


def _place(option: Option) -> dict[str, str]:
    """A sandbox for what is of one: elsewhere its argument is refused."""
    return {"environment": option.sandboxes[0]} if option.sandboxes else {}


@every_option
def test_its_variable_its_argument_and_a_config_file_set_it(option: Option, tmp_path: Path) -> None:
    text = _right(option)
    values = [
        _value(option, in_force(environ={option.variable: text})),
        _value(option, in_force({**_place(option), option.name: text}, environ={})),
    ]
    plain = _plain(option, text)
    written = str(plain) if option.kind is Path else plain
    file = tmp_path / "jupyter_rlm_config.json"
    file.write_text(json.dumps({"RLM": {option.name: written}}))
    values.append(_value(option, in_force(environ={}, config=config.load([tmp_path]))))
    assert values == [values[0]] * 3
    assert values[0] != option.default


@every_option
def test_the_command_has_it_if_it_says_so(option: Option) -> None:
    words = ["batch", "tasks", "-o", "out"] if option.name != "out" else ["fork", "path"]
    made = parser.make()
    if Face.COMMAND in option.faces:
        parsed = made.parse_args([*words, f"--{option.flag}", "some"])
        assert getattr(parsed, option.name) == "some"
    else:
        with pytest.raises(SystemExit):
            made.parse_args([*words, f"--{option.flag}", "some"])


@every_option
def test_a_notebook_has_it_if_it_says_so(option: Option) -> None:
    assert (option.flag in grammar.OPTIONS) == (Face.CELL in option.faces)
    if Face.CELL in option.faces:
        asked = cell_parser.split(f"%%rlm --{option.flag} {_right(option)}\nWhat?")
        assert isinstance(asked, cell_parser.Question)
        assert [*asked.settings] == [option.name]
    words = "limits" if option.group is Group.LIMIT else option.flag
    assert (words in grammar.VERBS) == (Face.LINE in option.faces)


@every_option
def test_a_secret_is_on_no_face_and_in_no_record(option: Option) -> None:
    assert not option.secret or (option.faces, option.recorded) == (Face.NONE, False)
    assert not (option.from_record and option.secret)


def test_what_is_recorded_stands_at_the_head_of_the_record(tmp_path: Path) -> None:
    lm = ScriptedLM([block("print(context)\nFINAL_VAR(context)")])
    with RLM(model=lm, out=tmp_path / "run", temperature=0.5) as rlm:
        assert rlm.completion("hello").response == "hello"
    first = (tmp_path / "run" / "journal.jsonl").read_text(encoding="utf-8").splitlines()[0]
    settings = json.loads(first)["event"]["settings"]
    recorded = {name for name, option in OPTIONS.items() if option.recorded}
    assert recorded <= set(settings)
    assert (settings["temperature"], settings["environment"]) == (0.5, "local")
    assert {*settings["limits"]} == {field for field in vars(Limits())}


@pytest.mark.parametrize("name", [name for name, each in OPTIONS.items() if each.sandboxes])
def test_what_a_caller_wants_of_a_sandbox_is_refused_where_there_is_none(name: str) -> None:
    option = OPTIONS[name]
    with pytest.raises(UsageError, match=f"{option.flag}.*docker|{option.flag}.*modal"):
        in_force(layers=[Layer("--{option}", {option.name: _right(option)})], environ={})
    in_force(layers=[Layer("the record", {option.name: _right(option)}, Wrote.RECORD)], environ={})
