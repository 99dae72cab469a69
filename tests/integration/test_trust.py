"""Sign, verify and the SBOM, from the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

SERVICE = """
import bentofn

@bentofn.service
class Greeter:
    @bentofn.api
    def hello(self, name: str = "you") -> str:
        return f"hello {name}"
"""
PASSWORD = "c0rrect-horse"

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed (apt-get install openssl)"
)


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_key(folder: Path, name: str, *options: str) -> tuple[str, str]:
    private, public = str(folder / f"{name}.pem"), str(folder / f"{name}.pub.pem")
    openssl("genpkey", *options, "-out", private)
    secret = ("-passin", f"pass:{PASSWORD}") if "-pass" in options else ()
    openssl("pkey", "-in", private, *secret, "-pubout", "-out", public)
    return private, public


def test_a_bento_is_signed_moved_and_verified(tmp_path: Path, bentofn: Bentofn) -> None:
    project, here, there = (tmp_path / name for name in ("project", "here", "there"))
    project.mkdir()
    (project / "service.py").write_text(SERVICE)
    (project / "bentofile.yaml").write_text("service: service:Greeter\n")
    curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256")
    private, public = make_key(tmp_path, "mine", *curve, "-pass", f"pass:{PASSWORD}")
    _, other = make_key(tmp_path, "other", "-algorithm", "ed25519")
    secret = {"BENTOFN_SIGN_PASSWORD": PASSWORD}

    built = bentofn("build", str(project), "--sign-key", private, "--json", home=here, **secret)
    assert PASSWORD not in built.stdout + built.stderr
    digest = json.loads(built.stdout)["digest"]
    proved = json.loads(bentofn("verify", "greeter", "--key", public, "--json", home=here).stdout)
    assert proved["digest"] == digest
    assert proved["key"].startswith("ECDSA P-256 key sha256:")
    assert "application/vnd.cyclonedx+json" in proved["covered"]
    assert "application/vnd.in-toto+json" in proved["covered"]
    assert proved["uncovered"] == []
    bentofn("sbom", "greeter", "--output", str(tmp_path / "sbom.json"), home=here)
    assert json.loads((tmp_path / "sbom.json").read_bytes())["bomFormat"] == "CycloneDX"

    file = str(tmp_path / "greeter.tar")
    bentofn("export", "greeter", file, home=here)
    refused = bentofn("import", file, "--verify-key", other, home=there, check=False)
    assert refused.returncode == 1
    assert "is signed, but not with the Ed25519 key" in refused.stderr
    assert json.loads(bentofn("list", "--json", home=there).stdout) == []
    bentofn("import", file, "--verify-key", public, home=there)
    said = bentofn("verify", "greeter", "--key", public, home=there).stdout
    assert f"({digest}) is signed with the ECDSA P-256 key" in said
    refused = bentofn("verify", "greeter", "--key", private, home=there, check=False)
    assert refused.returncode == 1
    assert "keep it to yourself" in refused.stderr


def test_without_a_passphrase_nothing_is_built(tmp_path: Path, bentofn: Bentofn) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    private, _ = make_key(
        tmp_path, "mine", "-algorithm", "ed25519", "-aes256", "-pass", f"pass:{PASSWORD}"
    )
    arguments = ("build", str(tmp_path), "--sign-key", private)
    done = bentofn(*arguments, home=tmp_path / "home", check=False)
    assert done.returncode == 1
    assert "BENTOFN_SIGN_PASSWORD" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_must_not_be_packed_is_refused_until_it_is_named(
    tmp_path: Path, bentofn: Bentofn
) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    (project / "service.py").write_text(SERVICE)
    make_key(project, "server", "-algorithm", "ed25519")
    (project / "data.pkl").write_bytes(b"cposix\nsystem\n(S'id'\ntR.")

    def build(*options: str) -> subprocess.CompletedProcess[str]:
        return bentofn("build", str(project), *options, home=home, check=False)

    done = build()
    assert done.returncode == 1
    assert "server.pem:1 (a private key)" in done.stderr
    assert "Traceback" not in done.stderr
    done = build("--allow-secret", "server.pem")
    assert done.returncode == 1
    assert "data.pkl imports posix.system" in done.stderr
    vouched = ("--allow-secret", "server.pem", "--allow-pickle", "data.pkl")
    assert build(*vouched).returncode == 0
    assert "Nothing changed" in build(*vouched).stdout
    # What was vouched for once is not for ever.
    assert build().returncode == 1
    (project / "pyproject.toml").write_text(
        '[tool.bentofn.build]\nservice = "service.py:Greeter"\n'
        'allow_secrets = ["server.pem"]\nallow_pickles = ["data.pkl"]\n'
    )
    assert build().returncode == 0
    (project / "pyproject.toml").unlink()
    (project / ".bentoignore").write_text("*.pem\n*.pkl\n")
    assert build().returncode == 0
