from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.containerize.names import check_image_tag, full_name, parse_image, parse_place
from bentofn.runtime.errors import UserError

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("python", "docker.io/library/python"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim"),
        ("me/greeter:1", "docker.io/me/greeter:1"),
        ("ghcr.io/me/greeter", "ghcr.io/me/greeter"),
        ("localhost/x:1", "localhost/x:1"),
        ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b:1"),
        (f"python@{DIGEST}", f"docker.io/library/python@{DIGEST}"),
        (f"ghcr.io/me/x:1@{DIGEST}", f"ghcr.io/me/x@{DIGEST}"),
    ],
)
def test_images_are_named_as_docker_names_them(text: str, said: str) -> None:
    assert str(parse_image(text)) == said


@pytest.mark.parametrize(
    ("text", "scheme", "path", "tag"),
    [
        ("oci:dir", "oci", "dir", None),
        ("oci:dir:v1", "oci", "dir", "v1"),
        ("oci:/a/dir:greeter:1", "oci", "/a/dir", "greeter:1"),
        ("oci-archive:file.tar", "oci-archive", "file.tar", None),
        ("docker-archive:file.tar", "docker-archive", "file.tar", None),
    ],
)
def test_places_are_named_as_skopeo_names_them(
    text: str, scheme: str, path: str, tag: str | None
) -> None:
    place = parse_place(text)
    assert (place.scheme, place.path, place.tag) == (scheme, Path(path), tag)


@pytest.mark.parametrize(
    "text", ["", "oci:", "oci:dir:", "docker-archive:", "./dir", "/dir", "dir:/x", "a@sha256:1"]
)
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_place(text)


@given(st.text(max_size=60))
def test_any_text_is_a_place_or_a_sentence(text: str) -> None:
    with contextlib.suppress(UserError):
        assert parse_place(text).text == text


def test_a_name_without_a_tag_is_the_latest() -> None:
    assert full_name(check_image_tag("127.0.0.1:5000/greeter")) == "127.0.0.1:5000/greeter:latest"
    assert full_name("greeter:1") == "greeter:1"
