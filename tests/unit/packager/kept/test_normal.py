from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from bentofn.packager.kept.normal import LENGTH, normal, trials_folder

FIRST, SECOND = "/home/first/build/root", "/var/other/bui/ld/root"


@pytest.mark.parametrize("path", ["inductor/ab/cab.so", "triton/KEY/add.ttir"])
def test_where_something_was_built_is_not_told(path: str) -> None:
    def built(place: str) -> bytes:
        return f"\x7fELF\0{place}/env/x.h\0{place}-compiled/y.cpp".encode()

    kept = {normal(path, built(place), [place]) for place in (FIRST, SECOND)}
    [(same, data)] = kept
    assert same == path
    assert len(data) == len(built(FIRST))
    assert data.split(b"\0")[1] == b"/opt/bento////////////" + b"/env/x.h"


def test_a_pickle_stays_one_and_has_the_name_of_what_it_holds() -> None:
    def compiled(place: str, address: int) -> tuple[str, bytes]:
        notes = {"file": f"{place}/src/service.py", "key": f"<function f at {address:#x}>"}
        path = f"inductor/fxgraph/ab/KEY/{abs(address)}"
        return normal(path, pickle.dumps(notes), [place])

    first, second = compiled(FIRST, 0x7F494A497A60), compiled(SECOND, 0x7F0CFAD92700)
    assert first == second
    assert first[0].startswith("inductor/fxgraph/ab/KEY/")
    assert pickle.loads(first[1]) == {
        "file": "/opt/bento/////////////src/service.py",
        "key": "<function f at 0x000000000000>",
    }


@pytest.mark.parametrize("home", ["/h", "/home/somebody/of/a/long/name/.bentofn"])
def test_services_are_tried_at_paths_of_one_length(home: str) -> None:
    assert len(str(trials_folder(Path(home)))) == LENGTH


def test_a_home_that_is_deeper_is_taken_as_it_is() -> None:
    deep = Path("/" + "x" * LENGTH)
    assert trials_folder(deep) == deep
