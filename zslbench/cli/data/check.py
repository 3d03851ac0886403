"""``zslbench data check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zslbench.cli.data.counted import counted
from zslbench.cli.options import emit
from zslbench.cli.streams import say
from zslbench.jsontext import pretty
from zslbench.plaintext import plain

if TYPE_CHECKING:
    from zslbench.datasets.examine import Examination


@click.command()
@click.argument("data", metavar="PATH")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(data: str, as_json: bool) -> int:
    """Examine the data set in the folder PATH: does it fit, could an unseen class have been seen?

    Reads every array. Exit code 0 even with warnings, 2 if there is an error. A bundled data set may be named.
    """

    from zslbench.datasets.examine import examine
    from zslbench.datasets.registry import bundled_folder, bundled_names

    found = examine(bundled_folder(data) if data in bundled_names() else data)
    if as_json:
        emit(pretty(found))
    else:
        say(*_lines(found))
    return 2 if found.errors else 0


def _lines(found: Examination) -> list[str]:
    lines = [f"folder     {found.folder}"]
    if found.name:
        few, usual, many = (f"{value:g}" for value in found.images_per_class.values())
        lines.append(f"name       {plain(found.name)}")
        classes = counted(found.classes, found.without_images)
        lines.append(f"images     {found.images} in {classes}; per class {few} to {many}, median {usual}")
    for kind in ("features", "maps", "semantics"):
        lines += [f"{kind:<10} {name}: {_said(facts)}" for name, facts in getattr(found, kind).items()]
    lines += [f"splits     {family}: {_said(facts)}" for family, facts in found.splits.items()]
    lines += [f"warning    {warning}" for warning in found.warnings]
    lines += [f"ERROR      {error}" for error in found.errors]
    lines.append(f"{len(found.errors)} error(s), {len(found.warnings)} warning(s)")
    return lines


def _said(facts: dict[str, Any]) -> str:
    """Facts in one line; a count of nothing is left out."""
    said = []
    for key, value in facts.items():
        words = key.replace("_", " ")
        match value:
            case list():
                said.append(" x ".join(map(str, value)))
            case str():
                said.append(value)
            case dict():
                said.append(f"{words} {value['min']:.4g} to {value['max']:.4g}, median {value['median']:.4g}")
            case 0 if key != "validation":
                pass
            case _:
                said.append(f"{words} {value}")
    return "; ".join(said)
