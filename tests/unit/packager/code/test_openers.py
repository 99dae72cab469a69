from __future__ import annotations

from bentofn.packager.code.openers import opener_calls

SOURCE = b"""
import torch

class Service:
    def __init__(self):
        self.scale = torch.sqrt(torch.tensor(2.0))
        self.database = connect("db")

    @bentofn.after_restore
    def later(self):
        pass
"""


def test_a_line_that_opens_nothing_changes_nothing() -> None:
    before = opener_calls({"service.py": SOURCE})
    after = opener_calls({"service.py": SOURCE.replace(b"2.0", b"3.0")})
    assert before == after
    assert len(before) == 1


def test_a_call_that_moves_into_a_hook_is_another() -> None:
    moved = SOURCE.replace(b'        self.database = connect("db")\n', b"")
    moved = moved.replace(b"pass", b'self.database = connect("db")')
    assert opener_calls({"s.py": moved}) != opener_calls({"s.py": SOURCE})


def test_a_file_that_is_closed_again_is_told_from_one_that_stays_open() -> None:
    closed = opener_calls({"s.py": b"with open('a') as f:\n    pass"})
    assert closed != opener_calls({"s.py": b"f = open('a')"})


def test_what_is_no_python_is_let_pass() -> None:
    assert opener_calls({"s.py": b"def ("}) == []
