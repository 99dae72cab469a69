"""Files: content by its SHA-256, mounts, volumes, secrets."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from modal_cloud.state import State, Volume

_BLOCK = 8 << 20


class Files:
    """The calls about files.

    Args:
        state: The workspace.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    async def BlobCreate(self, request: Any) -> Any:
        blob_id = self._state.new_id("bl")
        url = f"{self._state.doors_url}/upload/{blob_id}"
        return api_pb2.BlobCreateResponse(
            blob_ids=[blob_id], upload_urls=api_pb2.UploadUrlList(items=[url])
        )

    async def MountBatchedCheckExistence(self, request: Any) -> Any:
        missing = [each for each in request.sha256_hex_hashes if each not in self._state.content]
        return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def MountPutFile(self, request: Any) -> Any:
        given = request.WhichOneof("data_oneof")
        if given == "data_blob_id":
            self._keep(request.sha256_hex, self._state.uploads.pop(request.data_blob_id))
        elif given == "data":
            self._keep(request.sha256_hex, request.data)
        return api_pb2.MountPutFileResponse(exists=request.sha256_hex in self._state.content)

    async def MountGetOrCreate(self, request: Any) -> Any:
        files = {each.filename: each.sha256_hex for each in request.files}
        name = request.deployment_name or _digest(files)
        self._state.mounts[f"mo-{name}"] = files
        metadata = api_pb2.MountHandleMetadata(content_checksum_sha256_hex=_digest(files))
        return api_pb2.MountGetOrCreateResponse(mount_id=f"mo-{name}", handle_metadata=metadata)

    async def VolumeGetOrCreate(self, request: Any) -> Any:
        volume = self._state.volume_named(request.deployment_name)
        if volume is None:
            if request.object_creation_type != api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING:
                raise GRPCError(Status.NOT_FOUND, f"no volume {request.deployment_name}")
            volume = Volume(self._state.new_id("vo"), request.deployment_name)
            self._state.volumes[volume.volume_id] = volume
        version = api_pb2.VOLUME_FS_VERSION_V1
        return api_pb2.VolumeGetOrCreateResponse(
            volume_id=volume.volume_id,
            version=version,
            metadata=api_pb2.VolumeMetadata(version=version, name=volume.name),
        )

    async def VolumePutFiles(self, request: Any) -> Any:
        volume = self._volume(request)
        unknown = [f.filename for f in request.files if f.sha256_hex not in self._state.content]
        if unknown:
            raise GRPCError(Status.FAILED_PRECONDITION, f"no content of {unknown}")
        volume.files.update({f.filename.lstrip("/"): f.sha256_hex for f in request.files})
        return Empty()

    async def VolumeListFiles(self, request: Any) -> Any:
        prefix = request.path.strip("/")
        entries = [
            api_pb2.FileEntry(
                path=path, type=api_pb2.FileEntry.FILE, size=len(self._state.content[digest])
            )
            for path, digest in sorted(self._volume(request).files.items())
            if path.startswith(prefix)
        ]
        yield api_pb2.VolumeListFilesResponse(entries=entries)

    async def VolumeGetFile2(self, request: Any) -> Any:
        digest = self._volume(request).files.get(request.path.lstrip("/"))
        if digest is None:
            raise GRPCError(Status.NOT_FOUND, f"no file {request.path}")
        size = len(self._state.content[digest])
        urls = [
            f"{self._state.doors_url}/content/{digest}/{start}" for start in range(0, size, _BLOCK)
        ]
        return api_pb2.VolumeGetFile2Response(get_urls=urls, size=size, start=0, len=size)

    async def VolumeDelete(self, request: Any) -> Any:
        del self._state.volumes[self._volume(request).volume_id]
        return Empty()

    async def VolumeCommit(self, request: Any) -> Any:
        return api_pb2.VolumeCommitResponse(skip_reload=True)

    async def SecretGetOrCreate(self, request: Any) -> Any:
        if request.deployment_name:
            found = self._state.named_secrets.get(request.deployment_name)
            if found is None:
                raise GRPCError(Status.NOT_FOUND, f"no secret {request.deployment_name}")
            lacking = [
                key for key in request.required_keys if key not in self._state.secrets[found]
            ]
            if lacking:
                raise GRPCError(
                    Status.FAILED_PRECONDITION, f"{request.deployment_name} lacks {lacking}"
                )
            return api_pb2.SecretGetOrCreateResponse(secret_id=found)
        secret_id = self._state.new_id("st")
        self._state.secrets[secret_id] = dict(request.env_dict)
        return api_pb2.SecretGetOrCreateResponse(secret_id=secret_id)

    def _keep(self, digest: str, data: bytes) -> None:
        if hashlib.sha256(data).hexdigest() != digest:
            raise GRPCError(Status.INVALID_ARGUMENT, "the content is not that of its digest")
        self._state.content[digest] = data

    def _volume(self, request: Any) -> Volume:
        if request.volume_id not in self._state.volumes:
            raise GRPCError(Status.NOT_FOUND, f"no volume {request.volume_id}")
        return self._state.volumes[request.volume_id]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:22]
