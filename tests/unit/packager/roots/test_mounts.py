import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bentofn.packager.roots import mounts
from bentofn.packager.roots.mount_probe import can_mount
from bentofn.runtime.errors import UserError

needs_erofs = pytest.mark.skipif(
    can_mount("erofs") is not None, reason=f"no EROFS here: {can_mount('erofs')}"
)
needs_fuse = pytest.mark.skipif(
    can_mount("fuse") is not None, reason=f"no FUSE here: {can_mount('fuse')}"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

PRIVATE = """
import os, sys, threading
from pathlib import Path
from bentofn.packager.roots import mounts
target = Path(sys.argv[1])
mounts.enter_private_namespace()
mounts.enter_private_namespace()
mounts.mount_fuse(os.open("/dev/fuse", os.O_RDWR), target)
assert mounts.is_mounted(target)
seen = []
thread = threading.Thread(target=lambda: seen.append(mounts.is_mounted(target)))
thread.start()
thread.join()
assert seen == [True]
print("mounted", flush=True)
sys.stdin.readline()
"""

NOBODY = """
import ctypes, os, subprocess, sys
from bentofn.packager.roots import mount_probe, mounts
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, which setresuid took away
"""
PROBE = NOBODY + "sys.exit(mount_probe.main(sys.argv[1:]))"
CHILDREN = (
    NOBODY
    + """
def may_mount():
    line = subprocess.check_output(["grep", "^CapEff", "/proc/self/status"])
    return bool(int(line.split()[1], 16) >> 21 & 1)

mounts.enter_private_namespace()
print(may_mount())
with mounts.children_may_mount():
    print(may_mount())
print(may_mount())
"""
)


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_fuse
def test_a_mount_shows_nowhere_else_and_ends_with_its_process(tmp_path: Path) -> None:
    target = tmp_path / "a folder"
    target.mkdir()
    command = [sys.executable, "-c", PRIVATE, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"mounted\n"
        assert not mounts.is_mounted(target)
        target.rmdir()  # a home can be removed while something is mounted in it
        process.kill()
    assert not target.exists()


@needs_fuse
def test_threads_that_run_already_are_named() -> None:
    ended = run(
        "import threading\n"
        "from bentofn.packager.roots import mounts\n"
        "event = threading.Event()\n"
        "threading.Thread(target=event.wait).start()\n"
        "try:\n"
        "    mounts.enter_private_namespace()\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
        "event.set()\n"
    )
    assert ended.stdout.startswith("UserError Private mounts must be asked for before")


def test_nothing_is_mounted_where_everybody_sees_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no mount namespace of its own"):
        mounts.mount_erofs(tmp_path / "image", tmp_path)


@needs_erofs
def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(1 << 16))
    ended = run(
        "import sys\n"
        "from pathlib import Path\n"
        "from bentofn.packager.roots import mounts\n"
        "mounts.enter_private_namespace()\n"
        "try:\n"
        "    mounts.mount_erofs(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n",
        str(tmp_path / "image"),
        str(tmp_path),
    )
    assert ended.stdout.startswith("UserError Cannot mount")
    assert "no whole EROFS image" in ended.stdout


LOOP = """
import io, sys
from pathlib import Path
from bentofn.packager.roots import mounts
from bentofn.packager.erofs.writer import ImageWriter
image, target = map(Path, sys.argv[1:])
with image.open("w+b") as file:
    writer = ImageWriter(file)
    writer.file(("a",), io.BytesIO(b"hello"), 5, False)
    writer.finish()
mounts.enter_private_namespace()
mounts.mount_erofs(image, target)
image.unlink()
print((target / "a").read_text())
print(next(line for line in open("/proc/self/mounts") if str(target) in line).split()[0])
"""


@needs_erofs
@pytest.mark.skipif(not Path("/dev/loop-control").exists(), reason="no loop devices here")
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no tmpfs here")
def test_where_files_are_not_mounted_a_loop_device_is(tmp_path: Path) -> None:
    # The kernel mounts no image from a file on a tmpfs, and before 6.12 from none.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        ended = run(LOOP, str(Path(folder) / "image"), str(tmp_path))
    content, device = ended.stdout.split()
    assert content == "hello"
    assert device.startswith("/dev/loop")


needs_namespaces = pytest.mark.skipif(
    not Path("/proc/sys/user/max_user_namespaces").is_file()
    or Path("/proc/sys/user/max_user_namespaces").read_text().strip() == "0",
    reason="users have no namespaces of their own here",
)
needs_users_fuse = pytest.mark.skipif(
    not Path("/dev/fuse").exists() or Path("/dev/fuse").stat().st_mode & 0o006 != 0o006,
    reason="only root may open /dev/fuse here",
)


@needs_root
@needs_fuse
@needs_namespaces
def test_what_a_user_starts_may_mount_only_where_it_is_meant_to() -> None:
    done = run(CHILDREN)
    assert done.stdout.split() == ["False", "True", "False"], done.stderr


@needs_root
@needs_fuse
@needs_namespaces
@needs_users_fuse
def test_a_user_mounts_fuse_in_a_namespace_of_his_own_and_is_told_that_erofs_is_for_root() -> None:
    assert run(PROBE, "fuse").returncode == 0
    refused = run(PROBE, "erofs")
    assert refused.returncode == 1
    assert "only root" in refused.stdout
