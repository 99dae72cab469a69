"""Which call of Lambda's API a request is.

Source: botocore's service model ``lambda/2015-03-31``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

PREFIX = re.compile(r"/20\d\d-\d\d-\d\d/(functions|account-settings)(/|\?|$)")
"""How the path of a request for the API begins."""

_ROUTES = [
    (method, re.compile(pattern.replace("{}", "([^/]+)")), call)
    for method, pattern, call in (
        ("POST", r"/2015-03-31/functions/{}/invocations", "invoke"),
        ("POST", r"/2014-11-13/functions/{}/invoke-async", "invoke_async"),
        ("POST", r"/2021-11-15/functions/{}/response-streaming-invocations", "invoke_stream"),
        ("GET", r"/2015-03-31/functions", "list_functions"),
        ("GET", r"/2015-03-31/functions/{}", "get_function"),
        ("GET", r"/2015-03-31/functions/{}/configuration", "get_configuration"),
        ("GET", r"/2015-03-31/functions/{}/versions", "list_versions"),
        ("POST", r"/2015-03-31/functions/{}/versions", "publish_version"),
        ("GET", r"/2015-03-31/functions/{}/aliases", "list_aliases"),
        ("POST", r"/2015-03-31/functions/{}/aliases", "create_alias"),
        ("GET", r"/2015-03-31/functions/{}/aliases/{}", "get_alias"),
        ("PUT", r"/2015-03-31/functions/{}/aliases/{}", "update_alias"),
        ("DELETE", r"/2015-03-31/functions/{}/aliases/{}", "delete_alias"),
        ("GET", r"/2019-09-30/functions/{}/concurrency", "get_concurrency"),
        ("PUT", r"/2017-10-31/functions/{}/concurrency", "put_concurrency"),
        ("DELETE", r"/2017-10-31/functions/{}/concurrency", "delete_concurrency"),
        ("GET", r"/2019-09-25/functions/{}/event-invoke-config", "get_event_config"),
        ("PUT", r"/2019-09-25/functions/{}/event-invoke-config", "put_event_config"),
        ("POST", r"/2019-09-25/functions/{}/event-invoke-config", "update_event_config"),
        ("DELETE", r"/2019-09-25/functions/{}/event-invoke-config", "delete_event_config"),
        ("GET", r"/2019-09-25/functions/{}/event-invoke-config/list", "list_event_configs"),
        ("GET", r"/2021-10-31/functions/{}/url", "get_url"),
        ("GET", r"/2016-08-19/account-settings", "account_settings"),
    )
]


@dataclass(frozen=True)
class Call:
    """A call.

    Args:
        name: Its name here.
        parts: The parts of the path that say for what, unescaped.
    """

    name: str
    parts: tuple[str, ...]


def call_of(method: str, path: str) -> Call | None:
    """The call that a request makes; None if the platform does not know it.

    Args:
        method: The HTTP method.
        path: The path as it came, without a query.
    """
    for expected, pattern, name in _ROUTES:
        found = pattern.fullmatch(path.rstrip("/")) if method == expected else None
        if found is not None:
            return Call(name, tuple(map(unquote, found.groups())))
    return None
