"""The extension of JupyterLab and Notebook 7 that shows live cells: whether a Jupyter finds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_config_path, jupyter_path

from .. import __version__

NAME = "rlm_kernel"
SERVER = "jupyter_server_config.d/rlm_kernel.json"
"""The file of a folder of configuration that lets the server tell pages of runs."""


def state() -> str:
    """Return in words whether the Jupyter of this environment shows the LM's cells as cells.

    Blocks, for some small files.
    """
    found = [
        _read(Path(folder) / NAME / "package.json") for folder in jupyter_path("labextensions")
    ]
    versions = [str(package["version"]) for package in found if "version" in package]
    if not versions:
        return "not found where Jupyter looks; runs are shown in the cell that asks"
    if versions[0] != __version__:
        return f"version {versions[0]}, and this is {__version__}: install rlm_kernel again"
    if any(_disables(Path(folder)) for folder in jupyter_config_path()):
        return f"disabled: `jupyter labextension enable {NAME}` lets the LM's cells be cells"
    served = any((Path(folder) / SERVER).is_file() for folder in jupyter_config_path())
    runs = "" if served else f"; no panel of runs, since {SERVER} is missing"
    return f"found: the LM's cells become cells of the notebook{runs}"


def _disables(folder: Path) -> bool:
    disabled = _read(folder / "labconfig" / "page_config.json").get("disabledExtensions")
    if isinstance(disabled, dict):
        return disabled.get(NAME) is True
    return isinstance(disabled, list) and NAME in disabled


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object in a file; an empty one where there is none."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
