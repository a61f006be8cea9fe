"""The settings and limits in force, as ``%rlm`` lines show them."""

from __future__ import annotations

from ..lm.models import names_in_words
from ..settings.limits import Limits
from ..settings.resolved import LIMIT_NAMES, OPTIONS, Resolved


def kept_keys(force: Resolved) -> str | None:
    """Return a sentence on the keys that are set and not sent; None if there are none."""
    if not force.withheld:
        return None
    why = "; ".join(force.withheld.values())
    return f"No key is sent: {why}. Where Jupyter is started, set RLM_BASE_URL to it."


def value_in_force(force: Resolved, name: str) -> tuple[str, str]:
    """Return a setting in words, and where it came from."""
    value = names_in_words(force.settings).get(name, getattr(force.settings, name))
    origin = force.origins.get(name, "default")
    if OPTIONS[name].secret:
        value = "set" if value else "none"
    if value is None or value == ():
        return "not set", origin
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value), origin


def limit_rows(force: Resolved) -> list[list[str]]:
    """Return the limits in words: name, value, and where it came from."""
    rows = []
    for name, field in LIMIT_NAMES.items():
        value = getattr(force.limits, field)
        same = value == getattr(Limits(), field)
        shown = "none" if value is None else f"{value:,}"
        rows.append([field, shown, force.origins.get(name, "default" if same else "")])
    return rows
