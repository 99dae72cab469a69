"""Containers: Modal's own entry point in a root that is made of the image's files alone.

The root has this machine's system directories and its Python, read-only in effect, and of its own
``/root``, ``/opt`` and ``/tmp``: the files that the client sent, where the image's description puts
them. Modal's client stands in ``/pkg``, as on Modal, and nothing else of this environment does.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from modal._runtime.gpu_memory_snapshot import SNAPSHOT_RESTORE_FAILED_EXIT_CODE
from modal_proto import api_pb2
from packaging.requirements import Requirement

from modal_cloud.state import State

_ENTRY = (
    "/usr/bin/env PYTHONPATH=/root:${PYTHONPATH:-}:/pkg "
    f"{sys.base_prefix}/bin/python3 -S -u -m modal._container_entrypoint"
)
_OWN = {"opt", "root", "tmp", "pkg", "__modal", "proc", "sys", "dev"}


@dataclass
class Container:
    """A container of a function; of a class with snapshots it is one that takes it and goes on."""

    state: State
    app_id: str
    task_id: str
    checkpoint_id: str
    root: Path
    process: asyncio.subprocess.Process
    reading: asyncio.Task[None]
    stops: bool = False
    snapshots: int = 0

    @classmethod
    async def start(
        cls, state: State, function_id: str, *, takes_snapshots: bool = True
    ) -> Container:
        """Start one of the live definition of a function."""
        function = state.functions[function_id]
        app = state.apps[function.app_id]
        definition = api_pb2.Function()
        definition.CopyFrom(state.definition(app, function.name))
        gpu_snapshot = definition.experimental_options.get("enable_gpu_snapshot") == "True"
        definition._experimental_enable_gpu_snapshot = gpu_snapshot
        task_id, checkpoint_id = state.new_id("ta"), state.new_id("ch")
        root = state.folder / task_id
        variables = _build(state, root, definition)
        arguments = api_pb2.ContainerArguments(
            task_id=task_id,
            function_id=function_id,
            app_id=app.app_id,
            function_def=definition,
            checkpoint_id=checkpoint_id,
            environment_name="main",
            app_layout=_layout(state, app),
        )
        (root / "__modal" / "arguments").write_bytes(arguments.SerializeToString())
        gvisor = state.gpu_restore if gpu_snapshot else ""
        snapshots = {"MODAL_ENABLE_SNAP_RESTORE": "1"} if takes_snapshots else {}
        process = await asyncio.create_subprocess_exec(
            *_inside(root, _ENTRY, gvisor),
            env={**variables, **_own_variables(state, task_id), **snapshots},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        reading = asyncio.ensure_future(_read(state, app.app_id, function_id, task_id, process))
        return cls(state, app.app_id, task_id, checkpoint_id, root, process, reading)

    @property
    def ended(self) -> bool:
        """Whether its process is gone."""
        return self.process.returncode is not None

    def snapshot_taken(self) -> None:
        """Go on as a restored container does, from the state that Modal's worker would write."""
        self.snapshots += 1
        self.state.say(self.app_id, self.task_id, "<snapshot>")
        state = {"task_id": self.task_id, "container_id": "restored"}
        (self.root / "__modal" / "restore-state.json").write_text(json.dumps(state))

    async def stop(self) -> None:
        """End it as Modal does, by an input that is none."""
        self.stops = True
        async with self.state.changed:
            self.state.changed.notify_all()
        try:
            await asyncio.wait_for(self.process.wait(), 10)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
        await self.reading


async def _read(
    state: State, app_id: str, function_id: str, task_id: str, process: asyncio.subprocess.Process
) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        state.say(app_id, task_id, line.decode(errors="replace"))
    code = await process.wait()
    if code == SNAPSHOT_RESTORE_FAILED_EXIT_CODE:
        again = await Container.start(state, function_id, takes_snapshots=False)
        state.containers[function_id] = again
        return
    # What it had, and what waits for it, will not be answered any more.
    failed = api_pb2.GenericResult(
        status=api_pb2.GenericResult.GENERIC_STATUS_FAILURE,
        exception=f"the container ended with exit code {code}",
    )
    for call in state.calls.values():
        if call.function_id == function_id and not call.outputs:
            call.outputs.append(api_pb2.FunctionGetOutputsItem(result=failed))
    async with state.changed:
        state.changed.notify_all()


def _build(state: State, root: Path, definition: Any) -> dict[str, str]:
    """Fill a root with an image's files, and give the image's variables."""
    for name in ("opt", "root", "tmp", "pkg", "__modal", "proc", "dev", "sys"):
        (root / name).mkdir(parents=True)
    variables: dict[str, str] = {}
    for step in _steps(state, definition.image_id):
        _run(state, root, step, variables)
    for mount_id in definition.mount_ids:
        _copy(state, root, Path("/"), state.mounts[mount_id])
    for mount in definition.volume_mounts:
        _copy(state, root, Path(mount.mount_path), state.volumes[mount.volume_id].files)
    for secret_id in definition.secret_ids:
        variables.update(state.secrets[secret_id])
    for name, place in _client_packages():
        (root / "pkg" / name).symlink_to(place)
    return variables


def _steps(state: State, image_id: str) -> Iterator[Any]:
    """The descriptions that an image was made by, the first one first."""
    image = state.images[image_id]
    for base in image.base_images:
        yield from _steps(state, base.image_id)
    yield image


def _run(state: State, root: Path, image: Any, variables: dict[str, str]) -> None:
    for command in image.dockerfile_commands:
        word, _, rest = command.partition(" ")
        if word == "ENV":
            name, _, value = rest.partition("=")
            variables[name] = "".join(shlex.split(value))
        elif word == "COPY" and image.context_mount_id:
            target = rest.split()[-1]
            _copy(state, root, Path(target), state.mounts[image.context_mount_id])
        elif word == "RUN" and "/opt/bento" in rest:  # and not what brings packages
            subprocess.run(
                _inside(root, f"/bin/sh -c {shlex.quote(rest)}"),
                env={**variables, **_own_variables(state, "")},
                check=True,
            )


def _copy(state: State, root: Path, target: Path, files: dict[str, str]) -> None:
    for name, digest in files.items():
        path = root / target.relative_to("/") / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(state.content[digest])


def _layout(state: State, app: Any) -> Any:
    from modal_cloud.apps import Apps

    return Apps(state).layout(app)


def _own_variables(state: State, task_id: str) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "MODAL_SERVER_URL": state.server_url,
        "MODAL_IS_REMOTE": "1",
        "MODAL_TASK_ID": task_id,
        "MODAL_CONTAINER_ARGUMENTS_PATH": "/__modal/arguments",
    }


def _inside(root: Path, command: str, gvisor: str = "") -> list[str]:
    """A command line that has the root as its ``/``, in a namespace of mounts of its own.

    Args:
        root: The root.
        command: What runs in it.
        gvisor: What its ``/proc/gvisor/checkpoint`` says of the GPU's memory, where it has one.
    """
    python = Path(sys.base_prefix)
    binds = [
        f"mkdir -p {root}/{path.name} && mount --rbind {path} {root}/{path.name}"
        for path in sorted(Path("/").iterdir())
        if path.name not in _OWN and path.is_dir() and not path.is_symlink()
    ]
    links = [
        f"ln -sfn {path.readlink()} {root}/{path.name}"  # a setup script was run in it before
        for path in sorted(Path("/").iterdir())
        if path.is_symlink() and path.name not in _OWN
    ]
    seen = {python, Path(sys.prefix), *(place.parent for _, place in _client_packages())}
    binds += [
        f"mkdir -p {root}{path} && mount --rbind {path} {root}{path}"
        for path in sorted(seen)
        if path.parts[1] in _OWN
    ]
    system = [f"mount --rbind /{name} {root}/{name}" for name in ("dev", "sys")]
    system += _proc(root / "proc", gvisor) if gvisor else [f"mount --rbind /proc {root}/proc"]
    start = f"cd {root}/root && exec chroot {root} {command}"
    script = " && ".join(["mount --make-rprivate /", *binds, *links, *system, start])
    return [shutil.which("unshare") or "unshare", "--mount", "--pid", "--fork", "sh", "-c", script]


def _proc(proc: Path, gvisor: str) -> list[str]:
    """The commands that make a ``/proc`` with a file more than this machine's has."""
    return [
        f"mount -t tmpfs none {proc}",
        f"mkdir {proc}/all {proc}/gvisor",
        f"mount --rbind /proc {proc}/all",
        f"(cd {proc}/all && for each in [a-z]*; do ln -s all/$each {proc}/$each; done)",
        f"echo {gvisor} > {proc}/gvisor/checkpoint",
    ]


def _client_packages() -> list[tuple[str, Path]]:
    """What Modal's client is made of: name below ``/pkg`` to where it is installed."""
    found: dict[str, Path] = {}
    waiting, done = ["modal"], set()
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        done.add(name)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        for file in package.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not top.endswith((".dist-info", ".pth")):
                found[top] = Path(str(package.locate_file(top)))
        for text in package.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return sorted(found.items())
