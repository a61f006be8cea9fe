"""What the README claims and is not tested elsewhere."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import nbformat
import pytest

from rlm_kernel import RLM, Limits, cli
from rlm_kernel.environments.docker.provisioner import DockerProvisioner
from rlm_kernel.kernel import grammar
from rlm_kernel.record import trajectory
from rlm_kernel.record.equality import RULES
from rlm_kernel.replay.replay import replay
from rlm_kernel.settings.limits import LIMITS
from rlm_kernel.settings.option import Face, Group, Option
from rlm_kernel.settings.resolved import OPTIONS
from rlm_kernel.testing import ScriptedLM

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _row(option: Option) -> str:
    """An option as the tables have it."""
    default = "" if option.default in (None, ()) else str(option.default)
    flag = f"`--{option.flag}`" if Face.COMMAND in option.faces else ""
    variable = f"`{option.variable}`"
    if option.group is Group.LIMIT:
        cells = [option.meaning, default, flag, variable]
    else:
        words = [f"`--{option.flag}`"] if Face.CELL in option.faces else []
        words += [f"`%rlm {option.flag}`"] if Face.LINE in option.faces else []
        cells = [variable, option.meaning, default, flag, ", ".join(words)]
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _table(head: str) -> list[str]:
    """The rows of a table of the README, by its first line."""
    [rows] = re.findall(rf"^{re.escape(head)}\n\|[-| ]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    return str(rows).splitlines()


def test_the_table_of_limits_has_every_limit_as_it_is() -> None:
    assert _table("| limit | default | option | environment |") == [*map(_row, LIMITS.values())]


def test_the_table_of_settings_has_every_setting_as_it_is() -> None:
    told = _table("| variable | meaning | default | `rlm` | notebook |")
    assert told == [_row(o) for o in OPTIONS.values() if o.group is not Group.LIMIT]


def test_every_option_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    known = {f"--{option}" for option in grammar.OPTIONS}
    for command in (
        "run",
        "install",
        "fork",
        "replay",
        "rerun",
        "export",
        "diff",
        "show",
        "batch",
        "eval",
    ):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        known |= set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert set(re.findall(r"`(--[\w-]+)", README)) - known == set()


def test_every_word_of_a_notebook_is_in_the_table() -> None:
    [table] = re.findall(r"\| line \| meaning \|\n(.*?)\n\n", README, re.DOTALL)
    told = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`]*)`", table))))
    assert set(grammar.VERBS) - told - {"status"} == set()


def test_every_rule_of_a_replay_is_in_the_table() -> None:
    [table] = re.findall(r"\| rule \| what it forgives \|\n(.*?)\n\n", README, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", table)) - {"tempfile"} == set(RULES)


def test_every_variable_that_is_named_is_a_setting() -> None:
    names = {name.lower() for name in re.findall(r"`RLM_(\w+)`", README)}
    assert names <= set(OPTIONS)


def test_every_extra_that_is_installed_exists_and_start_installs_what_it_runs() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = re.findall(r"\"(?:rlm_kernel|\.)\[([\w,]+)\]", README)
    assert {extra for names in named for extra in names.split(",")} == {*extras}
    [start] = re.findall(r"## Start\n.*?```console\n(.*?)```", README, re.DOTALL)
    [installed] = re.findall(r"\[([\w,]+)\]", start)
    assert ("jupyter lab" in start) == ("lab" in installed.split(","))
    assert any(name.startswith("jupyterlab") for name in extras["lab"])


def test_the_python_sample_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lm = ScriptedLM(["```python\nprint(context)\nFINAL_VAR(context.upper())\n```"])
    sample = re.search(r"```python\n(from rlm_kernel import.*?)```", README, re.DOTALL)
    assert sample is not None

    def scripted(**settings: object) -> RLM:
        return RLM(**{**settings, "model": lm, "sub_model": None})  # type: ignore[arg-type]

    code = sample[1].replace("from rlm_kernel import RLM, Limits\n", "")
    names = {"RLM": scripted, "Limits": Limits, "text": "yes"}
    exec(code, names)
    assert names["result"].response == "YES"  # type: ignore[attr-defined]


class _Shop:
    def price(self, item: str) -> float:
        return len(item) / 2


def test_the_sample_of_tools_runs(tmp_path: Path) -> None:
    lm = ScriptedLM(["```python\nFINAL_VAR([words(context), price('tea'), currency])\n```"])
    [sample] = re.findall(
        r"```python\n(from rlm_kernel import RLM, on_host.*?)```", README, re.DOTALL
    )
    script = tmp_path / "script.py"
    script.write_text(sample.replace("RLM(tools", "RLM(model=lm, out=out, tools"))
    made = runpy.run_path(str(script), {"shop": _Shop(), "lm": lm, "out": tmp_path / "run"})
    with made["rlm"] as rlm:
        assert rlm.completion("The tea of").response == "[{'tea'}, 1.5, 'EUR']"


def test_the_sample_of_a_kernelspec_names_a_provisioner_and_its_settings() -> None:
    [sample] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", README, re.S)]
    named = sample["metadata"]["kernel_provisioner"]
    group = "jupyter_client.kernel_provisioners"
    [entry] = entry_points(group=group, name=named["provisioner_name"])
    assert entry.load() is DockerProvisioner
    traits = {*DockerProvisioner.class_trait_names()}
    assert {*named["config"], "base", "read_only", "runtime"} <= traits


def test_the_sample_of_a_batch_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = {"question": "Which city?", "context": "Paris it is"}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task))
    lm = ScriptedLM(["```python\nFINAL_VAR(context.upper())\n```"] * 2)
    [sample] = re.findall(r"```python\n(from rlm_kernel.batch.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {"lm": lm}
    exec(
        sample.replace('model="gpt-5-mini"', "model=lm").replace("16,", "1, notebook=False,"), names
    )
    [result] = names["summary"].results.results
    assert (result.answer, result.correct) == ("PARIS IT IS", False)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["reviews", "recursive"])
async def test_the_trajectories_that_are_shown_replay_equal(name: str) -> None:
    verdict = await replay(trajectory.load(ROOT / "notebooks" / name), lambda text: None)
    assert verdict.result == "equal", verdict.differences
    assert verdict.calls > 0


def test_every_file_that_is_linked_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_tour_was_run_to_its_end_with_the_kernel() -> None:
    tour = nbformat.read(ROOT / "notebooks" / "tour.ipynb", as_version=4)
    nbformat.validate(tour)
    assert tour.metadata.kernelspec.name == "rlm"
    cells = [cell for cell in tour.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(cell.outputs and cell.execution_count for cell in cells)
    assert not any(output.output_type == "error" for output in outputs)
    [said] = [o.text for o in outputs if "the model says" in o.get("text", "")]
    assert re.fullmatch(r"the model says (\d+), right is \1\n", said)
