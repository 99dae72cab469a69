"""Which targets there are: adapters are entry points, ours included."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from bentofn.adapters.protocol import Adapter
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

GROUP = "bentofn.adapters"


def targets() -> dict[str, EntryPoint]:
    """Name to entry point of every installed adapter; none of them is imported."""
    return {point.name: point for point in sorted(entry_points(group=GROUP))}


def get_adapter(target: str, home: Home) -> Adapter:
    """Make the adapter of a target.

    Raises:
        UserError: No adapter has this name, or what it needs is not installed.
    """
    known = targets()
    if target not in known:
        raise UserError(
            f"There is no target named {target!r}; the known ones are {', '.join(known)}."
        )
    try:
        factory = known[target].load()
    except ImportError as error:
        package = known[target].dist
        ours = package is None or package.name == "bentofn"
        wanted = f"bentofn[{target}]" if package is None or ours else package.name
        raise UserError(
            f"The adapter of target {target!r} cannot be imported ({error}); "
            f"install what it needs with: pip install --upgrade '{wanted}'."
        ) from error
    adapter: Adapter = factory(home)
    return adapter
