"""Labels on a command line."""

from __future__ import annotations

from bentofn.runtime.errors import UserError


def parse_labels(labels: tuple[str, ...]) -> dict[str, str]:
    """``KEY=VALUE`` pairs of a command line.

    Raises:
        UserError: One has no ``=``.
    """
    wrong = next((label for label in labels if "=" not in label), None)
    if wrong is not None:
        raise UserError(
            f"--label {wrong!r} is not KEY=VALUE; write for example --label team=vision."
        )
    return dict(label.split("=", 1) for label in labels)
