"""Modal's SDK: reach the service, and say in plain words what it refused."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...errors import KernelStartError, RLMError, UsageError
from ..owner_tag import host_mark, is_gone

OLDEST, FIRST_UNKNOWN = (1, 5, 5), (2, 0)
"""SDK versions: from the first on and below the second."""
TAG = "rlm_kernel"
"""On each sandbox of ours, with the value 1."""
HOST_TAG = "rlm_kernel_host"
"""The mark of the process that made it."""


@dataclass(frozen=True)
class Stray:
    """A sandbox whose process is gone."""

    id: str
    host: str


def sdk() -> Any:
    """Return the package ``modal``. Raises ``UsageError`` where there is none or not the right
    one."""
    try:
        modal = importlib.import_module("modal")
        importlib.import_module("modal.exception")  # any folder named modal passes for the package
    except ModuleNotFoundError as error:
        raise UsageError('Modal needs its SDK: pip install "rlm_kernel[modal]"') from error
    found = tuple(int(part) for part in re.findall(r"\d+", modal.__version__)[:3])
    if not OLDEST <= found < FIRST_UNKNOWN:
        age = "older" if found < OLDEST else "newer"
        raise UsageError(
            f"the Modal SDK {modal.__version__} is {age} than what this works with:"
            ' pip install "modal>=1.5.5,<2"'
        )
    return modal


def failures() -> tuple[type[Exception], ...]:
    """Return what the SDK raises; some of it, where connections are lost, is grpclib's."""
    grpc = importlib.import_module("grpclib.exceptions")
    return (sdk().exception.Error, grpc.GRPCError, grpc.StreamTerminatedError, OSError)


def check() -> None:
    """Raise ``UsageError`` for a missing SDK or token, ``KernelStartError`` where Modal does not
    answer."""
    modal = sdk()
    with plain_errors("cannot reach Modal"):
        modal.Client.from_env().hello()


def host_tags() -> dict[str, str]:
    """Return what every sandbox of this process carries."""
    return {TAG: "1", HOST_TAG: host_mark()}


def strays(app: str) -> list[Stray]:
    """Return the sandboxes of ours in the Modal app whose process on this machine is gone."""
    return [stray for stray, _ in _strays(app)]


def remove_strays(app: str) -> list[Stray]:
    """Terminate them; return those that were there."""
    found = []
    for stray, sandbox in _strays(app):
        with plain_errors(f"cannot terminate the sandbox {stray.id}"):
            sandbox.terminate()
        found.append(stray)
    return found


def _strays(app: str) -> list[tuple[Stray, Any]]:
    modal = sdk()
    with plain_errors("cannot list the sandboxes"):
        try:
            app_id = modal.App.lookup(app).app_id
        except modal.exception.NotFoundError:
            return []
        found = modal.Sandbox.list(app_id=app_id, tags={TAG: "1"})
        ours = [(each, each.get_tags()) for each in found]
    marked = [(Stray(each.object_id, tags.get(HOST_TAG, "")), each) for each, tags in ours]
    return [(stray, sandbox) for stray, sandbox in marked if is_gone(stray.host)]


@contextmanager
def plain_errors(doing: str, refusal: type[RLMError] = UsageError) -> Iterator[None]:
    """Turn the SDK's errors into ours: ``UsageError`` for a token that Modal does not take,
    ``refusal`` for what else it refused, ``KernelStartError`` for the rest."""
    errors = sdk().exception
    refused = (
        errors.InvalidError,
        errors.NotFoundError,
        errors.PermissionDeniedError,
        errors.ImageBuildError,
        errors.RemoteError,
    )
    try:
        yield
    except errors.AuthError as error:
        raise UsageError(
            f"{doing}: Modal takes no token of ours ({_first(error)}): `modal token new` makes one,"
            " or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
        ) from error
    except errors.ConflictError as error:  # an InvalidError too: the sandbox has ended
        raise KernelStartError(f"{doing}: Modal says: {_first(error)}") from error
    except refused as error:
        raise refusal(f"{doing}: Modal says: {_first(error)}") from error
    except failures() as error:
        said = _first(error) or type(error).__name__
        raise KernelStartError(f"{doing}: Modal says: {said}") from error


def _first(error: BaseException) -> str:
    """Return what an error says, without what a terminal would obey, and not all of a long log."""
    text = str(error).strip()
    return "".join(c for c in text if c.isprintable() or c == "\n")[-1500:]
