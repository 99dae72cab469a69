"""Mounts that only this process and its children see: EROFS images and FUSE file systems.

A process that mounts first enters a mount namespace of its own, so that no mount shows elsewhere,
the kernel removes them all with the last process that sees them, even after a kill, and the home
can always be deleted. Linux only, and only for root, or where users may have namespaces of their
own (for FUSE; the kernel mounts EROFS for nobody but root).

Source: mount(2), umount2(2), unshare(2), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bentofn.packager.files import temporary_directory
from bentofn.packager.roots.loop_device import loop_device
from bentofn.runtime.errors import UserError

FileSystem = Literal["erofs", "fuse"]

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_MS_REC, _MS_SLAVE = 0x4000, 1 << 19
_MNT_DETACH = 2

_CAP_SYS_ADMIN = 21
_CAPABILITY_VERSION = 0x20080522
_PR_CAP_AMBIENT, _AMBIENT_RAISE, _AMBIENT_LOWER = 47, 2, 3

_ESCAPE = re.compile(r"\\([0-7]{3})")


def may_mount_devices() -> bool:
    """Whether this process has the right to mount more than FUSE: root, unless a container took it.

    It may still be refused; :func:`bentofn.packager.roots.mount_probe.can_mount` tries.
    """
    try:
        status = Path("/proc/thread-self/status").read_text()
    except OSError:
        return False
    capabilities = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return capabilities is not None and bool(int(capabilities[1], 16) >> _CAP_SYS_ADMIN & 1)


def enter_private_namespace() -> None:
    """Give this process a mount namespace of its own, in which it may mount; once is enough.

    Call it before any thread starts: the kernel moves only the thread that asks.

    Raises:
        UserError: This machine does not let the process; the message says why.
    """
    if _entered():
        return
    if sys.platform != "linux":
        raise UserError("Only Linux has private mounts.")
    if sum(1 for _ in Path("/proc/self/task").iterdir()) > 1:
        raise UserError("Private mounts must be asked for before the process starts threads.")
    try:
        _unshare(_CLONE_NEWNS)
    except PermissionError:
        _enter_user_namespace()
    # What is mounted outside later shows here too, but nothing that is mounted here shows there.
    _mount("none", "/", None, _MS_REC | _MS_SLAVE, None)
    os.environ[_MARK] = _namespace()


@contextmanager
def children_may_mount() -> Iterator[None]:
    """Let programs that this thread starts meanwhile mount in this process's namespace.

    The kernel takes the right away from every program that a user other than root starts, unless it
    is among the thread's ambient capabilities (https://man7.org/linux/man-pages/man7/capabilities.7.html).
    """
    _set_ambient(True)
    try:
        yield
    finally:
        _set_ambient(False)


def _set_ambient(raised: bool) -> None:
    """Raise or lower the right to mount; where it cannot be had, the mount says so."""
    if sys.platform != "linux" or not may_mount_devices():
        return
    library = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    data = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; the same of 32 and more
    if library.capget(header, data):
        return
    if raised:
        data[2] |= 1 << _CAP_SYS_ADMIN
        library.capset(header, data)
    change = _AMBIENT_RAISE if raised else _AMBIENT_LOWER
    library.prctl(_PR_CAP_AMBIENT, change, ctypes.c_ulong(_CAP_SYS_ADMIN), 0, 0)


def mount_erofs(image: Path, target: Path) -> None:
    """Mount an EROFS image, read-only; what is mounted there already stays.

    Args:
        image: The image.
        target: An existing directory.

    Raises:
        UserError: It is no whole image, or the kernel or its rules do not let us mount it.
    """
    _refuse_public()
    if is_mounted(target):
        return
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    try:
        try:
            _mount(str(image), str(target), "erofs", flags, None)
        except OSError as error:
            if error.errno != errno.ENOTBLK:  # before Linux 6.12 only devices were mounted
                raise
            with loop_device(image) as device:
                _mount(device, str(target), "erofs", flags, None)
    except OSError as error:
        reason = _reason(error, "erofs")
        raise UserError(f"Cannot mount {image} on {target}: {reason}.") from error


def why_no_erofs(folder: Path) -> str | None:
    """Why this process, in a namespace of its own, cannot mount EROFS images; cheap to ask.

    Args:
        folder: An existing directory, on the disk that is to hold the images.

    Returns:
        None if it can, else a sentence.
    """
    with temporary_directory(folder) as scratch:
        image = scratch / "image"
        # Of a file that is no image, who may mount hears just that.
        image.write_bytes(bytes(1 << 16))
        try:
            mount_erofs(image, scratch)
        except UserError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError):
                return str(error)
            if cause.errno != errno.EINVAL:
                return f"EROFS images cannot be mounted: {_reason(cause, 'erofs')}."
    return None


def mount_fuse(fd: int, target: Path, *, source: str = "bentofn", max_read: int = 0) -> None:
    """Mount a FUSE file system, read-only, for this user's processes; somebody must serve it.

    Args:
        fd: An open ``/dev/fuse``, which the kernel sends its requests to.
        target: An existing directory, on which nothing is mounted.
        source: What ``/proc/mounts`` names as the device.
        max_read: Bytes of the largest read that the kernel asks for; 0 leaves it to the kernel.

    Raises:
        UserError: The kernel or its rules do not let us.
    """
    _refuse_public()
    options = f"fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    if max_read:
        options += f",max_read={max_read}"
    try:
        flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
        _mount(source, str(target), f"fuse.{source}", flags, options)
    except OSError as error:
        raise UserError(f"Cannot mount on {target}: {_reason(error, 'fuse')}.") from error


def unmount(target: Path) -> None:
    """Take a mount away; who has files of it open keeps them. No mount is fine."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.umount2(os.fsencode(target), _MNT_DETACH):
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOENT):
            raise OSError(code, os.strerror(code), str(target))


def is_mounted(target: Path) -> bool:
    """Whether something is mounted on a directory, in this process's namespace.

    The file system that is mounted is not asked, which may be one that this process serves.
    """
    wanted = str(target.parent.resolve() / target.name)
    try:
        lines = os.fsdecode(Path("/proc/thread-self/mountinfo").read_bytes()).splitlines()
    except OSError:
        return False
    return any(_ESCAPE.sub(_unescape, line.split(" ")[4]) == wanted for line in lines)


def _refuse_public() -> None:
    if not _entered():
        raise UserError("This process has no mount namespace of its own to mount in.")


def _entered() -> bool:
    return os.environ.get(_MARK) == _namespace()


def _namespace() -> str:
    return str(Path("/proc/thread-self/ns/mnt").readlink()) if sys.platform == "linux" else ""


_MARK = "BENTOFN_MOUNT_NAMESPACE"
"""Variable with the namespace that a process or its parent entered: it is true where it equals the
process's own."""


def _enter_user_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNS)
        # The same ids as before, so that files are made and checked as ever.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError as error:
        raise UserError(
            "This process may not mount: it is not root, and users have no namespaces of their own "
            f"here ({os.strerror(error.errno or 0)})."
        ) from error


def _reason(error: OSError, kind: FileSystem) -> str:
    match error.errno:
        case errno.ENODEV:
            return f"this kernel has no {kind}"
        case errno.EPERM | errno.EACCES if kind == "erofs":
            return "the kernel lets only root mount EROFS, with the right to (CAP_SYS_ADMIN)"
        case errno.EPERM | errno.EACCES:
            return "the kernel does not let this process"
        case errno.EINVAL if kind == "erofs":
            return "it is no whole EROFS image"
        case errno.EUCLEAN | errno.EIO:
            return "it is damaged"
        case _:
            return os.strerror(error.errno or 0)


def _unshare(flags: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    arguments = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    data = None if options is None else options.encode()
    if library.mount(*arguments, ctypes.c_ulong(flags), data):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))
