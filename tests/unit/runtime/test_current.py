from __future__ import annotations

import dataclasses

import pytest

import bentofn
from bentofn.exceptions import BentoMLException
from bentofn.runtime import current


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in dataclasses.fields(current.ServerContext):
        monkeypatch.setattr(
            current.server_context, field.name, getattr(current.ServerContext(), field.name)
        )
    monkeypatch.setattr(current, "_instances", [])


def test_outside_of_a_server_there_is_nothing() -> None:
    context = bentofn.server_context
    assert (context.worker_index, context.service_name, context.bento_name) == (None, None, "")
    with pytest.raises(BentoMLException, match="isn't instantiated yet"):
        bentofn.get_current_service()


def test_a_server_says_what_it_serves() -> None:
    current.become_worker(2)
    current.serve_as("Echo", ["/a"], ("echo", "1"))
    context = bentofn.server_context
    assert (context.worker_index, context.component_index) == (2, 2)
    assert (context.service_name, context.service_type) == ("Echo", "entry_service")
    assert (context.bento_name, context.bento_version) == ("echo", "1")
    assert context.service_routes == ["/a"]


@bentofn.service
class Echo:
    pass


def test_an_application_has_the_current_instance() -> None:
    app = Echo.to_asgi()
    assert bentofn.get_current_service() is app.instance


def test_a_missing_module_is_passed_over_only_where_nothing_serves() -> None:
    with bentofn.importing():
        import no_such_module
    current.become_worker()
    with pytest.raises(ImportError), bentofn.importing():
        import no_such_module  # noqa: F401
