"""What a request is called in answers, logs and traces."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

REQUEST_ID = "X-Request-Id"
"""Header of the platform's answers with the request's id."""

FORWARDED_REQUEST_ID = "X-Bentofn-Request-Id"
"""Header that tells it to the instance, where ``ctx.request_id`` is it."""

BENTOML_REQUEST_ID = "X-BentoML-Request-ID"
"""The same header by BentoML's name."""

_HEADERS = (FORWARDED_REQUEST_ID, BENTOML_REQUEST_ID, REQUEST_ID, "X-Amzn-RequestId")
_VALID = re.compile(r"[\x21-\x7e]{1,128}")
_RANDOM = random.Random()


def new_request_id() -> str:
    """A random id in the shape of a version 4 UUID, as the backends' ids are; no secret."""
    digits = f"{_RANDOM.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def request_id_of(headers: Mapping[str, str]) -> str:
    """The id that a request brings, or a new one if it brings none that a header may hold."""
    for name in _HEADERS:
        given = headers.get(name)
        if given is not None and _VALID.fullmatch(given):
            return given
    return new_request_id()
