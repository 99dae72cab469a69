"""Engines whose instances are forks of a process that is kept: a template, or a zygote."""
