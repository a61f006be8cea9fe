"""Run the benchmarks and print the table. Nothing here asserts a time."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import version

from rich.console import Console

from .. import setup
from ..plane import ControlPlane
from . import table
from .processes import REQUIREMENTS, BenchError, case, endpoint, image, peer_python

CASES = (
    "first", "completion", "long", "cell", "queries", "batches", "large", "children", "record",
    "outer", "docker", "modal",
)  # fmt: skip
APART = ("outer", "docker", "modal")  # these have tables of their own
# What the peer's sandboxes are to have: there is no network here to install it from.
PEER_PACKAGES = ("pip", "dill", "requests", "flask")
PEERS = ("local", "ipython", "subprocess")
FIRST_REPEATS = 3
Side = tuple[tuple[str, ...], Mapping[str, str]]
"""The arguments of ``processes.case``, and what is added to its environment."""
TURNS = 3


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES, help="these cases")
    parser.add_argument("--ours", action="store_true", help="without the peer")
    options = parser.parse_args(arguments)
    progress = Console(stderr=True)
    try:
        tables = []
        if works := [work for work in options.only if work not in APART]:
            tables.append(table.cells(*_measure(works, () if options.ours else PEERS, progress)))
        if "docker" in options.only:
            tables.append(_docker_table(not options.ours, progress))
        if "modal" in options.only:
            tables.append(_modal_table(not options.ours, progress))
        if "outer" in options.only:
            tables.append(_outer_table(progress))
    except BenchError as error:
        progress.print(str(error), style="red", markup=False)
        return 1
    for rows in tables:
        if options.markdown:
            print(table.markdown(rows), end="\n\n")
        else:
            table.draw(rows, Console(width=None if sys.stdout.isatty() else 160))
    print(_circumstances())
    return 0


def _outer_table(progress: Console) -> list[list[str]]:
    progress.print("outer …", style="dim")
    kernels = {"ours": "rlm", "ipykernel": "python3"}
    measured = _in_turns({n: ((sys.executable, "outer", of), {}) for n, of in kernels.items()})
    return table.cells(measured.pop("ours"), measured, table.OUTER)


def _docker_table(with_peer: bool, progress: Console) -> list[list[str]]:
    """The rows of work in containers, or one that says why there are none."""
    if setup.engine() is None:
        return [["work", "ours"], [f"in Docker: {setup.NEEDS['docker'].missing}", "–"]]
    progress.print("docker …", style="dim")
    sides: dict[str, Side] = {
        "ours": ((sys.executable, "ours", "docker", image(sys.executable)), {})
    }
    if with_peer:
        python = _peer_for_docker()
        sides["rlms docker"] = ((python, "peer", "docker", image(python, *PEER_PACKAGES)), {})
    measured = _in_turns(sides)
    return table.cells(measured.pop("ours"), measured, table.DOCKER)


def _modal_table(with_peer: bool, progress: Console) -> list[list[str]]:
    """The rows of work at a Modal of our own on this machine: what the two make of the same service
    there, and nothing of the real one's distance."""
    if setup.engine() is None:
        return [["work", "ours"], [f"at Modal: {setup.NEEDS['docker'].missing}", "–"]]
    progress.print("modal …", style="dim")
    python = peer_python() if with_peer else sys.executable
    with (
        ControlPlane(backend="docker", image=image(sys.executable)) as plane,
        ControlPlane(backend="docker", image=image(python, *PEER_PACKAGES)) as peers_plane,
    ):
        ours, theirs = plane.environment, dict(peers_plane.environment)
        theirs["REQUESTS_CA_BUNDLE"] = theirs["SSL_CERT_FILE"]
        sides: dict[str, Side] = {
            "ours": ((sys.executable, "ours", "modal", "exec"), ours),
            "ours over http": ((sys.executable, "ours", "modal", "http"), ours),
        }
        if with_peer:
            sides["rlms modal"] = ((python, "peer", "modal", ""), theirs)
        measured = _in_turns(sides)
    return table.cells(measured.pop("ours"), measured, table.MODAL)


def _peer_for_docker() -> str:
    if not shutil.which("docker"):
        raise BenchError("the peer's Docker environment needs the command `docker` on the PATH")
    return peer_python()


def _in_turns(sides: dict[str, Side]) -> dict[str, table.Measured]:
    """The medians of each side's case, run in turns so that noise falls on all."""
    runs: dict[str, list[table.Measured]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, (arguments, env) in sides.items():
            runs[name].append(case(*arguments, env=env))
    return {name: _median(measured) for name, measured in runs.items()}


def _measure(
    wanted: list[str], names: tuple[str, ...], progress: Console
) -> tuple[table.Measured, dict[str, table.Measured]]:
    ours: table.Measured = {}
    peers: dict[str, table.Measured] = {f"rlms {name}": {} for name in names}
    if names:
        progress.print("the peer's environment …", style="dim")
    python = peer_python() if names else ""
    with endpoint() as address:
        for work in wanted:
            progress.print(f"{work} …", style="dim")
            more = [address] if work == "batches" else []
            repeats = FIRST_REPEATS if work == "first" else 1
            ours |= _median([case(sys.executable, "ours", work, *more) for _ in range(repeats)])
            for name, measured in zip(names, peers.values(), strict=True):
                if (work, name) in (("record", "ipython"), ("record", "subprocess")):
                    continue  # its log is the same in every environment
                runs = [case(python, "peer", work, name, *more) for _ in range(repeats)]
                measured |= _median(runs)
    return ours, peers


def _median(runs: list[table.Measured]) -> table.Measured:
    return {name: sorted(run[name] for run in runs)[len(runs) // 2] for name in runs[0]}


def _circumstances() -> str:
    peer = next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("rlms"))
    ours = [f"{name} {version(name)}" for name in ("rlm_kernel", "ipykernel", "openai")]
    return (
        f"Medians; in brackets ours divided by the peer's ({peer.replace('==', ' ')}). "
        f"Python {platform.python_version()}, {', '.join(ours)}, {os.cpu_count()} cores."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
