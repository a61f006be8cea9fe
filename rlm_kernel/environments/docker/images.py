"""The image that a kernel runs in: find it, pull it, or build it on the engine."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...errors import RLMError, UsageError
from ...remote import probe
from ..pipe.programs import command
from .client import plain_errors
from .container import ContainerSpec, DockerContainer

BASE = f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim"
"""This process's own Python version: a trajectory replays alike in both."""
REPOSITORY = "rlm-kernel"
BASE_LABEL = "rlm_kernel.image.base"
DOCKERFILE = Path(__file__).with_name("Dockerfile")
OLDEST = (3, 9)
LOG_LINES = 15
Progress = Callable[[str], None]


@dataclass(frozen=True)
class ImageRecipe:
    """``image`` is used as it is, unless ``packages`` are added to it; without one, ipykernel and
    ``packages`` are added to ``base``. ``packages`` are pip's requirements."""

    image: str = ""
    base: str = BASE
    packages: tuple[str, ...] = ()

    @property
    def builds(self) -> bool:
        return bool(self.packages or not self.image)

    @property
    def requirements(self) -> list[str]:
        # An image of the user's keeps its ipykernel; ours has the version that is tested here.
        kernel = "ipykernel" if self.image else f"ipykernel=={version('ipykernel')}"
        return [kernel, *sorted(self.packages)]

    @property
    def tag(self) -> str:
        """Return the image's name; it is the same for the same content."""
        if not self.builds:
            return self.image
        parts = [DOCKERFILE.read_text(), self.image or self.base, *self.requirements]
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
        return f"{REPOSITORY}:{digest}"


def ready_image(client: Any, recipe: ImageRecipe, progress: Progress = lambda line: None) -> str:
    """Return the image's name, once the engine has it: at once, or after a pull or build of
    minutes.

    ``progress`` gets lines for a person. Raises ``UsageError`` when the image cannot be had.
    """
    base = recipe.image or recipe.base
    if not recipe.builds:
        if _identity(client, base) is None:
            _pull(client, base, progress)
        return base
    before, made_of = _identity(client, recipe.tag), _base_of(client, recipe.tag)
    base_id = _identity(client, base)
    if before is None or base_id not in (None, made_of):
        _build(client, recipe, base_id or _pull(client, base, progress), progress)
        if before is not None:
            _remove_unused(client, before)
    return recipe.tag


def _remove_unused(client: Any, image_id: str) -> None:
    docker = import_module("docker")
    with suppress(docker.errors.APIError):  # a container or an image has need of it
        client.api.remove_image(image_id)


def _inspect(client: Any, image: str) -> dict[str, Any] | None:
    docker = import_module("docker")
    with plain_errors(f"cannot look for the image {image}"):
        try:
            found: dict[str, Any] = client.api.inspect_image(image)
        except docker.errors.ImageNotFound:
            return None
    return found


def _identity(client: Any, image: str) -> str | None:
    found = _inspect(client, image)
    return str(found["Id"]) if found else None


def _base_of(client: Any, image: str) -> str | None:
    """Return the identity of the base that we built it on; None when it is not there."""
    found = _inspect(client, image)
    return ((found["Config"].get("Labels") or {}).get(BASE_LABEL) or "") if found else None


def _pull(client: Any, image: str, progress: Progress) -> str:
    """Pull it; return its identity. Raises ``UsageError`` with what the engine said."""
    progress(f"pulling the image {image}")
    doing = (
        f"the image {image} is not on this machine and cannot be pulled (`docker pull {image}`"
        " tries again; --image or RLM_IMAGE names another one)"
    )
    docker = import_module("docker")
    tag = None if ":" in image.rpartition("/")[2] or "@" in image else "latest"
    try:
        lines = _steps(client.api.pull(image, tag=tag, stream=True, decode=True), progress)
    except (docker.errors.DockerException, OSError) as error:
        raise UsageError(f"{doing}: {getattr(error, 'explanation', None) or error}") from error
    identity = _identity(client, image)
    if identity is None:
        raise UsageError(f"{doing}: {_end_of(lines)}")
    return identity


def _build(client: Any, recipe: ImageRecipe, base_id: str, progress: Progress) -> None:
    base = recipe.image or recipe.base
    progress(f"building the image {recipe.tag}: {', '.join(recipe.requirements)} on {base}")
    with plain_errors(f"cannot build the image {recipe.tag}"):
        stream = client.api.build(
            fileobj=io.BytesIO(_build_context(recipe)),
            custom_context=True,
            tag=recipe.tag,
            buildargs={"BASE": base},
            labels={BASE_LABEL: base_id},
            rm=True,
            forcerm=True,
            decode=True,
        )
        lines = _steps(stream, progress)
    if _base_of(client, recipe.tag) != base_id:
        raise UsageError(
            f"cannot build an image of {', '.join(recipe.requirements)} on {base}; the build"
            f" ended:\n{_end_of(lines)}"
        )


def _build_context(recipe: ImageRecipe) -> bytes:
    packed = io.BytesIO()
    requirements = "".join(f"{line}\n" for line in recipe.requirements)
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in (
            ("Dockerfile", DOCKERFILE.read_text()),
            ("requirements.txt", requirements),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def _steps(stream: Iterator[dict[str, Any]], progress: Progress) -> list[str]:
    """Return what the engine says on the way, errors included, without layers' byte counts."""
    lines = []
    for step in stream:
        said = step.get("error") or step.get("stream")
        if not said and "progressDetail" not in step:
            said = step.get("status")
        for line in (said or "").splitlines():
            if line.strip():
                lines.append(line.rstrip())
                progress(lines[-1])
    return lines


def _end_of(lines: list[str]) -> str:
    return "\n".join(lines[-LOG_LINES:]) or "it said nothing"


def fault(client: Any, spec: ContainerSpec) -> str:
    """Return what makes an image unfit for a kernel, asked after a kernel did not start; empty for
    nothing that we know of."""
    image, container = (
        spec.image,
        DockerContainer(client, spec, f"rlm-probe-{uuid.uuid4().hex[:12]}"),
    )
    try:
        pipe = container.open(command(probe), {})
        found, lacks = json.loads(b"".join(iter(pipe.read, b"")))
    except RLMError as error:
        if "executable file not found" in str(error):
            return f"the image {image} has no python3 on its PATH"
        return ""
    except ValueError:
        return ""
    finally:
        container.close()
    if tuple(found) < OLDEST:
        return f"the image {image} has Python {found[0]}.{found[1]}; a kernel needs 3.9 or later"
    if lacks:
        return (
            f"the image {image} lacks what a kernel needs ({'; '.join(lacks)}): name it with"
            ' packages=["ipykernel"], and an image with it is built'
        )
    return ""
