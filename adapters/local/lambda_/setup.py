"""What the environments of a function are made with, be it a bento or a plain folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import bentofn
from bentofn.adapters.local.engines.base import Launch, StartFailed
from bentofn.adapters.local.engines.children import own_namespaces
from bentofn.adapters.local.interpreter import boot_command
from bentofn.adapters.local.isolation.policy import UNLIMITED, Isolation, Tenancy
from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.runtime.layout import INTERPRETER_OPTIONS, BentoRoot
from bentofn.runtime.namespaces import SCRATCH, Namespaces

HANDLER = "bentofn.runtime.aws_lambda.handler"
"""The handler of every bento."""


class WriteLog(Protocol):
    """Takes an instance's name, a stream, a line and the id of the request that wrote it."""

    def __call__(self, instance: str, stream: str, line: str, request: str = "") -> None:
        """Write a line."""


@dataclass(frozen=True)
class Setup:
    """What the environments of one version of a function are made with.

    Args:
        function: The version.
        command: Starts a runtime.
        variables: Its whole environment but what differs between runtimes.
        log: Where lines go.
        isolation: What holds a process to its limits.
        namespaces: Gives a process a pid namespace of its own.
    """

    function: Configuration
    command: Sequence[str]
    variables: Mapping[str, str]
    log: WriteLog
    isolation: Isolation = UNLIMITED
    namespaces: Namespaces | None = None

    def tenancy(self, name: str) -> Tenancy:
        """A cell for a process that is to be started.

        Raises:
            StartFailed: The system has no room for it.
        """
        try:
            return Tenancy(self.isolation.cells.make(name))
        except OSError as error:
            raise StartFailed(f"its limits cannot be set: {error.strerror}") from error


def bento_setup(function: Configuration, launch: Launch, client: Path, log: WriteLog) -> Setup:
    """Of a bento.

    Args:
        function: The version; its handler is :data:`HANDLER`.
        launch: What the bento's processes are started with.
        client: Of :func:`bentofn.adapters.local.lambda_.client.client_directory`.
        log: Where lines go.
    """
    root = BentoRoot(launch.root)
    options = ("--handler", function.handler, "--client", str(client))
    own = {"BENTOFN_ROOT": str(root.path), **launch.isolation.environment}
    if function.scratch and not any(_is_below_tmp(each) for each in (root.path, client)):
        own |= {SCRATCH: str(function.scratch), "TMPDIR": "/tmp"}
    return Setup(
        function,
        boot_command(launch.python, launch.root, "lambda", *options),
        {**function.environment(root.source, client), **own},
        log,
        launch.isolation,
        own_namespaces(root.runtime),
    )


def _is_below_tmp(path: Path) -> bool:
    """Whether a ``/tmp`` of its own would hide it."""
    return path.resolve().is_relative_to("/tmp")


def folder_setup(
    function: Configuration,
    folder: Path,
    client: Path,
    python: Path,
    log: WriteLog,
    isolation: Isolation = UNLIMITED,
) -> Setup:
    """Of a folder with a handler, as a Lambda zip is one.

    Args:
        function: The version.
        folder: Its code and packages.
        client: A directory with awslambdaric.
        python: The interpreter.
        log: Where lines go.
        isolation: What holds it to its limits.
    """
    runtime = Path(bentofn.__file__).resolve().parent.parent
    places = {"source": folder, "runtime": runtime, "env": folder, "client": client}
    named = [part for name, place in places.items() for part in (f"--{name}", str(place))]
    boot = str(runtime / "bentofn" / "runtime" / "boot.py")
    return Setup(
        function,
        [
            *(str(python), *INTERPRETER_OPTIONS, boot, "lambda"),
            *(*named, "--handler", function.handler),
        ],
        {**function.environment(folder, client), **isolation.environment},
        log,
        isolation,
        own_namespaces(runtime),
    )
