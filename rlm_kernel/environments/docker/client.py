"""The Docker engine: reach it, and say in plain words what it refused."""

from __future__ import annotations

import importlib
import os
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...errors import KernelStartError, UsageError

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
REQUEST_SECONDS = 60


def connect() -> Any:
    """Return a ``docker.DockerClient`` of the engine that DOCKER_HOST or the current context names.

    Raises ``UsageError`` that says how to get an engine, or the SDK.
    """
    try:
        importlib.import_module("docker.client")  # any folder named docker passes for the package
        docker = importlib.import_module("docker")
    except ModuleNotFoundError as error:
        raise UsageError('Docker needs its SDK: pip install "rlm_kernel[docker]"') from error
    try:
        client = docker.from_env(timeout=REQUEST_SECONDS, version="auto")
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        _close_sockets(error)
        raise UsageError(_unreachable(error)) from error
    return client


def _unreachable(error: BaseException) -> str:
    where = os.environ.get("DOCKER_HOST", DEFAULT_ADDRESS)
    cause = _system_error(error)
    if isinstance(cause, PermissionError):
        return (
            f"this user may not use the Docker engine at {where}: add the user to its group"
            " (`sudo usermod -aG docker $USER`, then log in again), or set up rootless Docker"
        )
    said = cause.strerror or str(cause) if cause else str(error)
    if cause is None and "DOCKER_HOST" in os.environ:  # nothing was asked of an engine
        return f"DOCKER_HOST={where} cannot be used: {said}"
    return (
        f"no Docker engine answers at {where} ({said}): start it (`sudo systemctl start docker`,"
        " or Docker Desktop), or set DOCKER_HOST to one that runs"
    )


def _system_error(error: BaseException) -> OSError | None:
    """Return the system's own error under those of requests and urllib3, the deepest one."""
    found = [each for each in _chain(error) if isinstance(each, OSError) and each.errno]
    return found[-1] if found else None


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and those that led to it; requests and urllib3 keep some in ``args``."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and not any(each is known for known in found):
            found.append(each)
            waiting += [*each.args, each.__cause__, each.__context__]
    return found


def _close_sockets(error: BaseException) -> None:
    """Let go of a socket that found no engine: the SDK leaves it to the garbage collector, and
    Python may warn of it at any time later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for each in _chain(error):
            traceback.clear_frames(each.__traceback__)


@contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turn the SDK's errors into ours: ``UsageError`` for what the engine refused, which settings
    can mend; ``KernelStartError`` for the rest."""
    docker = importlib.import_module("docker")
    try:
        yield
    except docker.errors.APIError as error:
        kind = UsageError if error.is_client_error() else KernelStartError
        raise kind(f"{doing}: the Docker engine says: {error.explanation or error}") from error
    except (docker.errors.DockerException, OSError) as error:
        _close_sockets(error)
        if _system_error(error) is None:
            raise UsageError(f"{doing}: {error}") from error
        raise KernelStartError(f"{doing}: {_unreachable(error)}") from error
