"""``bentoml.gradio`` where Gradio is not installed; docs/mounts.md shows it where it is."""

from __future__ import annotations

import sys

import pytest

from bentofn.exceptions import MissingDependencyException
from bentofn.gradio import mount_gradio_app
from bentofn.runtime.errors import UserError


def test_gradio_is_asked_for_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingDependencyException, match="needs gradio"):
        mount_gradio_app(object(), "/ui")


def test_a_path_without_a_slash() -> None:
    with pytest.raises(UserError, match="'ui' must start with a slash"):
        mount_gradio_app(object(), "ui")
