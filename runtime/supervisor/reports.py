"""What the processes of services tell the supervisor: lines of JSON on one pipe."""

from __future__ import annotations

import json
import os
import select
from dataclasses import dataclass

READY, FAILED, ALONE = "ready", "failed", "alone"
"""It serves; it does not, for the reason told; its workers cannot be forked, for that reason."""


@dataclass(frozen=True)
class Report:
    """One line.

    Args:
        kind: One of the above.
        service: The service's name.
        text: The reason.
    """

    kind: str
    service: str
    text: str = ""

    def send(self, fd: int) -> None:
        """Write it to the pipe, as much of it as is written at once however many write there.

        Source: pipe(7), PIPE_BUF
        """
        text = self.text
        while len(line := _line(self.kind, self.service, text)) > select.PIPE_BUF and text:
            text = text[: len(text) * 3 // 4]
        os.write(fd, line)

    @classmethod
    def read(cls, line: str) -> Report | None:
        """What a line says; nothing where it is none of ours, as code of the user's may write."""
        try:
            said = json.loads(line)
            return cls(str(said["kind"]), str(said["service"]), str(said["text"]))
        except (ValueError, KeyError, TypeError):
            return None


def _line(kind: str, service: str, text: str) -> bytes:
    said = {"kind": kind, "service": service, "text": text}
    return json.dumps(said, ensure_ascii=False).encode(errors="replace") + b"\n"
