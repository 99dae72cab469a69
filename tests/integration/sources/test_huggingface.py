"""Models of the hub: the real client against a hub of our own."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from model_hub import Hub, Repository
from safetensors.numpy import save

TOKEN = "hf_averysecrettoken"
WEIGHTS = save({"w": np.arange(50_000, dtype=np.float32)})
FILES = {
    ".gitattributes": b"*.safetensors filter=lfs",
    "config.json": b"{}",
    "README.md": b"# model",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"\x80\x02pickle",
    "tf_model.h5": b"h5",
    "onnx/model.onnx": b"\x08\x0a\x3a\x00\x42\x00",
    "training_args.bin": b"\x80\x02pickle",
}
KEPT = {"config.json", "README.md", "model.safetensors"}


@pytest.fixture
def repository(hub: Hub) -> Repository:
    repository = Repository()
    repository.commit(FILES)
    hub.repositories["Org/Bert"] = repository
    return repository


def imported(run: Callable[..., Any], *arguments: str, **variables: str) -> dict[str, Any]:
    document = json.loads(run("models", "import", *arguments, "--json", **variables).stdout)
    assert isinstance(document, dict)
    return document


def test_the_commit_is_the_version_and_one_set_of_weights_is_fetched(
    hub: Hub, repository: Repository, run: Callable[..., Any]
) -> None:
    done = run("models", "import", "hf:Org/Bert", "--json")
    document = json.loads(done.stdout)
    assert document["name"] == "org--bert"
    assert document["version"] == repository.refs["main"]
    assert set(document["files"]) == KEPT
    assert document["origin"]["model_id"] == "Org/Bert"
    assert {line.rsplit("/", 1)[1] for line in hub.downloads()} == KEPT
    assert "Fetching 3 files of Org/Bert" in done.stderr
    assert "Left out of Org/Bert: onnx/model.onnx, pytorch_model.bin" in done.stderr


def test_nothing_is_fetched_twice_and_a_revision_is_named(
    hub: Hub, repository: Repository, run: Callable[..., Any]
) -> None:
    first = repository.refs["main"]
    repository.refs["v1"] = first
    repository.commit({**FILES, "config.json": b'{"new": 1}'})
    newest = imported(run, "hf:Org/Bert")
    before = len(hub.downloads())
    assert imported(run, "hf:Org/Bert")["digest"] == newest["digest"]
    assert len(hub.downloads()) == before
    older = imported(run, "hf:Org/Bert@v1")
    assert (older["version"], newest["version"]) == (first, repository.refs["main"])
    fetched = [line for line in hub.downloads()[before:] if "model.safetensors" in line]
    assert fetched == []  # its content is the same in both commits


def test_what_is_asked_for_is_fetched(
    hub: Hub, repository: Repository, run: Callable[..., Any]
) -> None:
    document = imported(run, "hf:Org/Bert?include=*.json&include=onnx/*")
    assert set(document["files"]) == {"config.json", "onnx/model.onnx"}
    assert document["version"].startswith(f"{repository.refs['main']}-")
    document = imported(run, "hf:Org/Bert?exclude=README.md", "--name", "mine", "--version", "1")
    assert (document["tag"], set(document["files"])) == ("mine:1", KEPT - {"README.md"})


def test_offline_the_cache_is_used(
    hub: Hub, repository: Repository, run: Callable[..., Any], tmp_path: Path
) -> None:
    online = imported(run, "hf:Org/Bert")
    asked = len(hub.requests)
    offline = {"HF_HUB_OFFLINE": "1", "BENTOFN_HOME": str(tmp_path / "other")}
    assert imported(run, "hf:Org/Bert", **offline)["digest"] == online["digest"]
    assert len(hub.requests) == asked
    done = run("models", "import", "hf:Org/Other", check=False, **offline)
    assert (done.returncode, "not in the cache" in done.stderr) == (1, True)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        done = run("models", "import", "hf:Org/Bert", HF_ENDPOINT=nowhere)
    assert "Taking Org/Bert from the cache" in done.stderr


def test_a_part_of_a_model_in_the_cache_is_not_taken_for_all(
    hub: Hub, repository: Repository, run: Callable[..., Any]
) -> None:
    if not hasattr(huggingface_hub, "get_cached_repo_tree"):
        pytest.skip("this huggingface_hub keeps no list of what a repository holds")
    imported(run, "hf:Org/Bert?include=config.json")
    done = run("models", "import", "hf:Org/Bert", check=False, HF_HUB_OFFLINE="1")
    assert (done.returncode, "only a part" in done.stderr) == (1, True)


def test_the_endpoint_of_a_declaration(
    hub: Hub, repository: Repository, run: Callable[..., Any]
) -> None:
    source = f"hf:Org/Bert@main?endpoint={hub.url}"
    assert imported(run, source, HF_ENDPOINT="http://127.0.0.1:9")["name"] == "org--bert"
    done = run("models", "import", "hf:Org/Bert?endpoint=http://me:pw@hub", check=False)
    assert (done.returncode, "carries a password" in done.stderr) == (1, True)


def test_the_token_opens_the_door_and_is_written_nowhere(
    hub: Hub, repository: Repository, run: Callable[..., Any], tmp_path: Path
) -> None:
    repository.token = TOKEN
    done = run("models", "import", "hf:Org/Bert", check=False)
    assert done.returncode == 1
    assert "There is no model Org/Bert on" in done.stderr
    assert "hf auth login" in done.stderr
    repository.gated = True
    done = run("models", "import", "hf:Org/Bert", check=False)
    assert (done.returncode, "is gated: ask for access" in done.stderr) == (1, True)
    done = run("models", "import", "hf:Org/Bert", HF_TOKEN=TOKEN)
    assert f"Bearer {TOKEN}" in hub.authorizations
    assert hub.told_cdn == {""}
    assert TOKEN not in done.stdout + done.stderr
    home = tmp_path / "home"
    written = [path for path in home.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf:Org/Nothing", "There is no model Org/Nothing"),
        ("hf:Org/Bert@v9", "has no revision 'v9'"),
        ("hf:", "names no model"),
        ("hf:Org/Bert@", "names no model"),
        ("hf:a/b/c", "names no model"),
        ("hf:Org/Bert?include=*.zip", "no file to import"),
    ],
)
def test_a_mistake_is_one_sentence(
    repository: Repository, run: Callable[..., Any], source: str, message: str
) -> None:
    done = run("models", "import", source, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_pickles_of_the_hub_are_refused_like_others(
    repository: Repository, run: Callable[..., Any]
) -> None:
    repository.commit({**FILES, "head.joblib": b"\x80\x04]."})
    done = run("models", "import", "hf:Org/Bert", check=False)
    assert done.returncode == 1
    assert "head.joblib holds a pickle" in done.stderr
    document = imported(run, "hf:Org/Bert", "--allow-pickle")
    assert set(document["files"]) == {*KEPT, "head.joblib"}
    assert set(imported(run, "hf:Org/Bert?exclude=*.joblib")["files"]) == KEPT


@pytest.mark.parametrize("status", [429, 500])
def test_a_hub_that_is_ill_is_named(
    hub: Hub, repository: Repository, run: Callable[..., Any], status: int
) -> None:
    hub.status = status
    done = run("models", "import", "hf:Org/Bert", check=False)
    assert done.returncode == 1
    assert f"answered {status} for Org/Bert; try again later" in done.stderr


def test_a_download_that_breaks_off_goes_on(
    hub: Hub, repository: Repository, run: Callable[..., Any]
) -> None:
    # The client writes what it gets in pieces of 10 MB.
    large = save({"w": np.zeros(3_000_000, dtype=np.float32)})
    repository.commit({**FILES, "model.safetensors": large})
    hub.drops["model.safetensors"] = (1, 11_000_000)
    assert set(imported(run, "hf:Org/Bert")["files"]) == KEPT
    assert hub.ranges == [f"model.safetensors bytes={10 * 1024 * 1024}-"]
