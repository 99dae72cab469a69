"""What the runtime itself needs inside a bento's environment: a part of bentofn's dependencies."""

from __future__ import annotations

RUNTIME_REQUIREMENTS = (
    "httptools>=0.6",
    "prometheus-client>=0.20",
    "pydantic>=2.9",
    "python-multipart>=0.0.18",
    "starlette>=0.44",
    "threadpoolctl>=3.5",
    "uvicorn>=0.32",
    "uvloop>=0.21; platform_python_implementation == 'CPython' and sys_platform != 'win32'",
)
