"""What the runtime needs in an environment besides, for what a service's code names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bentofn.packager.build_inputs import BuildOptions, gather
from bentofn.packager.environment.runtime_requirements import named_requirements
from bentofn.packager.home import Home


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (b"@bentoml.asgi_app(app, path='/v1')", ["uvicorn", "wsproto"]),
        (b"svc.mount_wsgi_app(flask)", ["a2wsgi"]),
        (b"from bentoml import SyncHTTPClient", ["httpx"]),
        (b"llm = bentoml.depends(\n    url='http://x'\n)", ["httpx"]),
        (b"OpenAI(http_client=self.llm.to_sync.client)", ["httpx"]),
        (b"other = bentoml.depends(Other)\nurl = 1", []),
        (b"def f(self, rows: np.ndarray) -> torch.Tensor", ["pysimdjson"]),
        (b"import bentoml", []),
    ],
)
def test_what_is_named_is_there(code: bytes, names: list[str]) -> None:
    assert [line.partition(">")[0] for line in named_requirements([b"", code])] == names


def needed(folder: Path, sdk: str, listed: str) -> set[str]:
    """The names of what a project's environment must hold, besides the runtime's own."""
    project = folder / "project"
    project.mkdir()
    (project / "bentofile.yaml").write_text(f"service: service:S\npython: {{packages: [{listed}]}}")
    (project / "helper.py").write_text("def f():\n    import yaml.representer\n")
    (project / "script.py").write_text("import rich\n")
    (project / "service.py").write_text(
        f"import {sdk}\nimport httpx, numpy.typing as npt\nfrom helper import f\n"
        f"@{sdk}.service\nclass S: ...\n"
    )
    found = gather(project, Home(folder / "home"), BuildOptions()).requirements.packages
    return {re.split("[=<>]", line)[0] for line in found} & {"httpx", "numpy", "PyYAML", "rich"}


def test_what_came_with_bentoml_is_there_where_the_service_imports_it(tmp_path: Path) -> None:
    assert needed(tmp_path, "bentoml", "six") == {"httpx", "numpy", "PyYAML"}


def test_a_project_of_bentofn_lists_its_packages(tmp_path: Path) -> None:
    assert needed(tmp_path, "bentofn", "six") == set()


def test_a_version_of_the_projects_own_counts(tmp_path: Path) -> None:
    assert needed(tmp_path, "bentoml", "numpy==2.0.0") == {"httpx", "numpy", "PyYAML"}
    found = gather(tmp_path / "project", Home(tmp_path / "home"), BuildOptions())
    assert "numpy==2.0.0" in found.requirements.packages
    assert "numpy" not in found.requirements.packages
