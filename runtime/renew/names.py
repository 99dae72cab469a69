"""Names that must not be given twice: temporary files and UUIDs."""

from __future__ import annotations

import sys

_UUID_CLOCK = ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7")


def renew_names() -> None:
    """Let the next temporary name and the next UUID owe nothing to what a copy shares."""
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile.__dict__["_name_sequence"] = None
    uuid = sys.modules.get("uuid")
    if uuid is not None:
        uuid.__dict__.update(dict.fromkeys(set(_UUID_CLOCK) & set(uuid.__dict__)))
