"""What ``cases/clients.py`` is asked besides what the clients ask."""

from differential import as_json

CALLS = [as_json("default left out", "/add", {"a": 1})]
