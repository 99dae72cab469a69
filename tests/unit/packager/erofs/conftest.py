import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.roots.mount_probe import can_mount

Listing = dict[str, list[Any]]
"""Path to what stands there: its type, permissions, size, and a digest of its content."""

LIST = """
import hashlib, os, stat
def listing(root):
    found = {}
    for folder, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(kind):
                entry = [kind, mode, status.st_size, os.readlink(path)]
            elif stat.S_ISDIR(kind):
                entry = [kind, mode, 0, sorted(os.listdir(path))]
            else:
                with open(path, "rb") as file:
                    content = file.read()
                entry = [kind, mode, len(content), hashlib.sha256(content).hexdigest()]
            found[os.path.relpath(path, root)] = entry
    return found
"""

MOUNT = f"""
{LIST}
import json, sys
from pathlib import Path
from bentofn.packager.roots import mounts
mounts.enter_private_namespace()
for line in sys.stdin:
    image, target = map(Path, json.loads(line))
    mounts.mount_erofs(image, target)
    print(json.dumps(listing(target)), flush=True)
    mounts.unmount(target)
"""


def listing(root: Path) -> Listing:
    """What a directory holds, as the other process tells it of a mounted image."""
    names: dict[str, Any] = {}
    exec(LIST, names)
    found: Listing = names["listing"](root)
    return found


@pytest.fixture(scope="session")
def mounted() -> Iterator[Callable[[Path, Path], Listing]]:
    """Mounts an image in another process, and tells what the kernel shows in it."""
    reason = can_mount("erofs")
    if reason is not None:
        pytest.skip(reason)
    command = [sys.executable, "-c", MOUNT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def ask(image: Path, target: Path) -> Listing:
            requests.write(json.dumps([str(image), str(target)]) + "\n")
            requests.flush()
            found: Listing = json.loads(answers.readline())
            return found

        yield ask
        requests.close()
