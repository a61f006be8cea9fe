"""What there is for the cells beside our own names."""

import sys

from .tools import findable

MODULES_OFTEN_WANTED = (
    "numpy", "pandas", "matplotlib", "scipy", "sklearn", "polars", "requests", "bs4", "yaml",
    "tiktoken", "networkx", "sympy",
)  # fmt: skip


def surroundings():
    """Return Python's version, and those of the modules often wanted that are there."""
    found = [module for module in MODULES_OFTEN_WANTED if findable(module)]
    return {"python": "%d.%d" % sys.version_info[:2], "modules": found}
