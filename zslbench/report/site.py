"""A static leaderboard for a group: an index, a page for every table, a page for every method with its history.

Every page stands by itself: it loads nothing and runs no script but its own. Links lead from page to page by relative
addresses, so that any host of files will do, or none.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import zslbench
from zslbench.plaintext import plain
from zslbench.records import Brief
from zslbench.report.background import Fact
from zslbench.report.cards import MethodCard, method_cards
from zslbench.report.contents import section_of
from zslbench.report.datacard import data_card
from zslbench.report.html import (
    LEAD_PAIRS,
    Cell,
    Heading,
    Line,
    board,
    figures,
    headings,
    leaderboard_notes,
    overall_part,
    pair_line,
    percent,
)
from zslbench.report.templates import environment, scripted
from zslbench.results.answer import leads, rule_and_track
from zslbench.results.citations import installed
from zslbench.results.leaderboard import Row, Table, has_numbers
from zslbench.results.overall import possible

GENERATOR = "zslbench site"
"""By which pages of an earlier site are known."""
_TABLES = (
    Heading("table", numeric=False),
    Heading("track", numeric=False, place="mid"),
    Heading("ranked", "rows with a rank"),
    Heading("splits", place="mid"),
    Heading("who leads", numeric=False),
)
_METHODS = (
    Heading("method", numeric=False),
    Heading("title", numeric=False, place="mid"),
    Heading("family", numeric=False, place="mid"),
    Heading("tables", "in which it has a row"),
)
_RESULTS = (
    Heading("row", "the method with its parameters", numeric=False),
    Heading("table", numeric=False),
    Heading("rank", ascending=True),
    Heading("T1", place="mid"),
    Heading("H"),
    Heading("done", place="mid"),
)
_HISTORY = (
    Heading("version", "of the method; others than the newest are not ranked"),
    Heading("rows", "configurations", place="mid"),
    Heading("done", "finished trials, validation trials included"),
    Heading("failed", place="mid"),
    Heading("first", "UTC", numeric=False),
    Heading("last", "UTC", numeric=False, place="mid"),
    Heading("zslbench", "versions that ran them", numeric=False, place="mid"),
)


class _Page(NamedTuple):
    """A table with where its page is."""

    table: Table
    beside: list[Table]
    title: str
    path: str


def site(
    tables: Sequence[Table], beside: Sequence[Table], briefs: Iterable[Brief], *, title: str, verified: str
) -> dict[str, str]:
    """The pages.

    Args:
        tables: of a leaderboard.
        beside: the same by another rule for the epoch.
        briefs: every stored trial, for the history.
        title: of the index.
        verified: the sentence on what was verified.

    Returns:
        Path in the site's folder -> HTML.
    """
    tables = sorted(tables, key=lambda table: (table.dataset, table.family))  # whichever store was named first
    names = _paths([*headings(tables)], "data")
    pages = [
        _Page(table, [other for other in beside if table.is_twin(other) and has_numbers(other)], name, path)
        for table, (name, path) in zip(tables, names, strict=True)
    ]
    rows: dict[str, list[tuple[_Page, Row]]] = {}
    for page in pages:
        for row in page.table.rows:
            rows.setdefault(row.method, []).append((page, row))
    homes = {method: path for method, (_, path) in zip(rows, _paths(list(rows), "methods"), strict=True)}
    infos = installed(rows)
    cards = {method: next(iter(method_cards([own[0][1]], infos).values())) for method, own in rows.items()}
    history = _histories(briefs)
    common = scripted() | {
        "version": zslbench.__version__, "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "verified": verified, "generator": GENERATOR,
    }  # fmt: skip
    made = {"index.html": _index(pages, rows, homes, cards, title, common)}
    for page in pages:
        made[page.path] = _table_page(page, homes, common)
    for method, own in rows.items():
        made[homes[method]] = _method_page(method, own, cards[method], history.get(method, []), common)
    return made


def _paths(names: Sequence[str], folder: str) -> list[tuple[str, str]]:
    """Each name with a path of plain letters, and a number where several would have the same."""
    found: list[tuple[str, str]] = []
    for name in names:
        stem = re.sub(r"[^a-z0-9]+", "-", name.casefold().replace("+", "-with-")).strip("-")[:80] or "x"
        taken, number, path = {path for _, path in found}, 1, f"{folder}/{stem}.html"
        while path in taken:
            number += 1
            path = f"{folder}/{stem}-{number}.html"
        found.append((name, path))
    return found


def _rendered(template: str, common: Mapping[str, Any], **shown: Any) -> str:
    text: str = environment().get_template(template).render(**common, **shown)
    return text


def _index(
    pages: Sequence[_Page], rows: Mapping[str, list[tuple[_Page, Row]]], homes: Mapping[str, str],
    cards: Mapping[str, MethodCard], title: str, common: Mapping[str, Any],
) -> str:  # fmt: skip
    methods = [
        Line(
            [
                Cell(plain(method), plain(method), link=homes[method]),
                Cell(cards[method].title or "–", cards[method].title or None),
                Cell(plain(own[0][1].family), plain(own[0][1].family)),
                _count(len({page.path for page, _ in own})),
            ],
            "bound" if own[0][1].family == "bound" else "",
        )
        for method, own in rows.items()
    ]
    methods.sort(key=lambda line: (line.kind, line.cells[0].text))
    sort = pages[0].table.sort
    links = {plain(row.label): homes[method] for method, own in rows.items() for _, row in own}
    found = possible([page.table for page in pages], sort)
    return _rendered(
        "site_index.html.j2", common, title=title, up="",
        said=f"{len(pages)} tables, {len(rows)} methods. Only rows of one table are compared with one another.",
        overall=[overall_part(number, each, links) for number, each in enumerate(found, 1)],
        table_columns=_TABLES, tables=[_table_line(page) for page in pages], method_columns=_METHODS, methods=methods,
    )  # fmt: skip


def _table_line(page: _Page) -> Line:
    ranked = [row for row in page.table.rows if row.rank is not None]
    found = leads(page.table, [page.table.sort])
    splits = max((row.metrics["T1"].splits for row in page.table.rows if row.metrics), default=0)
    said = found[0].headline if found else "no row is ranked"
    track = plain(page.table.track)
    return Line(
        [Cell(page.title, page.title, link=page.path), Cell(track, track), _count(len(ranked)), _count(splits),
         Cell(said, said)]
    )  # fmt: skip


def _table_page(page: _Page, homes: Mapping[str, str], common: Mapping[str, Any]) -> str:
    table, section = page.table, section_of(page.table)
    found = section.leads
    return _rendered(
        "site_table.html.j2", common, title=page.title, up="../",
        said=f"Features {plain(table.features)}, semantics {plain(table.semantics)}; data {table.data}, protocol "
        f"{table.protocol}.",
        leads=found, under=rule_and_track(table), data=data_card(table, section.dataset), metric=table.sort,
        boards=[board(each, lambda row: f"../{homes[row.method]}") for each in (table, *page.beside)],
        part={"id": "t", "heading": page.title, "figures": figures(section, "t")},
        notes=leaderboard_notes(table), pair_columns=LEAD_PAIRS,
        pairs=[pair_line(pair) for pair in (found[0].pairs if found else [])],
    )  # fmt: skip


def _method_page(
    method: str, own: Sequence[tuple[_Page, Row]], card: MethodCard, history: Sequence[Line], common: Mapping[str, Any]
) -> str:
    about = [
        Fact("Family", [card.family]),
        Fact("Track", [card.track]),
        Fact("Needs or uses", [card.needs or "nothing beyond features and semantics of seen classes"]),
    ]
    results = [
        Line(
            [
                Cell(plain(row.label), plain(row.label), plain(row.why) if row.rank is None else ""),
                Cell(page.title, page.title, link=f"../{page.path}"),
                Cell("–" if row.rank is None else f"{row.rank} of {_ranked(page.table)}", row.rank),
                *(_number(row, name) for name in ("T1", "H")),
                Cell(f"{row.done}/{row.planned}", row.done),
            ],
            "" if row.rank is not None else "bound" if row.family == "bound" else "unranked",
        )
        for page, row in own
    ]
    return _rendered(
        "site_method.html.j2", common, title=plain(method), up="../", said="", card=card, about=about,
        result_columns=_RESULTS, results=results, history_columns=_HISTORY, history=history,
        key=plain(own[0][1].citation),
    )  # fmt: skip


def _ranked(table: Table) -> int:
    return sum(row.rank is not None for row in table.rows)


def _number(row: Row, metric: str) -> Cell:
    if (said := row.metrics.get(metric)) is None:
        return Cell("–")
    detail = "" if said.low != said.low else f"{percent(said.low)} to {percent(said.high)}"
    return Cell(percent(said.mean), said.mean, detail)


def _count(number: int) -> Cell:
    return Cell(str(number), number)


def _histories(briefs: Iterable[Brief]) -> dict[str, list[Line]]:
    """Of every method a line for each of its versions, the newest first: how much was run, and when."""
    found: dict[str, dict[int, list[Brief]]] = {}
    for brief in briefs:
        found.setdefault(brief.trial.method, {}).setdefault(brief.trial.method_version, []).append(brief)
    return {
        method: [_history(number, told) for number, told in sorted(versions.items(), reverse=True)]
        for method, versions in found.items()
    }


def _history(number: int, briefs: Sequence[Brief]) -> Line:
    dates = sorted(date[:10] for brief in briefs for date in (brief.run.started, brief.run.finished) if date)
    versions = sorted({brief.run.versions["zslbench"] for brief in briefs if "zslbench" in brief.run.versions})
    done = len({brief.key for brief in briefs if brief.status == "done"})
    first, last = (plain(dates[0]), plain(dates[-1])) if dates else ("–", "–")
    return Line(
        [
            _count(number), _count(len({brief.label for brief in briefs})), _count(done),
            _count(sum(brief.status == "failed" for brief in briefs)), Cell(first, first), Cell(last, last),
            Cell(plain(", ".join(versions)) or "–", None),
        ]
    )  # fmt: skip
