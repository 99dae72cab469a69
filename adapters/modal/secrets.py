"""The secrets of Modal's own that a function names: whether they are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bentofn.adapters.modal.errors import message_of
from bentofn.adapters.modal.session import Session
from bentofn.adapters.plan import Problem


def missing_secrets(session: Session, secrets: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    """Those that Modal does not have, or that lack a variable; no value is read.

    Args:
        session: Modal.
        secrets: Modal's secrets by name, to the variables that each must hold.
    """
    import modal

    for name, variables in sorted(secrets.items()):
        secret = modal.Secret.from_name(name, required_keys=list(variables))
        try:
            secret.hydrate(session.client)
        except (modal.exception.NotFoundError, modal.exception.ConflictError) as error:
            values = " ".join(f"{each}=..." for each in variables)
            yield Problem(
                "violation",
                "secrets modal",
                f"Modal has no Secret {name!r} with {', '.join(variables)} in this environment "
                f"({message_of(error).rstrip('.')}); make it with: "
                f"modal secret create {name} {values}.",
            )
