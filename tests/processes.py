"""Processes by what they were started with (Linux)."""

from __future__ import annotations

from pathlib import Path


def processes_with(folder: Path) -> list[int]:
    """Every process whose environment names the folder, grandchildren included."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder).encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
