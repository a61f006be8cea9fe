"""What stands at the head of a record: the settings of a run, with no key in them."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..rlm.run import Run
from ..settings.resolved import Resolved


def announced(run: Run, force: Resolved, *, trust_html: bool) -> dict[str, Any]:
    """The settings as the record keeps them: no key, no address with a password. Blocks: values
    that the user handed in are kept in the run's folder."""
    settings = force.settings
    return {
        "model": run.root.name,
        "sub_model": run.sub.name,
        "environment": settings.environment,
        "sandbox": settings.sandbox,
        "kernel": settings.kernel,
        "prompt": run.style.name,
        "seed": run.seed,
        "temperature": run.root.sampling.temperature,
        "prompt_chars": run.prompt_chars,
        "max_batch": run.sub.max_batch,
        "trust_html": trust_html,
        "tools": [tool["name"] for tool in run.tools.functions],
        "tool_modules": run.tools.modules,
        "limits": dataclasses.asdict(run.limits),
        "data": _kept_data(run),
    }


def _kept_data(run: Run) -> dict[str, dict[str, Any]]:
    """Where replay finds the values that the user handed in. Blocks."""
    kept = {name: run.kept(source) for name, source in run.tools.data.items()}
    return {
        name: source.spec() if text is None else {**source.spec(), "text": text}
        for name, (source, text) in kept.items()
    }
