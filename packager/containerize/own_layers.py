"""The small layers that make an image of a bento: its user, and its manifest."""

from __future__ import annotations

import zstandard

from bentofn.packager.containerize.blob import Layer, bytes_blob
from bentofn.packager.containerize.facts import Facts
from bentofn.packager.containerize.media import TAR_ZSTD
from bentofn.packager.containerize.tarball import END, file, folder, folders_above
from bentofn.packager.layers.tar import ZSTD_LEVEL
from bentofn.packager.store.blobs import digest_of
from bentofn.runtime.layout import ARCHIVE_PREFIX

USER_ID = 1034
"""BentoML's, so that volumes which its containers wrote stay theirs.

Source: https://github.com/bentoml/BentoML, container/frontend/dockerfile/templates/base.j2
"""

USER = "bentofn"
USER_HOME = f"home/{USER}"

_ROOT = "root:x:0:0:root:/root:/bin/sh\n"


def user_layer(facts: Facts) -> Layer:
    """The user that the service runs as, added to those of the base, with a home of its own."""
    passwd = _with_line(
        facts.passwd or _ROOT, f"{USER}:x:{USER_ID}:{USER_ID}:{USER}:/{USER_HOME}:/usr/sbin/nologin"
    )
    group = _with_line(facts.group or "root:x:0:\n", f"{USER}:x:{USER_ID}:")
    archive = (
        folder("etc")
        + file("etc/group", group.encode())
        + file("etc/passwd", passwd.encode())
        + folder("home")
        + folder(USER_HOME, owner=USER_ID)
    )
    return small_layer(archive, f"user {USER} ({USER_ID})")


def manifest_layer(manifest: bytes, tag: str) -> Layer:
    """The bento's manifest, as it was written, where an instance reads it.

    Args:
        manifest: Its bytes: the runtime in the bento reads what the bentofn that built it wrote.
        tag: The bento's.
    """
    path = f"{ARCHIVE_PREFIX}/bento.json"
    return small_layer(folders_above(path) + file(path, manifest), f"bento {tag}")


def small_layer(archive: bytes, created_by: str) -> Layer:
    """A layer of an archive's entries, in memory."""
    archive += END
    data = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=1).compress(archive)
    diff_id = digest_of(archive)
    return Layer(bytes_blob(data, TAR_ZSTD), diff_id, created_by)


def _with_line(text: str, line: str) -> str:
    """The lines of a file of users with one more, unless its name or number is there."""
    name, _, number, *_ = line.split(":")
    for known in text.splitlines():
        fields = known.split(":")
        if len(fields) > 2 and (fields[0] == name or fields[2] == number):
            return text
    return f"{text.rstrip()}\n{line}\n"
