from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bentofn.packager.code.served_names import needed_of_bentoml
from bentofn.runtime import surface


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    (folder / "service.py").write_text("import bentoml\nfrom models import kept\nbentoml.service\n")
    (folder / "models" / "__init__.py").write_text("")
    (folder / "models" / "kept.py").write_text("from bentoml import client\n")
    (folder / "script.py").write_text("import bentoml.legacy\n")
    return folder


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delitem(sys.modules, "bentoml", raising=False)
    package = tmp_path / "site" / "bentoml" / "__init__.py"
    package.parent.mkdir(parents=True)
    monkeypatch.syspath_prepend(package.parent.parent)
    return package


def test_what_a_service_and_its_modules_use_where_bentoml_is_beside(
    project: Path, beside: Path
) -> None:
    beside.write_text("")
    for target in ("service:Any", "service", "service.py:Any"):
        assert needed_of_bentoml(project, target) == ("bentoml.client",)
    assert needed_of_bentoml(project, "models.other:Any") == ()


def test_nothing_where_there_is_no_other_bentoml(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "bentoml", raising=False)
    monkeypatch.syspath_prepend(surface.dropin())
    assert needed_of_bentoml(project, "service:Any") == ()


def test_a_folder_of_that_name_is_no_package(project: Path, beside: Path) -> None:
    assert needed_of_bentoml(project, "service:Any") == ()
