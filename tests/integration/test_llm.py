"""examples/llm as a user runs it: weights, build, deploy, and a chat that streams."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bentofn.adapters.local import daemon
from bentofn.packager.build import BuildResult
from bentofn.packager.home import Home

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "llm"

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(
    example_home: Home,
    example: BuildResult,  # packed torch, which this one then need not
    bentofn: Bentofn,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The deployed example, with weights that were hardly taught."""
    weights = tmp_path_factory.mktemp("llm") / "weights"
    make = [sys.executable, "make_weights.py", str(weights), "--steps", "5"]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # several wait for each other on a busy machine
    subprocess.run(make, cwd=EXAMPLE, env=alone, check=True, capture_output=True)
    home = example_home.path
    bentofn("models", "import", str(weights), "--name", "tiny-llm", home=home)
    bentofn("build", str(EXAMPLE), home=home)
    daemon.ensure_running(example_home, 0)
    bentofn("deploy", "llm:latest", "--target", "local", home=home)
    (status,) = json.loads(bentofn("status", "llm", "--json", home=home).stdout)
    return str(status["url"])


def ask(url: str, body: dict[str, Any]) -> http.client.HTTPResponse:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", f"{address.path}/v1/chat/completions", json.dumps(body), headers)
    return connection.getresponse()


def chat(**options: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Beautiful is"}]
    return {
        "model": "tiny-llm",
        "messages": messages,
        "max_tokens": 20,
        "temperature": 0,
        **options,
    }


def test_a_streamed_chat_is_the_whole_one_in_pieces(url: str) -> None:
    answer = ask(url, chat(stream=True, stream_options={"include_usage": True}))
    assert answer.getheader("Content-Type") == "text/event-stream; charset=utf-8"
    *events, end, nothing = answer.read().decode().split("\n\n")
    assert (end, nothing) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[-1]["usage"]["completion_tokens"] == 20
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert choices[0]["delta"]["role"] == "assistant"
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["length"]
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    whole = json.load(ask(url, chat()))
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": text}
    assert len(text) == 20


def test_a_seed_makes_chance_repeatable(url: str) -> None:
    bodies = [chat(temperature=2, seed=seed) for seed in (1, 1, 2)]
    first, again, other = (json.load(ask(url, body))["choices"] for body in bodies)
    assert first == again != other


def test_errors_have_the_form_that_clients_read(url: str) -> None:
    unknown, invalid = ask(url, chat(model="other")), ask(url, chat(temperature=-1))
    assert (unknown.status, invalid.status) == (404, 400)
    assert "tiny-llm" in json.load(unknown)["error"]["message"]
    assert "temperature" in json.load(invalid)["error"]["message"]


def test_the_service_has_its_own_endpoint_and_the_list_of_models(url: str) -> None:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    connection.request("POST", f"{address.path}/generate", '{"prompt": "Flat", "max_tokens": 5}')
    assert len(connection.getresponse().read()) == 5
    connection.request("GET", f"{address.path}/v1/models")
    models = json.load(connection.getresponse())
    assert [model["id"] for model in models["data"]] == ["tiny-llm"]
