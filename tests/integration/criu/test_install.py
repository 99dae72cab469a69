"""The set-up script with the real apt: what it installs, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

import pytest

from bentofn.packager.snapshot.criu.check import why_unfit
from bentofn.packager.snapshot.criu.install import SCRIPT, run_script
from bentofn.packager.snapshot.criu.installed import criu_at, installed_criu
from bentofn.runtime.errors import UserError

Change = Callable[[str, bytes], bytes]
SECONDS = 60.0


def own_criu_is_fit() -> bool:
    """Whether this system's own package would be installed, in place of one beside it."""
    policy = subprocess.run(
        ["apt-cache", "policy", "criu"], capture_output=True, text=True, check=False
    )
    candidate = re.search(r"Candidate: (\d+)\.(\d+)", policy.stdout)
    return candidate is not None and (int(candidate[1]), int(candidate[2])) >= (4, 2)


pytestmark = [
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can install"),
    pytest.mark.skipif(
        shutil.which("apt-cache") is not None and own_criu_is_fit(),
        reason="this system's own criu is fit, so the script installs that",
    ),
]


@pytest.fixture
def through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes apt go through a proxy, given as ``host:port``."""

    def use(proxy: str) -> None:
        config = tmp_path / "apt.conf"
        config.write_text(f'Acquire::http::Proxy "http://{proxy}";\n')
        monkeypatch.setenv("APT_CONFIG", str(config))

    return use


@contextmanager
def man_in_the_middle(change: Change) -> Iterator[str]:
    """A proxy that may change what it hands on; gives ``host:port``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                with urllib.request.urlopen(self.path, timeout=SECONDS) as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, body = error.code, b""
            except OSError:
                status, body = 502, b""
            body = change(urlparse(self.path).path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


@pytest.mark.slow
def test_it_installs_a_criu_that_works_here_and_once_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    folder = tmp_path / "criu"
    try:
        said = run_script(folder)
    except UserError as error:
        pytest.skip(f"Debian cannot be reached: {error}")
    assert "is installed" in said
    assert list(temporary.iterdir()) == []
    (version,) = left_in(folder)
    criu = next(iter(installed_criu(folder)))
    assert criu == criu_at(folder / version / "criu")
    assert criu.version == version
    assert why_unfit(criu) is None
    moved = tmp_path / "moved"
    folder.rename(moved)
    by_hand = [str(moved / version / "criu"), "--version"]
    assert version in subprocess.run(by_hand, capture_output=True, text=True, check=True).stdout
    assert "is there" in run_script(moved)


@pytest.mark.slow
def test_setup_turns_the_template_engine_of_a_host_into_criu(tmp_path: Path) -> None:
    # Where /opt/bentofn and the system's own CRIU are hidden, for this one process.
    hidden = [path for path in ("/opt/bentofn", "/usr/sbin/criu") if Path(path).exists()]
    hide = "".join(
        f"mount -t tmpfs tmpfs {path};"
        if Path(path).is_dir()
        else f"mount --bind /dev/null {path};"
        for path in hidden
    )
    doctor, setup = (
        f"{sys.executable} -m bentofn {words}" for words in ("doctor", "snapshot setup")
    )
    script = f"set -e; {hide} {doctor} --json; echo ---; {setup}; echo ---; {doctor} --json"
    environment = {**os.environ, "BENTOFN_HOME": str(tmp_path / "home")}
    environment.pop("BENTOFN_CRIU", None)
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if "could not be fetched" in done.stderr:
        pytest.skip(f"Debian cannot be reached: {done.stderr}")
    assert done.returncode == 0, done.stderr
    before, said, after = done.stdout.split("---\n")
    assert json.loads(before)["engine"] == "template"
    (found,) = [each for each in json.loads(before)["findings"] if "criu" in each["what"]]
    assert found["mend"] == "bentofn snapshot setup"
    assert "is installed and works here: /opt/bentofn/criu/" in said
    assert json.loads(after)["engine"] == "criu"


@pytest.mark.slow
@pytest.mark.parametrize("changed", [r"/criu_[^/]*deb$", "InRelease$", "/binary-"])
def test_what_was_tampered_with_is_refused(
    tmp_path: Path, through: Callable[[str], None], changed: str
) -> None:
    seen: list[str] = []

    def tamper(path: str, body: bytes) -> bytes:
        if not body or not re.search(changed, path):
            return body
        seen.append(path)
        middle = len(body) // 2
        return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]

    folder = tmp_path / "criu"
    with man_in_the_middle(tamper) as proxy:
        through(proxy)
        with pytest.raises(
            UserError, match="whole and signed, so nothing was installed"
        ) as refused:
            run_script(folder)
    if not seen:
        pytest.skip(f"Debian cannot be reached over http: {refused.value}")
    assert left_in(folder) == []


def test_without_a_network_it_says_so_and_leaves_nothing(
    tmp_path: Path, through: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    folder = tmp_path / "criu"
    (folder / ".bentofn-tmp-1" / "half").mkdir(parents=True)  # of one that was killed
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        through(f"127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(UserError, match="could not be fetched") as refused:
            run_script(folder)
    assert "Connection refused" in str(refused.value)
    assert "BENTOFN_CRIU" in str(refused.value)
    assert left_in(folder) == []
    assert list(temporary.iterdir()) == []


def test_interrupted_it_leaves_nothing(
    tmp_path: Path, through: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    folder = tmp_path / "criu"
    code = f"""
from pathlib import Path
from bentofn.packager.snapshot.criu.install import run_script
run_script(Path({str(folder)!r}))
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        through(f"127.0.0.1:{silent.getsockname()[1]}")
        running = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
        silent.settimeout(SECONDS)
        connection, _ = silent.accept()  # apt has asked, and waits
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=SECONDS)
        connection.close()
    assert b"KeyboardInterrupt" in said
    assert left_in(folder) == []
    assert list(temporary.iterdir()) == []


def test_another_user_is_told_who_can() -> None:
    done = subprocess.run(
        ["sh", "-s", "/nowhere"],
        input=SCRIPT.read_text(),
        user=65534,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Only root can install CRIU")


def test_a_host_without_apt_is_told_what_to_do_by_hand(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    done = subprocess.run(
        [shell, str(SCRIPT)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no apt-get" in done.stderr
    assert "by hand" in done.stderr
    assert "BENTOFN_CRIU" in done.stderr
