"""What the README and the guide claim and is not tested elsewhere."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import nbformat
import pytest
from documents import ALL, GUIDE, README, ROOT

from rlm_kernel import RLM, Limits, cli
from rlm_kernel.environments.docker.provisioner import DockerProvisioner
from rlm_kernel.kernel import grammar
from rlm_kernel.record import trajectory
from rlm_kernel.record.equality import RULES
from rlm_kernel.replay.replay import replay
from rlm_kernel.settings.limits import LIMITS
from rlm_kernel.settings.option import Cap
from rlm_kernel.settings.resolved import OPTIONS
from rlm_kernel.testing import ScriptedLM


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
        "spend",
        "batch",
        "eval",
        "mcp",
    ):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        known |= set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert set(re.findall(r"`(--[\w-]+)", ALL)) - known == set()


def test_every_limit_can_be_capped_by_the_most() -> None:
    assert all(option.cap is Cap.MOST for option in LIMITS.values())


def test_every_rule_of_a_replay_is_in_the_table() -> None:
    [table] = re.findall(r"\| rule \| what it forgives \|\n(.*?)\n\n", GUIDE["replay"], re.DOTALL)
    assert set(re.findall(r"`(\w+)`", table)) - {"tempfile"} == set(RULES)


def test_every_variable_that_is_named_is_a_setting() -> None:
    names = {name.lower() for name in re.findall(r"`RLM_(\w+)`", ALL)}
    assert names <= set(OPTIONS)


def test_every_extra_that_is_installed_exists_and_start_installs_what_it_runs() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = re.findall(r"\"(?:rlm_kernel|\.)\[([\w,]+)\]", ALL)
    assert {extra for names in named for extra in names.split(",")} == {*extras}
    [start] = re.findall(r"embedded model.*?```console\n(.*?)```", README, re.DOTALL)
    [installed] = re.findall(r"\[([\w,]+)\]", start)
    assert ("jupyter lab" in start) == ("lab" in installed.split(","))
    assert any(name.startswith("jupyterlab") for name in extras["lab"])


def test_the_python_sample_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lm = ScriptedLM(["```python\nprint(context)\nFINAL_VAR(context.upper())\n```"])
    sample = re.search(r"```python\n(from pathlib.*?)```", README, re.DOTALL)
    assert sample is not None

    def scripted(**settings: object) -> RLM:
        return RLM(**{**settings, "model": lm, "sub_model": None})  # type: ignore[arg-type]

    code = sample[1].replace("from rlm_kernel import RLM, Limits\n", "")
    names = {"RLM": scripted, "Limits": Limits}
    Path("novel.txt").write_text("yes")
    exec(code, names)
    assert names["result"].response == "YES"  # type: ignore[attr-defined]


def test_the_sample_of_a_kernelspec_names_a_provisioner_and_its_settings() -> None:
    [found] = re.findall(r"```json\n(.*?)```", GUIDE["sandboxes"], re.DOTALL)
    sample = json.loads(found)
    named = sample["metadata"]["kernel_provisioner"]
    group = "jupyter_client.kernel_provisioners"
    [entry] = entry_points(group=group, name=named["provisioner_name"])
    assert entry.load() is DockerProvisioner
    traits = {*DockerProvisioner.class_trait_names()}
    assert {*named["config"], "base", "read_only", "runtime"} <= traits


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["reviews", "recursive"])
async def test_the_trajectories_that_are_shown_replay_equal(name: str) -> None:
    verdict = await replay(trajectory.load(ROOT / "notebooks" / name), lambda text: None)
    assert verdict.result == "equal", verdict.differences
    assert verdict.calls > 0


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


def test_the_input_of_the_tour_is_made_as_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tour = nbformat.read(ROOT / "notebooks" / "tour.ipynb", as_version=4)
    [cell] = [cell for cell in tour.cells if "import demo_text" in cell.source]
    exec(cell.source, {})
    assert capsys.readouterr().out == cell.outputs[0].text


def test_the_readme_repeats_the_guide_and_the_defaults_as_they_are() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", README, re.MULTILINE)
    speed = [row for row in rows if "ms" in row[1] or "s (" in row[2]]
    assert len(speed) == 3
    for work, ours, local in speed:
        assert f"| {work} | {ours} | {local} |" in GUIDE["speed"]
    assert f"dollars ({LIMITS['max_cost'].default:g} by default)" in README
