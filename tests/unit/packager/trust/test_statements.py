"""The parts list and the provenance of a bento: as the specifications want them, and stable."""

import getpass
import json
import socket
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.home import Home
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.referrers import read_content, referrers
from bentofn.packager.trust.packages import Package, installed_packages, locked_packages
from bentofn.packager.trust.provenance import attach_provenance
from bentofn.packager.trust.sbom import attach_sbom, find_sbom, make_sbom
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ExportedFrom, ModelReference, ServiceContract

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
HASH = "0123456789abcdef" * 4
OTHER = "f" * 64
LOCK = (
    f"Click==8.1.7 --hash=sha256:{HASH}",
    f"numpy==2.4.6 ; python_version < '3.14' --hash=sha256:{OTHER} --hash=sha256:{HASH}",
    f"thing @ https://me:secret@example.org/thing-1.0-py3-none-any.whl --hash=sha256:{HASH}",
)
METADATA = {
    "click-8.1.7": "Name: click\nVersion: 8.1.7\nLicense-Expression: BSD-3-Clause\n",
    "numpy-2.4.6": "Name: numpy\nVersion: 2.4.6\nLicense: A very\n        own licence\n",
    "thing-1.0": "Name: Thing\nVersion: 1.0\nClassifier: License :: OSI Approved :: MIT License\n",
    "extra-3": f"Name: extra\nVersion: 3\nLicense: {'text ' * 99}\n\nLicense-Expression: body\n",
}


def build(home: Path, code: bytes = b"code") -> tuple[Store, Entry]:
    store = Store(Home(home))
    env = [
        LayerFile(f"opt/bento/env/{name}.dist-info/METADATA", text.encode())
        for name, text in METADATA.items()
    ]
    layers = [
        put_layer(store, env, kind="env", title="packages"),
        put_layer(store, [LayerFile("opt/bento/src/a", code)], kind="code", title="code"),
    ]
    bento = BentoManifest(
        "g",
        code.decode(),
        ServiceContract("g", "s:G"),
        "3.11",
        "linux/amd64",
        models=(
            ModelReference("words", "1", f"sha256:{OTHER}"),
            ModelReference("words", "1", f"sha256:{OTHER}", alias="same"),
            ModelReference(
                "exported",
                "1",
                f"sha256:{HASH}",
                runtime="onnx",
                exported=ExportedFrom("words:1", f"sha256:{OTHER}", "m:f", ("torch==2",)),
            ),
        ),
        lock=LOCK,
        docker={"base_image": "debian:12", "setup_script": "#!/bin/sh"},
        inputs={"code": HASH, "lock": OTHER, "runtime": HASH, "slim": "safe 1"},
    )
    return store, store.add_bento(bento, layers, NOW)


def components(data: bytes) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(data)["components"]}


def test_the_sbom_keeps_to_the_schema(tmp_path: Path) -> None:
    store, entry = build(tmp_path / "home")
    data = make_sbom(store.home, store, entry)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None


def test_the_sbom_names_all_that_is_in_the_bento(tmp_path: Path) -> None:
    store, entry = build(tmp_path / "home")
    data = make_sbom(store.home, store, entry)
    found = components(data)
    packages = {"click", "numpy", "thing", "extra"}
    assert set(found) == {*packages, "words", "exported", "bentofn", "python"}
    assert len(json.loads(data)["components"]) == len(found)
    assert found["click"]["purl"] == "pkg:pypi/click@8.1.7"
    assert found["click"]["hashes"] == [{"alg": "SHA-256", "content": HASH}]
    assert found["click"]["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    # Which of the two files of the lock was installed it does not say.
    assert "hashes" not in found["numpy"]
    assert found["numpy"]["licenses"] == [{"license": {"name": "A very own licence"}}]
    assert found["thing"]["version"] == "1.0"
    (reference,) = found["thing"]["externalReferences"]
    assert reference["url"] == "https://example.org/thing-1.0-py3-none-any.whl"
    assert found["thing"]["licenses"] == [{"license": {"name": "MIT License"}}]
    assert "licenses" not in found["extra"]
    assert found["words"]["type"] == "machine-learning-model"
    assert found["words"]["hashes"] == [{"alg": "SHA-256", "content": OTHER}]
    values = {each["name"]: each["value"] for each in found["exported"]["properties"]}
    assert values["bentofn:runtime"] == "onnx"
    assert values["bentofn:exported-from"] == f"words:1 sha256:{OTHER}"
    assert (found["python"]["type"], found["python"]["version"]) == ("platform", "3.11")
    document = json.loads(data)
    root = document["metadata"]["component"]
    assert (root["name"], root["version"], root["type"]) == ("g", "code", "application")
    assert root["hashes"][0]["content"] == entry.digest.removeprefix("sha256:")
    (depends,) = (e["dependsOn"] for e in document["dependencies"] if e["ref"] == root["bom-ref"])
    assert sorted(depends) == sorted(each["bom-ref"] for each in found.values())


def test_the_same_bento_gives_the_same_sbom_and_another_another(tmp_path: Path) -> None:
    here, entry = build(tmp_path / "here")
    there, same = build(tmp_path / "there")
    data = make_sbom(here.home, here, entry)
    assert make_sbom(there.home, there, same) == data
    assert make_sbom(here.home, here, entry) == data
    assert b"timestamp" not in data
    _, changed = build(tmp_path / "here", b"other")
    other = make_sbom(here.home, here, changed)
    assert json.loads(other)["serialNumber"] != json.loads(data)["serialNumber"]
    assert components(other) == components(data)


def test_the_sbom_refers_to_the_bento(tmp_path: Path) -> None:
    store, entry = build(tmp_path / "home")
    made = find_sbom(store.home, store, entry)
    attach_sbom(store.home, store, entry)
    (found,) = referrers(store, entry.digest, "application/vnd.cyclonedx+json")
    assert found.layers[0].media_type == "application/vnd.cyclonedx+json"
    assert read_content(store, found) == made == find_sbom(store.home, store, entry)


def test_without_the_library_it_is_said_how_to_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, entry = build(tmp_path / "home")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"bentofn\[trust\]"):
        make_sbom(store.home, store, entry)


def test_the_provenance_is_a_statement_of_slsa(tmp_path: Path) -> None:
    store, entry = build(tmp_path / "home")
    made = attach_provenance(store, entry)
    assert attach_provenance(store, entry) == made
    assert made.artifact_type == made.layers[0].media_type == "application/vnd.in-toto+json"
    assert made.layers[0].annotations == {
        "in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"
    }
    data = read_content(store, made)
    statement = json.loads(data)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [
        {"name": "g:code", "digest": {"sha256": entry.digest.removeprefix("sha256:")}}
    ]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"] == [
        {"name": "code", "digest": {"bentofntree": HASH}},
        {"name": "runtime", "digest": {"sha256": HASH}},
        {"name": "lock", "digest": {"sha256": OTHER}},
        {"uri": "pkg:pypi/click@8.1.7", "digest": {"sha256": HASH}},
        {"uri": "pkg:pypi/numpy@2.4.6"},
        {
            "uri": "pkg:pypi/thing",
            "downloadLocation": "https://example.org/thing-1.0-py3-none-any.whl",
            "digest": {"sha256": HASH},
        },
        {"name": "model words:1", "digest": {"sha256": OTHER}},
        {"name": "base image", "uri": "docker://debian:12"},
    ]
    assert definition["externalParameters"]["docker"] == {"base_image": "debian:12"}
    assert statement["predicate"]["runDetails"]["builder"]["id"].startswith("urn:bentofn:")
    for private in (str(tmp_path), socket.gethostname(), f"/{getpass.getuser()}/", "secret"):
        assert private.encode() not in data


@given(st.lists(st.text()))
def test_any_lock_is_read(lines: list[str]) -> None:
    for package in locked_packages(lines):
        assert package.name == package.name.lower()


def test_metadata_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "x-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_bytes(b"Name: x\nVersion: 1\nLicense: \xff\n")
    assert installed_packages((), tmp_path) == [Package("x", "1", license="\ufffd")]
