"""Secrets are found by their form, and what only looks a little like one is let through.

No token stands in this file whole: it would be found by every scanner, ours included.
"""

import json
import random
import string
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.trust.secrets import (
    Secret,
    secret_by_name,
    secrets_of,
    secrets_of_file,
)

ALNUM = string.ascii_letters + string.digits


def rand(length: int, alphabet: str = ALNUM, seed: int = 7) -> str:
    return "".join(random.Random(seed).choices(alphabet, k=length))


TOKENS = {
    "AKIA" + rand(16, string.ascii_uppercase + "234567"): "an AWS access key",
    "aws_secret_access_key = " + rand(40): "an AWS secret key",
    "AWS_SECRET_ACCESS_KEY: '" + rand(40) + "'": "an AWS secret key",
    "ghp" + "_" + rand(36): "a GitHub token",
    "github" + "_pat_" + rand(82): "a GitHub token",
    "glpat" + "-" + rand(20): "a GitLab token",
    "sk" + "-" + rand(48): "an API key",
    "sk" + "-proj-" + rand(60): "an API key",
    "sk" + "-ant-api03-" + rand(90): "an API key",
    "hf" + "_" + rand(34): "a Hugging Face token",
    "xoxb" + "-" + rand(12, string.digits) + "-" + rand(24): "a Slack token",
    "AI" + "za" + rand(35): "a Google API key",
    "sk" + "_live_" + rand(24): "a Stripe key",
    "npm" + "_" + rand(36): "an npm token",
    "SG" + "." + rand(22) + "." + rand(43): "a SendGrid key",
}


@pytest.mark.parametrize(("token", "what"), TOKENS.items(), ids=range(len(TOKENS)))
@pytest.mark.parametrize("form", ["{}", 'key = "{}"', "curl -H 'x: {}' y", "a={};b", "<{}>"])
def test_tokens_are_found(token: str, what: str, form: str) -> None:
    text = f"first\nsecond\n{form.format(token)}\nlast\n"
    assert list(secrets_of(text.encode())) == [Secret(what, 3)]


@pytest.mark.parametrize("kind", ["ed25519", "p256", "rsa"])
@pytest.mark.parametrize(
    "form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL, PrivateFormat.OpenSSH]
)
def test_private_keys_are_found_however_they_are_written(kind: str, form: PrivateFormat) -> None:
    key = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 1024),
    }[kind]()
    if kind == "ed25519" and form is PrivateFormat.TraditionalOpenSSL:
        form = PrivateFormat.PKCS8
    pem = key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    found = [Secret("a private key", 1)]
    assert list(secrets_of(pem.encode())) == found
    assert list(secrets_of(pem.replace("\n", "\r\n").encode())) == found
    one_line = json.dumps({"private_key": pem})
    assert list(secrets_of(one_line.encode())) == found
    quoted = "KEY = (\n" + "".join(f'    "{line}\\n"\n' for line in pem.splitlines()) + ")\n"
    assert list(secrets_of(quoted.encode())) == [Secret("a private key", 2)]
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert list(secrets_of(public)) == []


def test_an_encrypted_key_is_one_too() -> None:
    key = rsa.generate_private_key(65537, 1024)
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        pem = key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"x"))
        assert list(secrets_of(pem)) == [Secret("a private key", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        'if b"-----BEGIN RSA PRIVATE KEY-----" in data: raise ValueError',
        "AKIA" + "IOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY",
        "ghp_" + "x" * 36,
        "sk-" + "a" * 48,
        "hf_" + "YourTokenGoesHereYourTokenGoesHere",
        "sk-learn-container-id-1 sk-estimator",
        "task-" + rand(48),
        "hf_hub_download hf_transfer",
        "AIza",
        "sha256:" + rand(64, "0123456789abcdef"),
        "token = os.environ['GITHUB_TOKEN']",
    ],
)
def test_what_is_none_is_let_through(text: str) -> None:
    assert list(secrets_of(text.encode())) == []


@pytest.mark.parametrize(
    "path",
    [".env", "app/.env", ".env.local", ".env.production", ".netrc", ".pypirc", "a/.aws/credentials",
     "id_rsa", "keys/id_ed25519", "server.p12", ".docker/config.json", ".git-credentials"],
)  # fmt: skip
def test_names_tell(path: str) -> None:
    assert secret_by_name(path) is not None


@pytest.mark.parametrize(
    "path",
    [".env.example", ".env.sample", "env.py", "environment.yml", "credentials.py", "id_rsa.pub",
     "config.json", "credentials/__init__.py", "service.py", ".envrc.md"],
)  # fmt: skip
def test_other_names_do_not(path: str) -> None:
    assert secret_by_name(path) is None


def test_each_kind_is_told_once_a_line() -> None:
    token, other = ("ghp" + "_" + rand(36, seed=seed) for seed in (1, 2))
    text = f"{token} {other}\n\n{other}\n"
    assert [each.line for each in secrets_of(text.encode())] == [1, 3]


def test_binary_files_are_left_alone(tmp_path: Path) -> None:
    token = ("ghp" + "_" + rand(36)).encode()
    (tmp_path / "binary").write_bytes(b"\0" + token)
    (tmp_path / "text").write_bytes(b"a" * 100_000 + b"\n" + token)
    assert secrets_of_file(tmp_path / "binary") == []
    assert secrets_of_file(tmp_path / "text") == [Secret("a GitHub token", 2)]


def test_headers_without_end_are_read_in_one_go() -> None:
    begin = "-----BEGIN " + "PRIVATE KEY-----\n"
    assert list(secrets_of((begin + "Ab:  " * 10_000 + "\n!").encode())) == []


@given(st.binary())
def test_any_bytes_are_read(data: bytes) -> None:
    for secret in secrets_of(data):
        assert 1 <= secret.line <= data.count(b"\n") + 1


@given(st.text(alphabet=string.ascii_lowercase + " \n.,_-()='\"/", max_size=2000))
def test_prose_and_code_hold_no_secrets(text: str) -> None:
    assert list(secrets_of(text.encode())) == []
