import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.registry.reference import Reference, parse_reference
from bentofn.runtime.errors import UserError

component = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", fullmatch=True).filter(
    lambda text: len(text) < 60
)
registries = st.sampled_from(
    ["localhost", "localhost:5000", "ghcr.io", "127.0.0.1:1", "r.example.com:65535", "[::1]:5000"]
)
tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True)


@given(registries, st.lists(component, min_size=1, max_size=3), st.none() | tags)
def test_a_reference_reads_back(registry: str, path: list[str], tag: str | None) -> None:
    reference = Reference(registry, "/".join(path), tag)
    assert parse_reference(str(reference)) == reference


@given(st.text() | st.text(alphabet="a0.:/@_-[]A% \n"))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UserError:
        return
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    [
        "greeter",
        "greeter:1",
        "me/greeter",
        "ghcr.io",
        "ghcr.io/",
        "ghcr.io/Me/greeter",
        "ghcr.io/me/../greeter",
        "ghcr.io/me//greeter",
        "ghcr.io/me/greeter:",
        "ghcr.io/me/greeter:a/b",
        "ghcr.io/me/greeter\n",
        "https://ghcr.io/me/greeter",
        "user@ghcr.io/me/greeter",
        "ghcr.io:99999/me/greeter",
        "ghcr.io:0/me/greeter",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(UserError):
        parse_reference(text)


@pytest.mark.parametrize(
    ("registry", "loopback"),
    [
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com:80", False),
        ("ghcr.io", False),
    ],
)
def test_what_is_on_this_machine(registry: str, loopback: bool) -> None:
    assert parse_reference(f"{registry}/greeter").is_loopback is loopback
