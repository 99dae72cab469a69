"""What cannot be packaged for Lambda."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from bentofn.packager.environment.target import host_platform
from bentofn.packager.home import Home
from bentofn.packager.lambda_.package import package
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.store import Store
from bentofn.packager.store.descriptors import LAYER_KIND
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_a_layer_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    store = Store(home)
    layer = put_layer(store, [LayerFile("opt/bento/x", b"x")], kind="env", title="x")
    layer = replace(layer, annotations={**layer.annotations, LAYER_KIND: "kernels"})
    contract = ServiceContract("g", "s:G")
    bento = BentoManifest("greeter", "1", contract, PYTHON, host_platform())
    store.add_bento(bento, [layer], datetime(2026, 1, 1, tzinfo=timezone.utc))
    with pytest.raises(UserError, match="greeter:1 has a layer of kind 'kernels'"):
        package(home, "greeter", "zip", print)
