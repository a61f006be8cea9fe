"""A batch that runs on Modal; this machine only starts it:

    modal run -m rlm_kernel.batch.modal_app --tasks tasks.jsonl --secret my-llm-keys

One container drives the batch, as ``rlm batch`` does, and leaves its folder on the volume
``rlm-batch`` under ``--name``; the same command resumes it. Contexts that are files travel
with the tasks. By default the cells run in that container, which holds nothing else of yours; with
``--env modal`` each run has a sandbox of its own. The secret's variables (``OPENAI_API_KEY``,
``RLM_BASE_URL``, ...) are those that ``rlm`` reads; no key of this machine is sent.
``modal volume get rlm-batch NAME`` brings the folder here.

Only the real service can prove that the image builds, that the volume keeps what was written when
a container is taken away in the middle, that a batch of hours stays below the limits of a function,
and what all of it costs. The function's body and the packing of tasks run without an account.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import modal

from .. import __version__
from ..errors import UsageError
from ..inputs.contexts import folders
from ..record import files
from ..record.filters import for_terminal
from . import Plan, read_tasks, run_batch, totals
from .results import RESULTS
from .tasks import Task, Tasks

NAME, VOLUME = "rlm-batch", "/results"
SECONDS = 24 * 3600
"""The longest that Modal lets a function run."""
MAX_BYTES = 100_000_000
"""Of the contexts that travel with the tasks."""
TASKS = "tasks.jsonl"


def _image() -> modal.Image:
    """Return an image with this package as it is here: a checkout, or the installed version."""
    slim = modal.Image.debian_slim(python_version="3.11")
    root = Path(__file__).parents[2]
    if not modal.is_local():
        return slim  # it was built before this module is imported there
    if not (root / "pyproject.toml").exists():
        return slim.pip_install(f"rlm_kernel[batch,modal]=={__version__}")
    for folder in ("rlm_kernel", "kernelspec", "notebooks/guide"):
        slim = slim.add_local_dir(
            root / folder, f"/src/{folder}", copy=True, ignore=["**/__pycache__"]
        )
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        slim = slim.add_local_file(root / file, f"/src/{file}", copy=True)
    return slim.run_commands("pip install '/src[batch,modal]'")


# Without our sources: Modal would put the Python files before the package that is installed.
app = modal.App(NAME, include_source=False)
volume = modal.Volume.from_name(NAME, create_if_missing=True)


@app.function(image=_image(), volumes={VOLUME: volume}, timeout=SECONDS)
def drive(
    files: dict[str, bytes],
    name: str,
    plan: dict[str, Any],
    settings: dict[str, Any],
    root: str = VOLUME,
) -> tuple[str, str]:
    """Run or resume the batch ``name`` in ``root``. ``files`` are those of ``packed``; ``plan`` and
    ``settings`` are the arguments of ``Plan`` and ``run_batch``.

    Returns what it came to in one line, and ``results.jsonl``.
    """
    with tempfile.TemporaryDirectory() as made:
        for path, data in files.items():
            target = Path(made, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        summary = run_batch(Path(made, TASKS), Path(root, name), Plan(**plan), **settings)
    if not modal.is_local():
        volume.commit()
    stopped = "" if summary.stopped is None else f" · stopped: {summary.stopped}"
    text = (summary.results.folder / RESULTS).read_text(encoding="ascii")
    return totals(summary.results) + stopped, text


def packed(tasks: Tasks) -> dict[str, bytes]:
    """Return the tasks, and the files that they name, by paths relative to one folder. Blocks.

    Raises ``UsageError`` for more than ``MAX_BYTES``.
    """
    files: dict[str, bytes] = {}
    lines = []
    for task in tasks.tasks:
        fields = {**task.fields, "id": task.id}
        if task.context_path is not None:
            base = PurePosixPath("contexts", task.folder, task.context_path.name or "root")
            files |= _contents(task, base)
            fields["context_path"] = str(base)
        lines.append(json.dumps(fields) + "\n")
    size = sum(map(len, files.values()))
    if size > MAX_BYTES:
        raise UsageError(
            f"the contexts are {size:,} bytes, and at most {MAX_BYTES:,} can travel with the "
            "tasks: run `rlm batch --env modal` here instead"
        )
    return {**files, TASKS: "".join(lines).encode("ascii")}


def _contents(task: Task, base: PurePosixPath) -> dict[str, bytes]:
    path = task.context_path
    assert path is not None
    if not path.is_dir():
        return {str(base): path.read_bytes()}
    names = folders.listing(path).names
    return {str(base / name): (path / name).read_bytes() for name in names}


@app.local_entrypoint()
def main(
    tasks: str,
    name: str = "",
    secret: str = "",
    model: str = "",
    sub_model: str = "",
    base_url: str = "",
    env: str = "local",
    concurrency: int = 8,
    total_cost: float = 0.0,
    max_cost: float = 0.0,
    retry_failed: bool = False,
) -> None:
    """Run TASKS on Modal and write their results here, as NAME.results.jsonl."""
    made = read_tasks(Path(tasks))
    called = name or Path(tasks).stem
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", called):
        raise UsageError(f"--name {called!r}: give letters, digits, dots and dashes")
    wanted: dict[str, Any] = {
        "model": model, "sub_model": sub_model, "base_url": base_url, "environment": env,
        "max_cost": max_cost,
    }  # fmt: skip
    settings = {setting: value for setting, value in wanted.items() if value}
    plan: dict[str, Any] = {"concurrency": concurrency, "retry_failed": retry_failed}
    plan |= {"total_cost": total_cost} if total_cost else {}
    secrets = [modal.Secret.from_name(secret)] if secret else []
    told, results = drive.with_options(secrets=secrets).remote(packed(made), called, plan, settings)
    target = Path(f"{called}.results.jsonl")
    files.write(target, results.encode("ascii"))
    print(for_terminal(f"{told}\n{target}\nall of it: modal volume get {NAME} {called}"))
