from __future__ import annotations

import pytest

from bentofn.runtime import threads


def test_a_template_computes_in_one_thread() -> None:
    environ = {"OMP_NUM_THREADS": "8"}
    threads.forbid(environ)
    assert environ["OMP_NUM_THREADS"] == environ["OPENBLAS_NUM_THREADS"] == "1"
    assert environ["TOKENIZERS_PARALLELISM"] == "false"


def test_the_users_number_wins() -> None:
    environ = {"OMP_NUM_THREADS": "8"}
    threads.allow(environ, 2)
    assert environ["OMP_NUM_THREADS"] == "8"
    assert environ["MKL_NUM_THREADS"] == "2"


@pytest.mark.parametrize(
    ("value", "count"), [("8", 8), ("4,2", 4), ("", 2), ("0", 2), ("many", 2), ("-1", 2)]
)
def test_the_number_is_read_as_openmp_does(value: str, count: int) -> None:
    assert threads.wanted({"OMP_NUM_THREADS": value}, 2) == count


def test_pools_get_the_number() -> None:
    pytest.importorskip("numpy")
    pools = threads.Pools.find()
    before = [controller.num_threads for controller in pools.controllers]
    try:
        pools.resize(1)
        assert {controller.num_threads for controller in pools.controllers} <= {1}
    finally:
        for controller, count in zip(pools.controllers, before, strict=True):
            controller.set_num_threads(count)


def test_waiting_threads_leave_the_cpu_unless_the_user_says_how_they_wait() -> None:
    unset: dict[str, str] = {}
    threads.calm(unset)
    assert int(unset["GOMP_SPINCOUNT"]) <= 1000
    chosen = {"GOMP_SPINCOUNT": "7"}
    threads.calm(chosen)
    assert chosen["GOMP_SPINCOUNT"] == "7"
    active = {"OMP_WAIT_POLICY": "active"}
    threads.calm(active)
    assert "GOMP_SPINCOUNT" not in active


def test_onnxruntime_keeps_no_thread_of_its_own_unless_the_user_wants_it() -> None:
    environ: dict[str, str] = {}
    threads.forbid(environ)
    assert environ["ORT_DISABLE_TELEMETRY"] == "1"
    chosen = {"ORT_DISABLE_TELEMETRY": "0"}
    threads.allow(chosen, 2)
    assert chosen["ORT_DISABLE_TELEMETRY"] == "0"
