"""Functions and classes: defined beside the version that serves, until an app is published."""

from __future__ import annotations

from typing import Any

from grpclib import GRPCError, Status
from modal_proto import api_pb2

from modal_cloud.state import Function, State

_WEB = (api_pb2.WEBHOOK_TYPE_ASGI_APP,)


class Functions:
    """The calls about functions.

    Args:
        state: The workspace.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    async def FunctionPrecreate(self, request: Any) -> Any:
        function = self._of(request.app_id, request.function_name, request.existing_function_id)
        metadata = api_pb2.FunctionHandleMetadata(
            function_name=request.function_name, function_type=request.function_type
        )
        return api_pb2.FunctionPrecreateResponse(
            function_id=function.function_id, handle_metadata=metadata
        )

    async def FunctionCreate(self, request: Any) -> Any:
        data = request.function_data if request.HasField("function_data") else None
        definition = api_pb2.Function()
        definition.CopyFrom(data.ranked_functions[0].function if data else request.function)
        definition.is_checkpointing_function = definition.checkpointing_enabled
        function = self._of(request.app_id, definition.function_name, request.existing_function_id)
        definition_id = self._state.new_id("de")
        metadata = self._metadata(request.app_id, definition)
        metadata.definition_id = definition_id
        function.definitions[definition_id] = definition
        function.metadata[definition_id] = metadata
        function.data[definition_id] = data or _as_data(definition)
        answer = api_pb2.FunctionCreateResponse(
            function_id=function.function_id, function=definition, handle_metadata=metadata
        )
        if "function_data" in answer.DESCRIPTOR.fields_by_name:  # since 1.6
            answer.function_data.CopyFrom(function.data[definition_id])
        return answer

    async def ClassCreate(self, request: Any) -> Any:
        class_id = request.existing_class_id or self._state.new_id("cs")
        self._state.classes[class_id] = request.app_id
        return api_pb2.ClassCreateResponse(
            class_id=class_id, handle_metadata=api_pb2.ClassHandleMetadata()
        )

    async def ClassGet(self, request: Any) -> Any:
        app = self._state.app_named(request.app_name)
        if app is None or app.live is None or request.object_tag not in app.live.class_ids:
            raise GRPCError(Status.NOT_FOUND, f"no class {request.object_tag}")
        return api_pb2.ClassGetResponse(
            class_id=app.live.class_ids[request.object_tag],
            handle_metadata=api_pb2.ClassHandleMetadata(),
        )

    async def FunctionGet(self, request: Any) -> Any:
        app = self._state.app_named(request.app_name)
        if app is None or app.live is None or request.object_tag not in app.live.function_ids:
            raise GRPCError(Status.NOT_FOUND, f"no function {request.object_tag}")
        function_id = app.live.function_ids[request.object_tag]
        definition_id = app.live.definition_ids[function_id]
        function = self._state.functions[function_id]
        answer = api_pb2.FunctionGetResponse(
            function_id=function_id, handle_metadata=function.metadata[definition_id]
        )
        if "function" in answer.DESCRIPTOR.fields_by_name:  # since 1.6
            answer.function.CopyFrom(function.data[definition_id])
        return answer

    def _of(self, app_id: str, name: str, existing: str) -> Function:
        if existing:
            return self._state.functions[existing]
        function = Function(self._state.new_id("fu"), app_id, name)
        self._state.functions[function.function_id] = function
        return function

    def _metadata(self, app_id: str, definition: Any) -> Any:
        name = self._state.apps[app_id].name
        metadata = api_pb2.FunctionHandleMetadata(
            function_name=definition.function_name,
            function_type=definition.function_type,
            app_id=app_id,
            supported_input_formats=definition.supported_input_formats,
            supported_output_formats=definition.supported_output_formats,
        )
        if definition.webhook_config.type in _WEB:
            metadata.web_url = f"{self._state.doors_url}/web/{name}/{definition.function_name}"
        for method, each in definition.method_definitions.items():
            known = metadata.method_handle_metadata[method]
            known.function_name = each.function_name
            known.function_type = each.function_type
            known.is_method = True
            known.use_method_name = method
            known.app_id = app_id
            known.supported_input_formats.extend(each.supported_input_formats)
            known.supported_output_formats.extend(each.supported_output_formats)
            if each.webhook_config.type in _WEB:
                known.web_url = f"{self._state.doors_url}/web/{name}/{method}"
        return metadata


def _as_data(definition: Any) -> Any:
    """A definition in the form that holds several; with one of them, as Modal answers."""
    data = api_pb2.FunctionData(
        module_name=definition.module_name,
        function_name=definition.function_name,
        function_type=definition.function_type,
        timeout_secs=definition.timeout_secs,
        autoscaler_settings=definition.autoscaler_settings,
        method_definitions=definition.method_definitions,
        is_class=definition.is_class,
    )
    data.ranked_functions.add(rank=0).function.CopyFrom(definition)
    return data
