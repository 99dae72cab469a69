"""What runs in Modal's containers: Modal's own entry point, in a root of the files it was sent."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from modal_cloud import Cloud
from modal_cloud.calls import put_call

from bentofn.adapters.batching import Batching
from bentofn.adapters.modal.adapter import ModalAdapter
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.url import Cors, Url
from bentofn.runtime.errors import UserError


def may_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "--pid", "--fork", "true"]
    return subprocess.run(command, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not may_mount(), reason="containers need root and namespaces of mounts (unshare)"
)


def said(cloud: Cloud) -> str:
    return "".join(text for *_, text in cloud.state.lines)


def test_it_is_constructed_before_the_snapshot_and_renewed_after(deploy: Any, cloud: Cloud) -> None:
    url = deploy(environment={"SECRET": "s3cret"}).url
    assert httpx.post(f"{url}/greet", json={"name": "me"}, timeout=60).text == "Hello, me!"
    told = httpx.post(f"{url}/told", json={}, timeout=60).json()
    assert told == {"seen": ["construct", "after_restore", "startup"], "secret": "s3cret"}
    warmed, _, restored = said(cloud).partition("<snapshot>")
    assert "greeting you" in warmed  # the example, which is answered before the snapshot
    assert "greeting me" in restored
    assert "greeting me" not in warmed


@pytest.mark.parametrize(
    ("settings", "kept"),
    [({}, "service"), ({"gpu": "L4"}, "imports"), ({"gpu": "L4", "gpu_snapshot": True}, "service")],
    ids=["cpu", "gpu", "gpu_snapshot"],
)
def test_no_container_throws_the_dice_of_its_snapshot(
    deploy: Any, adapter: ModalAdapter, cloud: Cloud, settings: Any, kept: str
) -> None:
    deploy(url=None, **settings)
    thrown = json.loads(b"".join(adapter.invoke("greeter", b"{}", api="throw").body))
    assert thrown != random.Random(7).random()
    told = json.loads(b"".join(adapter.invoke("greeter", b"{}", api="told").body))
    assert told["seen"] == ["construct", "after_restore", "startup"]
    warmed, _, restored = said(cloud).partition("<snapshot>")
    assert "greeting you" in (warmed if kept == "service" else restored)
    assert "<snapshot>" in said(cloud)


def test_a_container_whose_gpu_memory_does_not_come_back_starts_without_its_snapshot(
    deploy: Any, adapter: ModalAdapter, cloud: Cloud
) -> None:
    cloud.state.gpu_restore = "error"
    deploy(url=None, gpu="L4", gpu_snapshot=True)
    told = json.loads(b"".join(adapter.invoke("greeter", b"{}", api="told").body))
    assert told["seen"] == ["construct", "after_restore", "startup"]
    _, _, again = said(cloud).partition("<snapshot>")
    assert "retrying task without snapshot" in again
    assert "greeting you" in again


@pytest.mark.parametrize("settings", [{}, {"snapshot": "none"}], ids=["imports", "none"])
def test_gpus_that_nccl_joins_are_in_the_way_of_no_snapshot_that_leaves_them_out(
    deploy: Any, adapter: ModalAdapter, settings: Any
) -> None:
    deploy(url=None, gpu="L4:2", environment={"NCCL": "1"}, **settings)
    answer = adapter.invoke("greeter", b'{"name": "me"}', api="greet")
    assert b"".join(answer.body) == b"Hello, me!"


def test_gpus_that_nccl_joins_are_not_kept(deploy: Any, adapter: ModalAdapter) -> None:
    deploy(url=None, gpu="L4:2", gpu_snapshot=True, environment={"NCCL": "1"})
    with pytest.raises(UserError, match="destroy_process_group"):
        list(adapter.invoke("greeter", b"{}", api="greet").body)


def test_a_hook_that_fails_after_the_restore_says_so(deploy: Any, adapter: ModalAdapter) -> None:
    deploy(environment={"FAIL_LATER": "1"})
    with pytest.raises(UserError, match=r"after_restore hook Greeter.renewed .*no such database"):
        adapter.invoke("greeter", b"{}", api="greet")


def test_new_code_answers_once_it_is_deployed_and_the_old_after_a_rollback(
    deploy: Any, adapter: ModalAdapter
) -> None:
    def greeting() -> bytes:
        return b"".join(adapter.invoke("greeter", b'{"name": "me"}', api="greet").body)

    deploy()
    assert greeting() == b"Hello, me!"
    deploy("greeter:2")
    assert greeting() == b"Good day, me!"
    adapter.rollback("greeter", 1, lambda _: None)
    assert greeting() == b"Hello, me!"


def test_answers_stream_and_its_service_is_stopped(deploy: Any, cloud: Cloud) -> None:
    url = deploy().url
    with httpx.stream("POST", f"{url}/count", json={"to": 3}, timeout=60) as answer:
        assert "".join(answer.iter_text()) == "0 1 2 "
    cloud.run(cloud.state.stop_containers())
    assert "shutdown" in said(cloud)


def test_it_is_called_without_an_endpoint(deploy: Any, adapter: ModalAdapter, cloud: Cloud) -> None:
    assert deploy(url=None).url == ""
    reply = adapter.invoke("greeter", b'{"name": "me"}', api="greet")
    assert (reply.status, b"".join(reply.body)) == (200, b"Hello, me!")
    reply = adapter.invoke("greeter", b'{"to": 2}', api="count")
    assert b"".join(reply.body) == b"0 1 "
    told = adapter.invoke("greeter", b"{}", api="told")
    assert json.loads(b"".join(told.body))["seen"] == ["construct", "after_restore", "startup"]
    assert adapter.invoke("greeter", b'{"to": "x"}', api="count").status == 400


def test_two_services_run_in_one_container(
    deploy: Any, adapter: ModalAdapter, cloud: Cloud
) -> None:
    """In an image in which the bento's setup script has run."""
    url = deploy("pair:1").url
    answer = httpx.post(f"{url}/count", json={"text": "one two three"}, timeout=60)
    assert answer.json() == 3
    told = json.loads(b"".join(adapter.invoke("pair", b"{}", api="told").body))
    assert told["seen"] == ["construct", "after_restore", "startup"]
    assert told["made"] == "by the script\n"
    cloud.run(cloud.state.stop_containers())
    assert "words shut down" in said(cloud)


def test_a_service_that_does_not_start_says_why(deploy: Any, adapter: ModalAdapter) -> None:
    deploy(environment={"FAIL": "1"})
    with pytest.raises(UserError, match="Calling 'greeter' failed: no such model"):
        adapter.invoke("greeter", b"{}", api="greet")


def test_its_models_are_where_the_service_looks(deploy: Any, adapter: ModalAdapter) -> None:
    deploy("adder:1", snapshot="none")
    reply = adapter.invoke("adder", b'{"numbers": [1, 2]}')
    assert json.loads(b"".join(reply.body)) == [41, 42]


def test_calls_that_modal_joins_are_one_batch_of_the_service(deploy: Any, cloud: Cloud) -> None:
    url = deploy("adder:1", batching=Batching(True, 2, 20_000)).url

    def add(number: int) -> Any:
        body = {"numbers": [number]}
        return httpx.post(f"{url}/add", json=body, timeout=60).json()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(add, [1, 2])) == [[41], [42]]
    assert "batch of 2" in said(cloud)
    assert httpx.get(f"{url}/add", timeout=60).status_code == 405


@pytest.mark.parametrize(
    ("api", "body", "line"),
    [("greet", '{"name": "clock"}', "greeting clock"), ("count", '{"to": 500}', "counted 500")],
)
def test_a_schedule_calls_the_service(
    deploy: Any, cloud: Cloud, api: str, body: str, line: str
) -> None:
    from modal._serialization import serialize
    from modal_proto import api_pb2

    each = Schedule("often", "rate(5 minutes)", api=api, input=body)
    deploy(schedules=(each,))
    app = cloud.state.app_named("greeter")
    assert app is not None
    assert app.live is not None
    given = api_pb2.FunctionInput(args=serialize(((), {})), data_format=api_pb2.DATA_FORMAT_PICKLE)
    call = cloud.run(put_call(cloud.state, app.live.function_ids["tick-often"], given))
    (output,) = cloud.run(outputs(cloud, call))
    assert output.result.status == api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
    assert line in said(cloud)


async def outputs(cloud: Cloud, call: Any) -> Any:
    async with cloud.state.changed:
        while not call.outputs:
            await cloud.state.changed.wait()
    return call.outputs


@pytest.mark.parametrize("batching", [None, Batching(True, 2, 100)])
def test_browsers_of_other_origins_may_call_it(deploy: Any, batching: Batching | None) -> None:
    cors = Cors(origins=("https://a.example",))
    url = deploy("adder:1", url=Url(cors=cors), batching=batching).url
    origin = {"Origin": "https://a.example"}
    answer = httpx.post(f"{url}/add", json={"numbers": [1]}, headers=origin, timeout=60)
    assert answer.json() == [41]
    assert answer.headers["access-control-allow-origin"] == "https://a.example"


def test_callers_need_a_proxy_token_where_they_must_sign(deploy: Any) -> None:
    url = deploy(url=Url(authorizer="aws_iam")).url
    assert httpx.post(f"{url}/greet", json={}, timeout=60).status_code == 401
    token = {"Modal-Key": "wk-1", "Modal-Secret": "ws-1"}
    answer = httpx.post(f"{url}/greet", json={}, headers=token, timeout=60)
    assert answer.text == "Hello, nobody!"


def test_its_logs_are_read_and_followed(deploy: Any, adapter: ModalAdapter, cloud: Cloud) -> None:
    with pytest.raises(UserError, match="no function 'greeter' on target modal"):
        list(adapter.logs("greeter"))
    deploy()
    adapter.invoke("greeter", b'{"name": "first"}', api="greet")
    lines = [line.line for line in adapter.logs("greeter", tail=50)]
    assert "greeting first" in lines
    adapter.invoke("greeter", b'{"name": "second"}', api="greet")
    followed = adapter.logs("greeter", tail=0, follow=True)
    assert any(line.line == "greeting second" for line in followed)
