"""A cold machine answers before all of a bento has arrived, and the rest arrives."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local import daemon
from bentofn.packager.build import BuildResult
from bentofn.packager.environment.target import base_interpreter
from bentofn.packager.home import Home
from bentofn.packager.lazy.complete import complete
from bentofn.packager.prefetch.artifact import LIST_TYPE, PACK_TYPE, find_prefetch
from bentofn.packager.prefetch.pack import write_pack
from bentofn.packager.prefetch.trace import Trace
from bentofn.packager.prefetch.tracer import trace_files
from bentofn.packager.registry.reference import parse_reference
from bentofn.packager.registry.transfer import pull
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.roots.mount_probe import can_mount
from bentofn.packager.store import Store
from bentofn.packager.store.descriptors import PREFETCH
from bentofn.packager.store.referrers import put_referrer, subject_descriptor
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot

REASON = can_mount("fuse")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(REASON is not None, reason=f"FUSE cannot be mounted: {REASON}"),
]
Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]
Document = dict[str, Any]

HOT, COLD = 9_000_000, 30_000_000
LAYERS = r"GET /v2/lazy/pages/blobs/\S+ bytes="


def document(done: subprocess.CompletedProcess[str]) -> Document:
    found: Document = json.loads(done.stdout)
    return found


def deploy(bentofn: Bentofn, node: Home) -> str:
    daemon.start(node, 0)
    done = bentofn("deploy", "pages:latest", "--target", "local", "--json", home=node.path)
    return str(json.loads(done.stdout)[0]["url"])


def ask(url: str, method: str, **arguments: object) -> Any:
    request = urllib.request.Request(
        f"{url}/{method}", json.dumps(arguments).encode(), {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        return json.loads(response.read())


def weights(home: Home) -> bytes:
    [file] = home.unpacked.glob("model-*/model.safetensors")
    return file.read_bytes()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_whole(node: Home) -> bool:
    return not Store(node).get("bento", "pages").lazy


def same_trees(ours: Path, theirs: Path) -> bool:
    done = subprocess.run(["diff", "-r", str(ours), str(theirs)], capture_output=True, check=False)
    return done.returncode == 0


def test_the_first_answer_takes_a_fraction(
    pages: BuildResult, pages_home: Home, origin: Any, node: Home, bentofn: Bentofn
) -> None:
    pulled = document(bentofn("pull", "--lazy", origin.address, "--json", home=node.path))
    assert pulled["missing_blobs_are_at"] == origin.address
    refused = bentofn("inspect", "pages", home=node.path, check=False)
    assert f"fetch the rest with: bentofn pull {origin.address}" in refused.stderr
    url = deploy(bentofn, node)
    # What is not hot must not come before it is asked for.
    origin.faults[r"GET \S+ $"] = lambda handler: handler.drop()
    expected = weights(pages_home)
    assert ask(url, "byte", offset=HOT) == expected[HOT]
    got = document(bentofn("get", "pages", "--json", home=node.path))
    assert got["fetched_before_first_answer"] < got["size"] / 4
    before = len(origin.ranges)
    assert ask(url, "byte", offset=COLD) == expected[COLD]
    assert len(origin.ranges) > before
    origin.faults.clear()
    wait_until(lambda: "all of pages" in bentofn("logs", "pages", home=node.path).stdout)
    assert is_whole(node)
    whole = materialise(node, Store(node).get("bento", "pages"))
    assert same_trees(whole, materialise(pages_home, Store(pages_home).get("bento", "pages")))
    # The running instance goes on; new ones start from the plain trees.
    assert ask(url, "byte", offset=COLD + 1) == expected[COLD + 1]
    assert not any(b"mounted" in os.fsencode(link.readlink()) for link in _links(node.roots))
    assert "all of it is here now" in bentofn("get", "pages", home=node.path).stdout


def test_a_registry_that_fails_is_asked_again(
    origin: Any, node: Home, bentofn: Bentofn, pages_home: Home
) -> None:
    bentofn("pull", "--lazy", origin.address, home=node.path)
    url = deploy(bentofn, node)
    faults = [lambda h: h.drop(), lambda h: h.give(500, b""), lambda h: h.serve(spoil=True)]

    def fail(handler: Any) -> None:
        faults.pop(0)(handler) if faults else handler.serve()

    origin.faults[LAYERS] = fail
    assert ask(url, "byte", offset=COLD) == weights(pages_home)[COLD]
    assert faults == []


def test_wrong_bytes_are_refused_and_told(
    origin: Any, node: Home, bentofn: Bentofn, pages_home: Home
) -> None:
    bentofn("pull", "--lazy", origin.address, home=node.path)
    url = deploy(bentofn, node)
    origin.faults[LAYERS] = lambda handler: handler.serve(spoil=True)
    origin.faults[r"GET \S+ $"] = lambda handler: handler.drop()
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(url, "source", module="testclient.py")
    # The file cannot be read, or a page of code cannot, which ends the instance (SIGBUS).
    assert caught.value.code in (500, 502)
    log = bentofn("logs", "pages", home=node.path).stdout
    assert "A piece of a layer is damaged" in log
    origin.faults.clear()
    plain, *_ = pages_home.unpacked.glob("env-*/starlette/testclient.py")
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    assert ask(url, "source", module="testclient.py") == [digest]


def test_a_kill_leaves_nothing_mounted_and_loses_nothing(
    origin: Any, node: Home, bentofn: Bentofn, pages_home: Home
) -> None:
    bentofn("pull", "--lazy", origin.address, home=node.path)
    url = deploy(bentofn, node)
    origin.faults[r"GET \S+ $"] = lambda handler: handler.drop()
    expected = weights(pages_home)
    assert ask(url, "byte", offset=COLD) == expected[COLD]
    running = daemon.status(node)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    wait_until(lambda: daemon.status(node) is None and _processes_of(node) == [])
    assert str(node.path) not in Path("/proc/self/mountinfo").read_text()
    daemon.start(node, running.port)
    asked = len(origin.ranges)
    assert ask(url, "byte", offset=COLD) == expected[COLD]
    assert len(origin.ranges) == asked  # it is still there
    daemon.stop(node)
    origin.faults.clear()
    archive = node.path.with_name("pages.tar")
    bentofn("export", "pages", str(archive), home=node.path)
    assert is_whole(node)


def test_a_registry_without_ranges_gives_all(origin: Any, node: Home, bentofn: Bentofn) -> None:
    origin.faults[LAYERS] = lambda handler: handler.serve(whole=True)
    done = bentofn("pull", "--lazy", origin.address, home=node.path)
    assert "sends whole layers only" in done.stderr
    assert is_whole(node)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take /dev/fuse away")
def test_a_machine_that_cannot_mount_fetches_all_first(
    origin: Any, node: Home, bentofn: Bentofn, pages_home: Home
) -> None:
    bentofn("pull", "--lazy", origin.address, home=node.path)
    code = (
        "from bentofn.packager.home import Home; from bentofn.packager.store import Store\n"
        "from bentofn.packager.roots.materialise import materialise\n"
        "from bentofn.packager.roots.providers import tree_providers\n"
        "home = Home.default(); providers = tree_providers(home)\n"
        "print(materialise(home, Store(home).get('bento', 'pages'), providers))"
    )
    without = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null /dev/fuse && exec "$@"', "sh"]
    done = subprocess.run(
        [*without, sys.executable, "-c", code],
        env={**os.environ, "BENTOFN_HOME": str(node.path), "BENTOFN_EROFS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "fetching all of pages" in done.stderr
    assert is_whole(node)
    plain = materialise(pages_home, Store(pages_home).get("bento", "pages"))
    assert same_trees(Path(done.stdout.strip()), plain)


def test_whole_files_are_traced_where_pages_cannot_be(
    pages: BuildResult, pages_home: Home, tmp_path: Path
) -> None:
    entry = Store(pages_home).get("bento", pages.tag)
    root = BentoRoot(materialise(pages_home, entry))
    trace = trace_files(root, base_interpreter(), tmp_path)
    found = {file.path: file.ranges for file in trace.files}
    assert not trace.pages
    size = (root.path / "models/weights/1/model.safetensors").stat().st_size
    assert found["models/weights/1/model.safetensors"] == ((0, size),)
    assert any(path.startswith("env/pydantic_core/") and ".so" in path for path in found)


def test_a_pack_of_other_bytes_is_found_out(
    pages: BuildResult, origin: Any, node: Home, tmp_path: Path
) -> None:
    store = Store(node)
    entry = pull(store, parse_reference(origin.address), print, lazy=True).entry
    complete(node, entry.tag, print)
    prefetch = find_prefetch(store, entry)
    assert prefetch is not None
    trace = Trace.from_json(prefetch.trace)
    with (tmp_path / "pack").open("wb") as pack:
        write_pack(trace, lambda path, offset, size: bytes(size), pack, 3)
    listed = store.put_bytes(prefetch.trace, LIST_TYPE)
    other = store.put_file(tmp_path / "pack", PACK_TYPE)
    put_referrer(store, subject_descriptor(entry), PREFETCH, [listed, other], replace=True)
    with pytest.raises(UserError, match="holds other bytes"):
        complete(node, entry.tag, print)


def _links(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_symlink()]


def _processes_of(node: Home) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(node.path) in command:
            found.append(command)
    return found
