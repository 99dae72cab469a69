from __future__ import annotations

import pytest

from bentofn import Tag
from bentofn.exceptions import BentoMLException


@pytest.mark.parametrize(("text", "parts"), [("a:b", ("a", "b")), ("a-1.x", ("a-1.x", None))])
def test_a_tag_is_its_text(text: str, parts: tuple[str, str | None]) -> None:
    tag = Tag.from_taglike(text)
    assert (tag.name, tag.version) == parts
    assert f"{tag}" == text
    assert Tag.from_taglike(tag) is tag
    assert tag == Tag(*parts)
    assert tag in {tag}


def test_tags_have_an_order() -> None:
    tags = [Tag("b", "1"), Tag("a", "2"), Tag("a"), Tag("a", "1")]
    assert list(map(str, sorted(tags))) == ["a", "a:1", "a:2", "b:1"]


def test_a_tag_is_lower_case() -> None:
    with pytest.warns(UserWarning, match="'Model'.*'model'"):
        assert str(Tag("Model")) == "model"


@pytest.mark.parametrize("text", ["a:", "-a", "a/b", "a:b:c", "x" * 64])
def test_what_is_no_tag(text: str) -> None:
    with pytest.raises(BentoMLException):
        Tag.from_str(text)


def test_versions_and_paths() -> None:
    made = Tag("name").make_new_version()
    assert made.name == "name"
    assert made.version
    assert made != Tag("name").make_new_version()
    assert (Tag("a", "b").path(), Tag("a").path()) == ("a/b", "a")
    assert Tag("a", "b").latest_path() == "a/latest"
    with pytest.raises(ValueError, match="has a version"):
        made.make_new_version()
