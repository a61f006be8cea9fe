"""Writing a kernelspec by hand, for a Jupyter that lives in another environment than this one.

``pip install`` has put one where the Jupyter of its own environment looks.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager

from ..errors import UsageError

HERE = Path(__file__).resolve().parent
# A wheel has the folder in the package, a checkout at its top.
SOURCES = (HERE / "spec", HERE.parents[1] / "kernelspec")
MODULE = b"rlm_kernel.kernel"


def install(
    *,
    user: bool = False,
    prefix: str | Path | None = None,
    name: str = "rlm",
    display_name: str | None = None,
) -> Path:
    """Write a kernelspec that starts this interpreter, and return its folder.

    It goes to ``prefix``/share/jupyter/kernels, or else to the user's Jupyter data folder, as
    ``user`` says expressly. An earlier one of ours of that name is replaced. Not promised: that
    Jupyter looks there; ``jupyter --paths`` tells.

    ``UsageError``: a bad name, ``user`` and ``prefix`` at once, a name that another kernel has,
    or a folder that cannot be written to.
    """
    if user and prefix is not None:
        raise UsageError(f"--user and --prefix {prefix} name two places: give one of them")
    _check_name(name)
    where = None if prefix is None else str(Path(prefix))
    target = _target(where, name)
    try:
        _check_ours(target, name)
        with tempfile.TemporaryDirectory() as folder:
            source = str(_written(Path(folder) / "rlm", display_name))
            manager = KernelSpecManager()
            return Path(manager.install_kernel_spec(source, name, user=where is None, prefix=where))
    except OSError as error:
        raise UsageError(
            f"cannot write the kernelspec to {target}: {error.strerror or error}; "
            "say --user for your own Jupyter folder, or --prefix FOLDER for another one, "
            "such as a virtual environment's"
        ) from error


def _target(prefix: str | None, name: str) -> Path:
    """Return the folder that install_kernel_spec removes, if it is there, before it writes."""
    if prefix is None:
        return Path(KernelSpecManager().user_kernel_dir) / name.lower()
    return Path(prefix).absolute() / "share" / "jupyter" / "kernels" / name.lower()


def _check_name(name: str) -> None:
    allowed = name.isascii() and name.replace("-", "").replace(".", "").replace("_", "").isalnum()
    if not allowed:
        raise UsageError(
            f"{name!r} cannot be a kernel's name: use letters, digits, '-', '.' and '_', "
            "with at least one letter or digit"
        )


def _check_ours(target: Path, name: str) -> None:
    """Jupyter would replace any kernel of that name, Python's own too."""
    spec = target / "kernel.json"
    if target.exists() and not (spec.is_file() and MODULE in spec.read_bytes()):
        raise UsageError(
            f"{target} holds another kernel: choose another --name than {name!r}, "
            f"or remove that one with: jupyter kernelspec remove {name.lower()}"
        )


def _written(folder: Path, display_name: str | None) -> Path:
    source = next(source for source in SOURCES if source.is_dir())
    # Made here and not copied: a copy would keep the mode of the temporary or a read-only folder.
    folder.mkdir()
    for file in source.iterdir():
        shutil.copyfile(file, folder / file.name)
    path = folder / "kernel.json"
    spec: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    spec["argv"][0] = sys.executable
    spec["display_name"] = display_name or spec["display_name"]
    path.write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")
    return folder
