import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from bentofn.packager.files import (
    TEMPORARY_PREFIX,
    atomic_write,
    clear_stale,
    temporary_directory,
    temporary_file,
    writing,
)
from bentofn.packager.home import Home, leftovers
from bentofn.runtime.errors import UserError


def test_the_home_is_the_one_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_HOME", str(tmp_path / "mine"))
    assert Home.default().path == tmp_path / "mine"
    monkeypatch.delenv("BENTOFN_HOME")
    assert Home.default().path == Path.home() / ".bentofn"


def test_a_new_home_is_for_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").create()
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_a_file_in_the_way_of_the_home_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(UserError, match=r"home"):
        Home(tmp_path / "home").create()
    with pytest.raises(UserError, match=r"home"):
        Home(tmp_path / "home" / "deeper").create()


def test_a_lock_has_one_holder_and_tells_who_waits(tmp_path: Path) -> None:
    home = Home(tmp_path)
    messages: list[str] = []
    entered: list[str] = []
    waits = threading.Event()

    def second() -> None:
        def waiting(message: str) -> None:
            messages.append(message)
            waits.set()

        with home.lock("store", waiting=waiting):
            entered.append("second")

    with home.lock("store"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(30)
        with home.try_lock("store") as free:
            assert not free
        entered.append("first")
    thread.join(30)
    assert entered == ["first", "second"]
    assert len(messages) == 1
    assert "'store'" in messages[0]


def test_shared_holders_keep_an_exclusive_one_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.lock("x", shared=True), home.lock("x", shared=True), home.try_lock("x") as free:
        assert not free
    with home.try_lock("x") as free:
        assert free


def test_a_lock_name_cannot_leave_the_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError), Home(tmp_path).lock("../x"):
        pass


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_a_disk_that_cannot_be_written_is_named(tmp_path: Path, code: int) -> None:
    with pytest.raises(UserError, match=str(tmp_path)), writing(tmp_path):
        raise OSError(code, os.strerror(code))


def test_other_failures_pass(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError), writing(tmp_path):
        raise InterruptedError(errno.EINTR, "")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic_write(path, b"old")
    with suppress(KeyboardInterrupt), temporary_file(tmp_path) as temporary:
        temporary.file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_found_and_cleared(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").create()
    program = (
        "import sys, time, pathlib\n"
        "from bentofn.packager.files import temporary_directory, temporary_file\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "with temporary_file(path), temporary_directory(path) as folder:\n"
        "    (folder / 'x').write_text('')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home.path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert leftovers(home) == []
        process.send_signal(signal.SIGKILL)
    found = leftovers(home)
    assert len(found) == 2
    assert all(path.name.startswith(TEMPORARY_PREFIX) for path in found)
    assert all(clear_stale(path) for path in found)
    assert list(home.path.iterdir()) == []


def test_what_a_live_process_makes_is_not_cleared(tmp_path: Path) -> None:
    with temporary_file(tmp_path) as file, temporary_directory(tmp_path) as folder:
        assert leftovers(Home(tmp_path)) == []
        assert not clear_stale(file.path)
        assert not clear_stale(folder)
        assert file.path.exists()
        assert folder.exists()
