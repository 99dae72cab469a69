"""scikit-learn models as skops writes them: a zip of arrays and a tree of named types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bentofn.packager.modelstore.formats.base import Checked, not_whole
from bentofn.packager.modelstore.policy import Policy
from bentofn.runtime.errors import UserError

# Before it some files could name a type that was not listed.
# Source: https://github.com/advisories/GHSA-m7f4-hrc6-fwg3 (CVE-2025-54412 and its siblings)
_SAFE_SKOPS = (0, 13)


class Skops:
    """A ``.skops`` file."""

    name = "skops"
    mapped = False

    def detects(self, source: Path, start: bytes) -> bool:
        return source.suffix.lower() == ".skops"

    def check(self, source: Path, policy: Policy) -> Checked:
        io = _import_skops()
        try:
            untrusted = sorted(io.get_untrusted_types(file=source))
        except Exception as error:
            raise not_whole(source, "skops file", f"{type(error).__name__}: {error}") from error
        refused = [name for name in untrusted if name not in policy.trust]
        if refused:
            options = " ".join(f"--trust {name}" for name in refused)
            raise UserError(
                f"{source} is refused: loading it makes objects of {', '.join(refused)}, which "
                f"skops does not trust by itself; if you do, add {options}."
            )
        if not untrusted:
            return Checked()
        listed = ", ".join(repr(name) for name in untrusted)
        return Checked(notes=(f"Load {source.name} with skops.io.load(path, trusted=[{listed}]).",))


def _import_skops() -> Any:
    try:
        import skops
        import skops.io
    except ImportError as error:
        raise UserError("Checking a .skops file needs skops: install bentofn[sklearn].") from error
    if tuple(int(part) for part in skops.__version__.split(".")[:2]) < _SAFE_SKOPS:
        raise UserError(
            f"skops {skops.__version__} cannot tell what a file would load (CVE-2025-54412); "
            "install skops 0.13 or newer."
        )
    return skops.io
