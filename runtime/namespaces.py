"""Namespaces that keep the processes of a service from seeing those of another, or of its copies.

A process in a pid namespace of its own is its process 1: it can name, signal and trace nothing
outside, and the kernel kills all that it has started when it ends. A mount namespace of its own
gives it a ``/proc`` that shows no others, and hides what is none of its business.

Linux only, and only for who has CAP_SYS_ADMIN; others get what :func:`close_memory` gives.
Source: https://man7.org/linux/man-pages/man7/pid_namespaces.7.html and mount_namespaces(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

_CLONE_NEWNS, _CLONE_NEWPID = 0x20000, 0x20000000  # linux/sched.h
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8  # linux/mount.h
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 0x20, 0x1000, 0x4000, 0x80000
_MNT_DETACH = 2
_MS_PLAIN = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
_SYS_MOUNT_SETATTR = 442  # one number on all architectures; since Linux 5.12
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY = 1
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 4, 24  # linux/prctl.h
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h

HIDDEN = "BENTOFN_HIDDEN"
"""Variable with the paths that an instance is not to see, as in PATH; set where it is to be kept
apart from others at all."""

SCRATCH = "BENTOFN_SCRATCH"
"""Variable with the MiB of a ``/tmp`` of an instance's own, beside which it can write no file."""

KEPT_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
"""What a container's root keeps: CAP_CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID,
SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE and SETFCAP.

Source: https://docs.docker.com/engine/security/#linux-kernel-capabilities
"""

_LAST_CAPABILITY = 63
_CONTROL_GROUPS = b"/sys/fs/cgroup"
_SCRATCH_PLACE = b"/tmp"


class _MountAttributes(ctypes.Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns"))


@dataclass(frozen=True)
class Namespaces:
    """The system calls, looked up once: a lookup reads pages that a copy would have to fetch."""

    _libc: Any

    @classmethod
    def find(cls) -> Namespaces | None:
        """They, where this process may make namespaces; else None."""
        if sys.platform != "linux" or not _may_administer():
            return None
        libc = ctypes.CDLL(None, use_errno=True)
        for name in ("unshare", "setns", "mount", "umount2", "prctl", "capset", "syscall"):
            getattr(libc, name)
        # Who is root only in a user namespace of its own can leave this pid namespace, not return.
        own = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return cls(libc) if libc.setns(own, _CLONE_NEWPID) == 0 else None
        finally:
            os.close(own)

    @contextlib.contextmanager
    def for_children(self) -> Iterator[None]:
        """Give what this thread starts inside the block a pid namespace, one for the whole block.

        The thread can start no threads inside the block.

        Raises:
            OSError: The kernel makes no more namespaces.
        """
        own = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._check(self._libc.unshare(_CLONE_NEWPID), "a pid namespace cannot be made")
            try:
                yield
            finally:
                # In the child too: there it does nothing, it is where it belongs.
                self._libc.setns(own, _CLONE_NEWPID)
        finally:
            os.close(own)

    def seclude(self, hidden: Sequence[str]) -> None:
        """Give this process mounts of its own: a ``/proc`` of its pid namespace, and less to see.

        Mounts that are taken away outside are taken away here too.

        Args:
            hidden: Files and directories that are to look empty; what is not there is let pass.

        Raises:
            OSError: The kernel refuses.
        """
        self._check(self._libc.unshare(_CLONE_NEWNS), "a mount namespace cannot be made")
        self._mount(None, b"/", None, _MS_REC | _MS_SLAVE)
        self.cover(hidden)

    def cover(self, hidden: Sequence[str]) -> None:
        """What :meth:`seclude` does, for a process whose mounts are its own already."""
        for path in hidden:
            if os.path.isdir(path):  # noqa: PTH112 - pathlib costs a cold start
                self._mount(b"tmpfs", os.fsencode(path), b"tmpfs", _MS_RDONLY | _MS_PLAIN)
            elif os.path.exists(path):  # noqa: PTH110
                self._mount(os.fsencode(os.devnull), os.fsencode(path), None, _MS_BIND)
        self._mount(b"proc", b"/proc", b"proc", _MS_PLAIN)

    def give_scratch(self, mebi: int) -> None:
        """Give this process, whose mounts are its own, an empty ``/tmp``, and all else to read.

        Args:
            mebi: MiB that it holds.

        Raises:
            OSError: The kernel refuses.
        """
        self._check(self._read_only(b"/"), "files cannot be made read-only")
        options = b"size=%dm,mode=1777" % mebi
        self._mount(b"tmpfs", _SCRATCH_PLACE, b"tmpfs", _MS_NOSUID | _MS_NODEV, options)

    def uncover(self, hidden: Sequence[str]) -> None:
        """Take away again what :meth:`cover` mounted.

        Raises:
            OSError: The kernel refuses.
        """
        for path in ("/proc", *hidden):
            if self._libc.umount2(os.fsencode(path), _MNT_DETACH) != 0:
                number = ctypes.get_errno()
                if number not in (errno.EINVAL, errno.ENOENT):  # it was not there to be covered
                    raise OSError(number, f"{path} cannot be uncovered: {os.strerror(number)}")

    def seal(self) -> None:
        """Make what :meth:`cover` did final, and keep only :data:`KEPT_CAPABILITIES`.

        Raises:
            OSError: The kernel refuses.
        """
        # What can be set in there is set for the whole machine.
        self._mount(None, b"/proc", None, _MS_REMOUNT | _MS_RDONLY | _MS_PLAIN)
        # Or it could raise its own limits. Not an error: there may be no control groups.
        self._read_only(_CONTROL_GROUPS)
        for capability in range(_LAST_CAPABILITY + 1):
            if capability not in KEPT_CAPABILITIES:
                self._libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        kept = sum(1 << capability for capability in KEPT_CAPABILITIES)
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        # Effective, permitted and inheritable, the low 32 bits and then the high ones.
        sets = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
        self._check(self._libc.capset(header, sets), "privileges cannot be dropped")

    def _read_only(self, place: bytes) -> int:
        """Make a mount and all below it read-only; other than 0 where the kernel refuses."""
        attributes = _MountAttributes(set=_MOUNT_ATTR_RDONLY)
        done: int = self._libc.syscall(
            _SYS_MOUNT_SETATTR,
            _AT_FDCWD,
            place,
            _AT_RECURSIVE,
            ctypes.byref(attributes),
            ctypes.sizeof(attributes),
        )
        return done

    def _mount(
        self,
        source: bytes | None,
        target: bytes,
        kind: bytes | None,
        flags: int,
        options: bytes | None = None,
    ) -> None:
        done = self._libc.mount(source, target, kind, flags, options)
        self._check(done, f"{os.fsdecode(target)} cannot be mounted")

    def _check(self, returned: int, what: str) -> None:
        if returned != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")


def isolate(
    namespaces: Namespaces | None, env: Mapping[str, str], *, mounted: bool = False
) -> Callable[[], None]:
    """Keep this process apart from others, as far as can be done here, if its platform says so.

    Args:
        namespaces: What can be done; None where it is no more than :func:`close_memory`.
        env: Its environment, in which the platform says what it is not to see.
        mounted: Whether its mounts are its own already, which says it too.

    Returns:
        What makes it final, to be called as soon as the process needs its privileges no more.
    """
    if HIDDEN not in env and not mounted:
        return _nothing
    if namespaces is None:
        return close_memory
    try:
        if mounted:
            namespaces.cover(hidden_paths(env))
        else:
            namespaces.seclude(hidden_paths(env))
            if SCRATCH in env:
                namespaces.give_scratch(int(env[SCRATCH]))
    except OSError as error:
        _complain(error)
        return _nothing
    return partial(_seal, namespaces)


def hidden_paths(env: Mapping[str, str]) -> list[str]:
    """What a process with this environment is not to see."""
    return [path for path in env.get(HIDDEN, "").split(os.pathsep) if path]


def _seal(namespaces: Namespaces) -> None:
    try:
        namespaces.seal()
    except OSError as error:
        _complain(error)


def _complain(error: OSError) -> None:
    print(
        f"bentofn: this instance is not kept apart from others: {error.strerror}", file=sys.stderr
    )


def _nothing() -> None:
    """Nothing is to be made final."""


def close_memory() -> None:
    """Keep this user's other processes from tracing this one and reading its memory.

    For who may make no namespaces; it does nothing against root.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _may_administer() -> bool:
    """Whether this process has CAP_SYS_ADMIN."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib costs a cold start
            for line in status:
                if line.startswith("CapEff:"):
                    return bool(int(line.split()[1], 16) >> 21 & 1)
    except OSError:
        pass
    return False
