"""The values of a function's secrets, kept nowhere but in the function's own variables."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.secret import Secret, secret_values
from bentofn.runtime.errors import UserError


def read_values(session: Session, secrets: Mapping[str, Secret]) -> dict[str, str]:
    """The values, by variable.

    A secret of Secrets Manager may be ``NAME#KEY``: one member of a secret that is JSON.

    Raises:
        UserError: One is not there, or AWS does not let it be read; the sentence holds no value.
    """
    found = secret_values(secrets)
    for value in found.values():
        session.hide(value)
    for variable, secret in secrets.items():
        if secret.source == "ssm":
            answer = session.ask(
                "ssm", "GetParameter", secret.name, Name=secret.name, WithDecryption=True
            )
            found[variable] = answer["Parameter"]["Value"]
            session.hide(found[variable])
        elif secret.source == "secretsmanager":
            found[variable] = _managed(session, variable, secret.name)
            session.hide(found[variable])
    return found


def _managed(session: Session, variable: str, given: str) -> str:
    name, _, key = given.partition("#")
    text = session.ask("secretsmanager", "GetSecretValue", name, SecretId=name).get("SecretString")
    if text is None:
        raise UserError(f"Secret {variable}: {name} is binary; variables are text.")
    if not key:
        return str(text)
    try:
        members = json.loads(text)
        return str(members[key])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"Secret {variable}: {name} is no JSON with {key!r} in it.") from None
