"""The one user of this platform whose signatures it takes.

Its keys stand in the home in the form of an AWS shared credentials file, which SDKs read if
``AWS_SHARED_CREDENTIALS_FILE`` names it. They stay the same for as long as the file does.
"""

from __future__ import annotations

import configparser
import dataclasses
import secrets
import string
from dataclasses import dataclass
from pathlib import Path

from bentofn.adapters.local.lambda_.api.names import REGION
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home

_PROFILE = "default"
_PREFIX = "AKIA"
_KEY_LENGTH = 20
_LETTERS = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class Credentials:
    """Keys.

    Args:
        access_key: Names the user.
        secret: What it signs with. Never printed but on demand.
    """

    access_key: str
    secret: str = dataclasses.field(repr=False)


def credentials_path(home: Home) -> Path:
    """The file."""
    return home.run / "aws-credentials"


def load_credentials(home: Home) -> Credentials:
    """The keys of a home; they are made where there are none.

    Raises:
        OSError: The file cannot be read or written.
    """
    path = credentials_path(home)
    parser = configparser.ConfigParser(interpolation=None)
    if path.exists():
        try:
            parser.read(path, encoding="utf-8")
            found = parser[_PROFILE]
            return Credentials(found["aws_access_key_id"], found["aws_secret_access_key"])
        except (configparser.Error, KeyError, UnicodeDecodeError):
            pass  # it is written anew
    letters = (secrets.choice(_LETTERS) for _ in range(_KEY_LENGTH - len(_PREFIX)))
    made = Credentials(_PREFIX + "".join(letters), secrets.token_urlsafe(30))
    home.directory(home.run)
    text = (
        f"[{_PROFILE}]\naws_access_key_id = {made.access_key}\n"
        f"aws_secret_access_key = {made.secret}\n"
    )
    atomic_write(path, text.encode(), 0o600)
    return made


def sdk_environment(home: Home, address: str) -> dict[str, str]:
    """The variables by which AWS's SDKs find a platform and sign for it.

    Args:
        home: Whose keys.
        address: Where the platform answers.

    Raises:
        OSError: The keys cannot be read or written.
    """
    keys = load_credentials(home)
    return {
        "AWS_ENDPOINT_URL_LAMBDA": address,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret,
        "AWS_DEFAULT_REGION": REGION,
    }
