"""One home in which the embeddings example is built, shared by the tests that need it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from otlp import Receiver, receiving

from bentofn.adapters.local import daemon
from bentofn.commands.demo import build_example, import_weights
from bentofn.packager.build import BuildResult
from bentofn.packager.home import Home
from bentofn.packager.snapshot.criu.binary import Criu, CriuUnfit, find_criu
from bentofn.packager.snapshot.criu.kdat import ensure_kdat

REPOSITORY = Path(__file__).resolve().parents[2]

MACHINES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]
WriteWheel = Callable[..., Path]


@pytest.fixture(scope="session")
def example_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with the model imported; its platform is stopped at the end."""
    home = Home(tmp_path_factory.mktemp("example") / "home")
    import_weights(home, print)
    yield home
    daemon.stop(home)


@pytest.fixture(scope="session")
def example(example_home: Home) -> BuildResult:
    """The embeddings example, built."""
    return build_example(example_home, print)


@pytest.fixture(scope="session")
def criu() -> Criu:
    """A CRIU that works here; where there is none, the test is skipped with the reason."""
    try:
        found = find_criu()
    except CriuUnfit as reason:
        pytest.skip(str(reason))
    ensure_kdat(found)
    return found


@pytest.fixture(scope="session")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of aws-sam-cli, and of chevron, with which it writes its sample events."""
    folder = tmp_path_factory.mktemp("sam")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    command += ["--only-binary", ":all:", "aws-sam-cli>=1.130", "chevron"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 2:
        pytest.skip(f"aws-sam-cli cannot be had: {done.stderr.strip()[-200:]}")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "files")
    return folder / "files"


@pytest.fixture(scope="session")
def rie(sam: Path) -> Path:
    """The program of AWS's runtime interface emulator."""
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        pytest.skip("aws-sam-cli has no emulator for this machine")
    program = sam / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{machine}"
    program.chmod(0o755)
    return program


@pytest.fixture(scope="session")
def bentofn() -> Bentofn:
    """Runs the command ``bentofn`` in a process of its own, on a given home."""

    def run(
        *arguments: str, home: Path, cwd: Path | None = None, check: bool = True, **variables: str
    ):  # type: ignore[no-untyped-def]
        environment = {**os.environ, "BENTOFN_HOME": str(home), **variables}
        done = subprocess.run(
            [sys.executable, "-m", "bentofn", *arguments],
            env=environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Gets the traces of the platforms that are started in a test."""
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        yield receiver


@pytest.fixture(scope="session")
def write_wheel() -> WriteWheel:
    """Writes a wheel of given files; the same arguments give the same bytes."""

    def write(
        folder: Path,
        name: str,
        version: str,
        files: Mapping[str, bytes] | None = None,
        *,
        tag: str = "py3-none-any",
        requires: Sequence[str] = (),
    ) -> Path:
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {item}\n" for item in requires)
        tags = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
        content = {
            **({f"{name}/__init__.py": b""} if files is None else files),
            f"{info}/METADATA": metadata.encode(),
            f"{info}/WHEEL": tags.encode(),
        }
        record = "".join(f"{path},,\n" for path in (*content, f"{info}/RECORD"))
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{name}-{version}-{tag}.whl"
        with zipfile.ZipFile(target, "w") as wheel:
            for path, data in {**content, f"{info}/RECORD": record.encode()}.items():
                wheel.writestr(zipfile.ZipInfo(path), data)
        return target

    return write


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout, alone in its folder."""
    # From a copy: setuptools would mix an old build/ folder of the checkout into the wheel.
    source = tmp_path_factory.mktemp("source") / "bentofn"
    left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(REPOSITORY, source, symlinks=True, ignore=left_out)
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(target)]
    subprocess.run([*command, str(source)], check=True)
    return next(target.glob("bentofn-*.whl"))
