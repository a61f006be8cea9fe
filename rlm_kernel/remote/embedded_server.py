"""The process that serves both models. It is run as a file, so it imports nothing of ours.

(As a module it would first import the whole package: seconds, for nothing it needs.)

It answers on loopback, prints one JSON line ``{"author": url, "sub": url, "api_key": key}`` on
stdout when both models are ready, and ends when its stdin does: the pipe closes however the
parent ends. Its log goes to stderr. The settings were measured on two cores; see the comments.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import secrets
import signal
import sys
import threading
from typing import Any

SUB_SLOTS = 4
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until stdin ends."""
    options = _options()
    _die_with_parent()
    ready = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the C++ code logs to both; stdout is for the one line only
    watch = threading.Thread(target=_end_with_stdin, daemon=True)  # no hold on a failed start
    watch.start()
    key = secrets.token_urlsafe(32)
    # One after the other: xllamacpp holds the GIL while it loads, so threads would not help.
    author = _serve(_author(options), key)
    sub = _serve(_sub(options), key)
    urls = {"author": f"{author.listening_address}/v1", "sub": f"{sub.listening_address}/v1"}
    print(json.dumps({**urls, "api_key": key}), file=ready, flush=True)
    watch.join()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for model in ("author", "sub"):
        parser.add_argument(f"--{model}", required=True, help=f"the weights of the {model}")
        parser.add_argument(f"--{model}-name", required=True, help="what it is called in requests")
        parser.add_argument(f"--{model}-window", required=True, type=int, help="in tokens")
    parser.add_argument("--states", required=True, help="the folder of saved prompt states")
    return parser.parse_args()


def _author(options: argparse.Namespace) -> Any:
    # One slot: two turns at once would each be written at half the pace.
    params = _params(options.author, options.author_name, options.author_window, slots=1)
    params.slot_save_path = os.path.join(options.states, "")
    return params


def _sub(options: argparse.Namespace) -> Any:
    # A batch of 24 prompts is bound by reading, and takes the same time with 1 to 24 slots once
    # the shared start is cached. The first batch reads it once a slot: 10 s with 4, 17 s with 24.
    n_ctx = options.sub_window * SUB_SLOTS
    return _params(options.sub, options.sub_name, n_ctx, slots=SUB_SLOTS)


def _params(path: str, alias: str, n_ctx: int, *, slots: int) -> Any:
    import xllamacpp  # type: ignore[import-untyped,unused-ignore]

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {alias}
    params.n_ctx = n_ctx
    params.n_parallel = slots
    params.warmup = False  # an empty run over all weights: the first prompt does the same work
    params.fit_params = False  # the sizes are known
    params.ui = False
    params.port = 0
    return params


def _serve(params: Any, key: str) -> Any:
    import xllamacpp

    params.api_keys = [key]  # any user of this machine can reach loopback
    return xllamacpp.Server(params)


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)  # a running prefill would hold up an orderly end


def _die_with_parent() -> None:
    """Linux: be killed when the thread that started us ends, should stdin stay open elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
