"""The report as one HTML file that needs nothing besides itself: no request, no font, no library."""

import base64
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import zslbench
from zslbench.plaintext import plain
from zslbench.report import overall as over_all
from zslbench.report import plots
from zslbench.report.contents import Section
from zslbench.report.escaping import html
from zslbench.report.examples import Examples
from zslbench.report.templates import beside, environment
from zslbench.results.leaderboard import Row, Table
from zslbench.results.overall import Overall
from zslbench.results.stats import ALPHA, Paired
from zslbench.terms import METRICS, STRICT, in_shots


class Heading(NamedTuple):
    """A column's heading, what it means, and whether it sorts as numbers (the highest first) or as text."""

    title: str
    meaning: str = ""
    numeric: bool = True
    ascending: bool = False
    """Whether the lowest number comes first."""


class Cell(NamedTuple):
    """What a cell shows, what it is sorted by (None: last), and a smaller second line."""

    text: str
    value: float | str | None = None
    detail: str = ""
    marked: bool = False


class Line(NamedTuple):
    """A row of a sortable table."""

    cells: list[Cell]
    kind: str = ""


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
_ORACLE = "what choosing the epoch on the TEST set would add to T1 / H over the"
_LEADERBOARD = (
    Heading("rank", "by the mean of the metric that ranks", ascending=True),
    Heading("method", "with the parameters that differ from its defaults, and what it needs besides", numeric=False),
    *(Heading(name, meaning) for name, meaning in _MEANINGS.items()),
    Heading("max − last", f"{_ORACLE} last epoch; never part of a result"),
    Heading(
        "max − val",
        f"{_ORACLE} epoch chosen on validation classes; never part of a result",
    ),
    Heading("fit s", "mean seconds of fitting per trial", ascending=True),
    Heading("peak MiB", "the highest memory of any trial", ascending=True),
    Heading("done", "finished of planned trials; in brackets further ones, which count nowhere here"),
    Heading("citation", "BibTeX key, which zslbench cite prints", numeric=False),
)
PAIRS = (
    Heading("a", numeric=False),
    Heading("b", numeric=False),
    Heading("a − b", "mean difference over splits, in points"),
    Heading("95 % interval", "of the mean difference"),
    Heading("won / tied / lost", "splits on which a is better, equal, worse"),
    Heading("effect", "mean difference over its standard deviation between splits, with its 95 % interval"),
    Heading("P(a beats b)", "on a new split, by the rule of succession: (wins + ties / 2 + 1) / (splits + 2)"),
    Heading("other classes", "95 % interval of the mean difference with the variance corrected for shared classes"),
    Heading("p", "Wilcoxon’s signed-rank test, two-sided", ascending=True),
    Heading("p (Holm)", "corrected for all pairs of this table", ascending=True),
)


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
    pages = environment()
    pages.filters["breakable"] = _breakable
    script = beside("sort.js")
    page: str = pages.from_string(beside("page.html.j2")).render(
        script=script,
        # The browser runs the script of this hash and no other, whatever a label may say.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=beside("style.css"),
        parts=[_part(number, *each) for number, each in enumerate(zip(sections, examples, strict=True), 1)],
        pair_columns=PAIRS,
        overall=[_overall(number, each) for number, each in enumerate(overall, 1)],
        store=plain(store),
        version=zslbench.__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    return page


def _breakable(text: str) -> Any:
    """Escaped, and free to go on in the next line after a comma, a bracket or a year, as parameters and keys may."""
    import markupsafe

    return markupsafe.Markup(re.sub(r"([,\[]|\b[a-z-]+\d{4})(?=\w)", r"\1<wbr>", str(markupsafe.escape(text))))


def _part(number: int, section: Section, images: Examples | None) -> dict[str, Any]:
    table = section.table
    return {
        "id": f"t{number}",
        "heading": _heading(table),
        "subject": f"Features {plain(table.features)}, semantics {plain(table.semantics)}; data {table.data}, "
        f"protocol {table.protocol}; {table.track} track{in_shots(table.shots)}.",
        "section": section,
        "notes": leaderboard_notes(table),
        "columns": leaderboard_columns(table),
        "rows": [leaderboard_line(row, table) for row in table.rows],
        "figures": _figures(section, f"t{number}"),
        "pairs": [pair_line(pair) for pair in (section.comparison.pairs if section.comparison else [])],
        "conclusions": [*section.comparison.conclusions, *section.comparison.others] if section.comparison else [],
        "examples": images,
    }


def _overall(number: int, found: Overall) -> dict[str, Any]:
    names = [Heading(name, numeric=name not in ("method", "interval"), ascending=name in ("#", "rank"))
             for name in over_all.header(found)]  # fmt: skip
    lines = [
        Line([Cell(text, _sorted_by(text)) for text in row])
        for row in over_all.rows(found)
    ]  # fmt: skip
    figures = []
    for plot in plots.OVERALL_PLOTS:
        if (svg := plots.as_svg(plot, found, f"o{number}-{plot.name}")) is not None:
            svg = svg.replace("<svg ", f'<svg role="img" aria-label="{html(f"{plot.title}. {plot.how}")}" ', 1)
            figures.append(Figure(plot.name, plot.title, plots.caption(plot, found), svg))
    return {"id": f"o{number}", "heading": over_all.heading(found), "columns": names, "rows": lines,
            "notes": over_all.notes(found), "figures": figures}  # fmt: skip


def _sorted_by(text: str) -> float | str | None:
    """A number where the text is one; None where there is none."""
    try:
        return float(text)
    except ValueError:
        return None if text == "-" else text


def _figures(section: Section, prefix: str) -> dict[str, Figure]:
    found = {}
    for plot in plots.PLOTS:
        svg = plots.as_svg(plot, section, f"{prefix}-{plot.name}")
        if svg is not None:
            title, how = plot.title, plots.caption(plot, section)
            if plot.name == "confusion" and section.confusion:
                title = f"{title}: {plain(section.confusion.label)}"
            alt = html(f"{title}, {plain(section.table.dataset)} {plain(section.table.family)}. {plot.how}")
            svg = svg.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)
            found[plot.name] = Figure(plot.name, title, how, svg)
    return found


def _heading(table: Table) -> str:
    """Of a part: tables of one page often differ in their track or shots alone."""
    track = "" if table.track == STRICT else f", {table.track} track"
    return f"{plain(table.dataset)} {plain(table.family)}{track}{in_shots(table.shots)}"


def leaderboard_columns(table: Table) -> list[Heading]:
    """Its columns; those of `_FURTHER` and of published numbers only where there is one."""
    further = [Heading(name, _FURTHER[name]) for name in _further(table)]
    columns = [*_LEADERBOARD[: 2 + len(METRICS)], *further, *_LEADERBOARD[2 + len(METRICS) :]]
    if any(row.published for row in table.rows):
        what = " and ".join(dict.fromkeys([table.sort, "T1"]))
        columns.insert(-2, Heading("published", f"{what} as others have published it, and ours minus that, in points"))
    return columns


def _further(table: Table) -> list[str]:
    return [name for name in _FURTHER if any(name in row.metrics for row in table.rows)]


def leaderboard_line(row: Row, table: Table) -> Line:
    """One row of the leaderboard; what is missing says so in a word or a dash."""
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
            Cell(plain(row.label), plain(row.label), "; ".join(filter(None, details))),
            *numbers,
            _gain(row.inflation_last),
            _gain(row.inflation_val),
            _amount(row.fit_seconds),
            _amount(row.peak_mb),
            *([_published(row, table)] if any(other.published for other in table.rows) else []),
            Cell(done, row.done / row.planned if row.planned else None, failed),
            Cell(plain(row.citation) or "–", plain(row.citation) or None),
        ],
        kind,
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


def _gain(gain: Mapping[str, float]) -> Cell:
    if not gain:
        return Cell("–")
    return Cell(f"{100 * gain['T1']:+.1f} / {100 * gain['H']:+.1f}", gain["H"])


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
