"""Runs in the process of ``remote.reaper``, alone: it imports the SDK and nothing of ours."""

from __future__ import annotations

from importlib import import_module


def remove_found(selector: str) -> bool:
    """Terminate the sandboxes that the selector, APP/TAG=VALUE, is for; return False where there
    was none. A service that does not answer may have some."""
    modal, grpc = import_module("modal"), import_module("grpclib.exceptions")
    app, _, tag = selector.partition("/")
    name, _, value = tag.partition("=")
    try:
        app_id = modal.App.lookup(app, create_if_missing=True).app_id
        found = list(modal.Sandbox.list(app_id=app_id, tags={name: value}))
        for sandbox in found:
            sandbox.terminate()
    except (modal.exception.Error, grpc.GRPCError, grpc.StreamTerminatedError, OSError):
        return True
    return bool(found)
