"""A tree mounted through the kernel, in a mount namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bentofn.packager.roots.mount_probe import can_mount

REASON = can_mount("fuse")
pytestmark = pytest.mark.skipif(REASON is not None, reason=f"FUSE cannot be mounted: {REASON}")

SCRIPT = """
import json, mmap, os, subprocess, sys
from pathlib import Path
from bentofn.packager.roots.mounts import enter_private_namespace
enter_private_namespace()
from bentofn.packager.fuse.server import Server
from bentofn.packager.fuse.tree import FileContent, plain_tree

source, target = map(Path, sys.argv[1:])

class Half(FileContent):
    def hot(self):
        yield 4096, self.read(4096, 8192)

class Seen:
    pages = []
    def found(self, node): pass
    def opened(self, node): pass
    def read(self, node, offset, size): self.pages.append((node.path, offset))

tree = plain_tree([("a", source)])
tree.add_file("b/half", Half(source / "large", (source / "large").stat().st_size))
server = Server(tree, Seen())
server.mount(target)
# Another process does what is timed by nobody: the one that serves must not wait for itself.
code = "import sys; d = open(sys.argv[1], 'rb').read(); sys.stdout.buffer.write(d)"
read = [sys.executable, "-S", "-c", code, str(target / "b/half")]
same = subprocess.run(read, capture_output=True, check=True).stdout == (
    source / "large"
).read_bytes()
diff = subprocess.run(["diff", "-r", str(source), str(target / "a")], check=False).returncode
denied = subprocess.run(["touch", str(target / "new")], capture_output=True, check=False)
server.unmount(target)
server.wait()
half = sorted({offset for path, offset in Seen.pages if path == "b/half"})
print(json.dumps([same, diff, denied.returncode, half, os.listdir(target)]))
"""


def test_a_tree_is_read_through_the_kernel(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "folder").mkdir(parents=True)
    target.mkdir()
    for number in range(300):
        (source / "folder" / f"file {number}").write_text(str(number))
    (source / "large").write_bytes(bytes(range(256)) * 80 + b"end")  # five pages and three bytes
    (source / "link").symlink_to("folder/file 7")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(source), str(target)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    same, different, denied, pages, left = json.loads(done.stdout)
    assert (same, different) == (True, 0)
    assert denied != 0
    # What was given to the kernel beforehand is not asked for.
    assert pages == [0, 12288, 16384, 20480]
    assert left == []
