"""pip's own configuration, in pip's own order, in uv's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.packager.environment.index_settings import IndexSettings, has_credentials, mask
from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.runtime.errors import UserError


class Machine:
    """A machine's pip configuration below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"HOME": str(folder / "home"), "XDG_CONFIG_DIRS": str(folder / "xdg")}

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def read(self, **environ: str) -> IndexSettings:
        return read_pip_config({**self.environ, **environ}, prefix=str(self.folder / "prefix"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_every_option(machine: Machine) -> None:
    machine.write(
        "home/.config/pip/pip.conf",
        """
[global]
index-url = https://a.test/simple
extra-index-url =
    https://b.test/simple
    https://c.test/simple
find-links = /wheels /more
trusted-host = a.test
cert = ~/ca.pem
proxy = http://proxy.test:3128
timeout = 7
pre = yes
""",
    )
    settings = machine.read()
    assert settings.index_url == "https://a.test/simple"
    assert settings.extra_index_urls == ("https://b.test/simple", "https://c.test/simple")
    assert settings.find_links == ("/wheels", "/more")
    assert settings.trusted_hosts == ("a.test",)
    assert settings.cert is not None
    assert settings.cert.endswith("/ca.pem")
    assert not settings.cert.startswith("~")
    assert (settings.proxy, settings.timeout, settings.prerelease) == (
        "http://proxy.test:3128",
        7,
        True,
    )


ORDER = (
    "xdg/pip/pip.conf",
    "home/.pip/pip.conf",
    "home/.config/pip/pip.conf",
    "prefix/pip.conf",
)


def test_a_later_file_wins(machine: Machine) -> None:
    for number, path in enumerate(ORDER):
        machine.write(path, f"[global]\nindex-url = https://{number}.test\n")
        assert machine.read().index_url == f"https://{number}.test"
    own = machine.write("own.conf", "[global]\nindex-url = https://own.test\n")
    assert machine.read(PIP_CONFIG_FILE=str(own)).index_url == "https://own.test"
    named = machine.read(PIP_CONFIG_FILE=str(own), PIP_INDEX_URL="https://env.test")
    assert named.index_url == "https://env.test"


def test_the_install_section_is_stronger_than_a_later_file(machine: Machine) -> None:
    machine.write(ORDER[0], "[install]\nindex-url = https://install.test\n")
    machine.write(ORDER[-1], "[global]\nindex-url = https://global.test\n")
    assert machine.read().index_url == "https://install.test"


def test_no_files_at_all_on_request(machine: Machine) -> None:
    machine.write(ORDER[2], "[global]\nno-index = true\n")
    assert not machine.read(PIP_CONFIG_FILE="/dev/null").no_index


def test_underscores_and_empty_values(machine: Machine) -> None:
    machine.write(ORDER[2], "[global]\nindex_url = https://a.test\nextra-index-url =\n")
    assert machine.read(PIP_INDEX_URL="").index_url == "https://a.test"
    assert machine.read().extra_index_urls == ()


def test_default_timeout(machine: Machine) -> None:
    assert machine.read(PIP_DEFAULT_TIMEOUT="180").timeout == 180
    assert (machine.read().retries, machine.read(PIP_RETRIES="7").retries) == (None, 7)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("index-url = x\n", "cannot be read"),
        ("[global]\nno-index = perhaps\n", "no-index = perhaps"),
        ("[global]\ntimeout = soon\n", "timeout = soon"),
        ("[global]\nretries = some\n", "retries = some"),
    ],
)
def test_a_mistake_is_one_sentence(machine: Machine, text: str, says: str) -> None:
    machine.write(ORDER[2], text)
    with pytest.raises(UserError, match=says):
        machine.read()


SETTINGS = IndexSettings(
    index_url="https://me:secret@a.test/simple",
    extra_index_urls=("https://b.test/simple", "https://c.test/simple"),
    find_links=("/wheels",),
    trusted_hosts=("a.test",),
    cert="/ca.pem",
    proxy="http://proxy.test",
    timeout=9,
    retries=0,
)


def test_urls_go_into_the_environment_not_the_arguments() -> None:
    assert SETTINGS.uv_environment({"X": "y"}) == {
        "X": "y",
        "UV_DEFAULT_INDEX": "https://me:secret@a.test/simple",
        "UV_EXTRA_INDEX_URL": "https://b.test/simple https://c.test/simple",
        "UV_FIND_LINKS": "/wheels",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "a.test",
        "UV_HTTP_TIMEOUT": "9",
        "UV_HTTP_RETRIES": "0",
        "SSL_CERT_FILE": "/ca.pem",
        "HTTP_PROXY": "http://proxy.test",
        "HTTPS_PROXY": "http://proxy.test",
    }
    assert SETTINGS.uv_arguments() == []


def test_what_the_user_told_uv_wins() -> None:
    own = {"UV_INDEX_URL": "https://own.test", "UV_HTTP_TIMEOUT": "1", "https_proxy": "p"}
    environment = SETTINGS.uv_environment(own)
    assert "UV_DEFAULT_INDEX" not in environment
    assert environment["UV_HTTP_TIMEOUT"] == "1"
    assert "HTTPS_PROXY" not in environment


def test_no_index_hides_the_indexes() -> None:
    settings = SETTINGS.with_options(no_index=True)
    assert "UV_DEFAULT_INDEX" not in settings.uv_environment({})
    assert "--no-index" in settings.uv_arguments()


def test_credentials_are_masked() -> None:
    assert mask("see https://me:secret@a.test/simple") == "see https://****@a.test/simple"
    assert mask("token https://tok@a.test https://b.test/@x") == (
        "token https://****@a.test https://b.test/@x"
    )
    assert has_credentials("pkg @ https://me:s@a.test/x.whl")
    assert not has_credentials("pkg @ https://a.test/x.whl")
