"""The accepted differences to BentoML: data, and the tables in docs/bentoml-compatibility.md.

Run as a script, it writes the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BEGIN, END = "<!-- differences: made of accepted.toml -->\n", "<!-- end of the differences -->\n"
ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tests" / "conformance" / "bentoml" / "accepted.toml"
PAGE = ROOT / "docs" / "bentoml-compatibility.md"


@dataclass(frozen=True)
class Difference:
    """One difference.

    Args:
        section: Where it stands on the page.
        case: When it shows.
        bentoml: What BentoML does.
        bentofn: What we do.
        reason: Why; may be empty where the other columns say it.
        calls: Calls of the suite that show it (``case: name``), to the parts that differ.
        tests: Tests of ours that show our side (``path::name``), where no request shows it.
    """

    section: str
    case: str
    bentoml: str
    bentofn: str
    reason: str
    calls: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tests: Sequence[str] = ()

    def gone(self) -> list[str]:
        """The tests that there are not."""
        return [test for test in self.tests if not _exists(*test.split("::"))]


@dataclass(frozen=True)
class Accepted:
    """All differences."""

    differences: Sequence[Difference]

    def fields(self, call: str) -> set[str]:
        """The parts of a call's answer that may differ."""
        return {field for each in self.differences for field in each.calls.get(call, ())}

    def calls(self) -> set[str]:
        """Every call that is named."""
        return {call for each in self.differences for call in each.calls}

    def tables(self) -> str:
        """The differences as Markdown, a table for each section."""
        sections = dict.fromkeys(each.section for each in self.differences)
        return "\n".join(self._table(section) for section in sections)

    def _table(self, section: str) -> str:
        rows = [
            f"| {each.case} | {each.bentoml} | {each.bentofn} | {each.reason} |"
            for each in self.differences
            if each.section == section
        ]
        head = [f"## {section}", "", "| case | BentoML | bentofn | why |", "|---|---|---|---|"]
        return "\n".join([*head, *rows]) + "\n"

    @staticmethod
    def inserted(page: str, tables: str) -> str:
        """A page with the tables in their place."""
        before, _, rest = page.partition(BEGIN)
        _, _, after = rest.partition(END)
        return f"{before}{BEGIN}\n{tables}\n{END}{after}"


def read(path: Path) -> Accepted:
    """Read the differences."""
    found = tomllib.loads(path.read_text())["difference"]
    return Accepted(tuple(Difference(**{"reason": "", **each}) for each in found))


def _exists(path: str, name: str) -> bool:
    file = ROOT / path
    return file.is_file() and f"def {name}(" in file.read_text()


if __name__ == "__main__":
    PAGE.write_text(Accepted.inserted(PAGE.read_text(), read(SOURCE).tables()))
