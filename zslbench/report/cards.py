"""A card for every row of a leaderboard: what the method is, where it comes from, what it needs, its parameters."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from zslbench.bibtex import field, link
from zslbench.methods import MethodInfo
from zslbench.plaintext import plain, visible
from zslbench.results.leaderboard import Row
from zslbench.terms import track_of

_MOST_TEXT = 4_000
"""Characters of a BibTeX entry."""


class MethodCard(NamedTuple):
    """What a page says of one method with its parameters."""

    id: str
    label: str
    title: str
    """Empty where the method is not installed here."""
    year: str
    family: str
    track: str
    needs: str
    version: int
    parameters: list[tuple[str, str]]
    link: str
    """Of its paper; empty where its citation tells none."""
    bibtex: str


def method_cards(rows: Iterable[Row], infos: Mapping[str, MethodInfo]) -> dict[tuple[str, str], MethodCard]:
    """A card for each different row, in their order.

    Args:
        rows: of one or several tables.
        infos: of the methods that are installed, by name.

    Returns:
        `key_of` a row -> its card; the ids are ``method-1``, ``method-2``, ...
    """
    found: dict[tuple[str, str], MethodCard] = {}
    for row in rows:
        if key_of(row) not in found:
            found[key_of(row)] = _card(f"method-{len(found) + 1}", row, infos.get(row.method))
    return found


def key_of(row: Row) -> tuple[str, str]:
    """What tells one row's card from another's."""
    return row.label, f"{row.method} {row.version} {row.config}"


def _card(name: str, row: Row, info: MethodInfo | None) -> MethodCard:
    citation = info.citation if info else ""
    return MethodCard(
        name, plain(row.label), plain(info.title) if info else "", plain(field(citation, "year"), 20), row.family,
        track_of(row.needs), plain(", ".join(row.needs)), row.version,
        [(plain(name), plain(value)) for name, value in row.config.items()], link(citation),
        "\n".join(visible(line) for line in citation.strip()[:_MOST_TEXT].splitlines()),
    )  # fmt: skip
