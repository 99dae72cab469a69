"""HTTPS: BentoML's ``ssl`` section of a service."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from bentofn.runtime.errors import UserError


def tls_context(tls: Mapping[str, Any]) -> ssl.SSLContext | None:
    """What a server needs to answer with HTTPS; None where it does not.

    Args:
        tls: ``enabled``, ``certfile``, ``keyfile``, ``keyfile_password``, ``ca_certs``,
            ``version``, ``cert_reqs``, ``ciphers``.

    Raises:
        UserError: The certificate or the key cannot be used.
    """
    if not tls.get("enabled", False):
        return None
    certificate, key = tls.get("certfile"), tls.get("keyfile")
    if certificate is None:
        raise UserError("ssl of @bentoml.service is enabled and names no certfile.")
    password = tls.get("keyfile_password")
    try:
        context = ssl.SSLContext(_value(tls, "version", ssl.PROTOCOL_TLS_SERVER))
        context.load_cert_chain(
            certificate, key, None if password is None else lambda: str(password)
        )
        context.verify_mode = ssl.VerifyMode(_value(tls, "cert_reqs", ssl.CERT_NONE))
        if tls.get("ca_certs") is not None:
            context.load_verify_locations(tls["ca_certs"])
        context.set_ciphers(_value(tls, "ciphers", "TLSv1"))
    except (OSError, ValueError) as error:  # ssl's errors are of both
        raise UserError(
            f"HTTPS cannot be served with the certificate {certificate} and the key {key}: "
            f"{error}; correct ssl of @bentoml.service."
        ) from None
    return context


def _value(tls: Mapping[str, Any], name: str, usual: Any) -> Any:
    found = tls.get(name)
    return usual if found is None else found
