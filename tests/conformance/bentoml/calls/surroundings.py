"""What ``cases/surroundings.py`` is asked."""

import re
from typing import Any

from differential import Call, as_json, get
from flows import Flow, Server

_SAMPLE = re.compile(r"(?m)^(bentoml_service_request\w*){(.*?)} (\S+)$")


def _metrics(server: Server) -> Any:
    """The families of metrics, and what they say of one method's requests."""
    for value in ({"name": "Ann"}, {"name": 3}):
        server(as_json("", "/v1/counted", value))
    text = str(server(get("", "/v1/metrics")).body)
    families = re.findall(r"(?m)^# TYPE (bentoml_service_\w+) (\w+)$", text)
    counted = []
    for name, labels, value in _SAMPLE.findall(text):
        label = dict(re.findall(r'(\w+)="(.*?)"', labels))
        if label.get("endpoint") == "/v1/counted" and name.endswith(("_total", "_count")):
            counted.append([name, sorted(label), label.get("http_response_code"), value])
    return {"families": sorted(families), "counted": sorted(counted)}


CALLS = [
    *[get(f"GET {path}", path) for path in ("/v1/livez", "/v1/readyz", "/v1/healthz")],
    get("HEAD livez", "/v1/livez", "HEAD"),
    get("POST livez", "/v1/livez", "POST"),
    get("livez outside", "/livez"),
    Call("the server's name", "/v1/hello", b"{}", also=("server",)),
    get("schema", "/schema.json"),
    get("documentation", "/v1/docs.json"),
    get("page", "/v1/"),
    Flow("metrics", _metrics),
    get("schema inside", "/v1/schema.json"),
    get("a method by GET", "/v1/hello"),
    get("a method by PUT", "/v1/hello", "PUT"),
    get("a method by OPTIONS", "/v1/hello", "OPTIONS"),
    as_json("a method", "/v1/hello", {"name": "Ann"}),
    as_json("a method outside", "/hello", {"name": "Ann"}),
    as_json("a slash too much", "/v1/hello/", {"name": "Ann"}),
    as_json("nothing", "/v1/nothing", {}),
    get("nothing by GET", "/nothing"),
]
