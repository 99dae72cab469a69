"""What a Lambda function finds around it: ``/opt``, ``/var/task`` and ``/var/runtime`` to read, a
small ``/tmp`` to write, nothing of the user's, and a user who is not root.

Needs Linux and root: everything is mounted in a namespace of the process's own.
"""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.invocation import Invocation
from bentofn.adapters.local.lambda_.setup import Setup
from bentofn.adapters.local.lambda_.snapstart import SnapStart
from bentofn.packager.lambda_.parts import LambdaPackage

USER = 993  # Lambda's own differs; what counts is that it owns nothing
API = "AWS_LAMBDA_RUNTIME_API"
SURROUNDINGS = {
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin",
    "LD_LIBRARY_PATH": "/var/lang/lib:/var/task:/opt/lib",
    "PYTHONPATH": "/var/runtime",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
}
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""


def why_not() -> str:
    """Why there is no such machine here; empty if there is."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux mounts what Lambda's functions see"
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        return "util-linux (unshare, setpriv) is not here"
    done = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True)
    return "" if done.returncode == 0 else "this machine lets nobody mount"


@dataclass(frozen=True)
class Emulated:
    """A function under AWS's emulator.

    Args:
        address: Where the emulator listens.
        pid: Its process.
    """

    address: str
    pid: int

    @property
    def url(self) -> str:
        """Where it is invoked."""
        return f"http://{self.address}/2015-03-31/functions/function/invocations"

    def cpu(self) -> float:
        """Milliseconds of CPU that the function's process has used."""
        children = Path(f"/proc/{self.pid}/task").glob("*/children")
        [runtime] = " ".join(each.read_text() for each in children).split()
        spent = Path(f"/proc/{runtime}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in spent) / 1e6


@dataclass(frozen=True)
class Machine:
    """A function's unpacked files.

    Args:
        opt: Its layers.
        task: Its code.
        python: Prefix of an interpreter's installation.
        client: A folder with awslambdaric.
        scratch: MiB of ``/tmp``.
    """

    opt: Path
    task: Path
    python: Path
    client: Path
    scratch: int = 512

    def command(
        self, command: Sequence[str], variables: Mapping[str, str], tools: Sequence[Path] = ()
    ) -> list[str]:
        """The command line that runs a command inside it.

        Args:
            command: The command; programs of this machine that it needs stand in ``/var/tools``.
            variables: Its whole environment.
            tools: Those programs.
        """
        binds = [
            (self.python, "/var/lang"),
            (self.client, "/var/runtime"),
            (self.task, "/var/task"),
            (self.opt, "/opt"),
        ]
        lines = ["set -e", "mount --make-rprivate /", "mkdir -p /mnt", "mount -t tmpfs t /mnt"]
        lines += [f"mkdir /mnt/{number}" for number in range(len(binds))]
        lines += [f"mount --bind {shlex.quote(str(b))} /mnt/{n}" for n, (b, _) in enumerate(binds)]
        lines += [
            "mkdir /mnt/tools",
            *(f"cp {shlex.quote(str(tool))} /mnt/tools" for tool in tools),
        ]
        lines += ["mount -t tmpfs t /var", "mkdir /var/lang /var/runtime /var/task /var/tools"]
        lines += [f"mount --move /mnt/{n} {place}" for n, (_, place) in enumerate(binds)]
        lines += ["cp /mnt/tools/* /var/tools" if tools else "true"]
        # What is installed beside the interpreter here is not on Lambda.
        lines += ["mount -t tmpfs -o ro t /var/lang/lib/python3.*/site-packages"]
        lines += [f"mount -o remount,bind,ro {place}" for _, place in binds]
        lines += ["mount -o remount,ro /var", "umount /mnt"]
        lines += [f"mount -t tmpfs -o size={self.scratch}m,mode=1777 t /tmp", "cd /var/task"]
        lines += ["mount -o remount,bind,ro /"]
        user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        given = [f"{name}={value}" for name, value in {**SURROUNDINGS, **variables}.items()]
        api = f'"{API}=${API}"'  # whoever starts it may say where the Runtime API is
        run = f"{shlex.join([*user, 'env', '-i', *given])} {api} {shlex.join(command)}"
        return ["unshare", "-m", "sh", "-c", "\n".join([*lines, f"exec {run}"])]

    @contextlib.contextmanager
    def emulated(self, rie: Path, handler: str, variables: Mapping[str, str]) -> Iterator[str]:
        """The URL at which AWS's emulator invokes the function; its INIT begins with the first.

        Args:
            rie: The emulator's program.
            handler: ``module.function``.
            variables: The function's environment.
        """
        address, api = (f"127.0.0.1:{free_port()}" for _ in range(2))
        command = [
            *(f"/var/tools/{rie.name}", "--runtime-interface-emulator-address", address),
            *("--runtime-api-address", api, *client_command(handler)),
        ]
        process = subprocess.Popen(
            self.command(command, variables, [rie]),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and process.poll() is None:
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0:
                        break
                time.sleep(0.01)
            yield Emulated(address, process.pid)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def setup(self, function: Configuration, log: list[str]) -> Setup:
        """What our own environments of the function are made with.

        Args:
            function: It.
            log: Takes what it writes.
        """
        variables = function.environment(Path("/var/task"), Path("/var/runtime"))
        return Setup(
            function,
            self.command(client_command(function.handler), variables),
            {"PATH": os.environ["PATH"]},
            lambda instance, stream, line, request="": log.append(line),
        )

    @contextlib.asynccontextmanager
    async def restored(
        self, function: Configuration, log: list[str]
    ) -> AsyncIterator[Callable[[Any], Awaitable[Any]]]:
        """Asks an environment of a function that SnapStart restored."""
        setup = self.setup(function, log)
        snapshots = SnapStart(setup)
        environment = LambdaEnvironment(setup, "restored", snapshots.take)

        async def ask(event: Any) -> Any:
            body, deadline = json.dumps(event).encode(), time.time() + function.timeout
            result = await environment.invoke(Invocation(str(uuid.uuid4()), body, deadline))
            assert result.function_error is None, result.payload
            return json.loads(result.payload)

        try:
            await environment.ready()
            assert environment.trouble == "", log
            yield ask
        finally:
            await environment.stop(0.0)
            await snapshots.close()


def client_command(handler: str) -> list[str]:
    """What runs a handler, as Lambda's own runtime does."""
    return ["/var/lang/bin/python3", "-m", "awslambdaric", handler]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def lambdas_own(client: Path, folder: Path) -> Path:
    """What Lambda's Python runtimes bring of what our client's folder holds, compiled as theirs."""
    for pattern in ("awslambdaric", "simplejson", "snapshot_restore_py.py", "runtime_client*"):
        for found in client.glob(pattern):
            (shutil.copytree if found.is_dir() else shutil.copy)(found, folder / found.name)
    folder.chmod(0o755)
    compileall.compile_dir(folder, quiet=2, stripdir=str(folder), prependdir="/var/runtime")
    return folder


def unpack(package: LambdaPackage, folder: Path) -> tuple[Path, Path]:
    """Unpack a zip package as Lambda does; gives what is at ``/opt`` and at ``/var/task``."""
    opt, task = folder / "opt", folder / "task"
    for part in package.parts:
        extract(part.path, task if part is package.function else opt)
    return opt, task


def extract(archive: Path, folder: Path) -> None:
    """Unpack an archive with its modes, over what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16
            target = folder / info.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            if mode & 0o170000 == 0o120000:
                target.symlink_to(opened.read(info).decode())
            else:
                opened.extract(info, folder)
                target.chmod(mode & 0o777)
