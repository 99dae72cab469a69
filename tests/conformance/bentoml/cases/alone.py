"""A service of which nobody has said where its processes' metrics are."""

from __future__ import annotations

import os

import bentoml

os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)


@bentoml.service(traffic={"timeout": 1})
class Case:
    @bentoml.api
    def hello(self) -> str:
        return "hello"
