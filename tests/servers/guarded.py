"""Services behind middleware that lets nobody in."""

from __future__ import annotations

DOORS = """
class Doors:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"who are you?"})
"""
"""Of a service's file; the service adds it."""
