"""What kept Modal's client from an answer is told once, and briefly where nobody is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.adapters.modal import session as sessions
from bentofn.adapters.modal.errors import Calls, explained
from bentofn.adapters.modal.session import Session
from bentofn.runtime.errors import UserError


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Modal's configuration is empty, and its server is the discard port."""
    from modal.client import _Client

    for name in ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET", "MODAL_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MODAL_SERVER_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MODAL_CONFIG_PATH", str(tmp_path / "none.toml"))
    monkeypatch.setattr(_Client, "_client_from_env", None)


def told() -> str:
    session = Session()
    with pytest.raises(UserError) as raised, explained("Planning 'f'", session.calls):
        print(session.client)
    return str(raised.value)


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODAL_TOKEN_ID", "ak-1")
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-1")
    monkeypatch.setattr(sessions, "CONNECTED_WITHIN", 0.2)
    assert told() == (
        "Planning 'f' failed: http://127.0.0.1:9 was not reached within 0.2 seconds "
        "(ConnectionError); check the network, and MODAL_SERVER_URL if it is set, and try again."
    )


def test_how_to_get_a_token_is_said_once() -> None:
    sentence = told()
    assert "Token missing" in sentence
    assert sentence.count("modal token new") == 1


def test_what_was_made_is_taken_up_only_where_something_is_made() -> None:
    words = "what was made so far is taken up"
    for has_written in (False, True):
        with (
            pytest.raises(UserError) as raised,
            explained("Doing it", Calls(), has_written=has_written),
        ):
            raise ConnectionError("gone")
        assert (words in str(raised.value)) is has_written
