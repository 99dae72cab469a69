"""Traces of the platform's requests by OpenTelemetry, where its own variables ask for them.

Nothing of OpenTelemetry is imported otherwise.
"""
