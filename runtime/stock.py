"""A service that needs BentoML's own package, answered by BentoML's own application.

Everything around the application is bentofn's: the process, the server, the platform, the artifact.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bentofn.runtime import current
from bentofn.runtime.errors import UserError
from bentofn.runtime.hooks import on_shutdown, on_startup
from bentofn.runtime.http.tasks import RUN, TASK_HEADER
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import APIContract, BentoManifest, ServiceContract
from bentofn.runtime.models import HUB_PREFIX
from bentofn.runtime.service import Service
from bentofn.runtime.state import state_folder

PACKAGES = ("bentoml", "_bentoml_sdk", "_bentoml_impl")

_TASK = "bentofn.task"
"""The ASGI extension that marks a task's run."""


class StockService(Service[Any]):
    """A service that BentoML's own package declares.

    Args:
        stock: The service.
        import_string: ``module:Name`` of it.

    Raises:
        UserError: It has runners, which need BentoML's tree of processes.
    """

    def __init__(self, stock: Any, import_string: str) -> None:
        if getattr(stock, "runners", ()):
            raise UserError(
                f"{import_string} has runners, which only BentoML's own server starts; make each "
                "runner's class a service and name it with bentoml.depends."
            )
        config = getattr(stock, "config", {})
        kept = {key: config[key] for key in ("resources", "traffic", "workers") if key in config}
        super().__init__(str(stock.name), kept, _Instance)
        self.stock = stock
        self.at = import_string
        self.app: Any = None
        self.add_asgi_middleware(_Forward, service=self)

    @property
    def import_string(self) -> str:
        """``module:Name`` by which the service can be imported."""
        return self.at

    def make_app(self) -> Any:
        """Make BentoML's application; it makes the service's instance when it starts."""
        _tell_context()
        legacy = not hasattr(self.stock, "to_asgi")
        self.app = self.stock.asgi_app if legacy else self.stock.to_asgi(is_main=True)
        if any(getattr(api, "is_task", False) for api in self.stock.apis.values()):
            _except_tasks(self.app)
        return self.app

    def contract(self) -> ServiceContract:
        """What the service promises, as BentoML's own package describes it."""
        return ServiceContract(
            name=self.name,
            import_string=self.at,
            config=self.config,
            apis=tuple(_api(name, each) for name, each in sorted(self.stock.apis.items())),
            models=tuple(filter(None, map(_model, getattr(self.stock, "models", ())))),
            envs={
                env.name: env.value or None
                for env in getattr(self.stock, "envs", ())
                if env.stage != "build"
            },
            labels=dict(getattr(self.stock, "labels", {})),
        )


def is_stock(value: object) -> bool:
    """Whether a value is a service of BentoML's own package."""
    package = type(value).__module__.partition(".")[0]
    return package in PACKAGES and (hasattr(value, "to_asgi") or hasattr(value, "asgi_app"))


def prepare() -> None:
    """Set what BentoML's own package reads from the environment.

    In a bento its home is a folder that may be written, where its models are the bento's, and each
    process counts for itself.
    """
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    root = BentoRoot.current()
    if root is not None:
        manifest = BentoManifest.read(root.manifest)
        home = state_folder(manifest.name) / "bentoml"
        for model in manifest.models:
            _link(root.models / model.name / model.version, home / "models" / model.name)
        os.environ["BENTOML_HOME"] = str(home)
    if root is not None or "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="bentofn-metrics-")


def _tell_context() -> None:
    """Give BentoML's own ``server_context`` what its worker would know."""
    theirs = import_module("bentoml").server_context
    for name, value in vars(current.server_context).items():
        if hasattr(theirs, name):
            setattr(theirs, name, value)


def _link(model: Path, folder: Path) -> None:
    """Let BentoML's store have a model of the bento, as the latest of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / model.name
    new = folder / f".{model.name}.{os.getpid()}"
    new.symlink_to(model)
    new.replace(link)
    (folder / "latest").write_text(model.name)


class _Instance:
    """What bentofn starts and stops: BentoML's application, made after a snapshot's restore."""

    bento_service: StockService

    @on_startup
    async def start(self) -> None:
        prepare()  # a copy of a process has another environment
        app = self.bento_service.make_app()
        self.stack = AsyncExitStack()
        router = getattr(_innermost(app), "router", None)
        if router is not None:
            await self.stack.enter_async_context(router.lifespan_context(app))

    @on_shutdown
    async def stop(self) -> None:
        await self.stack.aclose()


class _Forward:
    """Middleware that gives every request to BentoML's application."""

    def __init__(self, app: Any, service: StockService) -> None:
        self.own = app
        self.service = service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self.service.app
        if scope["type"] == "lifespan" or app is None:
            app = self.own
        is_run = scope["type"] == "http" and scope["path"].endswith(f"/{RUN}")
        await app(_as_call(scope) if is_run else scope, receive, send)


def _as_call(scope: Any) -> Any:
    """The call of a task's method, where a platform that keeps the tasks asks for one to be run.

    BentoML's own routes of tasks keep them in the instance, which would be stopped under them.
    """
    task = dict(scope["headers"]).get(TASK_HEADER)
    if task is None or not os.environ.get("BENTOFN_INSTANCE"):
        return scope
    path = scope["path"].removesuffix(f"/{RUN}") or "/"
    state = {**scope.get("state", {}), "task_id": task.decode("latin-1")}
    extensions = {**scope.get("extensions", {}), _TASK: {}}
    changed = {"path": path, "raw_path": quote(path).encode()}
    return {**scope, **changed, "state": state, "extensions": extensions}


def _except_tasks(app: Any) -> None:
    """Have BentoML's limits of time and of requests hold for calls alone: a task has waited."""
    for number, each in enumerate(app.user_middleware):
        kind, *_, options = each
        if kind.__module__ == "bentoml._internal.server.http.traffic":
            limited = partial(kind, **options)
            app.user_middleware[number] = type(each)(_CallsOnly, limited=limited)


class _CallsOnly:
    """Middleware of BentoML's that tasks pass by."""

    def __init__(self, app: Any, limited: Callable[[Any], Any]) -> None:
        self.app = app
        self.limited = limited(app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        is_task = _TASK in scope.get("extensions", ())
        await (self.app if is_task else self.limited)(scope, receive, send)


def _innermost(app: Any) -> Any:
    while not hasattr(app, "router") and hasattr(app, "app"):
        app = app.app
    return app


def _api(name: str, api: Any) -> APIContract:
    route = api.route if api.route.startswith("/") else f"/{api.route}"
    return APIContract(
        name=name,
        route=route,
        input_schema=_schema(getattr(api, "input_spec", None)),
        output_schema=_schema(getattr(api, "output_spec", None)),
        batchable=bool(getattr(api, "batchable", False)),
        is_stream=bool(getattr(api, "is_stream", False)),
        doc=api.doc or "",
        is_task=bool(getattr(api, "is_task", False)),
    )


def _schema(spec: Any) -> dict[str, Any]:
    return {} if spec is None else dict(spec.model_json_schema())


def _model(model: Any) -> str | None:
    if hasattr(model, "model_id"):
        return f"{HUB_PREFIX}{model.model_id}@{getattr(model, 'revision', 'main')}"
    return str(model.tag)
