"""Packages a bento for AWS Lambda.

A zip's layers are unpacked to ``/opt`` and its function to ``/var/task``, so a bento is spread over
both. ``/opt/bento`` holds what a change of code leaves as it is, each in a layer of its own: the
packages, their bytecode, the runtime, the models. The function holds ``bento.json``, the project's
code and the handler that puts all of it together.

Source: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from bentofn.packager.environment.target import find_target
from bentofn.packager.home import Home
from bentofn.packager.lambda_.contents import Contents
from bentofn.packager.lambda_.fetched import choose
from bentofn.packager.lambda_.function import HANDLER
from bentofn.packager.lambda_.libraries import libraries_layer
from bentofn.packager.lambda_.parts import LAYERS, LambdaPackage, Part, Profile
from bentofn.packager.lambda_.rules import architecture_of, check_zip, runtime_of
from bentofn.packager.lambda_.system import too_new
from bentofn.packager.lazy.whole import whole_bento
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import LAYER_KIND
from bentofn.runtime.aws_lambda.image import HANDLER as IMAGE_HANDLER
from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from bentofn.packager.containerize.compose import ImageChoices

KINDS = {
    "env": "environment",
    "bytecode": "bytecode",
    "runtime": "runtime",
    "model": "models",
    "compiled": "bytecode",
}
"""Kind of a bento's layer to the part that it goes into."""

_NO_PLUGINS = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
"""Spares a start the search for pydantic's plugins in the metadata of every package."""

Report = Callable[[str], None]


def package(
    home: Home,
    tag: str,
    profile: Profile,
    report: Report,
    *,
    choices: ImageChoices | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> LambdaPackage:
    """Package a bento; what was packaged before is there at once.

    Args:
        home: The home that has the bento.
        tag: ``name``, ``name:version`` or ``name:latest``.
        profile: ``zip``, which SnapStart takes; ``zip-fetched``, which needs SnapStart and fetches
            what does not fit; or ``image``, which may hold 10 GB.
        report: Told what takes time.
        choices: Of an image: its base, if not the default.
        wait: Waits so many seconds between two attempts at a registry.

    Raises:
        UserError: There is no such bento, or Lambda would refuse it; the message says which rule.
    """
    store = Store(home)
    entry = whole_bento(store, tag, report)
    bento = store.bento(entry)
    runtime, architecture = runtime_of(bento), architecture_of(bento)
    with store.using():
        if profile == "image":
            # Here, because a zip is planned many times, and nothing of an image is of use to it.
            from bentofn.packager.containerize.compose import ImageChoices, compose

            chosen = replace(choices or ImageChoices(), target="aws-lambda")
            composed = compose(home, store, entry, chosen, report, wait)
            return LambdaPackage(
                "Image",
                IMAGE_HANDLER,
                runtime,
                architecture,
                image=composed.image,
                environment=bento.envs,
            )
        made = _zip(home, store, entry, profile, report)
    check_zip(made, entry.tag)
    return made


def _zip(home: Home, store: Store, entry: Entry, profile: Profile, report: Report) -> LambdaPackage:
    bento = store.bento(entry)
    target = find_target(bento.python, bento.platform)
    contents = Contents(home, store, report)
    code: list[Descriptor] = []
    groups: dict[str, list[Descriptor]] = {name: [] for name in LAYERS}
    for layer in store.descriptors(entry):
        kind = layer.annotations.get(LAYER_KIND, "")
        if kind not in (*KINDS, "code"):
            raise UserError(
                f"{entry.tag} has a layer of kind {kind!r}, which this bentofn does not know; use "
                "the bentofn that built it."
            )
        (code if kind == "code" else groups[KINDS[kind]]).append(layer)
    groups["runtime"].append(libraries_layer(home, store, target))
    config = store.config(entry)
    chosen: frozenset[str] = frozenset()
    fetched: tuple[Part, ...] = ()
    every = [layer for group in groups.values() for layer in group]
    listing = contents.listing(every)
    if profile == "zip-fetched":
        try:
            chosen = choose(listing.sizes, contents.function(config, code, target, ()).unzipped)
        except UserError as error:
            raise UserError(f"Lambda would refuse {entry.tag} as a zip: {error}") from error
        fetched = contents.fetched(every, chosen)
    function = contents.function(config, code, target, fetched)
    layers = (contents.layer(name, group, chosen) for name, group in groups.items() if group)
    return LambdaPackage(
        "Zip",
        HANDLER,
        runtime_of(bento),
        architecture_of(bento),
        (function, *layers),
        fetched=fetched,
        environment={**({} if listing.has_plugins else _NO_PLUGINS), **bento.envs},
        problems=tuple(too_new(listing.libraries, bento.python)),
    )
