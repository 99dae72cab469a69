"""A desired function as an app of Modal's client: image, class, endpoint, schedules.

The image holds the packages, which Modal keeps for as long as they are the same; the runtime, the
code and the manifest are added to containers as files, so that a change of code builds no image.
Modal's client sends only the files that Modal has not, by their SHA-256.

Source: https://modal.com/docs/guide/images (``add_local_dir``, ``copy``).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from bentofn.adapters.modal.desired import ROOT, WEIGHTS, Call, Desired, volume_name
from bentofn.adapters.modal.entry import CLASS, MODULE, SCHEDULE, TICK, WEB
from bentofn.packager.config.model import ImageOptions
from bentofn.packager.files import temporary_directory
from bentofn.packager.home import Home
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import canonical_json
from bentofn.runtime.modal_variables import CORS

_FRONT_CALLS = 1000
"""Calls that the endpoint of a batched class passes on at a time; it only waits for them."""

_REMOTE = f"/root/{MODULE}.py"
_SCRIPT = "/opt/bentofn-setup"


@contextmanager
def made(home: Home, desired: Desired) -> Iterator[Any]:
    """The app, as long as the block runs: deploying it reads files that are gone afterwards.

    Args:
        home: For the module's file.
        desired: What it is made of.

    Raises:
        UserError: The bento is damaged, or the disk is full.
    """
    root = desired.bento.root()
    with temporary_directory(home.directory(home.cache)) as folder:
        file = folder / f"{MODULE}.py"
        file.write_text(desired.shape.source(), encoding="utf-8")
        with _imported(file) as module:
            yield _app(desired, root, file, module)


def _app(desired: Desired, root: BentoRoot, file: Path, module: ModuleType) -> Any:
    import modal

    python = _base(desired)
    app = modal.App(desired.name, tags=dict(desired.tags), include_source=False)
    image = _image(desired, python, root, file)
    secrets = _secrets(desired)
    volumes = {}
    if desired.has_models:
        volume = modal.Volume.from_name(volume_name(desired.name))
        volumes = {WEIGHTS: volume.with_mount_options(read_only=True)}
    service: Any = getattr(module, CLASS)
    if desired.concurrency > 1:
        service = modal.concurrent(max_inputs=desired.concurrency)(service)
    app.cls(image=image, secrets=secrets, volumes=volumes, **desired.options)(service)
    if desired.shape.has_front:
        web = modal.asgi_app(requires_proxy_auth=desired.shape.proxy_auth)(getattr(module, WEB))
        front = modal.concurrent(max_inputs=_FRONT_CALLS)(web)
        rules = {CORS: desired.environment[CORS]} if CORS in desired.environment else {}
        app.function(
            image=image,
            secrets=[modal.Secret.from_dict(rules)] if rules else [],
            min_containers=desired.options.get("min_containers") and 1,
            timeout=desired.options["timeout"],
        )(front)
    calling = python.add_local_file(file, _REMOTE)
    for call in desired.calls:
        _schedule(app, calling, call, desired.options["timeout"], module)
    return app


def _base(desired: Desired) -> Any:
    """An image with the bento's Python and system packages."""
    import modal

    options = ImageOptions.from_plain(desired.bento.manifest.docker)
    if options.base_image:
        image = modal.Image.from_registry(options.base_image, add_python=desired.python)
    else:
        image = modal.Image.debian_slim(python_version=desired.python)
    return image.apt_install(*desired.system_packages) if desired.system_packages else image


def _image(desired: Desired, python: Any, root: BentoRoot, file: Path) -> Any:
    manifest = desired.bento.manifest
    script = ImageOptions.from_plain(manifest.docker).setup_script
    image = python
    if any(root.environment.resolve().iterdir()):
        image = image.add_local_dir(root.environment.resolve(), f"{ROOT}/env", copy=True)
    # Modal's own client in the container takes the bento's version of what both need.
    image = image.env({"PYTHONPATH": f"{ROOT}/env", "PYTHONDONTWRITEBYTECODE": "1"})
    # What a script sees and may change is in the image; else it is added to containers.
    copy = script is not None
    image = image.add_local_dir(root.runtime.resolve(), f"{ROOT}/runtime", copy=copy)
    image = image.add_local_dir(root.source.resolve(), f"{ROOT}/src", copy=copy)
    if root.compiled.is_dir():
        image = image.add_local_dir(root.compiled.resolve(), f"{ROOT}/compiled", copy=copy)
    image = image.add_local_file(root.manifest, f"{ROOT}/bento.json", copy=copy)
    if script is not None:
        written = file.with_name("setup_script")
        written.write_text(script, encoding="utf-8")
        image = image.env(dict(manifest.envs)) if manifest.envs else image
        image = image.add_local_file(written, _SCRIPT, copy=True)
        image = image.run_commands(f"chmod +x {_SCRIPT} && cd {ROOT} && {_SCRIPT}")
    return image.add_local_file(file, _REMOTE)


def _secrets(desired: Desired) -> list[Any]:
    import modal

    named = [
        modal.Secret.from_name(name, required_keys=list(variables))
        for name, variables in desired.secrets.items()
    ]
    return [*named, modal.Secret.from_dict(dict(desired.environment))]


def _schedule(app: Any, image: Any, call: Call, timeout: int, module: ModuleType) -> None:
    import modal

    when = call.timing
    planned = canonical_json({"route": call.route, "body": call.body}).decode()
    app.function(
        name=f"{TICK}-{call.name}",
        image=image,
        secrets=[modal.Secret.from_dict({SCHEDULE: planned})],
        schedule=modal.Cron(when.cron, timezone=when.timezone)
        if when.cron
        else modal.Period(seconds=when.seconds),
        retries=call.retries,
        timeout=timeout,
    )(getattr(module, TICK))


@contextmanager
def _imported(file: Path) -> Iterator[ModuleType]:
    """The containers' module, importable by its name while the app is made of it."""
    spec = importlib.util.spec_from_file_location(MODULE, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    former, no_bytecode = sys.modules.get(MODULE), sys.dont_write_bytecode
    sys.modules[MODULE], sys.dont_write_bytecode = module, True
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.dont_write_bytecode = no_bytecode
        sys.modules.pop(MODULE)
        if former is not None:
            sys.modules[MODULE] = former
