"""What a package for Lambda is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bentofn.packager.containerize.image import Image

Profile = Literal["zip", "zip-fetched", "image"]

FUNCTION = "function"
"""Name of the part that holds the code; the others are layers, in this order."""
LAYERS = ("environment", "bytecode", "runtime", "models")


@dataclass(frozen=True)
class Part:
    """A zip archive, or a file that is fetched.

    Args:
        name: :data:`FUNCTION`, one of :data:`LAYERS`, or a path.
        digest: ``sha256:`` and the hex digest of it; Lambda's ``CodeSha256`` is the same
            hash in base64.
        size: Bytes of it.
        unzipped: Bytes of the files in it, which is what Lambda's limit counts.
        path: It, named by its digest. It is there as long as nothing collects the store's
            garbage: hold :meth:`bentofn.packager.store.Store.using` while it is sent.
    """

    name: str
    digest: str
    size: int
    unzipped: int
    path: Path


@dataclass(frozen=True)
class LambdaPackage:
    """A bento, ready to become a function.

    Args:
        kind: Lambda's ``PackageType``.
        handler: What Lambda calls; an image names it itself.
        runtime: Lambda's name of the runtime, such as ``python3.12``.
        architecture: ``x86_64`` or ``arm64``.
        parts: Of a zip, the function first and then its layers; an image has none.
        fetched: Files that the function fetches from S3 when it is initialised, compressed, named
            by their paths below ``/opt``. Each is to be an object of the prefix that the variable
            ``BENTOFN_FETCH`` says (``s3://BUCKET/PREFIX``), named by its digest's hex; the
            function may read them, has SnapStart and 512 MB of ``/tmp``.
        image: The image, to be pushed with :func:`bentofn.packager.containerize.push.push_image`.
        environment: The variables that the bento declares a value for, and some that spare a start
            what it need not do.
        problems: Why it would not run on Lambda although Lambda takes it, one sentence each.
    """

    kind: Literal["Zip", "Image"]
    handler: str
    runtime: str
    architecture: Literal["x86_64", "arm64"]
    parts: tuple[Part, ...] = ()
    fetched: tuple[Part, ...] = ()
    image: Image | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def function(self) -> Part:
        """The zip of the function's own code."""
        return self.parts[0]

    @property
    def layers(self) -> tuple[Part, ...]:
        """The zips of its layers, in the order in which Lambda is to lay them."""
        return self.parts[1:]

    @property
    def unzipped(self) -> int:
        """Bytes of all files."""
        return sum(part.unzipped for part in self.parts)
