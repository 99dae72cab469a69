"""What ``criu swrk`` is asked and answers: one protobuf message a packet.

Only a restore is asked for, and only the options that it needs are named.

Source: https://criu.org/RPC
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.snapshot.criu.schema import message_class

MAX_RESPONSE = 1 << 16
"""Bytes of an answer at most."""

_RESTORE, _NOTIFY = 2, 6  # criu_req_type
_CGROUPS_IGNORED = 0  # criu_cg_mode
_ERRORS_ONLY = 1  # log levels of criu(8)


@dataclass(frozen=True)
class Restored:
    """A process runs again; ``pid`` is its number where CRIU runs."""

    pid: int


@dataclass(frozen=True)
class RestoreFailed:
    """Nothing runs; ``reason`` is what CRIU says, which its log may say better.

    ``unanswered``: CRIU ended without saying anything, so that another may succeed.
    """

    reason: str
    unanswered: bool = False


@dataclass(frozen=True)
class Paused:
    """CRIU waits to be told to go on.

    Args:
        script: How far it is, by the name that it gives an action script (criu(8)).
        pid: The process, where that is known, as Restored has it; else 0.
    """

    script: str
    pid: int = 0

    @property
    def has_memory(self) -> bool:
        """Whether the process has all mappings that it will have, and does not run yet."""
        return self.script == "post-restore"


def restore_request(
    images: Path, given: Mapping[str, int], work_dir: int, *, pauses: bool = False
) -> bytes:
    """The request to restore a process as a child of CRIU's own parent.

    Args:
        images: The directory of its images.
        given: Names, in the images, of files, to the descriptors that are put in their places, in
            CRIU's process. A file that is not there is none's.
        work_dir: Descriptor, in the process that made CRIU's socket, of the directory for what CRIU
            leaves beside the images otherwise.
    """
    inherited = [message_class("InheritedFd")(key=key, fd=fd) for key, fd in given.items()]
    options = message_class("Options")(
        images_dir_fd=-1,
        images_dir=os.fspath(images),
        log_level=_ERRORS_ONLY,
        log_to_stderr=True,
        notify_scripts=pauses,
        work_dir_fd=work_dir,
        rst_sibling=True,
        manage_cgroups=True,
        manage_cgroups_mode=_CGROUPS_IGNORED,
        inherit_fd=[each.SerializeToString() for each in inherited],
    )
    request = message_class("Request")(type=_RESTORE, opts=options.SerializeToString())
    data: bytes = request.SerializeToString()
    return data


def go_on() -> bytes:
    """What CRIU is told when it has paused."""
    data: bytes = message_class("Request")(type=_NOTIFY, notify_success=True).SerializeToString()
    return data


def parse_response(data: bytes) -> Restored | RestoreFailed | Paused:
    """Read what CRIU says; no bytes at all mean that it ended without an answer."""
    from google.protobuf.message import DecodeError

    if not data:
        return RestoreFailed("CRIU ended without an answer", unanswered=True)
    try:
        response = message_class("Response").FromString(data)
        if response.type == _NOTIFY:
            said = message_class("Notification").FromString(response.notify)
            return Paused(said.script, said.pid)
        pid = message_class("RestoreResponse").FromString(response.restore).pid
    except DecodeError:
        return RestoreFailed("CRIU's answer cannot be read")
    if response.success and response.type == _RESTORE and pid > 0:
        return Restored(pid)
    return RestoreFailed(response.cr_errmsg or _why(response.cr_errno))


def _why(number: int) -> str:
    return os.strerror(number) if number > 0 else "CRIU does not say why"
