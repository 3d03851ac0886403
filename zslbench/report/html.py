"""The report as one HTML file that needs nothing besides itself: no request, no font, no library."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import zslbench
from zslbench.plaintext import plain
from zslbench.report import overall as over_all
from zslbench.report import plots
from zslbench.report.cards import MethodCard, key_of, method_cards
from zslbench.report.contents import Section
from zslbench.report.escaping import html
from zslbench.report.examples import Examples
from zslbench.report.templates import environment, scripted
from zslbench.results.answer import leads, rule_and_track
from zslbench.results.citations import installed
from zslbench.results.leaderboard import Row, Table
from zslbench.results.overall import Overall
from zslbench.results.stats import ALPHA, Paired
from zslbench.terms import EPOCHS, LEADS, METRICS, STRICT, in_shots


class Heading(NamedTuple):
    """A column's heading, what it means, and whether it sorts as numbers (the highest first) or as text."""

    title: str
    meaning: str = ""
    numeric: bool = True
    ascending: bool = False
    """Whether the lowest number comes first."""
    place: str = ""
    """Where it is shown: everywhere; ``mid``: not on a phone; ``far``: not on paper either; ``asked``: where it is
    asked for."""


class Cell(NamedTuple):
    """What a cell shows, what it is sorted by (None: last), and a smaller second line."""

    text: str
    value: float | str | None = None
    detail: str = ""
    marked: bool = False
    link: str = ""
    """Where it leads."""


class Line(NamedTuple):
    """A row of a sortable table."""

    cells: list[Cell]
    kind: str = ""
    """``unranked`` or ``bound``: such rows stay below the others, however a table is sorted."""
    family: str = ""
    variant: str = ""
    """What is added to the method's name, such as ``+cal``."""


class Board(NamedTuple):
    """A leaderboard under one rule for the epoch."""

    rule: str
    answer: list[str]
    """Who leads, where it stands beside another one."""
    columns: list[Heading]
    rows: list[Line]


class Figure(NamedTuple):
    """An SVG with what stands around it."""

    name: str
    title: str
    how: str
    svg: str


_MEANINGS = {
    "T1": "ZSL accuracy, the mean over unseen classes",
    "OA": "ZSL accuracy over all images of unseen classes",
    "S": "GZSL accuracy, the mean over seen classes",
    "U": "GZSL accuracy, the mean over unseen classes",
    "H": "harmonic mean of S and U, averaged over trials",
    "AUSUC": "area under the seen-unseen curve; does not depend on calibration",
}
_FURTHER = {
    "AUROC": "how often a seen image has a higher margin than an unseen one, of pairs of one each",
    "OpenworldAUC": "how often that is so and both get their right class among their own kind",
}
"""Columns that are there where some row has them."""
_ORACLE = "what choosing the epoch on the TEST set would add to"
_GAINS = {"last": "the last epoch", "val": "the epoch chosen on validation classes"}
"""What the best epoch of the test set is compared with; the headings' second words."""
_LEFT = (
    Heading("rank", "by the mean of the metric that ranks", ascending=True),
    Heading("method", "with the parameters that differ from its defaults, and what it needs besides", numeric=False),
)
_RIGHT = (
    *(
        Heading(
            f"max\N{NO-BREAK SPACE}−\N{NO-BREAK SPACE}{rule} {name}",
            f"{_ORACLE} {name} over {what}; never part of a result",
            place="far",
        )
        for rule, what in _GAINS.items()
        for name in LEADS.values()
    ),
    Heading("fit s", "mean seconds of fitting per trial", ascending=True, place="far"),
    Heading("peak MiB", "the highest memory of any trial", ascending=True, place="far"),
    Heading("done", "finished of planned trials; in brackets further ones, which count nowhere here", place="far"),
    Heading("citation", "BibTeX key, which zslbench cite prints", numeric=False, place="asked"),
)
PAIRS = (
    Heading("a", numeric=False),
    Heading("b", numeric=False),
    Heading("a − b", "mean difference over splits, in points"),
    Heading("95 % interval", "of the mean difference"),
    Heading("won / tied / lost", "splits on which a is better, equal, worse", place="mid"),
    Heading(
        "effect", "mean difference over its standard deviation between splits, with its 95 % interval", place="far"
    ),
    Heading(
        "P(a beats b)", "on a new split, by the rule of succession: (wins + ties / 2 + 1) / (splits + 2)", place="mid"
    ),
    Heading(
        "other classes",
        "95 % interval of the mean difference with the variance corrected for shared classes",
        place="mid",
    ),
    Heading("p", "Wilcoxon’s signed-rank test, two-sided", ascending=True, place="mid"),
    Heading("p (Holm)", "corrected for all pairs of this table", ascending=True),
)
LEAD_PAIRS = (PAIRS[0]._replace(place="mid"), *PAIRS[1:])
"""Where a is the same in every row, a phone does without it."""


def as_html(
    sections: Sequence[Section], examples: Sequence[Examples | None], store: Path, overall: Sequence[Overall] = ()
) -> str:
    """The page.

    Args:
        sections: what it shows.
        examples: the images of each section; None for none.
        store: where the records are, for the title.
        overall: the methods over all data sets, where there are enough.

    Returns:
        HTML whose every text is escaped, and whose only script is its own.
    """
    every = [table for section in sections for table in (section.table, *section.beside)]
    rows = [row for table in every for row in table.rows]
    cards = method_cards(rows, installed(row.method for row in rows))
    titles = headings([section.table for section in sections])
    splits = [(section.table.data, section.table.family, section.unseen) for section in sections]
    page: str = (
        environment()
        .get_template("page.html.j2")
        .render(
            **scripted(),  # the browser runs this script and no other, whatever a label may say
            parts=[
                _part(number, title, section, images, cards) | {"repeated": splits[number - 1] in splits[: number - 1]}
                for number, (title, section, images) in enumerate(zip(titles, sections, examples, strict=True), 1)
            ],
            pair_columns=PAIRS,
            lead_columns=LEAD_PAIRS,
            overall=[overall_part(number, each) for number, each in enumerate(overall, 1)],
            cards=list(cards.values()),
            store=plain(store),
            version=zslbench.__version__,
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )
    return page


def _part(
    number: int, title: str, section: Section, images: Examples | None, cards: Mapping[tuple[str, str], MethodCard]
) -> dict[str, Any]:
    table = section.table
    boards = [board(each, lambda row: f"#{cards[key_of(row)].id}") for each in (table, *section.beside)]
    pairs = section.leads[0].pairs if section.leads else []
    every = section.comparison.pairs if section.comparison and len(section.comparison.pairs) > len(pairs) else []
    return {
        "id": f"t{number}",
        "heading": title,
        "track": table.track,
        "subject": f"Features {plain(table.features)}, semantics {plain(table.semantics)}; data {table.data}, "
        f"protocol {table.protocol}; {table.track} track{in_shots(table.shots)}.",
        "section": section,
        "leads": section.leads,
        "under": rule_and_track(table),
        "notes": leaderboard_notes(table),
        "columns": boards[0].columns,
        "boards": boards,
        "figures": figures(section, f"t{number}"),
        "pairs": [pair_line(pair) for pair in pairs],
        "every_pair": [pair_line(pair) for pair in every],
        "conclusions": [*section.comparison.conclusions, *section.comparison.others] if section.comparison else [],
        "examples": images,
    }


def board(table: Table, link: Callable[[Row], str]) -> Board:
    """A table as a page shows it.

    Args:
        table: of a leaderboard.
        link: where the name of a row's method leads.
    """
    rules = sorted({EPOCHS[row.selection] for row in table.rows})
    return Board(
        ", ".join(rules), [lead.headline for lead in leads(table, [table.sort])], leaderboard_columns(table),
        [leaderboard_line(row, table, link(row)) for row in table.rows],
    )  # fmt: skip


def overall_part(number: int, found: Overall, homes: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """What a page shows of the methods over all data sets; `homes`: where the name of a row leads."""
    names = [Heading(name, numeric=name not in ("method", "interval"), ascending=name in ("#", "rank"))
             for name in over_all.header(found)]  # fmt: skip
    lines = [
        Line([Cell(text, _sort_key(text), link=homes.get(text, "") if name.title == "method" else "")
              for name, text in zip(names, row, strict=True)])
        for row in over_all.rows(found)
    ]  # fmt: skip
    drawn = []
    for plot in plots.OVERALL_PLOTS:
        if (svg := plots.as_svg(plot, found, f"o{number}-{plot.name}")) is not None:
            svg = svg.replace(
                "<svg ",
                f'<svg role="img" aria-label="{html(f"{plot.title}. {plots.finding(plot, found)} {plot.how}")}" ',
                1,
            )
            drawn.append(Figure(plot.name, plot.title, plots.caption(plot, found), svg))
    return {"id": f"o{number}", "heading": over_all.heading(found), "columns": names, "rows": lines,
            "notes": over_all.notes(found), "figures": drawn}  # fmt: skip


def _sort_key(text: str) -> float | str | None:
    """A number where the text is one; None where there is none."""
    try:
        return float(text)
    except ValueError:
        return None if text == "-" else text


def figures(section: Section, prefix: str) -> dict[str, Figure]:
    """Name -> drawing, of what the section has; their ids begin with `prefix`."""
    found = {}
    for plot in plots.PLOTS:
        svg = plots.as_svg(plot, section, f"{prefix}-{plot.name}")
        if svg is not None:
            title, how = plot.title, plots.caption(plot, section)
            if plot.name == "confusion" and section.confusion:
                title = f"{title}: {plain(section.confusion.label)}"
            about = f"{title}, {plain(section.table.dataset)} {plain(section.table.family)}."
            alt = html(" ".join(filter(None, [about, plots.finding(plot, section), plots.how(plot, section)])))
            svg = svg.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)
            found[plot.name] = Figure(plot.name, title, how, svg)
    return found


def headings(tables: Sequence[Table]) -> list[str]:
    """Of the parts of a page: the data set and its split family, and whatever else tells one table from the others."""
    found = [f"{plain(table.dataset)} {plain(table.family)}" for table in tables]
    found = [
        f"{name}{'' if table.track == STRICT else f', {table.track} track'}{in_shots(table.shots)}"
        for name, table in zip(found, tables, strict=True)
    ]
    for field, words in (("semantics", "semantics"), ("features", "features"), ("data", "data"),
                         ("protocol", "protocol")):  # fmt: skip
        apart: dict[str, set[str]] = {}
        for name, table in zip(found, tables, strict=True):
            apart.setdefault(name, set()).add(str(getattr(table, field)))
        found = [
            f"{name}, {words} {plain(getattr(table, field))}" if len(apart[name]) > 1 else name
            for name, table in zip(found, tables, strict=True)
        ]
    return found


def leaderboard_columns(table: Table) -> list[Heading]:
    """Its columns; those of `_FURTHER` and of published numbers only where there is one."""
    further = [Heading(name, _FURTHER[name], place="asked") for name in _further(table)]
    metrics = [Heading(name, meaning, place=_place(name, table)) for name, meaning in _MEANINGS.items()]
    columns = [*_LEFT, *metrics, *further, *_RIGHT]
    if any(row.published for row in table.rows):
        what = " and ".join(dict.fromkeys([table.sort, "T1"]))
        told = f"{what} as others have published it, and ours minus that, in points"
        columns.insert(-2, Heading("published", told, place="far"))
    return columns


def _place(metric: str, table: Table) -> str:
    if metric == table.sort:
        return ""
    return "asked" if metric == "OA" and all(map(_has_one_accuracy, table.rows)) else "mid"


def _has_one_accuracy(row: Row) -> bool:
    """Whether T1 and OA are the same on every split, as they are where classes have equally many images."""
    one, other = row.per_split.get("T1", {}), row.per_split.get("OA", {})
    return one.keys() == other.keys() and all(math.isclose(one[split], other[split], abs_tol=1e-9) for split in one)


def _further(table: Table) -> list[str]:
    return [name for name in _FURTHER if any(name in row.metrics for row in table.rows)]


def leaderboard_line(row: Row, table: Table, link: str = "") -> Line:
    """One row of the leaderboard, whose method's name leads to `link`; what is missing says so in a word or a dash."""
    kind = "bound" if row.family == "bound" else "" if row.rank is not None else "unranked"
    names = [*METRICS, *_further(table)]
    best = {name: max((_mean(other, name) for other in table.rows if other.rank), default=math.inf) for name in names}
    numbers = [
        Cell(percent(said.mean), said.mean, _interval(said.low, said.high), bool(row.rank) and said.mean == best[name])
        if (said := row.metrics.get(name))
        else Cell("–")
        for name in names
    ]
    done = f"{row.done}/{row.planned}" + (f" (+{row.extra})" if row.extra else "")
    failed = f"{row.failed} failed" if row.failed else ""
    details = [
        f"no rank: {plain(row.why)}" if kind == "unranked" else "",
        f"uses {plain(', '.join(row.needs))}" if row.needs else "",
    ]
    return Line(
        [
            Cell(str(row.rank), row.rank) if row.rank is not None else Cell(kind),
            Cell(plain(row.label), plain(row.label), "; ".join(filter(None, details)), link=link),
            *numbers,
            *(_gain(gain, name) for gain in (row.inflation_last, row.inflation_val) for name in LEADS.values()),
            _amount(row.fit_seconds),
            _amount(row.peak_mb),
            *([_published(row, table)] if any(other.published for other in table.rows) else []),
            Cell(done, row.done / row.planned if row.planned else None, failed),
            Cell(plain(row.citation) or "–", plain(row.citation) or None),
        ],
        kind,
        plain(row.family),
        plain("".join(row.method.partition("+")[1:])),
    )


def pair_line(pair: Paired) -> Line:
    """One row of the pairs table."""
    return Line(
        [
            Cell(plain(pair.a), plain(pair.a)),
            Cell(plain(pair.b), plain(pair.b)),
            Cell(f"{100 * pair.difference:+.1f}", pair.difference),
            Cell(_interval(pair.low, pair.high) or "–", pair.low),
            Cell(f"{pair.wins} / {pair.ties} / {pair.losses}", pair.wins),
            _number(pair.effect)._replace(detail=_range(pair.effect_low, pair.effect_high)),
            _number(pair.better),
            Cell(_interval(pair.others_low, pair.others_high) or "–", pair.others_low),
            _p_value(pair.p),
            _p_value(pair.p_holm)._replace(marked=pair.p_holm < ALPHA),
        ]
    )


def leaderboard_notes(table: Table) -> list[str]:
    """What a reader must know to read the leaderboard."""
    rules = {plots.RULES[row.selection][-1] for row in table.rows}
    said = [
        f"Epoch: {', '.join(sorted(rules))}. Means over splits, with 95 % intervals from a bootstrap over splits and "
        f"seeds (Student’s t below 6 splits). Splits share classes and images while intervals take them as "
        f"independent, so they are optimistic.",
    ]
    if any(row.family == "bound" for row in table.rows):
        said.append("Bounds are no methods: they mark what chance, seen classes alone or ideal semantics would give.")
    return said


def _published(row: Row, table: Table) -> Cell:
    if not row.published:
        return Cell("–")
    said = [
        f"{name} {percent(value)}" + (f" ({100 * (row.metrics[name].mean - value):+.1f})" if row.metrics else "")
        for name, value in row.published.items()
    ]
    return Cell(said[0], row.published.get(table.sort), ", ".join(said[1:]))


def _gain(gain: Mapping[str, float], metric: str) -> Cell:
    if metric not in gain:
        return Cell("–")
    return Cell(f"+{abs(100 * gain[metric]):.1f}", gain[metric])  # abs: never -0.0


def _mean(row: Row, metric: str) -> float:
    return row.metrics[metric].mean if metric in row.metrics else -math.inf


def percent(fraction: float) -> str:
    """A fraction as people read it."""
    return f"{100 * fraction:.1f}"


def _interval(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"{percent(low)} to {percent(high)}"


def _range(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"{low:.2f} to {high:.2f}"


def _amount(value: float | None) -> Cell:
    """Three digits that matter."""
    if value is None:
        return Cell("–")
    return Cell(f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}", value)


def _number(value: float) -> Cell:
    return Cell("–") if math.isnan(value) else Cell(f"{value:.2f}", value)


def _p_value(p: float) -> Cell:
    if math.isnan(p):
        return Cell("–")
    return Cell(f"{p:.4f}" if p >= 0.0001 else "< 0.0001", p)
