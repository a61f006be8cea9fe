"""A Python that has this package, under an administrator's caps."""

from __future__ import annotations

import json
import sys
import venv
from collections.abc import Mapping
from pathlib import Path


def capped_python(folder: Path, caps: Mapping[str, object]) -> tuple[str, Path]:
    """Make a Python whose own configuration has these caps; return it and the file."""
    made = folder / "venv"
    venv.create(made, symlinks=True, with_pip=False)
    [site] = made.glob("lib/python*/site-packages")
    paths = [path for path in sys.path if path.endswith("site-packages")]
    root = str(Path(__file__).parents[1])
    (site / "ours.pth").write_text("\n".join([root, *paths]))
    file = made / "etc/jupyter/jupyter_rlm_config.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"RLMCaps": caps}))
    return str(made / "bin/python"), file
