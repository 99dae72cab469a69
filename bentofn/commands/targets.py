"""`bentofn targets`: where functions can go, and what becomes of each field there."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import get_args

import click

from bentofn.adapters.capabilities import Capabilities, Support
from bentofn.adapters.fields import FIELDS, VERBS, Field
from bentofn.adapters.registry import targets as known_targets
from bentofn.commands.functions import adapter_of
from bentofn.commands.output import json_option, print_json, print_table

_SECTIONS = {
    "framework": "In the function's section, or the provider's",
    "bentofn": "Under `custom.bentofn.functions.NAME`",
    "verb": "Once it is deployed",
}


@click.command()
@click.argument("target", required=False)
@click.option("--markdown", is_flag=True, help="Print all targets as a page, docs/targets.md.")
@json_option
def targets(target: str | None, markdown: bool, as_json: bool) -> None:
    """List the targets, or show what TARGET does with each field of serverless.yml."""
    names = [target] if target is not None else list(known_targets())
    tables = [adapter_of(name).capabilities for name in names]
    if as_json:
        print_json([_document(table) for table in tables])
    elif markdown:
        click.echo(page(tables))
    elif target is not None:
        rows = [(field.name, *_cells(tables[0], field)) for field in (*FIELDS, *VERBS)]
        print_table(("FIELD", "SUPPORT", "HOW"), rows)
    else:
        print_table(("TARGET", "NATIVE", "EMULATED", "IGNORED", "REFUSED"), _counts(tables))


def _counts(tables: Iterable[Capabilities]) -> list[tuple[object, ...]]:
    """A row for each target: how many fields it takes in which way."""
    rows: list[tuple[object, ...]] = []
    for table in tables:
        counts = Counter(table.of(field.name).support for field in (*FIELDS, *VERBS))
        rows.append((table.target, *(counts[kind] for kind in get_args(Support))))
    return rows


def page(tables: Iterable[Capabilities]) -> str:
    """All targets as one page of Markdown, which is docs/targets.md."""
    return "\n".join(_lines(list(tables)))


def _lines(tables: list[Capabilities]) -> Iterator[str]:
    yield "# What each target does with each field"
    yield ""
    yield "Written by `bentofn targets --markdown`. *Native*: the backend does it. *Emulated*:"
    yield "bentofn does it there. *Ignored*: nothing is done, and nothing is wrong. *Refused*: a"
    yield "function that asks for it is not deployed, and `bentofn plan` says so beforehand."
    for section, title in _SECTIONS.items():
        fields = [field for field in (*FIELDS, *VERBS) if field.section == section]
        yield ""
        yield f"## {title}"
        yield ""
        yield f"| field | what it is | {' | '.join(table.target for table in tables)} |"
        yield f"|---|---|{'---|' * len(tables)}"
        for field in fields:
            cells = (_cell(table, field) for table in tables)
            yield f"| `{field.name}` | {field.meaning} | {' | '.join(cells)} |"


def _cell(table: Capabilities, field: Field) -> str:
    support, how = _cells(table, field)
    return f"{support}: {how}" if how else support


def _cells(table: Capabilities, field: Field) -> tuple[str, str]:
    found = table.of(field.name)
    return found.support, found.how.replace("|", "\\|")


def _document(table: Capabilities) -> dict[str, object]:
    fields = [dataclasses.asdict(table.of(field.name)) for field in (*FIELDS, *VERBS)]
    return {"target": table.target, "fields": fields}
