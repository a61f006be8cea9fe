"""Which software a run was made with."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata

PACKAGES = ("rlm_kernel", "ipykernel", "ipython", "jupyter_client", "nbformat", "openai")


@cache
def versions() -> dict[str, str]:
    """Return the version by package, and Python's; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
