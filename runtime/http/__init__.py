"""The ASGI application of a service."""
