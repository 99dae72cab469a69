"""`bentofn serve` does what the service's configuration says of its server."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from serve_command import said_url

SERVICE = """
import bentoml

args = bentoml.use_arguments()

@bentoml.service({config})
class Echo:
    @bentoml.api
    def echo(self, text: str) -> str:
        return text + getattr(args, "end", "")
"""


def certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    kind = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, plain))
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))


@contextmanager
def served(project: Path, *options: str, script: str = "", **env: str) -> Iterator[str]:
    """Serve a project, or run a script of it that does; the URL that it says."""
    arguments = ("run", script) if script else ("serve", ".", *options)
    environment = {**os.environ, **env}
    environment.pop("PORT", None)
    with said_url(project, arguments, environment) as url:
        yield url


def post(url: str, context: ssl.SSLContext | None = None) -> str:
    request = urllib.request.Request(
        f"{url}/echo", b'{"text": "hi"}', {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        return str(answer.read().decode())


def test_the_port_and_the_certificate_are_those_of_the_service(tmp_path: Path) -> None:
    certificate(tmp_path)
    tls = '{"enabled": True, "certfile": "cert.pem", "keyfile": "key.pem"}'
    config = f'http={{"host": "127.0.0.1", "port": 0}}, ssl={tls}'
    (tmp_path / "service.py").write_text(SERVICE.format(config=config))
    with served(tmp_path) as url:
        assert url.startswith("https://127.0.0.1:")
        assert post(url, ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))) == "hi"


def test_arguments_and_variables_are_for_the_one_who_serves(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(SERVICE.format(config=""))
    (tmp_path / "arguments.yaml").write_text("end: '?'\nother: [1]\n")
    options = "services.Echo.http.port=0"
    with served(tmp_path, "--arg", "end=!", BENTOML_CONFIG_OPTIONS=options) as url:
        assert url.startswith("http://127.0.0.1:")
        assert not url.endswith(":3000")
        assert post(url) == "hi!"
    with served(tmp_path, "-p", "0", "--arg-file", "arguments.yaml") as url:
        assert post(url) == "hi?"


def test_a_script_serves_its_service(tmp_path: Path) -> None:
    main = "\nif __name__ == '__main__':\n    Echo.serve_http(port=0)\n"
    (tmp_path / "service.py").write_text(SERVICE.format(config="") + main)
    with served(tmp_path, script="service.py") as url:
        assert post(url) == "hi"
