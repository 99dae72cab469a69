from __future__ import annotations

from pathlib import Path

from bentofn.adapters.local.isolation.hierarchies import Hierarchy, find_hierarchies

MOUNT = "{n} 20 0:{n} {root} {mount} rw,nosuid shared:9 - {kind} {kind} {options}\n"


def process(tmp_path: Path, cgroup: str, *mounts: tuple[str, str, str, str]) -> Path:
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(cgroup)
    lines = [
        MOUNT.format(n=30 + n, kind=kind, root=root, mount=mount, options=options)
        for n, (kind, root, mount, options) in enumerate(mounts)
    ]
    (proc / "mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/vda rw\n" + "".join(lines))
    return proc


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    proc = process(
        tmp_path,
        "9:name=systemd:/\n4:memory:/user/one\n2:cpu,cpuacct:/\n0::/\n",
        ("cgroup", "/", "/sys/fs/cgroup/cpu,cpuacct", "rw,cpu,cpuacct"),
        ("cgroup", "/", "/sys/fs/cgroup/memory", "rw,memory"),
    )
    found = find_hierarchies(proc)
    memory = Path("/sys/fs/cgroup/memory")
    assert found["memory"] == Hierarchy(1, memory, memory / "user/one")
    assert found["cpu"].own == Path("/sys/fs/cgroup/cpu,cpuacct")


def test_a_container_sees_a_part_of_the_tree(tmp_path: Path) -> None:
    proc = process(
        tmp_path,
        "4:memory:/docker/abc/inner\n5:cpu:/docker/abc\n",
        ("cgroup", "/docker/abc", "/sys/fs/cgroup/memory", "ro,memory"),
        ("cgroup", "/other", "/sys/fs/cgroup/cpu", "ro,cpu"),
    )
    found = find_hierarchies(proc)
    assert found["memory"].own == Path("/sys/fs/cgroup/memory/inner")
    assert found["cpu"].own == Path("/sys/fs/cgroup/cpu")


def test_version_2_has_the_controllers_that_the_own_group_was_given(tmp_path: Path) -> None:
    mount = tmp_path / "a group"
    own = mount / "user.slice"
    own.mkdir(parents=True)
    (own / "cgroup.controllers").write_text("cpu memory pids\n")
    escaped = str(mount).replace(" ", "\\040")
    proc = process(tmp_path, "0::/user.slice\n", ("cgroup2", "/", escaped, "rw"))
    found = find_hierarchies(proc)
    assert set(found) == {"cpu", "memory", "pids"}
    assert found["memory"] == Hierarchy(2, mount, own)


def test_where_there_are_no_control_groups_nothing_is_found(tmp_path: Path) -> None:
    assert find_hierarchies(tmp_path) == {}
    assert find_hierarchies(process(tmp_path, "0::/\n")) == {}
