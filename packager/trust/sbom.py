"""A bento's parts list: CycloneDX 1.6 in JSON, made with cyclonedx-python-lib.

https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import importlib.util
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bentofn import __version__
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import layer_key
from bentofn.packager.roots.materialise import unpack_env
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import LAYER_KIND
from bentofn.packager.store.referrers import (
    Referrer,
    put_referrer,
    read_content,
    referrers,
    subject_descriptor,
)
from bentofn.packager.trust.kinds import SBOM
from bentofn.packager.trust.packages import Package, installed_packages
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ModelReference, canonical_json

if TYPE_CHECKING:
    from cyclonedx.model import HashType
    from cyclonedx.model.component import Component

MISSING = (
    "No SBOM was made, for want of the package cyclonedx-python-lib; "
    "install it with: pip install 'bentofn[trust]'."
)

_RULES = 2
"""Raised when the same bento would give another SBOM."""
_ROOT = "bento"
"""The bento's own reference in its SBOM."""


def can_make_sbom() -> bool:
    """Whether the library is installed; it is not loaded."""
    return importlib.util.find_spec("cyclonedx") is not None


def attach_sbom(home: Home, store: Store, entry: Entry) -> Referrer:
    """Make a bento's SBOM, and store it as what refers to the bento.

    Raises:
        UserError: The library is not installed, or the store is damaged or cannot be written.
    """
    blob = store.put_bytes(make_sbom(home, store, entry), SBOM)
    return put_referrer(store, subject_descriptor(entry), SBOM, [blob], replace=True)


def find_sbom(home: Home, store: Store, entry: Entry) -> bytes:
    """The SBOM that refers to a bento, or one that is made of it now.

    Raises:
        UserError: As :func:`make_sbom`, or the one that refers to the bento is damaged.
    """
    for each in referrers(store, entry.digest, SBOM):
        data = read_content(store, each)
        try:
            json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UserError(f"What {entry.tag} carries as its SBOM is no JSON.") from error
        return data
    return make_sbom(home, store, entry)


def make_sbom(home: Home, store: Store, entry: Entry) -> bytes:
    """A bento's SBOM in canonical JSON; the same bento gives the same bytes.

    Its serial number comes from the bento's digest, and it holds no time.

    Raises:
        UserError: The library is not installed, or the store is damaged or cannot be written.
    """
    if not can_make_sbom():
        raise UserError(MISSING)
    bento = store.bento(entry)
    env = [
        layer
        for layer in store.descriptors(entry)
        if layer.annotations.get(LAYER_KIND) in ("env", "bytecode")
    ]
    document = _cached_parts(home, bento, env)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, entry.digest)}"
    content = entry.digest.removeprefix("sha256:")
    document["metadata"]["component"] |= {
        "name": bento.name,
        "version": bento.version,
        "hashes": [{"alg": "SHA-256", "content": content}],
    }
    return canonical_json(document)


def _cached_parts(home: Home, bento: BentoManifest, env: Sequence[Descriptor]) -> dict[str, Any]:
    """All but what names the bento itself: a change of its code alone makes nothing of it anew."""
    key = layer_key(
        "sbom",
        _RULES,
        [layer.digest for layer in env],
        [bento.lock, [asdict(model) for model in bento.models], bento.python, bento.platform],
        bento.inputs.get("runtime", ""),
        __version__,
    )
    path = home.cache / "sboms" / f"{key}.json"
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        packages = installed_packages(bento.lock, unpack_env(home, env)) if env else []
        found = _parts(bento, packages)
        home.directory(path.parent)
        atomic_write(path, canonical_json(found))
    return found


def _parts(bento: BentoManifest, packages: Sequence[Package]) -> dict[str, Any]:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    root = Component(name=_ROOT, type=ComponentType.APPLICATION, bom_ref=_ROOT)
    parts = [
        *(_package(package) for package in packages),
        *(_model(model) for model in {model.digest: model for model in bento.models}.values()),
        _runtime(bento),
        Component(
            name="python", version=bento.python, type=ComponentType.PLATFORM, bom_ref="python"
        ),
    ]
    bom = Bom(components=parts)
    bom.metadata.component = root
    bom.register_dependency(root, parts)
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    document["metadata"].pop("timestamp", None)
    return document


def _package(package: Package) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    # Of several files the lock does not say which was installed: none is the component's hash.
    # The bento's own manifest carries them all; here they would be shipped with every edit.
    one = package.hashes if len(package.hashes) == 1 else ()
    reference = ExternalReferenceType.DISTRIBUTION
    return Component(
        name=package.name,
        version=package.version or None,
        type=ComponentType.LIBRARY,
        bom_ref=package.purl,
        purl=PackageURL("pypi", None, package.name, package.version or None),
        hashes=[_sha256(digest) for digest in one],
        licenses=[LicenseFactory().make_from_string(package.license)] if package.license else [],
        external_references=(
            [ExternalReference(type=reference, url=XsUri(package.url))] if package.url else []
        ),
    )


def _model(model: ModelReference) -> Component:
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    properties = [("bentofn:hash-of", "the model's OCI manifest")]
    if model.runtime is not None:
        properties.append(("bentofn:runtime", model.runtime))
    if model.exported is not None:
        made_from = model.exported
        properties.append(("bentofn:exported-from", f"{made_from.tag} {made_from.digest}"))
    return Component(
        name=model.name,
        version=model.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{model.digest}",
        purl=PackageURL("oci", None, model.name, model.digest),
        hashes=[_sha256(model.digest.removeprefix("sha256:"))],
        properties=[Property(name=name, value=value) for name, value in properties],
    )


def _runtime(bento: BentoManifest) -> Component:
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    digest = bento.inputs.get("runtime", "")
    return Component(
        name="bentofn",
        version=__version__,
        type=ComponentType.FRAMEWORK,
        bom_ref="runtime",
        purl=PackageURL("pypi", None, "bentofn", __version__),
        properties=[Property(name="bentofn:runtime-digest", value=digest)] if digest else [],
    )


def _sha256(content: str) -> HashType:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=content)
