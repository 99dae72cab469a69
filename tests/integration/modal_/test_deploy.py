"""A function is deployed to Modal with Modal's own client; what it sent is looked at."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from modal_cloud import Cloud
from modal_proto import api_pb2

from bentofn.adapters.batching import Batching
from bentofn.adapters.modal.adapter import ModalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec, Load
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.secret import Secret
from bentofn.adapters.url import Url
from bentofn.packager.home import Home
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError

WRITES = re.compile(
    r"App(Create|Publish|Stop|Rollback|SetTags|ClientDisconnect)|.*Create$|.*Put.*|.*Delete|Image.*"
)
"""Calls that change something, or would if they did not find it there."""


@pytest.fixture
def adapter(sparse_home: Home, cloud: Cloud) -> ModalAdapter:
    """The adapter; nothing that it deploys is run."""
    return ModalAdapter(sparse_home)


def writes(cloud: Cloud) -> list[str]:
    """The calls that changed something; looking for what is there is none."""
    changing = []
    for name, request in cloud.seen:
        if name == "EnvironmentGetOrCreate":
            continue
        found = getattr(request, "object_creation_type", None)
        if found == api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
            continue
        if WRITES.fullmatch(name):
            changing.append(name)
    return changing


def created(cloud: Cloud, name: str = "Function.*") -> Any:
    """The function of a name as it was last sent."""
    for request in reversed(cloud.requests("FunctionCreate")):
        ranked = request.function_data.ranked_functions
        function = ranked[0].function if ranked else request.function
        if function.function_name == name:
            return request if ranked else function
    raise AssertionError(f"no {name}")


def commands(cloud: Cloud) -> list[str]:
    return [
        command
        for request in cloud.requests("ImageGetOrCreate")
        for command in request.image.dockerfile_commands
    ]


def test_a_function_is_a_class_with_a_memory_snapshot(deploy: Any, cloud: Cloud) -> None:
    deployed = deploy(
        memory=2048, cpu=2, timeout=30, idle_timeout=120, concurrency=8,
        min_instances=1, max_instances=5, buffer_instances=2, regions=("us-east", "eu"),
        tags={"team": "search"},
    )  # fmt: skip
    assert (deployed.version, deployed.changed, deployed.snapshot) == (1, True, "modal")
    assert deployed.url.endswith("/web/greeter/web")
    function = created(cloud)
    assert function.checkpointing_enabled
    assert function.module_name == "bentofn_function"
    assert (function.resources.memory_mb, function.resources.milli_cpu) == (2048, 2000)
    assert function.timeout_secs == 30
    assert function.max_concurrent_inputs == 8
    scaling = function.autoscaler_settings
    assert (scaling.min_containers, scaling.max_containers) == (1, 5)
    assert (scaling.buffer_containers, scaling.scaledown_window) == (2, 120)
    assert list(function.scheduler_placement.regions) == ["us-east", "eu"]
    web = function.method_definitions["web"].webhook_config
    assert web.type == api_pb2.WEBHOOK_TYPE_ASGI_APP
    assert not web.requires_proxy_auth
    assert any(command.startswith("FROM python:3.11") for command in commands(cloud))
    published = cloud.requests("AppPublish")[-1]
    assert dict(published.tags) == {"bentofn.function": "greeter", "team": "search"}


def test_the_packages_are_the_image_and_the_code_is_not(deploy: Any, cloud: Cloud) -> None:
    deploy()
    images = [request.image for request in cloud.requests("ImageGetOrCreate")]
    built = {
        path for image in images for path in cloud.state.mounts.get(image.context_mount_id, ())
    }
    assert any(path.endswith("starlette/__init__.py") for path in built)
    assert not any("service.py" in path for path in built)
    mounted = {path for each in created(cloud).mount_ids for path in cloud.state.mounts[each]}
    assert {"/opt/bento/src/service.py", "/opt/bento/bento.json"} <= mounted
    assert "/root/bentofn_function.py" in mounted


def test_deploying_the_same_again_writes_nothing(deploy: Any, cloud: Cloud) -> None:
    first = deploy(environment={"A": "1"})
    cloud.faults.clear()
    again = deploy(environment={"A": "1"})
    assert (again.changed, again.version, again.url) == (False, first.version, first.url)
    assert writes(cloud) == []


def test_a_change_of_code_sends_the_code_and_builds_no_image(deploy: Any, cloud: Cloud) -> None:
    cloud.state.content = {}
    deploy("greeter:1")
    before = set(cloud.state.content)
    images = set(cloud.state.images)
    cloud.faults.clear()
    assert deploy("greeter:2").version == 2
    sent = set(cloud.state.content) - before
    assert set(cloud.state.images) == images
    assert cloud.requests("BlobCreate") == []
    texts = [cloud.state.content[each] for each in sent]
    assert len(texts) <= 4  # the module, its bytecode, the manifest, the record
    assert any(b"Good day" in text for text in texts)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"environment": {"A": "2"}}, "environment.A"),
        ({"memory": 512, "environment": {"A": "1"}}, "memorySize"),
        ({"timeout": 9.0, "environment": {"A": "1"}}, "timeout"),
        ({"url": None, "environment": {"A": "1"}}, "url"),
    ],
)
def test_a_change_of_a_setting_is_planned_and_deployed(
    deploy: Any, adapter: ModalAdapter, spec: Any, cloud: Cloud, settings: Any, path: str
) -> None:
    deploy(environment={"A": "1"})
    cloud.faults.clear()
    plan = adapter.plan(spec(**settings))
    assert [change.path for change in plan.changes] == [path]
    assert writes(cloud) == []
    assert deploy(**settings).version == 2
    assert adapter.plan(spec(**settings)).changes == ()


def test_values_of_variables_and_secrets_are_in_modals_secret_alone(
    deploy: Any, adapter: ModalAdapter, spec: Any, cloud: Cloud, monkeypatch: Any
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "pa55word-of-the-database")
    cloud.state.secrets["st-named"] = {"TOKEN": "x"}
    cloud.state.named_secrets["hugging"] = "st-named"
    settings = {
        "environment": {"PLAIN": "value-of-plain"},
        "secrets": {
            "PASSWORD": Secret("env", "DATABASE_PASSWORD"),
            "TOKEN": Secret("modal", "hugging"),
        },
    }
    plan = adapter.plan(spec(**settings))
    deployed = deploy(**settings)
    values = [b"pa55word-of-the-database", b"value-of-plain"]
    assert not any(v.decode() in repr((plan, plan.to_json(), deployed)) for v in values)
    for name, request in cloud.seen:
        if name != "SecretGetOrCreate":
            assert not any(value in request.SerializeToString() for value in values), name
    assert not any(value in content for value in values for content in cloud.state.content.values())
    sent = cloud.requests("SecretGetOrCreate")
    assert sent[0].deployment_name == "hugging"
    assert list(sent[0].required_keys) == ["TOKEN"]
    given = dict(sent[-1].env_dict)
    assert given["PASSWORD"] == "pa55word-of-the-database"
    assert given["PLAIN"] == "value-of-plain"
    monkeypatch.setenv("DATABASE_PASSWORD", "another")
    assert [c.path for c in adapter.plan(spec(**settings)).changes] == ["secrets.PASSWORD"]


def test_a_secret_that_modal_lacks_leaves_the_old_version(
    adapter: ModalAdapter, spec: Any, deploy: Any, cloud: Cloud
) -> None:
    deploy()
    settings = {"secrets": {"KEY": Secret("modal", "absent")}}
    [problem] = [each for each in adapter.plan(spec(**settings)).problems if "absent" in str(each)]
    assert (problem.kind, problem.field) == ("violation", "secrets modal")
    assert "Modal has no Secret 'absent' with KEY" in problem.sentence
    assert "modal secret create absent KEY=..." in problem.sentence
    before = writes(cloud)
    with pytest.raises(UserError, match=re.escape(problem.sentence)):
        deploy(**settings)
    assert writes(cloud) == before
    cloud.state.secrets["st-absent"] = {"OTHER": "x"}
    cloud.state.named_secrets["absent"] = "st-absent"
    [problem] = [each for each in adapter.plan(spec(**settings)).problems if "absent" in str(each)]
    assert "lacks ['KEY']" in problem.sentence
    cloud.state.secrets["st-absent"]["KEY"] = "x"
    assert adapter.plan(spec(**settings)).ok
    app = cloud.state.app_named("greeter")
    assert app is not None
    assert len(app.versions) == 1


def test_weights_are_in_a_volume_by_their_digest(
    deploy: Any, adapter: ModalAdapter, spec: Any, cloud: Cloud
) -> None:
    (upload,) = adapter.plan(spec("adder:1")).uploads
    assert (upload.what, upload.present) == ("model offset:1", False)
    deploy("adder:1")
    (volume,) = cloud.state.volumes.values()
    assert volume.name == "bentofn.adder"
    weights = [path for path in volume.files if path.endswith("model.safetensors")]
    (folder,) = {path.split("/")[0] for path in weights}
    assert re.fullmatch("[0-9a-f]{64}", folder)
    (mount,) = created(cloud).volume_mounts
    assert (mount.volume_id, mount.read_only) == (volume.volume_id, True)
    cloud.faults.clear()
    deploy("adder:1", memory=256)
    content = hashlib.sha256(b"").hexdigest()
    put = [r.sha256_hex for r in cloud.requests("MountPutFile")]
    assert volume.files[weights[0]] not in [*put, content]
    assert adapter.plan(spec("adder:1", memory=256)).uploads[0].present


def test_what_its_examples_compiled_is_in_the_container(
    sparse_home: Home, adapter: ModalAdapter, cloud: Cloud, tmp_path: Path
) -> None:
    unpacked = materialise(sparse_home, Store(sparse_home).get("bento", "greeter:1"))
    bento = shutil.copytree(unpacked, tmp_path / "bento")
    (bento / "compiled" / "0123").mkdir(parents=True)
    (bento / "compiled" / "0123" / "kept.json").touch()
    adapter.apply(FunctionSpec("greeter", str(bento), FunctionSettings()), lambda _: None)
    sent = {path for each in created(cloud).mount_ids for path in cloud.state.mounts[each]}
    assert "/opt/bento/compiled/0123/kept.json" in sent


def test_gpus_have_fallbacks_and_a_snapshot_of_their_own(deploy: Any, cloud: Cloud) -> None:
    deploy(gpu="H100:2", gpu_fallbacks=("A100-80GB:2", "L40S"), gpu_snapshot=True)
    ranked = created(cloud).function_data.ranked_functions
    wanted = [(r.function.resources.gpu_config.gpu_type, r.function.resources.gpu_config.count)
              for r in ranked]  # fmt: skip
    assert wanted == [("H100", 2), ("A100-80GB", 2), ("L40S", 1)]
    assert ranked[0].function.experimental_options["enable_gpu_snapshot"] == "True"
    module = next(
        text for text in cloud.state.content.values()
        if text.startswith(b'"""The function greeter') and b"self.served.construct()" in text
    )  # fmt: skip
    assert b"@modal.enter(snap=True)" in module


def test_without_a_snapshot_of_the_gpu_only_imports_are_kept(deploy: Any, cloud: Cloud) -> None:
    deployed = deploy(gpu="L4")
    assert "gpuSnapshot" in deployed.note
    assert any(b"self.served.load()" in text for text in cloud.state.content.values())
    deploy(gpu="L4", snapshot="none")
    assert not created(cloud).checkpointing_enabled


def test_modal_joins_calls_where_the_spec_says_how(deploy: Any, cloud: Cloud) -> None:
    deploy("adder:1", batching=Batching(True, 16, 200))
    function = created(cloud)
    assert (function.batch_max_size, function.batch_linger_ms) == (16, 100)
    assert function.max_concurrent_inputs == 0
    front = created(cloud, "web")
    assert front.webhook_config.type == api_pb2.WEBHOOK_TYPE_ASGI_APP
    deploy("adder:1")  # the service joins them itself, so that many come to a container at a time
    assert created(cloud).max_concurrent_inputs == 8
    assert created(cloud).batch_max_size == 0


def test_schedules_are_functions_of_the_clock(deploy: Any, cloud: Cloud) -> None:
    deploy(
        schedules=(
            Schedule("nightly", "cron(30 2 ? * MON-FRI *)", "Europe/Berlin", api="greet"),
            Schedule("often", "rate(5 minutes)", api="greet", retries=2),
            Schedule("never", "rate(1 hour)", api="greet", enabled=False),
        )
    )
    nightly, often = created(cloud, "tick-nightly"), created(cloud, "tick-often")
    assert nightly.schedule.cron.cron_string == "30 2 * * 1,2,3,4,5"
    assert nightly.schedule.cron.timezone == "Europe/Berlin"
    assert often.schedule.period.seconds == 300
    assert often.retry_policy.retries == 2
    assert "tick-never" not in str(cloud.requests("FunctionCreate"))


def test_it_is_rolled_back_to_any_version(deploy: Any, adapter: ModalAdapter, cloud: Cloud) -> None:
    first = deploy("greeter:1")
    deploy("greeter:2")
    back = adapter.rollback("greeter", None, lambda _: None)
    assert (back.version, back.bento, back.digest) == (1, "greeter:1", first.digest)
    versions = adapter.versions("greeter")
    assert [(v.number, v.bento, v.weight) for v in versions] == [
        (1, "greeter:1", 1.0),
        (2, "greeter:2", 0.0),
    ]
    assert adapter.promote("greeter", 2, 1.0, lambda _: None).bento == "greeter:2"
    with pytest.raises(UserError, match="no version 9"):
        adapter.rollback("greeter", 9, lambda _: None)
    with pytest.raises(UserError, match="share"):
        adapter.promote("greeter", 1, 0.5, lambda _: None)
    cloud.faults.clear()
    assert not deploy("greeter:2").changed
    assert writes(cloud) == []


def test_of_a_cut_off_history_a_version_that_is_there_can_be_rolled_back_to(
    deploy: Any, adapter: ModalAdapter, cloud: Cloud
) -> None:
    deploy("greeter:1")
    deploy("greeter:2")
    adapter.rollback("greeter", 1, lambda _: None)
    app = cloud.state.app_named("greeter")
    assert app is not None
    del app.versions[0]  # what the newest entry went back to
    assert adapter.rollback("greeter", 2, lambda _: None).bento == "greeter:2"


def test_a_version_that_modal_keeps_no_longer_is_told(
    deploy: Any, adapter: ModalAdapter, cloud: Cloud
) -> None:
    deploy("greeter:1")
    deploy("greeter:2")
    app = cloud.state.app_named("greeter")
    assert app is not None
    app.versions[0].rollback_allowed = False
    first, second = adapter.versions("greeter")
    assert ("cannot be rolled back to" in first.note, second.note) == (True, "")
    with pytest.raises(UserError, match="AppRollback: version 1 is too old"):
        adapter.rollback("greeter", None, lambda _: None)


def test_a_requests_lines_are_found_among_many(
    deploy: Any, adapter: ModalAdapter, cloud: Cloud
) -> None:
    deploy()
    app = cloud.state.app_named("greeter")
    assert app is not None
    hour, now = 3600, time.time()
    for age, text in ((400 * hour, "try-1 came"), (399 * hour, "try-1 went"), (30, "try-2 came")):
        cloud.state.lines.append((app.app_id, "ta-1", now - age, text))
    cloud.state.lines.append((app.app_id, "fc-1", now - 300 * hour, "of a call"))
    for number in range(300):
        cloud.state.lines.append((app.app_id, "ta-1", now - 20, f"line {number}"))

    def lines(**options: Any) -> list[str]:
        return [each.line for each in adapter.logs("greeter", **options)]

    assert lines(request="try-1") == ["try-1 came", "try-1 went"]
    assert lines(request="try-1", tail=1) == ["try-1 went"]
    assert lines(request="try-1", since=now - 10 * hour) == []
    assert lines(request="fc-1") == ["of a call"]
    cloud.faults.clear()
    assert lines(request="try-2") == ["try-2 came"]
    assert {each.search_text for each in cloud.requests("AppFetchLogs")} == {"try-2"}
    assert len(lines()) == 100


def test_a_plan_says_that_a_url_is_public(adapter: ModalAdapter, spec: Any) -> None:
    def kinds(url: Url | None) -> list[str]:
        return [each.kind for each in adapter.plan(spec(url=url)).problems if each.field == "url"]

    assert kinds(Url()) == ["public"]
    assert kinds(Url(authorizer="aws_iam")) == kinds(None) == []


def test_its_status_says_what_modal_tells(deploy: Any, adapter: ModalAdapter, cloud: Cloud) -> None:
    deploy("greeter:1")
    app = cloud.state.app_named("greeter")
    assert app is not None
    assert app.live is not None
    cloud.state.backlog[app.live.function_ids["Function.*"]] = 7
    (status,) = adapter.status("greeter")
    assert (status.instances, status.queued) == ((), 7)
    assert status.requests is status.refused is status.cost is None


def test_destroying_leaves_nothing(deploy: Any, adapter: ModalAdapter, cloud: Cloud) -> None:
    deploy("adder:1")
    deploy("greeter:1")
    assert [s.name for s in adapter.status()] == ["adder", "greeter"]
    adapter.destroy("adder")
    assert [s.name for s in adapter.status()] == ["greeter"]
    assert [volume.name for volume in cloud.state.volumes.values()] == ["bentofn.greeter"]
    assert cloud.state.leftovers() == []
    with pytest.raises(UserError, match="no function 'adder' on target modal"):
        adapter.destroy("adder")
    with pytest.raises(UserError, match="no function 'adder'"):
        adapter.status("adder")


def test_somebody_elses_app_is_left_alone(
    deploy: Any, adapter: ModalAdapter, spec: Any, cloud: Cloud
) -> None:
    import modal

    theirs = modal.App("greeter", include_source=False)
    theirs.deploy()
    cloud.faults.clear()
    with pytest.raises(UserError, match="bentofn did not make"):
        deploy()
    with pytest.raises(UserError, match="bentofn did not make"):
        adapter.destroy("greeter")
    assert writes(cloud) == []


def test_a_deployment_is_compared_from_another_home(
    deploy: Any, cloud: Cloud, modal_home: Home, spec: Any
) -> None:
    deploy()
    cloud.faults.clear()
    status = ModalAdapter(Home(modal_home.path.parent / "elsewhere")).status("greeter")[0]
    assert (status.bento, status.version, status.state) == ("greeter:1", 1, "zero")
    assert set(status.apis) == {"greet", "told", "throw", "count"}


def test_a_plan_says_the_price(adapter: ModalAdapter, spec: Any) -> None:
    plan = adapter.plan(spec(gpu="L4", memory=1024, cpu=1), load=Load.parse("100/day,0.2s"))
    assert plan.cost is not None
    parts = {part.what: part.per_month for part in plan.cost.parts}
    assert set(parts) == {"CPU", "memory", "GPU L4"}
    assert parts["GPU L4"] > parts["CPU"] > 0
    assert json.dumps(plan.to_json())


def test_what_the_plan_refuses_is_refused_before_any_call(
    deploy: Any, adapter: ModalAdapter, spec: Any, cloud: Cloud
) -> None:
    wrong = {"gpu": "H900", "idle_timeout": 1.0}
    plan = adapter.plan(spec(**wrong))
    assert not plan.ok
    sentences = [p.sentence for p in plan.problems if p.kind == "violation"]
    with pytest.raises(UserError) as refused:
        deploy(**wrong)
    assert all(sentence in str(refused.value) for sentence in sentences)
    assert cloud.seen == []


def test_without_a_token_it_says_how_to_get_one(deploy: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("MODAL_TOKEN_ID")
    monkeypatch.delenv("MODAL_TOKEN_SECRET")
    with pytest.raises(UserError, match="modal token new"):
        deploy(url=Url())
