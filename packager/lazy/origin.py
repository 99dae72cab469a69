"""Where the blobs of a bento are that are not here yet."""

from __future__ import annotations

from dataclasses import dataclass

from bentofn.packager.registry.reference import Reference, parse_reference

_INSECURE = "http://"


@dataclass(frozen=True)
class Origin:
    """A repository that has a bento.

    Args:
        reference: It; blobs are asked for by their digests, so the tag is for people only.
        insecure: Whether plain HTTP is used although it is not on this machine.
    """

    reference: Reference
    insecure: bool = False

    def __str__(self) -> str:
        return f"{_INSECURE if self.insecure else ''}{self.reference}"

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Read what :meth:`__str__` wrote.

        Raises:
            UserError: It is no repository.
        """
        return cls(parse_reference(text.removeprefix(_INSECURE)), text.startswith(_INSECURE))
