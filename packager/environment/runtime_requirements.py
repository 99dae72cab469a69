"""What the runtime itself needs inside a bento's environment: a part of bentofn's dependencies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from re import Pattern

RUNTIME_REQUIREMENTS = (
    "h11>=0.14",
    "httptools>=0.6",
    "prometheus-client>=0.20",
    "pydantic>=2.7",
    "python-multipart>=0.0.12",
    "starlette>=0.37.2",
    "threadpoolctl>=3.5",
    "uvloop>=0.21; platform_python_implementation == 'CPython' and sys_platform != 'win32'",
)

_WEBSOCKETS = re.compile(rb"\b(mount_)?asgi_app\b|\bmount_gradio_app\b")

_WHERE_NAMED: Mapping[str, Pattern[bytes]] = {
    "a2wsgi>=1.10": re.compile(rb"\bmount_wsgi_app\b"),
    "cloudpickle": re.compile(rb"\bpicklable_model\b"),
    "httpx>=0.27,<1": re.compile(
        rb"\b(Async|Sync)HTTPClient\b|\bclient_url\b|\bto_sync\.client\b"
        rb"|\bdepends\([^)]*\burl\s*=|\bstate\[.client.\]"
    ),
    "pysimdjson>=7; platform_python_implementation == 'CPython'": re.compile(
        rb"\b(ndarray|NDArray|Tensor)\b"
    ),
    "uvicorn>=0.23.2": _WEBSOCKETS,
    "wsproto>=1.2": _WEBSOCKETS,
}
"""What the runtime needs besides for what a service's code names."""

_WITH_BENTOML: Mapping[str, str] = {
    "aiohttp": "aiohttp",
    "aiosqlite": "aiosqlite",
    "attr": "attrs",
    "attrs": "attrs",
    "cattrs": "cattrs",
    "click": "click",
    "cloudpickle": "cloudpickle",
    "dateutil": "python-dateutil",
    "fsspec": "fsspec",
    "httpx": "httpx>=0.27,<1",
    "jinja2": "jinja2",
    "numpy": "numpy",
    "opentelemetry": "opentelemetry-api",
    "packaging": "packaging",
    "psutil": "psutil",
    "rich": "rich",
    "uvicorn": "uvicorn",
    "watchfiles": "watchfiles",
    "yaml": "PyYAML",
}
"""Module to what brings it, of BentoML 1.4's own dependencies that services import."""


def inherited_requirements(modules: Iterable[str]) -> tuple[str, ...]:
    """What a service needs that it would have got with BentoML's package, sorted.

    Args:
        modules: The top-level modules that it imports.
    """
    return tuple(sorted({_WITH_BENTOML[name] for name in modules if name in _WITH_BENTOML}))


def named_requirements(sources: Iterable[bytes]) -> tuple[str, ...]:
    """What the runtime needs besides, sorted.

    Args:
        sources: The project's Python files.
    """
    text = b"\n".join(sources)
    return tuple(line for line, pattern in _WHERE_NAMED.items() if pattern.search(text))
