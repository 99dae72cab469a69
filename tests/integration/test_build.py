"""From a project to a bento in the store: what is redone, what is refused, what is left behind."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.environment.target import base_interpreter
from bentofn.packager.home import Home, leftovers
from bentofn.packager.modelstore import import_model
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store
from bentofn.packager.trust.sbom import find_sbom
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest

SERVICE = """
import bentofn
import idna

@bentofn.service
class TinyEcho:
    def __init__(self) -> None:
        self.suffix = "!"

    @bentofn.api(examples=[{"text": "hi"}])
    def echo(self, text: str) -> str:
        \"\"\"Says it again.\"\"\"
        return idna.encode(text).decode() + self.suffix
"""
BENTOFILE = """
service: "service:TinyEcho"
labels: {owner: tests}
envs:
  - {name: MODE, value: fast}
  - {name: TOKEN}
python:
  packages: [idna]
"""


def write_project(folder: Path, service: str = SERVICE, bentofile: str = BENTOFILE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "service.py").write_text(textwrap.dedent(service))
    (folder / "bentofile.yaml").write_text(bentofile)
    return folder


def run(project: Path, home: Home, **options: object) -> BuildResult:
    return build(project, home, BuildOptions(**options), lambda message: None)  # type: ignore[arg-type]


def start(project: Path, home: Home, say: str = "''") -> subprocess.Popen[str]:
    """Build in a process of its own, which prints its progress and an expression of the result."""
    code = (
        "import sys; from pathlib import Path; from bentofn.packager.build import *;"
        "from bentofn.packager.home import Home;"
        "result = build(Path(sys.argv[1]), Home(Path(sys.argv[2])), BuildOptions(),"
        f" lambda message: print(message, flush=True)); print({say})"
    )
    command = [sys.executable, "-c", code, str(project), str(home.path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kinds(result: BuildResult) -> dict[str, str]:
    return {layer.kind: layer.digest for layer in result.layers}


def manifest(result: BuildResult, home: Home) -> BentoManifest:
    store = Store(home)
    return store.bento(store.get("bento", result.tag))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, BuildResult]:
    """A home in which the project's environment is made already."""
    folder = tmp_path_factory.mktemp("built")
    home = Home(folder / "home")
    return home, run(write_project(folder / "project"), home)


@pytest.fixture
def home(built: tuple[Home, BuildResult]) -> Home:
    return built[0]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


def refusal(project: Path, home: Home) -> str:
    with pytest.raises(UserError) as caught:
        run(project, home)
    assert "\n" not in str(caught.value)
    assert leftovers(home) == []
    return str(caught.value)


def test_what_is_in_a_bento(built: tuple[Home, BuildResult]) -> None:
    home, result = built
    bento = manifest(result, home)
    assert result.tag == bento.tag
    assert bento.name == "tiny_echo"
    assert len(bento.version) == 12
    assert bento.contract.import_string == "service:TinyEcho"
    assert [api.route for api in bento.contract.apis] == ["/echo"]
    assert bento.contract.apis[0].doc == "Says it again."
    assert any(line.startswith("idna==") and "--hash=sha256:" in line for line in bento.lock)
    assert not any("/" in line.split(" ")[0] or "://" in line for line in bento.lock)
    assert (bento.envs, bento.secrets) == ({"MODE": "fast"}, ("TOKEN",))
    assert bento.labels == {"owner": "tests"}
    kinds = dict.fromkeys(layer.kind for layer in result.layers)
    assert list(kinds) == ["env", "bytecode", "runtime", "code"]
    assert str(home.path) not in bento.to_json().decode()
    assert sys.prefix not in bento.to_json().decode()


def test_a_build_does_not_speak_of_a_parts_list_that_nobody_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cyclonedx", None)
    project, home = write_project(tmp_path / "project"), Home(tmp_path / "home")
    built = run(project, home)
    assert built.warnings == ()
    store = Store(home)
    with pytest.raises(UserError, match=r"cyclonedx-python-lib; install it"):
        find_sbom(home, store, store.get("bento", built.tag))


def test_the_root_runs_without_the_project(built: tuple[Home, BuildResult]) -> None:
    home, result = built
    root = materialise(home, Store(home).get("bento", result.tag))
    text = "import idna, starlette, service; print(idna.__cached__, service.TinyEcho.name)"
    path = os.pathsep.join(str(root / place) for place in ("src", "runtime", "env"))
    done = subprocess.run(
        [sys.executable, "-S", "-B", "-v", "-c", text],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    # Every module of the environment comes from the bytecode layer.
    loaded = [line for line in done.stderr.splitlines() if line.startswith("# code object from")]
    ours = [line for line in loaded if str(root) in line]
    assert ours
    assert [line for line in ours if not line.endswith(".pyc'")] == []


def test_a_cold_start_compiles_nothing(built: tuple[Home, BuildResult], tmp_path: Path) -> None:
    home, result = built
    root = materialise(home, Store(home).get("bento", result.tag))
    boot, log = BentoRoot(root).boot_script, tmp_path / "imports.txt"
    platform, control = socket.socketpair()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        platform,
        control,
        log.open("wb") as err,
    ):
        fds = (listener.fileno(), control.fileno())
        options = ("--listen-fd", str(fds[0]), "--control-fd", str(fds[1]), "--threads", "1")
        command = [str(base_interpreter()), "-v", "-I", "-S", str(boot), "instance", *options]
        child = subprocess.Popen(command, pass_fds=fds, stdout=subprocess.DEVNULL, stderr=err)
        try:
            client = http.client.HTTPConnection(*listener.getsockname(), timeout=60)
            for method, path in (("POST", "/echo"), ("GET", "/metrics"), ("GET", "/docs.json")):
                client.request(
                    method, path, b'{"text": "hi"}', {"content-type": "application/json"}
                )
                answer = client.getresponse()
                assert answer.status == 200, answer.read()
                answer.read()
        finally:
            child.kill()
            child.wait()
    loaded = [line for line in log.read_text().splitlines() if "code object from" in line]
    bento_lines = [line for line in loaded if str(root) in line]
    assert any("/env/prometheus_client/" in line for line in bento_lines)
    assert [line for line in bento_lines if not line.endswith(".pyc'")] == []


def test_another_home_path_umask_and_times_give_the_same_digest(
    built: tuple[Home, BuildResult], tmp_path: Path
) -> None:
    old = os.umask(0o077)
    try:
        other = write_project(tmp_path / "some" / "where" / "else")
        os.utime(other / "service.py", ns=(10**18, 10**18))
        result = run(other, Home(tmp_path / "home"))
    finally:
        os.umask(old)
    assert (result.tag, result.digest) == (built[1].tag, built[1].digest)
    assert not result.reused


def test_a_contract_that_follows_the_order_of_a_set_is_the_same(
    home: Home, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = SERVICE.replace("text: str", "text: str, names: list[str] = list(set('abcdefgh'))")
    digests = set()
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        monkeypatch.setenv("PYTHONPATH", str(project))
        # A line more makes the code another, so that the service is imported again.
        write_project(project, f"{listed}\nseed = {seed!r}")
        digests.add(repr(manifest(run(project, home), home).contract.apis))
    assert len(digests) == 1


def test_nothing_changed_is_reused(built: tuple[Home, BuildResult], project: Path) -> None:
    home, first = built
    again = run(project, home)
    assert again.reused
    assert (again.tag, again.digest, again.layers) == (first.tag, first.digest, first.layers)


def test_a_relative_home_and_project(
    built: tuple[Home, BuildResult], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.parent)
    assert run(Path("project"), Home(Path("home"))).digest == built[1].digest


def test_a_deleted_bento_is_built_again(home: Home, project: Path) -> None:
    (project / "data.txt").write_text("to be deleted")
    first = run(project, home)
    store = Store(home)
    store.delete("bento", first.tag)
    store.gc(minimum_age=0)
    again = run(project, home)
    assert again.digest == first.digest
    assert store.get("bento", first.tag).digest == first.digest


def test_a_line_of_code_changes_the_code_layer_only(
    built: tuple[Home, BuildResult], project: Path
) -> None:
    home, first = built
    write_project(project, SERVICE.replace("+ self.suffix", "+ self.suffix * 2"))
    steps: list[str] = []
    second = build(project, home, BuildOptions(), steps.append)
    assert second.tag != first.tag
    changed = {kind for kind in kinds(first) if kinds(first)[kind] != kinds(second)[kind]}
    assert changed == {"code"}
    assert steps == [], "neither installed nor imported"


def test_a_changed_signature_changes_the_contract(home: Home, project: Path) -> None:
    write_project(project, SERVICE.replace("text: str", "text: str, times: int = 1"))
    (api,) = manifest(run(project, home), home).contract.apis
    assert "times" in api.input_schema["properties"]


def test_name_version_and_labels_of_the_command_line(home: Home, project: Path) -> None:
    result = run(project, home, name="Other", version="v1", labels={"owner": "me"})
    assert result.tag == "other:v1"
    assert manifest(result, home).labels == {"owner": "me"}


def test_variables_and_labels_of_the_service_are_in_the_bento(home: Home, project: Path) -> None:
    declared = """@bentofn.service(
        labels={"team": "search", "owner": "service"},
        envs=[
            {"name": "KIND", "value": "echo"},
            {"name": "MODE", "value": "slow"},
            {"name": "KEY"},
            {"name": "TOKEN", "value": "known"},
            {"name": "BUILD_ONLY", "value": "1", "stage": "build"},
        ],
    )"""
    write_project(project, SERVICE.replace("@bentofn.service", declared))
    bento = manifest(run(project, home), home)
    assert bento.envs == {"KIND": "echo", "MODE": "fast", "TOKEN": "known"}
    assert bento.secrets == ("KEY",)
    assert bento.labels == {"team": "search", "owner": "tests"}


def test_models_of_the_service_and_the_bentofile(home: Home, project: Path, tmp_path: Path) -> None:
    declared = SERVICE.replace(
        "    def __init__",
        '    model = bentofn.models.BentoModel("weights:latest")\n\n    def __init__',
    )
    write_project(project, declared, f"{BENTOFILE}\nmodels: [{{tag: extra, alias: more}}]\n")
    assert "bentofn models import PATH --name extra" in refusal(project, home)
    for name in ("extra", "weights"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(f'"{name}"')
        import_model(Store(home), tmp_path / name, name)
    result = run(project, home)
    bento = manifest(result, home)
    assert [(model.name, model.alias) for model in bento.models] == [
        ("extra", "more"),
        ("weights", None),
    ]
    assert bento.contract.models == tuple(f"{m.name}:{m.version}" for m in bento.models)
    assert run(project, home).reused
    (tmp_path / "weights" / "config.json").write_text('"newer"')
    import_model(Store(home), tmp_path / "weights", "weights")
    newer = run(project, home)
    assert not newer.reused
    assert newer.digest != result.digest


@pytest.mark.parametrize(
    ("service", "says"),
    [
        (f"{SERVICE}\ndef broken(:\n    pass\n", "service.py:15: "),
        (SERVICE.replace("import idna", "import a_module_that_is_not_there"), "service.py"),
        (SERVICE.replace("text: str", "text: object()"), "echo"),
        (SERVICE.replace("class TinyEcho", "class Other"), "TinyEcho"),
        (f"{SERVICE}\nraise RuntimeError('not today')\n", "not today"),
        (f"{SERVICE}\nimport os\nos._exit(3)\n", "without an answer"),
    ],
    ids=["syntax", "import", "annotation", "name", "raise", "exit"],
)
def test_a_service_that_cannot_be_built(home: Home, project: Path, service: str, says: str) -> None:
    write_project(project, service)
    before = Store(home).list("bento")
    assert says in refusal(project, home)
    assert Store(home).list("bento") == before


def test_an_unknown_key(home: Home, project: Path) -> None:
    write_project(project, bentofile=f"{BENTOFILE}\ninclud: ['*']\n")
    assert refusal(project, home) == (
        "bentofile.yaml: unknown key 'includ'; did you mean 'include'?"
    )


def test_requirements_that_contradict_each_other(home: Home, project: Path) -> None:
    write_project(project, bentofile=BENTOFILE.replace("[idna]", "['idna>3', 'idna<3']"))
    assert refusal(project, home).startswith("The requirements cannot be satisfied: ")


def add_wheel(folder: Path, version: str) -> None:
    folder.mkdir(exist_ok=True)
    info = f"tinydep-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: tinydep\nVersion: {version}\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {"tinydep.py": "", f"{info}/METADATA": metadata, f"{info}/WHEEL": tags}
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"tinydep-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in (*files.items(), (f"{info}/RECORD", record)):
            wheel.writestr(name, text)


def test_an_upgrade_resolves_again(home: Home, project: Path) -> None:
    def version(result: BuildResult) -> str:
        (line,) = [line for line in manifest(result, home).lock if line.startswith("tinydep==")]
        return line.split()[0].removeprefix("tinydep==")

    add_wheel(project / "wheels", "1.0")
    write_project(
        project,
        bentofile=f"{BENTOFILE.replace('[idna]', '[idna, tinydep]')}  find_links: [wheels]\n"
        "exclude: [wheels]\n",
    )
    first = run(project, home)
    add_wheel(project / "wheels", "2.0")
    assert run(project, home).reused
    assert version(first) == "1.0"
    upgraded = run(project, home, upgrade=True)
    assert version(upgraded) == "2.0"
    assert run(project, home).tag == upgraded.tag
    assert run(project, home, upgrade=True).digest == upgraded.digest


def test_two_builds_at_once_in_one_home(tmp_path: Path, built: tuple[Home, BuildResult]) -> None:
    home = Home(tmp_path / "home")
    projects = [write_project(tmp_path / name) for name in ("one", "two", "three")]
    write_project(projects[2], SERVICE.replace('"!"', '"?"'))
    builds = [start(project, home, "result.digest, result.tag") for project in projects]
    printed = [child.communicate()[0].splitlines()[-1].split() for child in builds]
    digests, tags = zip(*printed, strict=True)
    assert digests[0] == digests[1] == built[1].digest
    assert digests[2] != digests[0]
    assert {entry.tag for entry in Store(home).list("bento")} == set(tags)
    assert leftovers(home) == []


def test_a_kill_leaves_nothing_that_is_taken_for_whole(
    tmp_path: Path, project: Path, built: tuple[Home, BuildResult]
) -> None:
    home = Home(tmp_path / "home")
    for word in ("Resolving", "Installing", "Packing", "Importing", "Compiling"):
        child = start(project, home)
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith(word):
                break
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert Store(home).list("bento") == []
    assert run(project, home).digest == built[1].digest


def test_an_interrupt_removes_its_temporary_files(tmp_path: Path, project: Path) -> None:
    home = Home(tmp_path / "home")

    def interrupt(message: str) -> None:
        if message.startswith("Packing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(project, home, BuildOptions(), interrupt)
    assert leftovers(home) == []
    assert Store(home).list("bento") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("mounting a small tmpfs needs root")
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    for _ in range(50):
        if subprocess.run(["umount", str(disk)], check=False).returncode == 0:
            return
        time.sleep(0.1)


def test_a_full_disk_which_needs_root_to_mount_a_tmpfs(
    small_disk: Path, project: Path, built: tuple[Home, BuildResult]
) -> None:
    home = Home(small_disk / "home")
    for size in ("64k", "2m", "20m", "32m", "36m"):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(small_disk)], check=True)
        message = refusal(project, home)
        assert "is full" in message, size
        assert "BENTOFN_HOME" in message
    subprocess.run(["mount", "-o", "remount,size=500m", str(small_disk)], check=True)
    assert run(project, home).digest == built[1].digest


def test_what_a_constructor_imports_is_compiled_too(project: Path, home: Home) -> None:
    late = SERVICE.replace("import idna\n", "").replace(
        'self.suffix = "!"', "import idna.codec, no_such_module\n        self.suffix = '!'"
    )
    write_project(project, late.replace("idna.encode(text).decode()", "text"))
    result = run(project, home)
    root = materialise(home, Store(home).get("bento", result.tag))
    assert list((root / "env" / "idna" / "__pycache__").glob("codec.*.pyc"))


def test_what_answering_the_examples_imports_has_bytecode_too(home: Home, project: Path) -> None:
    """As libraries import their parts when these are first used."""
    lazily = "__import__('importlib').import_module('idna.' + 'codec') and text"
    service = SERVICE.replace("import idna\n", "")
    write_project(project, service.replace("idna.encode(text).decode()", lazily))
    result = run(project, home)
    root = materialise(home, Store(home).get("bento", result.tag))
    assert list((root / "env" / "idna" / "__pycache__").glob("codec.*.pyc"))


def test_a_missing_model_is_named_before_packages_are_installed(
    tmp_path: Path, project: Path
) -> None:
    write_project(project, bentofile=BENTOFILE + "models: ['nobody:latest']\n")
    steps: list[str] = []
    with pytest.raises(UserError, match="bentofn models import PATH --name nobody"):
        build(project, Home(tmp_path / "empty"), BuildOptions(), steps.append)
    assert steps == []


def test_a_service_of_which_nothing_can_be_called_is_told(home: Home, project: Path) -> None:
    lines = SERVICE.splitlines(keepends=True)
    (project / "service.py").write_text(
        "".join(line for line in lines if "@bentofn.api" not in line)
    )
    (warning,) = [each for each in run(project, home).warnings if "@api" in each]
    assert warning.startswith("TinyEcho")
