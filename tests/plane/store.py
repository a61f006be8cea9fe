"""Apps, images, secrets and mounts: what the plane was told and keeps until its end."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from grpclib import GRPCError, Status
from modal_proto import api_pb2

from .spec import MountedFile

BUILDER = "2025.06"


class Store:
    """All by the ids that the plane gave them."""

    def __init__(self, secrets: Mapping[str, Mapping[str, str]]) -> None:
        self.apps: dict[str, str] = {}
        self.images: dict[str, api_pb2.Image] = {}
        self.built: set[str] = set()
        self.secrets: dict[str, dict[str, str]] = {}
        self.named_secrets: dict[str, str] = {}
        self.mounts: dict[str, list[api_pb2.MountFile]] = {}
        self.contents: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        for name, env in secrets.items():
            self.add_secret(env, name)

    def add_secret(self, env: Mapping[str, str], name: str = "") -> str:
        """One that has a name takes the place of an earlier one of that name."""
        secret_id = new_id("st")
        self.secrets[secret_id] = dict(env)
        if name:
            self.named_secrets[name] = secret_id
        return secret_id

    def environ(self, secret_ids: Iterable[str], sources: Iterable[Any] = ()) -> dict[str, str]:
        """The variables of secrets by id, then of the sources, the last one winning."""
        env: dict[str, str] = {}
        for secret_id in secret_ids:
            env |= self.secret(secret_id)
        for source in sources:
            by_id = source.WhichOneof("source") == "secret_id"
            env |= self.secret(source.secret_id) if by_id else dict(source.env.contents)
        return env

    def secret(self, secret_id: str) -> dict[str, str]:
        if secret_id not in self.secrets:
            raise GRPCError(Status.NOT_FOUND, f"Secret {secret_id} not found")
        return self.secrets[secret_id]

    def put(self, content: bytes) -> None:
        self.contents[hashlib.sha256(content).hexdigest()] = content

    def files(self, mount_ids: Iterable[str]) -> list[MountedFile]:
        """The files of mounts, with their content, where they belong in a sandbox."""
        found = []
        for mount_id in mount_ids:
            if mount_id not in self.mounts:
                raise GRPCError(Status.NOT_FOUND, f"Mount {mount_id} not found")
            for file in self.mounts[mount_id]:
                content = self.contents[file.sha256_hex]
                found.append(MountedFile(file.filename, file.mode, content))
        return found

    def recipe(self, image_id: str) -> list[str]:
        """The Dockerfile commands of an image, those of the images it is built on first."""
        image = self.images[image_id]
        commands = [line for base in image.base_images for line in self.recipe(base.image_id)]
        return [*commands, *image.dockerfile_commands]


def new_id(prefix: str, digits: int = 22) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:digits]}"
