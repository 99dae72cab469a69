"""The embeddings example as functions of AWS Lambda: our zip, and the same model in a plain one."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services import report

sys.path.append(str(Path(__file__).parents[1] / "tests" / "servers"))
from lambda_machine import Machine, lambdas_own, unpack, why_not

from bentofn.adapters.local.interpreter import find_python
from bentofn.adapters.local.lambda_.client import client_directory
from bentofn.commands.demo import import_weights
from bentofn.commands.init import write_template
from bentofn.packager.build import BuildOptions, build
from bentofn.packager.home import Home
from bentofn.packager.lambda_.package import package
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store

MEMORY = "1769"  # MiB, with which a function has one CPU
EVENT = {"texts": ["A man is eating."]}
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

BY_HAND = """
import glob, json, os
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = os.environ["MODEL"]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(folder + "/model.onnx", options)
tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
tokenizer.enable_truncation(256)
tokenizer.enable_padding()


def handler(event, context):
    encoded = tokenizer.encode_batch(event["texts"])
    inputs = {
        "input_ids": np.array([each.ids for each in encoded]),
        "attention_mask": np.array([each.attention_mask for each in encoded]),
    }
    return session.run(None, inputs)[0].tolist()
"""


@dataclass(frozen=True)
class Packaged:
    """A function that can be started.

    Args:
        name: What the table calls it.
        machine: Its files.
        handler: What Lambda calls.
        variables: Its environment.
    """

    name: str
    machine: Machine
    handler: str
    variables: dict[str, str]


def package_all(folder: Path) -> list[Packaged]:
    """Build and package the example in each way.

    Args:
        folder: An empty one, for a home and the functions' files.

    Raises:
        SystemExit: This machine cannot show a function what it finds on Lambda.
    """
    if reason := why_not():
        raise SystemExit(reason)
    home, project = Home(folder / "home"), folder / "project"
    import_weights(home, report)
    write_template("embeddings-onnx", project)
    made = package(home, build(project, home, BuildOptions(), report).tag, "zip", report)
    opt, task = unpack(made, folder / "ours")
    python = find_python(PYTHON)
    (folder / "runtime").mkdir()
    own = lambdas_own(client_directory(home, PYTHON, python), folder / "runtime")
    prefix = python.parent.parent
    whole = build(project, home, BuildOptions(slim="off"), report).tag
    entry = Store(home).get("bento", whole)
    plain = _plain(folder / "plain", opt, task, materialise(home, entry))
    hand = _by_hand(folder / "by hand", plain.parent / "opt")
    model = next((opt / "bento" / "models").glob("*onnx/*"))
    shared = {
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": MEMORY,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    }
    place = f"/opt/{model.relative_to(opt)}"
    return [
        Packaged(
            "bentofn",
            Machine(opt, task, prefix, own),
            made.handler,
            {**shared, **made.environment},
        ),
        Packaged(
            "the same, plain",
            Machine(plain.parent / "opt", plain, prefix, own),
            made.handler,
            shared,
        ),
        Packaged(
            "by hand, plain",
            Machine(plain.parent / "opt", hand, prefix, own),
            "app.handler",
            {**shared, "PYTHONPATH": "/var/runtime:/opt/bento/env", "MODEL": place},
        ),
    ]


def _plain(folder: Path, opt: Path, task: Path, root: Path) -> Path:
    """The function without bytecode, and all that its packages brought; gives its code."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(opt, folder / "opt", ignore=without)
    shutil.copytree(task, folder / "task", ignore=without)
    shutil.rmtree(folder / "opt" / "bento" / "env")
    shutil.copytree(root / "env", folder / "opt" / "bento" / "env", ignore=without)
    return folder / "task"


def _by_hand(folder: Path, opt: Path) -> Path:
    folder.mkdir()
    (folder / "app.py").write_text(BY_HAND)
    return folder


def fetch_emulator(folder: Path) -> Path:
    """AWS's runtime interface emulator, out of the wheel of aws-sam-cli."""
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    subprocess.run([*command, "aws-sam-cli>=1.130"], check=True, stderr=subprocess.DEVNULL)
    [wheel] = folder.glob("aws_sam_cli-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = f"samcli/local/rapid/aws-lambda-rie-{machine}"
        program = Path(archive.extract(inside, folder))
    program.chmod(0o755)
    return program


def invoke(url: str) -> Any:
    """Have the function answer once."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, json.dumps(EVENT).encode(), timeout=120) as answer:
        return json.load(answer)
