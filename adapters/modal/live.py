"""A function as it stands on Modal; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from bentofn.adapters.modal.desired import volume_name
from bentofn.adapters.modal.entry import WEB
from bentofn.adapters.modal.record import Record, bento_of_path, digest_of_tag
from bentofn.adapters.modal.session import Session
from bentofn.runtime.errors import UserError

OURS = "bentofn.function"
"""The label of the apps that bentofn made."""


@dataclass(frozen=True)
class Deployment:
    """A version of an app.

    Args:
        number: Its number.
        tag: Of its record.
        deployed: When, in seconds since the epoch.
        may_return: Whether Modal says that it can be rolled back to.
    """

    number: int
    tag: str
    deployed: float
    may_return: bool = True

    @property
    def digest(self) -> str:
        """Digest of its bento; empty where somebody else deployed it."""
        return digest_of_tag(self.tag)

    @property
    def created(self) -> str:
        """When, ISO 8601 in UTC."""
        moment = datetime.fromtimestamp(self.deployed, timezone.utc)
        return moment.isoformat(timespec="seconds")


@dataclass(frozen=True)
class Live:
    """A deployed app.

    Args:
        app_id: Modal's name of it.
        versions: All that were deployed, the first one first.
        newest: The number of the newest entry of its history.
        now: The version that serves; None where the history does not say.
        url: Where it answers; empty without an endpoint.
        functions: Modal's names of its functions, by their own.
        records: Tag to the path of its record in the volume.
        files: Of the volume, to their bytes.
    """

    app_id: str
    versions: Sequence[Deployment]
    newest: int = 0
    now: Deployment | None = None
    url: str = ""
    functions: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)

    def bento(self, deployment: Deployment) -> str:
        """``name:version`` of a deployment's bento; its digest's first digits where the record is
        gone."""
        path = self.records.get(deployment.tag, "")
        found = bento_of_path(path)
        return found[1] if found else deployment.digest[7:19]


def find_live(session: Session, function: str) -> Live | None:
    """A function as it is deployed; None where there is none.

    Args:
        session: Modal.
        function: Its name.

    Raises:
        UserError: There is an app of that name that bentofn did not make.
    """
    from modal_proto import api_pb2

    wanted = api_pb2.AppGetByDeploymentNameRequest(
        name=function, environment_name=session.environment
    )
    app_id: str = session.ask("AppGetByDeploymentName", wanted).app_id
    if not app_id:
        return None
    tags = session.ask("AppGetTags", api_pb2.AppGetTagsRequest(app_id=app_id)).tags
    if tags.get(OURS) != function:
        raise UserError(
            f"Modal has an app {function!r} that bentofn did not make; give the function another "
            "name, or stop that app with: modal app stop."
        )
    request = api_pb2.AppDeploymentHistoryRequest(app_id=app_id)
    history = session.ask("AppDeploymentHistory", request).app_deployment_histories
    versions = _versions(history)
    layout = session.ask("AppGetLayout", api_pb2.AppGetLayoutRequest(app_id=app_id)).app_layout
    files = find_files(session, function)
    records = {found[0]: path for path in files if (found := bento_of_path(path)) is not None}
    return Live(
        app_id,
        versions,
        newest=max((entry.version for entry in history), default=0),
        now=_serving(history, versions),
        url=_url(layout),
        functions=dict(layout.function_ids),
        records=records,
        files=files,
    )


def find_files(session: Session, function: str) -> dict[str, int]:
    """The files of a function's volume, without the first slash, to their bytes."""
    import modal

    volume = modal.Volume.from_name(volume_name(function), client=session.client)
    try:
        entries = volume.listdir("/", recursive=True)
    except modal.exception.NotFoundError:
        return {}
    files = (entry for entry in entries if entry.type.name == "FILE")
    return {entry.path.lstrip("/"): entry.size for entry in files}


def read_record(session: Session, function: str, live: Live) -> Record | None:
    """What is kept of the deployment that serves; None where it is not one of this bentofn's."""
    import modal

    path = live.records.get(live.now.tag) if live.now is not None else None
    if path is None:
        return None
    volume = modal.Volume.from_name(volume_name(function), client=session.client)
    return Record.from_json(b"".join(volume.read_file(path)))


def _versions(history: Sequence[Any]) -> list[Deployment]:
    """The deployments of an app's history, without those that repeat an earlier one."""
    return [
        Deployment(entry.version, entry.tag, entry.deployed_at, entry.rollback_allowed)
        for entry in sorted(history, key=lambda entry: int(entry.version))
        if not entry.rollback_version
    ]


def _serving(history: Sequence[Any], versions: Sequence[Deployment]) -> Deployment | None:
    """The version that serves: the newest, or the one that it went back to."""
    by_number = {entry.version: entry for entry in history}
    number = max(by_number, default=0)
    while number in by_number and 0 < by_number[number].rollback_version < number:
        number = by_number[number].rollback_version
    return next((each for each in versions if each.number == number), None)


def _url(layout: Any) -> str:
    """The endpoint of an app, which is a method's or a function's."""
    for each in layout.objects:
        metadata = each.function_handle_metadata
        methods = metadata.method_handle_metadata
        if WEB in methods and methods[WEB].web_url:
            return str(methods[WEB].web_url)
        if metadata.function_name == WEB and metadata.web_url:
            return str(metadata.web_url)
    return ""
