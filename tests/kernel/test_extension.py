"""The extension of JupyterLab and Notebook 7: what is shipped, and whether a Jupyter finds it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

import rlm_kernel
from rlm_kernel.kernel import extension
from rlm_kernel.kernel.live_cells import pages, shown

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "rlm_kernel" / "labextension"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Jupyter looks, and nowhere else."""
    found = [str(tmp_path / "data" / "labextensions")]
    monkeypatch.setattr(extension, "jupyter_path", lambda *parts: found)
    monkeypatch.setattr(extension, "jupyter_config_path", lambda: [str(tmp_path / "config")])
    return tmp_path


def _installed(folder: Path, version: str) -> None:
    target = folder / "data" / "labextensions" / "rlm_kernel"
    target.mkdir(parents=True)
    (target / "package.json").write_text(json.dumps({"name": "rlm_kernel", "version": version}))


def test_where_it_is_not_there_or_cannot_work_that_is_said(folder: Path) -> None:
    assert extension.state().startswith("not found where Jupyter looks")
    _installed(folder, "0.0.1")
    assert extension.state().startswith(f"version 0.0.1, and this is {rlm_kernel.__version__}")


@pytest.mark.parametrize("disabled", [{"rlm_kernel": True}, ["rlm_kernel"]])
def test_where_it_is_disabled_that_is_said(folder: Path, disabled: object) -> None:
    _installed(folder, rlm_kernel.__version__)
    assert extension.state().endswith("no panel of runs, since " + extension.SERVER + " is missing")
    server = folder / "config" / extension.SERVER
    server.parent.mkdir(parents=True)
    server.write_text("{}")
    assert extension.state() == "found: the LM's cells become cells of the notebook"
    config = folder / "config" / "labconfig"
    config.mkdir(parents=True)
    (config / "page_config.json").write_text(json.dumps({"disabledExtensions": disabled}))
    assert extension.state().startswith("disabled: `jupyter labextension enable rlm_kernel`")
    (config / "page_config.json").write_text("no JSON")
    assert extension.state().startswith("found")


def test_it_is_of_the_versions_of_the_package_and_of_the_protocol() -> None:
    package = json.loads((SHIPPED / "package.json").read_text())
    assert (package["name"], package["version"]) == (extension.NAME, rlm_kernel.__version__)
    connection = (SHIPPED / "static" / "connection.js").read_text()
    assert re.search(r"VERSION = (\d+);", connection)[1] == str(shown.PROTOCOL)  # type: ignore[index]
    assert re.search(r"TARGET = '(.+)';", connection)[1] == pages.TARGET  # type: ignore[index]


def test_the_wheel_has_all_of_it_where_jupyter_looks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    home = "share/jupyter/labextensions/rlm_kernel"
    for part in ("package.json", "install.json", "static"):
        assert data[f"rlm_kernel/labextension/{part}"] == f"{home}/{part}"
    config = data["rlm_kernel/server/jupyter_server_config.json"]
    assert config == "etc/jupyter/jupyter_server_config.d/rlm_kernel.json"
    load = json.loads((SHIPPED / "package.json").read_text())["jupyterlab"]["_build"]["load"]
    assert (SHIPPED / load).is_file()
    imports = {
        name
        for file in (SHIPPED / "static").glob("*.js")
        for name in re.findall(r"from '\./([\w.]+)'", file.read_text())
    }
    assert all((SHIPPED / "static" / name).is_file() for name in imports)
