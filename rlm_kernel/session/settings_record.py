"""The settings of a run as they stand at the head of its record, with no key in them."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..rlm.run import Run
from ..settings.resolved import OPTIONS, Resolved


def announced(run: Run, force: Resolved, *, trust_html: bool) -> dict[str, Any]:
    """Return the settings as the record keeps them: no key, no address with a password. Blocks:
    values that the user handed in are kept in the run's folder."""
    settings = force.settings
    set_to = {n: getattr(settings, n) for n, option in OPTIONS.items() if option.recorded}
    resolved = {
        "model": run.root.name,
        "sub_model": run.sub.name,
        "prompt": run.style.name,
        "confirm": run.consent().mode,
        "temperature": run.root.sampling.temperature,
    }
    return {
        **set_to,
        **resolved,
        "sandbox": settings.sandbox,
        "seed": run.seed,
        "prompt_chars": run.prompt_chars,
        "max_batch": run.sub.max_batch,
        "trust_html": trust_html,
        "tools": [tool["name"] for tool in run.tools.functions],
        "tool_modules": run.tools.modules,
        "limits": dataclasses.asdict(run.limits),
        "unpriced": sorted({model.name for model in (run.root, run.sub) if not model.priced}),
        "data": _kept_data(run),
    }


def _kept_data(run: Run) -> dict[str, dict[str, Any]]:
    """Return where replay finds the values that the user handed in. Blocks."""
    kept = {name: run.kept(source) for name, source in run.tools.data.items()}
    return {
        name: source.spec() if text is None else {**source.spec(), "text": text}
        for name, (source, text) in kept.items()
    }
