"""The bento manifest: what the artifact's config blob says about a service.

Written by the packager, read by the runtime and by every adapter. Plain data, stdlib only.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import UserError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class APIContract:
    """One endpoint.

    Args:
        name: The method's name.
        route: The path it answers on, with a leading slash.
        input_schema: JSON schema of the request body.
        output_schema: JSON schema of the response body.
        batchable: Whether calls are joined into batches.
        batch_dim: Axis along which inputs are joined and outputs split.
        max_batch_size: Items in one batch at most.
        max_latency_ms: Milliseconds after which a waiting call is answered with 503.
        is_stream: Whether the response is a stream of chunks.
        doc: The method's docstring.
        examples: Request bodies that the service answers correctly.
        is_task: Whether calls may be submitted, to be run later.
    """

    name: str
    route: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    batchable: bool = False
    batch_dim: tuple[int, int] = (0, 0)
    max_batch_size: int = 100
    max_latency_ms: int = 60_000
    is_stream: bool = False
    doc: str = ""
    examples: tuple[Mapping[str, Any], ...] = ()
    is_task: bool = False


@dataclass(frozen=True)
class ServiceContract:
    """What a service promises, as read from its class without making an instance.

    Args:
        name: The service's name.
        import_string: ``module:Class`` relative to the code's root.
        config: The service's BentoML configuration (traffic, resources, workers...), as given.
        apis: Its endpoints, by name.
        models: ``name:version`` of the models it uses; before a build as declared, and without
            those that the build exports.
        has_deployment_hook: Whether a method is marked ``on_deployment``.
        path_prefix: Path put before every route.
        envs: The variables that it declares for running, to their value; None where only the
            deployment knows it.
        labels: The labels that it declares.
        dependencies: Attribute to the name, or the URL, of a service that it depends on.
        services: Of a bento's entry, all services that have processes of their own beside it;
            those have none.
    """

    name: str
    import_string: str
    config: Mapping[str, Any] = field(default_factory=dict)
    apis: tuple[APIContract, ...] = ()
    models: tuple[str, ...] = ()
    has_deployment_hook: bool = False
    path_prefix: str = ""
    envs: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    dependencies: Mapping[str, str] = field(default_factory=dict)
    services: tuple[ServiceContract, ...] = ()


@dataclass(frozen=True)
class ExportedFrom:
    """What a model was exported from when the bento was built.

    Args:
        tag: ``name:version`` of the torch model.
        digest: Digest of its manifest in the store.
        module: ``module:function`` that made the torch module.
        tools: What exported it, as ``name==version``.
    """

    tag: str
    digest: str
    module: str
    tools: tuple[str, ...] = ()

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> ExportedFrom:
        """The inverse of :func:`dataclasses.asdict`, of what :mod:`json` gives back."""
        return cls(**{**raw, "tools": tuple(raw["tools"])})


@dataclass(frozen=True)
class ModelReference:
    """A model of the store that a bento carries.

    Args:
        name: Its name.
        version: Its exact version.
        digest: Digest of its manifest in the store.
        alias: Name that the service may use instead.
        runtime: What computes it, such as ``onnx``; None where the service's own code does.
        exported: Of an exported model, what it was made from.
        info: What its store says of it: ``labels``, ``metadata``, and what
            :data:`bentofn.runtime.modelinfo.FACTS` names.
    """

    name: str
    version: str
    digest: str
    alias: str | None = None
    runtime: str | None = None
    exported: ExportedFrom | None = None
    info: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Saving:
    """What slimming removed from a bento's environment by one rule.

    Args:
        rule: The rule's name.
        files: Files that were removed or made smaller.
        bytes: Bytes that they were larger.
    """

    rule: str
    files: int
    bytes: int


@dataclass(frozen=True)
class BentoManifest:
    """A built bento.

    Args:
        name: The bento's name.
        version: Its version; by default the first digits of the digest of what it is made of.
        contract: The service.
        python: Minor version of the interpreter, such as ``3.11``.
        platform: OCI platform, such as ``linux/amd64``.
        models: The models it carries.
        lock: The environment's lock, one requirement with hashes a line.
        requires: Names of the packages that the project asks for; the others are required by them.
        envs: Environment variables of the service; secrets are never among them.
        secrets: Names of the variables whose value only the deployment knows.
        labels: The user's labels.
        description: The user's text.
        docker: What an image of it needs besides (base image, system packages...):
            ``packager/config/model.py``'s ``ImageOptions``, those that are set.
        inputs: Name to digest of what the build read, and ``slim``, the rules of slimming.
        slimmed: What was saved by which rule.
    """

    name: str
    version: str
    contract: ServiceContract
    python: str
    platform: str
    models: tuple[ModelReference, ...] = ()
    lock: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    envs: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    docker: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    slimmed: tuple[Saving, ...] = ()

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    def to_json(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8, so that equal bentos have equal bytes."""
        return canonical_json({"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, data: bytes | str) -> BentoManifest:
        """Read a manifest.

        Raises:
            UserError: It was written by a bentofn with another schema.
        """
        raw = json.loads(data)
        found = raw.pop("schema_version", None)
        if found != SCHEMA_VERSION:
            raise UserError(
                f"This bento has manifest schema {found}, this bentofn reads {SCHEMA_VERSION}; "
                "build it again or use the bentofn that built it."
            )
        raw["contract"] = _contract(raw["contract"])
        raw["models"] = tuple(_model(model) for model in raw["models"])
        raw["lock"] = tuple(raw["lock"])
        raw["requires"] = tuple(raw.get("requires", ()))
        raw["secrets"] = tuple(raw.get("secrets", ()))
        raw["slimmed"] = tuple(Saving(**saving) for saving in raw.get("slimmed", ()))
        return cls(**raw)

    @classmethod
    def read(cls, path: Path) -> BentoManifest:
        """Read a manifest file; one that has not changed since is read once."""
        status = path.stat()
        return _read(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, _inode: int, _size: int, _changed_ns: int) -> BentoManifest:
    return BentoManifest.from_json(path.read_bytes())


def contract_from_json(data: bytes | str) -> ServiceContract:
    """Read a service contract written with :func:`canonical_json`."""
    return _contract(json.loads(data))


def canonical_json(value: object) -> bytes:
    """Serialise plain data and dataclasses so that equal values have equal bytes."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_as_plain
    )
    return text.encode()


def _as_plain(value: object) -> dict[str, Any]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _model(raw: dict[str, Any]) -> ModelReference:
    exported = raw.get("exported")
    exported = ExportedFrom.from_plain(exported) if exported else None
    return ModelReference(**{**raw, "exported": exported})


def _contract(raw: dict[str, Any]) -> ServiceContract:
    apis = tuple(
        APIContract(
            **{
                **api,
                "batch_dim": tuple(api["batch_dim"]),
                "examples": tuple(api["examples"]),
            }
        )
        for api in raw["apis"]
    )
    services = tuple(map(_contract, raw.get("services", ())))
    return ServiceContract(
        **{**raw, "apis": apis, "models": tuple(raw["models"]), "services": services}
    )
