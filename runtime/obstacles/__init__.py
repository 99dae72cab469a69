"""What keeps a process from being snapshotted, or forked: found by name, with where it was opened.

A snapshot is restored on its own: what leads out of the process (a connection, a device, a file
that others write) is not there any more, or is shared by all copies. What CRIU restores as it was
is no obstacle: threads, pools, event loops, epoll, eventfd, timerfd, signalfd, inotify, pipes and
socket pairs within the process, memfd, shared anonymous memory, small deleted files, timers.
Each was tried with CRIU 4.2.1 on Linux 6.18; tests/integration/criu/test_held.py tries them
again. A fork (``forks``) loses and shares other things.
"""

from bentofn.runtime.obstacles.found import Obstacle, sentence, warnings
from bentofn.runtime.obstacles.process import find, why_not_snapshot
from bentofn.runtime.obstacles.sites import Sites

__all__ = ["Obstacle", "Sites", "find", "sentence", "warnings", "why_not_snapshot"]
