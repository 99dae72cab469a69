"""The config of an image: how its containers start, and what it was made from.

https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from bentofn.packager.containerize.base import Base
from bentofn.packager.containerize.blob import Layer
from bentofn.packager.containerize.own_layers import USER_HOME, USER_ID
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX, INTERPRETER_OPTIONS, BentoRoot
from bentofn.runtime.manifest import BentoManifest

PORT = 3000
HOST = "0.0.0.0"
SERVE = ("serve", "--host", HOST)
FUNCTION = ("function",)
"""What an image for Lambda runs: the client of its Runtime API."""

_OCI_LABELS = "org.opencontainers.image."


@dataclass(frozen=True)
class Start:
    """How the containers of an image start.

    Args:
        python: The interpreter in the image, absolute.
        root_user: Whether the service runs as root.
        envs: Further variables, after the base's and before the bento's.
        command: What follows the entry point.
    """

    python: str
    root_user: bool = False
    envs: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = SERVE


def image_config(
    bento: BentoManifest, digest: str, base: Base, layers: Sequence[Layer], start: Start
) -> dict[str, Any]:
    """The config of a bento on a base.

    Args:
        bento: The bento.
        digest: Digest of its manifest, for a label.
        base: What it stands on.
        layers: The layers on top of the base's.
        start: How it starts.

    Raises:
        UserError: ``SOURCE_DATE_EPOCH`` is not a time.
    """
    created = creation_time(os.environ.get("SOURCE_DATE_EPOCH"))
    # A base's own health check, command and volumes are about what it ran before.
    kept = {key: base.settings[key] for key in ("StopSignal",) if base.settings.get(key)}
    config: dict[str, Any] = {
        "created": created,
        "architecture": base.config["architecture"],
        "os": base.config["os"],
        "config": {
            **kept,
            "User": "0:0" if start.root_user else f"{USER_ID}:{USER_ID}",
            "ExposedPorts": {f"{port_of(bento)}/tcp": {}},
            "Env": _env(bento, base, start),
            "Entrypoint": entrypoint(start.python),
            "Cmd": list(start.command),
            "WorkingDir": f"/{ARCHIVE_PREFIX}/src",
            "Labels": _labels(bento, digest, base, created),
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [layer.diff_id for layer in (*base.layers, *layers)],
        },
        "history": [
            *base.history,
            *(
                {"created": created, "created_by": f"bentofn: {layer.created_by}"}
                for layer in layers
            ),
        ],
    }
    for key in ("variant", "os.version", "os.features"):
        if key in base.config:
            config[key] = base.config[key]
    return config


def port_of(bento: BentoManifest) -> str:
    """The port that an image of a bento listens on, unless it is started with another ``PORT``."""
    return bento.envs.get("PORT", str(PORT))


def entrypoint(python: str) -> list[str]:
    """What every process of a bento begins with."""
    boot = BentoRoot.in_image().boot_script
    return [python, *INTERPRETER_OPTIONS, boot.as_posix()]


def creation_time(epoch: str | None) -> str:
    """The time that an image says it was made, in RFC 3339.

    Args:
        epoch: ``SOURCE_DATE_EPOCH``; without it the time is 1970.

    Raises:
        UserError: It is not a number of seconds.
    """
    try:
        moment = datetime.fromtimestamp(int(epoch or 0), timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        raise UserError(
            f"SOURCE_DATE_EPOCH is {epoch!r}, not a number of seconds since 1970; set it so."
        ) from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _env(bento: BentoManifest, base: Base, start: Start) -> list[str]:
    given = [str(item).partition("=") for item in base.settings.get("Env") or ()]
    variables = {
        **{name: value for name, _, value in given},
        "HOME": "/root" if start.root_user else f"/{USER_HOME}",
        **start.envs,
        **bento.envs,
        "BENTOFN_ROOT": f"/{ARCHIVE_PREFIX}",
    }
    variables["PORT"] = port_of(bento)
    return [f"{name}={value}" for name, value in variables.items()]


def bento_labels(bento: BentoManifest, digest: str) -> dict[str, str]:
    """The labels that an image of a bento has, wherever it is built; sorted.

    Args:
        bento: The bento.
        digest: Digest of its manifest.
    """
    labels = {
        f"{_OCI_LABELS}title": bento.name,
        f"{_OCI_LABELS}version": bento.version,
        "io.bentofn.bento": bento.tag,
        "io.bentofn.bento.digest": digest,
        **bento.labels,
    }
    if bento.description:
        labels[f"{_OCI_LABELS}description"] = " ".join(bento.description.split())
    return dict(sorted(labels.items()))


def _labels(bento: BentoManifest, digest: str, base: Base, created: str) -> dict[str, str]:
    given: Mapping[str, str] = base.settings.get("Labels") or {}
    labels = {
        # A base's own title and version are not those of the bento.
        **{name: str(v) for name, v in given.items() if not name.startswith(_OCI_LABELS)},
        f"{_OCI_LABELS}created": created,
        f"{_OCI_LABELS}base.digest": base.digest,
        **bento_labels(bento, digest),
    }
    if base.registry is not None:
        labels[f"{_OCI_LABELS}base.name"] = base.name
    return dict(sorted(labels.items()))
