"""What to do in place of names below BentoML's public modules, which bentofn does not carry."""

from __future__ import annotations

from collections.abc import Mapping

_PUBLIC = "it is BentoML's inside; import the name from bentoml"
_CLIENTS = "import SyncHTTPClient or AsyncHTTPClient from bentoml"

ALTERNATIVES: Mapping[str, str] = {
    "_bentoml_impl": _PUBLIC,
    "_bentoml_impl.client": _CLIENTS,
    "_bentoml_impl.server": "use `bentofn serve`, or the service's to_asgi()",
    "_bentoml_sdk": _PUBLIC,
    "_bentoml_sdk.service.config": "a configuration is made of dicts",
    "_bentoml_sdk.typing_utils": "use get_origin and get_args of typing",
    "bentoml._internal": _PUBLIC,
    "bentoml._internal.client": _CLIENTS,
    "bentoml._internal.configuration": (
        "set BENTOML_CONFIG, or the configuration of @bentoml.service"
    ),
    "bentoml._internal.context": "import Context or server_context from bentoml",
    "bentoml.bentos.containerize": "use `bentofn containerize`",
    "bentoml.bentos.pull": "use `bentofn pull`",
    "bentoml.bentos.push": "use `bentofn push`",
    "bentoml.Service.add_api": "declare the endpoints with @bentoml.api in a class",
    "bentoml.Service.api": "declare the endpoints with @bentoml.api in a class",
    "bentoml.Service.bento": "`bentofn inspect` shows a bento",
    "bentoml.Service.inject_config": "a configuration counts from where its service is declared",
    "bentoml.Service.needs_task_db": "a queue of tasks is made where it is needed",
    "bentoml.Service.runners": "name another service with bentoml.depends",
    "bentoml.Service.url": "give the address to bentoml.depends(url=...)",
}
"""Dotted name, or what it begins with, to what to do in its place."""


def alternative(dotted: str) -> str | None:
    """What to do in place of a name; None where nothing is known of it."""
    parts = dotted.split(".")
    beginnings = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((ALTERNATIVES[each] for each in beginnings if each in ALTERNATIVES), None)
