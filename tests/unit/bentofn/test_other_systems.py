"""Everything can be imported where the standard library has nothing that is Linux's alone."""

import subprocess
import sys

SCRIPT = """
import importlib, mmap, os, pkgutil, select, signal, socket

LINUX = {
    mmap: ("MADV_HUGEPAGE", "MADV_NOHUGEPAGE", "MAP_POPULATE"),
    os: ("CLONE_NEWPID", "RWF_NOWAIT", "memfd_create", "pidfd_open", "preadv", "setns", "unshare"),
    select: ("epoll",),
    signal: ("pidfd_send_signal",),
    socket: ("AF_NETLINK", "AF_VSOCK"),
}
for module, names in LINUX.items():
    for name in names:
        vars(module).pop(name, None)

for room in ("adapters", "commands", "packager", "runtime"):
    package = importlib.import_module(f"bentofn.{room}")
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(found.name)
"""


def test_every_module_can_be_imported_without_what_only_linux_has() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
