"""What is read from Jupyter's config folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from traitlets import TraitType

from rlm_kernel.errors import UsageError
from rlm_kernel.settings.config import RLM, load
from rlm_kernel.settings.limits import Limits
from rlm_kernel.settings.resolved import OPTIONS, Layer, in_force


def _py(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "jupyter_rlm_config.py"
    file.write_text(text, encoding="utf-8")
    return file


def _json(folder: Path, value: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "jupyter_rlm_config.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return file


def test_where_there_is_no_file_nothing_is_set(tmp_path: Path) -> None:
    assert load([tmp_path, tmp_path / "none"]) == []


def test_only_what_a_file_sets_is_in_its_layer(tmp_path: Path) -> None:
    text = "c.RLM.model = 'm'\nc.RLM.max_cost = None\nc.RLM.pass_env.append('HF_HOME')\n"
    file = _py(tmp_path, text + "c.RLM.max_seconds = 60\n")
    assert load([tmp_path]) == [
        Layer(
            str(file),
            {"model": "m", "max_cost": None, "pass_env": ("HF_HOME",), "max_seconds": 60.0},
        )
    ]


def test_what_a_file_sets_is_in_force(tmp_path: Path) -> None:
    file = _json(tmp_path, {"RLM": {"max_turns": 3, "max_cost": None, "out": "there"}})
    force = in_force(environ={}, config=load([tmp_path]))
    assert force.limits == Limits(turns=3, cost=None)
    assert force.settings.out == Path("there")
    assert force.origins == dict.fromkeys(["max_turns", "max_cost", "out"], str(file))


def test_the_first_folder_and_in_it_the_json_file_is_strongest(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    files = [_json(first, {"RLM": {}}), _py(first, ""), _json(second, {}), _py(second, "")]
    assert [layer.origin for layer in load([first, second, first])] == [str(f) for f in files]


def test_jupyters_own_folders_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path))
    file = _py(tmp_path, "c.RLM.model = 'm'")
    assert Layer(str(file), {"model": "m"}) in load()


def test_a_file_in_the_working_folder_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _py(tmp_path, "raise RuntimeError('it ran')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")
    assert load() == []


def test_a_file_in_the_home_folder_is_called_by_a_short_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    _py(tmp_path / ".jupyter", "c.RLM.model = 'm'")
    assert [x.origin for x in load([tmp_path / ".jupyter"])] == ["~/.jupyter/jupyter_rlm_config.py"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\nc.RLM.model = ", "jupyter_rlm_config.py, line 2: it does not parse: invalid"),
        ("\nc.RLM.model = modle\n", "jupyter_rlm_config.py, line 2: NameError: name 'modle'"),
        ("import sys\nsys.exit(3)", "jupyter_rlm_config.py, line 2: SystemExit: 3"),
        ("c.RLM.modle = 'x'", "unknown setting 'modle'; did you mean 'model'"),
        ("c.RLM.turns = 3", "unknown setting 'turns'; did you mean 'max_turns'"),
        ("c.RLMKernel.model = 'x'", "'RLMKernel' is no section of ours: write c.RLM.NAME"),
        ("c.model = 'x'", "'model' is no section of ours"),
        ("c.RLM.max_turns = 'many'", "py: max_turns='many': give an int"),
        ("c.RLM.max_turns = 0", "py: max_turns: limit turns=0: give a whole number of at least 1"),
        ("c.RLM.prompt = 'tiny'", "py: prompt='tiny': give strong or small"),
        ("c.RLM.pass_env = ['RLM_API_KEY']", "py: pass_env: RLM_API_KEY stays out"),
    ],
)
def test_a_wrong_python_file_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    _py(tmp_path, text)
    with pytest.raises(UsageError, match=words):
        load([tmp_path])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '{"RLM": {\n"model": }}',
            r"jupyter_rlm_config.json, line 2: it does not parse: Expecting",
        ),
        ("[1]", "jupyter_rlm_config.json: "),
        ('{"RLM": 1}', r"json: 'RLM' is no section of ours: write .* in JSON"),
        ('{"RLM": {"retries": 1.5}}', "json: retries=1.5: give an int"),
        ("\udcff", "jupyter_rlm_config.json: UnicodeDecodeError"),
    ],
)
def test_a_wrong_json_file_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "jupyter_rlm_config.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=words):
        load([tmp_path])


@pytest.mark.parametrize("value", ["5", "['sk-canary']"])
def test_a_wrong_key_is_not_shown(tmp_path: Path, value: str) -> None:
    _py(tmp_path, f"c.RLM.api_key = {value}")
    with pytest.raises(UsageError, match=r"api_key=\.\.\.: give") as caught:
        load([tmp_path])
    assert "canary" not in str(caught.value)


def test_every_setting_and_limit_is_a_trait_with_its_meaning() -> None:
    traits: dict[str, TraitType[object, object]] = RLM.class_traits(config=True)
    meanings = {name: option.help for name, option in OPTIONS.items()}
    assert {name: trait.help for name, trait in traits.items()} == meanings
