"""The platform as a process of its own: start, stop, whether it runs and where.

Whether it runs is told by a lock that it holds, which no kill leaves behind; where it answers is in
a state file that only its owner can read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import gc
import hashlib
import json
import os
import resource
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

DEFAULT_PORT = 3600
START_TIMEOUT = 60.0
"""Seconds in which a started platform must answer."""
STOP_TIMEOUT = 30.0
"""Seconds for it to end after SIGTERM, before it is killed: its own limit is 10 and some."""

_POLL = 0.02
_OPEN_FILES = 65_536
_LARGEST_LOG = 8 << 20


@dataclass(frozen=True)
class Endpoint:
    """A platform that runs.

    Args:
        pid: Its process.
        port: Its port on 127.0.0.1.
        token: What its control API asks for. Never printed.
        started: When, in seconds since the epoch.
        speed: Seconds of its time that pass in one of the machine's.
    """

    pid: int
    port: int
    token: str = dataclasses.field(repr=False)
    started: float
    speed: float = 1.0

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"


def status(home: Home) -> Endpoint | None:
    """The platform that runs on a home, or None."""
    if not _alive(home):
        return None
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError, TypeError):
        endpoint = Endpoint(**json.loads(_state_file(home).read_text()))
        # What a killed one was starting holds its lock and its port until it is another program.
        os.kill(endpoint.pid, 0)
        return endpoint
    return None


def start(
    home: Home, port: int | None = None, speed: float = 1.0, *, leash: int | None = None
) -> Endpoint:
    """Start a platform that outlives this process, and wait until it answers.

    Args:
        home: Whose functions.
        port: Its port; 0 takes a free one, None the one that it last had, so that URLs stay.
        speed: See :class:`bentofn.adapters.local.clock.SystemClock`.
        leash: For tests: the reading end of a pipe. The platform ends with those who hold the
            other one, and has things go wrong when it is told to.

    Raises:
        UserError: One runs already, the port is in use, or it does not start.
    """
    with home.lock("emulator-start"):
        running = status(home)
        if running is not None:
            raise UserError(
                f"The local platform already runs at {running.url}; "
                "stop it with: bentofn emulator stop."
            )
        return _spawn(home, port, speed, leash)


def ensure_running(home: Home, port: int | None = None) -> Endpoint:
    """The platform of a home, started if it does not run.

    Args:
        home: Whose functions.
        port: Its port, should it have to be started, as for :func:`start`.

    Raises:
        UserError: It does not start.
    """
    with home.lock("emulator-start"):
        return status(home) or _spawn(home, port)


def stop(home: Home) -> bool:
    """Stop the platform, its running requests finished; deployments stay.

    Returns:
        False if none ran.
    """
    running = status(home)
    if running is None:
        return False
    for signum, patience in ((signal.SIGTERM, STOP_TIMEOUT), (signal.SIGKILL, STOP_TIMEOUT)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signum)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not _alive(home):
                return True
            time.sleep(_POLL)
    raise UserError(f"The local platform (process {running.pid}) does not end.")


def run(
    home: Home,
    port: int | None = None,
    *,
    speed: float = 1.0,
    ready_fd: int | None = None,
    leash: int | None = None,
) -> None:
    """Be the platform, in the foreground, until SIGTERM or Ctrl-C.

    Args:
        home: Whose functions.
        port: The port, as for :func:`start`.
        speed: As for :func:`start`.
        ready_fd: Descriptor that is told when requests are answered.
        leash: As for :func:`start`.

    Raises:
        UserError: One runs already, or the port is in use.
    """
    gc.disable()  # until it answers: nothing that is made until then becomes garbage
    # Here, because the command line imports this module to learn where a platform runs.
    import asyncio

    from bentofn.adapters.local.clock import SystemClock
    from bentofn.adapters.local.core.profile import load_profile
    from bentofn.adapters.local.emulator import bind, private_directory, serve
    from bentofn.adapters.local.platform import Platform
    from bentofn.adapters.local.testing.faults import Faults
    from bentofn.packager.roots.providers import tree_providers
    from bentofn.runtime.event_loop import new_event_loop

    providers = tree_providers(home)
    wanted = _last_port(home) if port is None else port
    with _be_the_only_one(home), bind(wanted) as listener:
        port = listener.getsockname()[1]
        token = secrets.token_urlsafe(32)
        endpoint = Endpoint(os.getpid(), port, token, time.time(), speed)
        sockets = private_directory(_socket_directory(home))
        _allow_connections()

        def on_ready() -> None:
            gc.enable()
            atomic_write(_port_file(home), str(port).encode())
            atomic_write(
                _state_file(home), json.dumps(dataclasses.asdict(endpoint)).encode(), 0o600
            )
            if ready_fd is None:
                print(f"The local platform answers at {endpoint.url} (Ctrl-C stops it)", flush=True)
            else:
                _tell(ready_fd, {"ready": True})

        async def main() -> None:
            faults = None if leash is None else Faults()
            platform = Platform(
                home, load_profile("plain"), sockets, endpoint.url, providers, SystemClock(speed),
                faults,
            )  # fmt: skip
            await serve(platform, listener, token, on_ready, leash)

        try:
            if sys.version_info >= (3, 11):
                with asyncio.Runner(loop_factory=new_event_loop) as runner:
                    runner.run(main())
            else:
                asyncio.run(main())
        finally:
            _state_file(home).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                sockets.rmdir()


def main(argv: list[str]) -> int:
    """The detached process: ``python -m bentofn.adapters.local.daemon HOME PORT SPEED FD [LEASH]``,
    the last two being descriptors."""
    home, port, speed, ready_fd = Home(Path(argv[0])), int(argv[1]), float(argv[2]), int(argv[3])
    leash = int(argv[4]) if len(argv) > 4 else None
    try:
        run(home, port, speed=speed, ready_fd=ready_fd, leash=leash)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        with contextlib.suppress(OSError):
            _tell(ready_fd, {"error": str(error)})
        return 1
    return 0


def _spawn(home: Home, port: int | None, speed: float = 1.0, leash: int | None = None) -> Endpoint:
    port = _last_port(home) if port is None else port
    log = _own_log(home)
    ready_read, ready_write = os.pipe()
    command = [sys.executable, "-m", "bentofn.adapters.local.daemon"]
    leashes = [] if leash is None else [leash]
    append = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(append, "ab") as output, os.fdopen(ready_read, "rb") as ready:
        process = subprocess.Popen(
            [*command, str(home.path), str(port), str(speed), *map(str, [ready_write, *leashes])],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[ready_write, *leashes],
            start_new_session=True,
            cwd="/",
        )
        os.close(ready_write)
        answered, _, _ = select.select([ready], [], [], START_TIMEOUT)
        answer = json.loads(ready.readline() or b"{}") if answered else {}
    if "ready" in answer:
        endpoint = status(home)
        if endpoint is not None:
            return endpoint
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()
    raise UserError(answer.get("error") or f"The local platform did not start; see {log}.")


def _own_log(home: Home) -> Path:
    """Where a platform writes what belongs to no function's log; an older one is set aside."""
    log = home.directory(home.logs) / "emulator.log"
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LARGEST_LOG:
            log.replace(log.with_name(f"{log.name}.1"))
    return log


def _allow_connections() -> None:
    """Raise the limit of open files: each request holds two connections while it is answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tell(fd: int, message: dict[str, object]) -> None:
    os.write(fd, json.dumps(message).encode() + b"\n")
    os.close(fd)


def _state_file(home: Home) -> Path:
    return home.run / "emulator.json"


def _port_file(home: Home) -> Path:
    return home.run / "emulator.port"


def _last_port(home: Home) -> int:
    try:
        return int(_port_file(home).read_text())
    except (OSError, ValueError):
        return DEFAULT_PORT


def _lock_file(home: Home) -> Path:
    return home.run / "emulator.lock"


def _socket_directory(home: Home) -> Path:
    digest = hashlib.sha256(os.fsencode(home.path.resolve())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"bentofn-{os.getuid()}-{digest}"


def _alive(home: Home) -> bool:
    try:
        descriptor = os.open(_lock_file(home), os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        # Shared, so that two that look do not take each other for the platform.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def _be_the_only_one(home: Home) -> Iterator[None]:
    path = home.directory(home.run) / _lock_file(home).name
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for _ in range(50):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_POLL)  # somebody may only be looking
        else:
            raise UserError("The local platform of this home already runs.")
        # One that was killed left it; its process id may be another program's by now.
        _state_file(home).unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
