from __future__ import annotations

import os

import pytest

from bentofn.runtime.zygote.variables import EVERY, guard, hear_reads, renew_copies, that_matter


def test_what_modules_read_is_heard_set_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "1")
    monkeypatch.delenv("MISSING", raising=False)
    before = type(os.environ)
    with hear_reads() as heard:
        os.environ.get("SET")
        os.getenv("MISSING", "default")
        assert "PROBED" not in os.environ
    assert heard == {"SET", "MISSING", "PROBED"}
    assert type(os.environ) is before
    os.environ.get("LATER")
    assert "LATER" not in heard


@pytest.mark.parametrize("look", [dict, list, lambda environ: environ.copy()])
def test_who_looks_through_all_variables_has_read_all(look: object) -> None:
    with hear_reads() as heard:
        look(os.environ)  # type: ignore[operator]
    assert EVERY in heard


def test_variables_matter_that_were_read_and_that_native_libraries_read() -> None:
    environ = {
        "HF_HOME": "/models",
        "API_KEY": "secret",
        "LD_PRELOAD": "/lib/malloc.so",
        "CUDA_VISIBLE_DEVICES": "",
        "PATH": "/bin",
        "BENTOFN_ROOT": "/root",
    }
    always = {"LD_PRELOAD": "/lib/malloc.so", "CUDA_VISIBLE_DEVICES": "", "PATH": "/bin"}
    assert that_matter(environ, frozenset()) == always
    assert that_matter(environ, frozenset({"HF_HOME"})) == {**always, "HF_HOME": "/models"}
    everything = {name: value for name, value in environ.items() if name != "BENTOFN_ROOT"}
    assert that_matter(environ, frozenset({EVERY})) == everything


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "BENTOFN_INSTANCE"])
def test_what_every_copy_sets_anew_does_not_matter(name: str) -> None:
    assert that_matter({name: "4"}, frozenset({name, EVERY})) == {}


def test_a_variable_that_was_read_is_not_set_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODE", "plain")
    monkeypatch.delenv("NEW", raising=False)
    monkeypatch.delenv("OTHER", raising=False)
    late: list[str] = []
    with guard(frozenset({"MODE", "NEW"}), late.append):
        os.environ["MODE"] = "plain"
        os.environ["OTHER"] = "1"
        os.environ.setdefault("MODE", "loud")
        assert late == []
        os.environ["MODE"] = "loud"
        os.environ.setdefault("NEW", "1")
        del os.environ["MODE"]
        os.environ.update(LD_LIBRARY_PATH="/lib")
    assert late == ["MODE", "NEW", "MODE", "LD_LIBRARY_PATH"]
    for name in ("NEW", "OTHER", "LD_LIBRARY_PATH"):
        del os.environ[name]


def test_a_module_that_seeks_a_prefix_has_not_read_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with hear_reads() as heard:
        found = eval(  # the module that asks is the one whose globals run
            "{name: value for name, value in os.environ.items() if name.startswith('TQDM_')}",
            {"__name__": "tqdm.utils", "os": os},
        )
    assert found == {"TQDM_DISABLE": "1"}
    assert heard == set()
    assert that_matter({"TQDM_DISABLE": "1"}, frozenset()) == {"TQDM_DISABLE": "1"}


def test_wsgiref_keeps_the_environment_of_the_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    from wsgiref.handlers import BaseHandler

    monkeypatch.setattr(BaseHandler, "os_environ", BaseHandler.os_environ)
    monkeypatch.setenv("OF_THE_COPY", "1")
    assert "OF_THE_COPY" not in BaseHandler.os_environ
    renew_copies()
    assert BaseHandler.os_environ["OF_THE_COPY"] == "1"
