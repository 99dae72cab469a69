"""Which versions of Modal's client are taken, and what is said otherwise."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement

from bentofn.adapters.modal import versions
from bentofn.adapters.modal.versions import REQUIREMENT, check_client
from bentofn.runtime.errors import UserError


@pytest.mark.parametrize("installed", ["1.5.4", "1.6.0", "1.6.4", "1.6.5.dev2"])
def test_a_version_that_is_known_to_work(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    monkeypatch.setattr(versions, "version", lambda _: installed)
    assert check_client() == installed


@pytest.mark.parametrize("installed", ["0.73.1", "1.5.3", "1.7.0", "2.0"])
def test_another_version_names_the_right_one(
    monkeypatch: pytest.MonkeyPatch, installed: str
) -> None:
    monkeypatch.setattr(versions, "version", lambda _: installed)
    with pytest.raises(UserError) as error:
        check_client()
    assert installed in str(error.value)
    assert REQUIREMENT in str(error.value)


def test_no_client_names_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", absent)
    with pytest.raises(UserError, match="pip install"):
        check_client()


def test_the_extra_asks_for_the_same() -> None:
    wanted = [Requirement(text) for text in requires("bentofn") or ()]
    (extra,) = [r for r in wanted if r.name == "modal" and 'extra == "modal"' in str(r.marker)]
    assert extra.specifier == Requirement(REQUIREMENT).specifier
