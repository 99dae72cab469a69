"""What ``cases/alone.py`` is asked."""

from differential import get
from flows import Flow

CALLS = [Flow("metrics", lambda server: server(get("", "/metrics")).status)]
