"""A platform whose machine has GPUs that are stood in for (tests/servers/fakecuda)."""

from __future__ import annotations

import http.client
import json
import os
import site
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bentofn
from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.logs import log_path
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec, FunctionStatus
from bentofn.packager.home import Home
from bentofn.runtime.manifest import APIContract, BentoManifest, ServiceContract

if TYPE_CHECKING:
    from fakecuda import FakeCuda

SERVICE = Path(__file__).with_name("service.py")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bento of the service beside this file, made of links."""
    directory = tmp_path_factory.mktemp("gpu") / "root"
    (directory / "src").mkdir(parents=True)
    (directory / "src" / "service.py").write_text(SERVICE.read_text())
    package = directory / "runtime" / "bentofn"
    package.mkdir(parents=True)
    for part in ("__init__.py", "models.py", "exceptions.py", "runtime"):
        (package / part).symlink_to((Path(bentofn.__path__[0]) / part).resolve())
    (directory / "env").mkdir()
    for entry in Path(site.getsitepackages()[0]).iterdir():
        if entry.suffix != ".pth" and "bentofn" not in entry.name:
            (directory / "env" / entry.name).symlink_to(entry)
    schema = {"type": "object"}
    apis = tuple(
        APIContract(n, f"/{n}", schema, schema) for n in ("about", "hold", "predict", "weights")
    )
    contract = ServiceContract(
        "Model", "service:Model", apis=apis, config={"resources": {"gpu": 1}}
    )
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    manifest = BentoManifest("model", "1", contract, python, "linux/amd64")
    (directory / "bento.json").write_bytes(manifest.to_json())
    return directory


class Machine:
    """A platform with a GPU.

    Args:
        home: Its home.
        root: The bento.
        cuda: The driver's stand-in.
    """

    def __init__(self, home: Home, root: Path, cuda: FakeCuda) -> None:
        self.adapter = LocalAdapter(home, port=0)
        self.home = home
        self.cuda = cuda
        self.told: list[str] = []
        """What deployments said on their way."""
        self._root = root

    def spec(
        self, name: str, model: int = 1 << 20, weights: str = "", **settings: Any
    ) -> FunctionSpec:
        """A function whose model has so many bytes, and that may load a file of weights."""
        env = {name: os.environ[name] for name in os.environ if name.startswith("BENTOFN_FAKECUDA")}
        env |= {**self.cuda.environment, "MODEL_BYTES": str(model)}
        env |= {"WEIGHTS": weights} if weights else {}
        given = {"cpu": 1, "idle_timeout": 600.0, "max_instances": 1, **settings}
        return FunctionSpec(name, str(self._root), FunctionSettings(environment=env, **given))

    def deploy(self, name: str, **settings: Any) -> None:
        """Have a function, as :meth:`spec` takes it."""
        self.adapter.apply(self.spec(name, **settings), self.told.append)

    def call(self, name: str, route: str = "predict", **body: Any) -> Any:
        """What a function answers."""
        endpoint = daemon.status(self.home)
        assert endpoint is not None
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/{name}/{route}", json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, (answer, self.log(name)[-3000:])
        return json.loads(answer)

    def status(self, name: str) -> FunctionStatus:
        """How a function stands."""
        (found,) = [each for each in self.adapter.status() if each.name == name]
        return found

    def log(self, name: str) -> str:
        """What it and the platform wrote."""
        return log_path(self.home.logs, name).read_text()

    def processes(self) -> dict[int, int]:
        """Processes of instances, to the bytes that they have on the device."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.cuda.path) not in (process / "maps").read_text():
                    continue
                if (
                    int(process.name) != os.getpid()
                    and b"controller" not in (process / "cmdline").read_bytes()
                ):
                    found[int(process.name)] = self.cuda.on_device(int(process.name))
            except OSError:
                continue
        return found


@pytest.fixture
def machine(
    root: Path, fake_cuda: FakeCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    """A platform on a machine with one GPU of 16 MiB."""
    devices = tmp_path / "dev"
    devices.mkdir()
    (devices / "nvidia0").touch()
    monkeypatch.setenv("BENTOFN_DEVICES", str(devices))
    monkeypatch.setenv("BENTOFN_FAKECUDA_MEMORY", str(16 << 20))
    monkeypatch.setenv("BENTOFN_CRIU", "/nowhere/criu")
    with tempfile.TemporaryDirectory() as directory:
        home = Home(Path(directory) / "home")
        try:
            yield Machine(home, root, fake_cuda)
        finally:
            daemon.stop(home)
