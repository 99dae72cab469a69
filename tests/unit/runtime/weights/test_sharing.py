from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from bentofn.runtime.weights.sharing import share


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_every_item_is_done_once(threads: int, patience: float) -> None:
    done: list[int] = []
    share(done.append, range(1000), threads, patience=patience)
    assert sorted(done) == list(range(1000))


def test_several_threads_work_at_once() -> None:
    together = threading.Barrier(4)
    share(lambda _: together.wait(timeout=30), range(4), 4)


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_error_ends_the_work(threads: int) -> None:
    begun: list[int] = []
    before = threading.active_count()

    def work(item: int) -> None:
        begun.append(item)
        if item == 5:
            raise KeyError(item)

    with pytest.raises(KeyError, match="5"):
        share(work, range(10_000), threads)
    assert len(begun) < 10_000
    assert threading.active_count() <= before  # of others some may have ended


def test_an_interrupt_waits_for_what_was_begun() -> None:
    begun: list[int] = []
    done: list[int] = []
    has_begun = threading.Event()

    def work(item: int) -> None:
        if threading.current_thread() is threading.main_thread():
            has_begun.wait()
            return  # and waits for the other
        begun.append(item)
        has_begun.set()
        time.sleep(0.1)
        if len(begun) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        done.append(item)

    with pytest.raises(KeyboardInterrupt):
        share(work, range(2), 2)
    assert begun
    assert sorted(begun) == sorted(done)


def test_where_no_thread_can_be_started_one_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    share(done.append, range(100), 8)
    assert done == list(range(100))


def test_an_error_of_the_items_is_raised() -> None:
    def items() -> object:
        yield 1
        raise ValueError("no more")

    done: list[int] = []
    with pytest.raises(ValueError, match="no more"):
        share(done.append, items(), 3)  # type: ignore[arg-type]
    assert done == [1]
