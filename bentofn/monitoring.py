"""Monitors: classes that write what ``bentofn.monitor`` records."""

from bentofn.runtime.monitoring import DefaultMonitor, MonitorBase, NoOpMonitor, monitor

__all__ = ["DefaultMonitor", "MonitorBase", "NoOpMonitor", "monitor"]
