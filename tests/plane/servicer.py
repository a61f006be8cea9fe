"""The control plane's calls but for those about sandboxes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpclib.events
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from .faults import Faults
from .rpc import IDEMPOTENCY_KEY, web_token
from .store import BUILDER, Store, new_id

SUCCESS = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)


class Control:
    """Its methods are named as the calls are."""

    def __init__(self, store: Store, upload_url: Callable[[str], str]) -> None:
        self._store = store
        self._upload_url = upload_url

    async def ClientHello(self, request: Any) -> Any:
        return api_pb2.ClientHelloResponse(image_builder_version=BUILDER)

    async def AuthTokenGet(self, request: Any) -> Any:
        return api_pb2.AuthTokenGetResponse(token=web_token(new_id("tk")))

    async def EnvironmentGetOrCreate(self, request: Any) -> Any:
        settings = api_pb2.EnvironmentSettings(image_builder_version=BUILDER)
        name = request.deployment_name or "main"
        return api_pb2.EnvironmentGetOrCreateResponse(
            environment_id="en-" + hashlib.sha256(name.encode()).hexdigest()[:22],
            metadata=api_pb2.EnvironmentMetadata(name=name, settings=settings),
        )

    async def EnvironmentList(self, request: Any) -> Any:
        return api_pb2.EnvironmentListResponse(
            items=[api_pb2.EnvironmentListItem(name="main", default=True)]
        )

    async def AppGetOrCreate(self, request: Any) -> Any:
        name = request.app_name
        if name not in self._store.apps:
            if request.object_creation_type != api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING:
                raise GRPCError(Status.NOT_FOUND, f"App '{name}' not found in environment 'main'")
            self._store.apps[name] = new_id("ap")
        return api_pb2.AppGetOrCreateResponse(app_id=self._store.apps[name])

    async def ImageGetOrCreate(self, request: Any) -> Any:
        """A recipe that was joined once counts as built."""
        recipe = request.image.SerializeToString(deterministic=True)
        image_id = "im-" + hashlib.sha256(recipe).hexdigest()[:22]
        self._store.images[image_id] = request.image
        built = image_id in self._store.built
        return api_pb2.ImageGetOrCreateResponse(
            image_id=image_id, result=SUCCESS if built else None, metadata=_image_metadata()
        )

    async def ImageJoinStreaming(self, request: Any) -> AsyncIterator[Any]:
        self._store.built.add(self._known_image(request.image_id))
        yield api_pb2.ImageJoinStreamingResponse(
            result=SUCCESS, metadata=_image_metadata(), entry_id="1-0", eof=True
        )

    async def ImageFromId(self, request: Any) -> Any:
        image_id = self._known_image(request.image_id)
        return api_pb2.ImageFromIdResponse(image_id=image_id, metadata=_image_metadata())

    def _known_image(self, image_id: str) -> str:
        if image_id not in self._store.images:
            raise GRPCError(Status.NOT_FOUND, f"Image {image_id} not found")
        return image_id

    async def SecretGetOrCreate(self, request: Any) -> Any:
        """One with a creation type is made of the variables; else it is looked up by name."""
        store, name = self._store, request.deployment_name
        if request.object_creation_type != api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
            secret_id = store.add_secret(request.env_dict, name)
        elif name in store.named_secrets:
            secret_id = store.named_secrets[name]
        else:
            raise GRPCError(Status.NOT_FOUND, f"Secret '{name}' not found in environment 'main'")
        missing = set(request.required_keys) - set(store.secret(secret_id))
        if missing:
            raise GRPCError(
                Status.NOT_FOUND, f"Secret '{name}' is missing key(s): {', '.join(sorted(missing))}"
            )
        metadata = api_pb2.SecretMetadata(name=name)
        return api_pb2.SecretGetOrCreateResponse(secret_id=secret_id, metadata=metadata)

    async def MountBatchedCheckExistence(self, request: Any) -> Any:
        missing = [each for each in request.sha256_hex_hashes if each not in self._store.contents]
        return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def MountPutFile(self, request: Any) -> Any:
        """A request without content asks whether there is one."""
        of_blob = request.WhichOneof("data_oneof") == "data_blob_id"
        content = self._store.blobs[request.data_blob_id] if of_blob else request.data
        self._store.put(content)
        exists = request.sha256_hex in self._store.contents
        return api_pb2.MountPutFileResponse(exists=exists)

    async def MountGetOrCreate(self, request: Any) -> Any:
        missing = [
            file.filename for file in request.files if file.sha256_hex not in self._store.contents
        ]
        if missing:
            raise GRPCError(Status.FAILED_PRECONDITION, f"not uploaded: {', '.join(missing)}")
        if request.deployment_name:
            raise GRPCError(Status.NOT_FOUND, f"Mount '{request.deployment_name}' not found")
        mount_id = new_id("mo")
        self._store.mounts[mount_id] = list(request.files)
        return api_pb2.MountGetOrCreateResponse(
            mount_id=mount_id, handle_metadata=api_pb2.MountHandleMetadata()
        )

    async def BlobCreate(self, request: Any) -> Any:
        blob_id = new_id("bl")
        return api_pb2.BlobCreateResponse(
            blob_ids=[blob_id],
            upload_urls=api_pb2.UploadUrlList(items=[self._upload_url(blob_id)]),
        )


class Gate:
    """Lets in who has the plane's token, then whatever faults are to come."""

    def __init__(self, token: tuple[str, str], faults: Faults) -> None:
        self._token = token
        self._faults = faults

    async def check(self, event: grpclib.events.RecvRequest) -> None:
        """Raises ``GRPCError`` for a request that is not let in."""
        for name, expected in zip(("id", "secret"), self._token, strict=True):
            given = str(event.metadata.get(f"x-modal-token-{name}", ""))
            if not given:
                raise GRPCError(Status.UNAUTHENTICATED, "Token missing. Could not authenticate.")
            if not hmac.compare_digest(given, expected):
                raise GRPCError(
                    Status.UNAUTHENTICATED, f"Token validation failed: unknown token {name}."
                )
        IDEMPOTENCY_KEY.set(str(event.metadata.get("x-idempotency-key", "")))
        await self._faults.meet(event)


def _image_metadata() -> Any:
    return api_pb2.ImageMetadata(image_builder_version=BUILDER)
