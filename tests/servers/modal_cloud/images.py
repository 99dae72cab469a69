"""Images, which are what they are described as: the same description is the same image."""

from __future__ import annotations

import hashlib
from typing import Any

from modal_proto import api_pb2

from modal_cloud.state import State


class Images:
    """The calls about images.

    Args:
        state: The workspace.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.built: list[str] = []

    async def ImageGetOrCreate(self, request: Any) -> Any:
        described = request.image.SerializeToString(deterministic=True)
        image_id = f"im-{hashlib.sha256(described).hexdigest()[:22]}"
        known = image_id in self._state.images
        if not known:
            self._state.images[image_id] = request.image
            self.built.append(image_id)
        answer = api_pb2.ImageGetOrCreateResponse(image_id=image_id)
        if known:
            answer.result.CopyFrom(_SUCCESS)
            answer.metadata.CopyFrom(_METADATA)
        return answer

    async def ImageJoinStreaming(self, request: Any) -> Any:
        yield api_pb2.ImageJoinStreamingResponse(result=_SUCCESS, metadata=_METADATA, eof=True)


_SUCCESS = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)
_METADATA = api_pb2.ImageMetadata(image_builder_version="2025.06", python_version_info="3.11.9")
