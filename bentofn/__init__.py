"""bentofn: from nothing running to a correct answer, faster than anyone, on any backend.

Names are resolved on first use, so that importing this module costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import Field as Field

    from bentofn import bentos as bentos
    from bentofn import exceptions as exceptions
    from bentofn import images as images
    from bentofn import io as io
    from bentofn import models as models
    from bentofn import monitoring as monitoring
    from bentofn import validators as validators
    from bentofn import weights as weights
    from bentofn.runtime.api import api as api
    from bentofn.runtime.api import task as task
    from bentofn.runtime.arguments import use_arguments as use_arguments
    from bentofn.runtime.client import AsyncHTTPClient as AsyncHTTPClient
    from bentofn.runtime.client import SyncHTTPClient as SyncHTTPClient
    from bentofn.runtime.context import Context as Context
    from bentofn.runtime.context import Cookie as Cookie
    from bentofn.runtime.current import get_current_service as get_current_service
    from bentofn.runtime.current import importing as importing
    from bentofn.runtime.current import server_context as server_context
    from bentofn.runtime.declare import service as service
    from bentofn.runtime.dependency import Dependency as Dependency
    from bentofn.runtime.dependency import depends as depends
    from bentofn.runtime.frameworks import catboost as catboost
    from bentofn.runtime.frameworks import lightgbm as lightgbm
    from bentofn.runtime.frameworks import mlflow as mlflow
    from bentofn.runtime.frameworks import picklable_model as picklable_model
    from bentofn.runtime.frameworks import sklearn as sklearn
    from bentofn.runtime.frameworks import xgboost as xgboost
    from bentofn.runtime.hooks import after_restore as after_restore
    from bentofn.runtime.hooks import before_snapshot as before_snapshot
    from bentofn.runtime.hooks import on_deployment as on_deployment
    from bentofn.runtime.hooks import on_shutdown as on_shutdown
    from bentofn.runtime.hooks import on_startup as on_startup
    from bentofn.runtime.hooks import register_after_restore as register_after_restore
    from bentofn.runtime.hooks import register_before_snapshot as register_before_snapshot
    from bentofn.runtime.kept.file import kept_file as kept_file
    from bentofn.runtime.management import Bento as Bento
    from bentofn.runtime.management import build as build
    from bentofn.runtime.management import delete as delete
    from bentofn.runtime.management import export_bento as export_bento
    from bentofn.runtime.management import get as get
    from bentofn.runtime.management import import_bento as import_bento
    from bentofn.runtime.management import list as list
    from bentofn.runtime.management import load as load
    from bentofn.runtime.management import serve as serve
    from bentofn.runtime.model import Model as Model
    from bentofn.runtime.monitoring import monitor as monitor
    from bentofn.runtime.service import Service as Service
    from bentofn.runtime.tags import Tag as Tag

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    from bentofn.runtime import surface

    value = surface.find(__name__, name)
    globals()[name] = value
    return value


def __dir__() -> Iterable[str]:
    from bentofn.runtime import surface

    return sorted({*surface.HOMES, *surface.MODULES, *surface.FRAMEWORKS, "__version__"})
