"""The app and the image of a sandbox at Modal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...errors import UsageError
from .sdk import sdk


@dataclass(frozen=True)
class ModalImage:
    """An image of a registry, or one at Modal by its id (im-...), as it is; or, without a name,
    Debian with this process's Python version and ipykernel. ``packages`` are pip's requirements,
    and added to either; ``mounts`` are copies of folders and files here, by their paths inside.
    """

    image: str = ""
    packages: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()

    def made(self, client: Any) -> Any:
        """Return a ``modal.Image``, built at Modal when a sandbox first needs it. Raises the SDK's
        own errors."""
        image = _image(client, self.image, self.packages)
        for source, inside in self.mounts:  # each time anew: they may have changed
            if not Path(source).exists():
                raise UsageError(f"there is no folder or file {source!r} to mount")
            add = image.add_local_dir if Path(source).is_dir() else image.add_local_file
            image = add(source, inside)
        return image


@lru_cache(maxsize=64)
def app(client: Any, name: str) -> Any:
    """Return a ``modal.App``, made if there is none. Raises the SDK's own errors."""
    return sdk().App.lookup(name, create_if_missing=True, client=client)


@lru_cache(maxsize=64)
def _image(client: Any, name: str, packages: Iterable[str]) -> Any:
    """Return an image; kept for the many sandboxes of a process, since the SDK asks what it is."""
    images = sdk().Image
    if name.startswith("im-"):
        image = images.from_id(name, client=client)
    elif name:
        image = images.from_registry(name)
    else:
        image = images.debian_slim(python_version=f"{sys.version_info[0]}.{sys.version_info[1]}")
        # An image of the user's keeps its ipykernel; ours has the version that is tested here.
        image = image.pip_install(f"ipykernel=={version('ipykernel')}")
    return image.pip_install(*sorted(packages)) if packages else image


def forget() -> None:
    """Forget what was asked: it may be gone at Modal."""
    app.cache_clear()
    _image.cache_clear()
