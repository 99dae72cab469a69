"""Runs a command in an unpacked image, in mount and process namespaces of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bentofn.packager.containerize.rootfs import folder_inside
from bentofn.packager.files import temporary_file
from bentofn.runtime.errors import UserError

TIMEOUT = 3600.0
"""Seconds that a command may take."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_CANNOT = 71
"""EX_OSERR: the namespaces or mounts cannot be had."""

_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Variables that say how the network is reached; nothing keeps them."""

_PREPARE = r"""
root=$1; shift
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
  : > "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"; ln -s fd/1 "$root/dev/stdout"; ln -s fd/2 "$root/dev/stderr"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
while [ $# -gt 1 ]; do
  mount --bind "$1" "$2"; mount -o remount,bind,ro "$2"; shift 2
done
"""

# A shell of its own, because `set -e` has no force on the left of `||`.
_SETUP = r"""
prepare=$1; command=$2; root=$3; chroot=$4; path=$PATH; shift 4
PATH=/usr/sbin:/usr/bin:/sbin:/bin
/bin/sh -ec "$prepare" prepare "$root" "$@" || exit 71
PATH=$path
exec "$chroot" "$root" /bin/sh -ec "$command"
"""


def why_not(platform: str, here: str) -> str | None:
    """Why commands of an image cannot be run on this machine; None if they can.

    Args:
        platform: The image's.
        here: This machine's.
    """
    if sys.platform != "linux":
        return "this is not Linux"
    if platform != here:
        return f"it is for {platform} and this machine is {here}"
    if os.geteuid() != 0:
        return "that needs root here"
    missing = [name for name in ("unshare", "mount", "chroot") if not _tool(name)]
    return f"there is no {missing[0]} here" if missing else None


def run_inside(
    root: Path,
    command: str,
    environment: Mapping[str, str],
    binds: Sequence[tuple[Path, str]],
    what: str,
    remedy: str,
) -> None:
    """Run a shell command in a root, as its root.

    Mounts are seen by the command alone and end with it.

    Args:
        root: The root.
        command: For ``/bin/sh -e``.
        environment: Its variables; those of the network are added.
        binds: Folders to show, read-only, with where in the root.
        what: What is being done, for messages.
        remedy: How else it can be done, as a sentence.

    Raises:
        UserError: It fails, or cannot be run here.
    """
    for name in ("proc", "dev", "tmp", "etc"):
        _own_folder(root / name, remedy)
    _network(root)
    network = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    options = ("--mount", "--pid", "--fork", "--kill-child")
    shown = [
        str(path)
        for source, inside in binds
        for path in (source.resolve(), folder_inside(root, inside, "the base image"))
    ]
    arguments = [_PREPARE, command, str(root), _tool("chroot"), *shown]
    with temporary_file(root.parent) as log:
        try:
            status = subprocess.run(
                [_tool("unshare"), *options, "/bin/sh", "-c", _SETUP, "setup", *arguments],
                env={"PATH": _PATH, **network, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log.file,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise UserError(f"{what} took longer than {TIMEOUT / 60:.0f} minutes.") from None
        said = _end_of(log.path)
    if status == _CANNOT or (status and said.startswith("unshare:")):
        raise UserError(f"{what} needs mounts of its own, which this machine forbids. {remedy}")
    if status:
        raise UserError(f"{what} failed with status {status}: {said or 'it said nothing'}.")


def _tool(name: str) -> str:
    return shutil.which(name, path=_PATH) or ""


def _own_folder(path: Path, remedy: str) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UserError(f"The base image's /{path.name} is no folder. {remedy}")
    path.mkdir(exist_ok=True)


def _network(root: Path) -> None:
    """Names are looked up as on this machine; the difference leaves these files out."""
    for name in ("resolv.conf", "hosts"):
        target, source = root / "etc" / name, Path("/etc") / name
        target.unlink(missing_ok=True)
        if source.is_file():
            target.write_bytes(source.read_bytes())


def _end_of(log: Path) -> str:
    """The last lines that a command wrote."""
    text = log.read_bytes()[-4096:].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join("".join(c for c in line if c.isprintable()) for line in lines[-3:])
