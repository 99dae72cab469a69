"""Apps: made, published at once, rolled back, stopped."""

from __future__ import annotations

import time
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from modal_cloud.state import App, State, Version


class Apps:
    """The calls about apps.

    Args:
        state: The workspace.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    async def ClientHello(self, request: Any) -> Any:
        return api_pb2.ClientHelloResponse()

    async def EnvironmentGetOrCreate(self, request: Any) -> Any:
        settings = api_pb2.EnvironmentSettings(image_builder_version="2025.06")
        metadata = api_pb2.EnvironmentMetadata(name="main", settings=settings)
        return api_pb2.EnvironmentGetOrCreateResponse(environment_id="en-1", metadata=metadata)

    async def AuthTokenGet(self, request: Any) -> Any:
        return api_pb2.AuthTokenGetResponse(token="e30.e30.e30")

    async def AppHeartbeat(self, request: Any) -> Any:
        return Empty()

    async def AppGetByDeploymentName(self, request: Any) -> Any:
        app = self._state.app_named(request.name)
        return api_pb2.AppGetByDeploymentNameResponse(app_id=app.app_id if app else "")

    async def AppGetOrCreate(self, request: Any) -> Any:
        app = self._state.app_named(request.app_name)
        if app is None:
            raise GRPCError(Status.NOT_FOUND, f"no app {request.app_name}")
        return api_pb2.AppGetOrCreateResponse(app_id=app.app_id)

    async def AppCreate(self, request: Any) -> Any:
        app = App(self._state.new_id("ap"), request.description, request.app_state)
        self._state.apps[app.app_id] = app
        return api_pb2.AppCreateResponse(app_id=app.app_id, app_page_url="https://modal.com/x")

    async def AppGetLayout(self, request: Any) -> Any:
        return api_pb2.AppGetLayoutResponse(app_layout=self.layout(self._app(request)))

    async def AppPublish(self, request: Any) -> Any:
        app = self._app(request)
        version = Version(
            len(app.versions) + 1,
            request.deployment_tag,
            time.time(),
            dict(request.function_ids),
            dict(request.class_ids),
            dict(request.definition_ids),
        )
        app.versions.append(version)
        await self._state.stop_containers(app.app_id)
        app.name, app.state, app.tags = request.name, request.app_state, dict(request.tags)
        return api_pb2.AppPublishResponse(url="https://modal.com/x", deployed_at=time.time())

    async def AppClientDisconnect(self, request: Any) -> Any:
        app = self._app(request)
        if app.state == api_pb2.APP_STATE_INITIALIZING:
            app.state = api_pb2.APP_STATE_STOPPED
        return Empty()

    async def AppStop(self, request: Any) -> Any:
        self._app(request).state = api_pb2.APP_STATE_STOPPED
        await self._state.stop_containers(request.app_id)
        return Empty()

    async def AppGetTags(self, request: Any) -> Any:
        return api_pb2.AppGetTagsResponse(tags=self._app(request).tags)

    async def AppDeploymentHistory(self, request: Any) -> Any:
        app = self._app(request)
        entries = [
            api_pb2.AppDeploymentHistory(
                app_id=app.app_id,
                version=each.number,
                deployed_at=each.deployed_at,
                tag=each.tag,
                rollback_version=each.rollback_version,
                rollback_allowed=each.rollback_allowed,
            )
            for each in reversed(app.versions)
        ]
        return api_pb2.AppDeploymentHistoryResponse(app_deployment_histories=entries)

    async def AppRollback(self, request: Any) -> Any:
        app = self._app(request)
        wanted = len(app.versions) - 1 if request.version < 0 else request.version
        found = [each for each in app.versions if each.number == wanted]
        if not found:
            raise GRPCError(Status.NOT_FOUND, f"no version {wanted}")
        former = found[0]
        if not former.rollback_allowed:
            raise GRPCError(Status.FAILED_PRECONDITION, f"version {wanted} is too old")
        app.versions.append(
            Version(
                app.versions[-1].number + 1,
                "",  # as Modal does it, the entry says what it repeats
                time.time(),
                former.function_ids,
                former.class_ids,
                former.definition_ids,
                rollback_version=former.number,
            )
        )
        await self._state.stop_containers(app.app_id)
        return api_pb2.AppRollbackResponse(url="https://modal.com/x", deployed_at=time.time())

    async def AppList(self, request: Any) -> Any:
        items = [
            api_pb2.AppListResponse.AppListItem(
                app_id=app.app_id,
                description=app.name,
                name=app.name,
                state=app.state,
                n_running_tasks=sum(
                    c.app_id == app.app_id for c in self._state.containers.values()
                ),
            )
            for app in self._state.apps.values()
        ]
        return api_pb2.AppListResponse(apps=items)

    async def TaskList(self, request: Any) -> Any:
        tasks = [
            api_pb2.TaskStats(task_id=task_id, app_id=container.app_id, started_at=time.time())
            for task_id, container in self._state.containers.items()
            if container.app_id == request.app_id
        ]
        return api_pb2.TaskListResponse(tasks=tasks)

    async def FunctionGetCurrentStats(self, request: Any) -> Any:
        return api_pb2.FunctionStats(backlog=self._state.backlog.get(request.function_id, 0))

    def layout(self, app: App) -> Any:
        """What a live app is made of, for clients and for containers."""
        live = app.live
        layout = api_pb2.AppLayout()
        if live is None:
            return layout
        layout.function_ids.update(live.function_ids)
        layout.class_ids.update(live.class_ids)
        for function_id, definition_id in live.definition_ids.items():
            metadata = self._state.functions[function_id].metadata[definition_id]
            layout.objects.append(
                api_pb2.Object(object_id=function_id, function_handle_metadata=metadata)
            )
        layout.objects.extend(
            api_pb2.Object(object_id=each, class_handle_metadata=api_pb2.ClassHandleMetadata())
            for each in live.class_ids.values()
        )
        return layout

    def _app(self, request: Any) -> App:
        if request.app_id not in self._state.apps:
            raise GRPCError(Status.NOT_FOUND, f"no app {request.app_id}")
        return self._state.apps[request.app_id]
