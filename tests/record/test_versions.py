"""Trajectories of every version of the format can be read and replayed; those to come say so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import nbformat
import pytest

from rlm_kernel import RecordError
from rlm_kernel.record import loading, trajectory
from rlm_kernel.record.equality import VERSION
from rlm_kernel.replay.replay import replay
from rlm_kernel.session.event_loop import engine

FIXTURES = Path(__file__).parents[1] / "fixtures"
SCHEMAS = Path(trajectory.__file__).parent / "schema"
VERSIONS = range(1, VERSION + 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_has_its_schema(version: int) -> None:
    schema = json.loads((SCHEMAS / f"trajectory-{version}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"]["const"] == version


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_trajectory_of_an_older_version_replays_equal(version: int) -> None:
    folder = FIXTURES / f"version-{version}"
    schema = json.loads((SCHEMAS / f"trajectory-{version}.json").read_text())
    notebook = nbformat.read(folder / "trajectory.ipynb", as_version=4)
    jsonschema.validate(json.loads(json.dumps(notebook.metadata.rlm)), schema)
    assert loading.load(folder).sealed
    recorded = trajectory.load(folder)
    assert (recorded.problems, len(recorded.nodes)) == ([], 4)
    verdict = engine().run(replay(recorded, lambda text: None))
    assert (verdict.result, verdict.differences) == ("equal", [])


def test_a_childs_notebook_of_the_first_version_alone_replays_equal(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "version-1" / "calls" / "0.1.ipynb", tmp_path / "mailed.ipynb")
    verdict = engine().run(replay(trajectory.load(tmp_path / "mailed.ipynb"), lambda text: None))
    assert (verdict.result, verdict.differences) == ("equal", [])


@pytest.mark.parametrize("schema", [VERSION + 1, 0, "two"])
def test_a_version_that_is_not_known_says_so(tmp_path: Path, schema: object) -> None:
    path = tmp_path / "trajectory.ipynb"
    notebook = nbformat.read(FIXTURES / "version-1" / "trajectory.ipynb", as_version=4)
    notebook.metadata.rlm["schema"] = schema
    nbformat.write(notebook, path)
    with pytest.raises(RecordError, match="update rlm_kernel"):
        trajectory.load(path)
