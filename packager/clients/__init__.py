"""Typed clients of a service, written from what it promises."""
