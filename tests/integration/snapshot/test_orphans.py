"""Half-restored processes of killed platforms are found wherever they went, and no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import instances
import pytest
from instances import PATIENCE, alive, eventually

from bentofn.adapters.local.engines.restored.orphans import end_orphans

pytestmark = pytest.mark.usefixtures("criu")

# What CRIU has forked writes to its log, and its parent is killed.
LEAVE = """
import fcntl, os, subprocess, sys
from pathlib import Path

LEAVE = '''
import subprocess, sys
with open(sys.argv[1], "wb") as log:
    print(subprocess.Popen(["sleep", "600"], stdout=log, stderr=log).pid)
'''

def leave(snapshots: Path) -> int:
    command = [sys.executable, "-c", LEAVE, str(snapshots / "log")]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
"""

IN_A_CONTAINER = """
from bentofn.adapters.local.engines.restored.orphans import end_orphans

FROM_ANOTHER = '''
import sys
from pathlib import Path
from bentofn.adapters.local.engines.restored.orphans import end_orphans
print(end_orphans(Path(sys.argv[1])))
'''

def ended_by_another(snapshots: Path) -> str:
    command = [sys.executable, "-c", FROM_ANOTHER, str(snapshots)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

snapshots = Path(sys.argv[1])
"""

ADOPTING = """
left = leave(snapshots)
assert end_orphans(snapshots) == [left]
left = leave(snapshots)
assert ended_by_another(snapshots) == str([left])
"""

RESTORING = """
import asyncio, tempfile
from instances import Lines, PYTHON, call, make_root, restoring, started
from bentofn.adapters.local.engines import InstanceSpec, Launch, find_python
from bentofn.packager.home import Home
from bentofn.packager.snapshot.obtain import Subject

SERVICE = '''
import bentofn

@bentofn.service
class Service:
    @bentofn.api
    def one(self) -> int:
        return 1
'''

async def main(sockets: Path) -> None:
    root = make_root(snapshots.parent / "root", SERVICE)
    launch = Launch(root, find_python(PYTHON), {}, sockets, Lines())
    subject = Subject("test:1", str(root), root, launch.python, launch.environment(), {})
    async with restoring(launch, subject, Home(snapshots.parent)) as engine:
        await engine.prepare()
        instance = await started(engine, InstanceSpec("one"))
        assert ended_by_another(snapshots) == "[]"
        assert await call(instance, "one") == 1

with tempfile.TemporaryDirectory() as sockets:
    asyncio.run(main(Path(sockets)))
"""

# Who enters a container may have fewer privileges than a platform there, and no more than its
# instances.
UNREADABLE = """
FEWER = ["setpriv", "--bounding-set=-sys_ptrace"]

RESTORE = '''
import subprocess, sys
with open(sys.argv[1], "wb") as log:
    restored = subprocess.Popen([*sys.argv[2:], "sleep", "600"], stdout=log, stderr=log)
    print(restored.pid, flush=True)
    sys.stdin.read()
'''

command, pipe = [sys.executable, "-c", RESTORE, str(snapshots / "log"), *FEWER], subprocess.PIPE
with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as restores:
    restored = int(restores.stdout.readline())
    while b"sleep" not in Path(f"/proc/{restored}/cmdline").read_bytes()[:5]:
        pass
    find = [*FEWER, sys.executable, "-c", FROM_ANOTHER, str(snapshots)]

    def found() -> str:
        return subprocess.run(find, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    assert found() == "[]", "who restored it lives"
    restores.kill()
    restores.wait()
    # It may itself restore what cannot be told from this: it then holds the snapshot.
    (snapshots / "held").mkdir()
    held = os.open(snapshots / "held", os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_SH)
    assert found() == "[]", "process 1 restores"
    os.close(held)
    assert found() == str([restored]), "process 1 adopted it"
"""

ELSEWHERE = """
import ctypes
PR_SET_CHILD_SUBREAPER = 36
assert not ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
print(leave(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "code", [ADOPTING, RESTORING, UNREADABLE], ids=["adopts", "restores", "unreadable"]
)
def test_process_1_of_a_container_may_be_ours(tmp_path: Path, code: str) -> None:
    snapshots = tmp_path / "snapshots"
    snapshots.mkdir(mode=0o700)
    script = tmp_path / "entrypoint.py"
    script.write_text(LEAVE + IN_A_CONTAINER + code)
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    tests = Path(instances.__file__).parent
    done = subprocess.run(
        [*unshare, "env", f"PYTHONPATH={tests}", sys.executable, str(script), str(snapshots)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_who_adopts_need_be_no_ancestor_of_the_next_platform(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEAVE + ELSEWHERE, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as adopter:
        assert adopter.stdout is not None
        left = int(adopter.stdout.readline())
        assert end_orphans(tmp_path) == [left]
        eventually(lambda: not alive(left))
        adopter.communicate()
