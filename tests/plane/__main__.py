"""``python -m tests.plane [--backend docker --image NAME]`` starts a plane for use by hand."""

from __future__ import annotations

import argparse
import shlex
import sys

from . import ControlPlane

DESCRIPTION = """Start a Modal control plane for use by hand. It prints what to give a shell, and
ends, with all its sandboxes, when its standard input does or by Ctrl-C."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.plane", description=DESCRIPTION)
    parser.add_argument("--backend", choices=["docker", "process"], default="process")
    parser.add_argument("--image", help="image of every sandbox; needed with docker")
    options = parser.parse_args()
    if (options.backend == "docker") != bool(options.image):
        parser.error("--image goes with --backend docker, and that needs one")
    with ControlPlane(options.backend, image=options.image) as plane:
        for name, value in plane.environment.items():
            print(f"export {name}={shlex.quote(value)}", flush=True)
        try:
            sys.stdin.read()
        except KeyboardInterrupt:
            print(file=sys.stderr)


if __name__ == "__main__":
    main()
