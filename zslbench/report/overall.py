"""Methods over several data sets, for people and for programs. Scores and win rates are shown in percent."""

import math
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from zslbench import csvout
from zslbench.grid import Column, Grid
from zslbench.jsontext import pretty
from zslbench.plaintext import plain
from zslbench.report.escaping import html, latex, markdown
from zslbench.report.latex import document, floating, labels, tabular
from zslbench.report.tables import page
from zslbench.results.overall import Overall, Standing, as_builtins, short_names
from zslbench.results.stats import Estimate
from zslbench.terms import EPOCHS, in_shots

NOTE = (
    "rank: mean over blocks of the rank within a block, 1 being best. score: (mean - chance) / (ideal - chance) of a "
    "block in percent; chance is what guessing is expected to reach, ideal the bound with ideal semantics. wins: of "
    "all pairs of a block and another method, the share that it wins, ties counting half. Blocks are averaged inside a "
    "data set first, so that every data set counts the same. Intervals: 95 %, for another data set like these "
    "(bootstrap over data sets, and blocks inside each; Student's t below 6 data sets)."
)
WINS = "Win rates: in which share of the blocks the row's method is better than the column's, in percent."
_MOST = 12
"""Methods of a table of win rates, and blocks of a wide table, that people can still read."""


def heading(found: Overall) -> str:
    """What the table is about, in one line."""
    return (
        f"Overall: {found.metric} over {found.datasets} data sets and {len(found.blocks)} blocks ({found.track} track"
        f"{in_shots(found.shots)}; {EPOCHS[found.selection]})"
    )


def notes(found: Overall) -> list[str]:
    """What a reader must know."""
    said = [NOTE, "Blocks: " + "; ".join(plain(block.name) for block in found.blocks) + ".", *found.notes]
    if found.left_out:
        whose: dict[str, list[str]] = {}
        for label, why in found.left_out.items():
            whose.setdefault(why, []).append(plain(label))
        listed = "; ".join(f"{', '.join(labels)} ({why})" for why, labels in whose.items())
        said.append(f"Not in the table, for want of blocks: {listed}.")
    if found.ranking is None:
        said.append(
            f"{len(found.blocks)} blocks and {len(found.rows)} methods are too few for a test over blocks: 6 and 3 "
            f"are needed."
        )
    else:
        verdict = "differ" if found.ranking.friedman_p < 0.05 else "are not shown to differ"
        said.append(
            f"Ranks over blocks {verdict} (Friedman p = {found.ranking.friedman_p:.2g}); not told apart: "
            + ("; ".join(", ".join(map(plain, clique)) for clique in found.ranking.cliques) or "none")
            + "."
        )
    return said


def as_rich(tables: Sequence[Overall], *, all_notes: bool = True, all_in: str = "", more: str = "") -> RenderableType:
    """For a terminal; the arguments are those of `zslbench.report.tables.as_rich`."""
    parts: list[RenderableType] = []
    for found in tables:
        names = header(found)
        fixed = len(names) - len(found.blocks)
        columns = [
            Column(name, right=at != 1, hang=at == 1, spare=len(names) - at if at >= fixed else 0)
            for at, name in enumerate(names)
        ]
        said = notes(found) if all_notes else [*brief(found), more]
        parts += [Text(heading(found), style="bold"), Grid(columns, rows(found), all_in=all_in)]
        parts += [*(Text(note, style="dim") for note in said if note), Text()]
    return Group(*parts)


def brief(found: Overall) -> list[str]:
    """What must not be missed."""
    said = [f"Means over {found.datasets} data sets, with 95 % intervals for another one like these.", *found.notes]
    if found.left_out:
        said.append(f"Not in every block, and left out: {', '.join(map(plain, found.left_out))}.")
    return said


def header(found: Overall) -> list[str]:
    """Titles of the columns."""
    scale = "score" if found.rows[0].scores else found.metric
    return ["#", "method", "rank", "interval", "score", "interval", "wins",
            *(f"{scale} {plain(name)}" for name in short_names(found.blocks))]  # fmt: skip


def rows(found: Overall) -> list[list[str]]:
    """Cells of the rows."""
    return [
        [
            str(place), plain(row.label), f"{row.rank.mean:.2f}", _interval(row.rank, 1, ".1f"),
            "-" if row.score is None else f"{100 * row.score.mean:.1f}",
            "-" if row.score is None else _interval(row.score, 100, ".1f"), f"{100 * row.win_rate:.0f}",
            *(f"{100 * value:.1f}" for value in row.scores or row.values),
        ]
        for place, row in enumerate(found.rows, 1)
    ]  # fmt: skip


def _interval(value: Estimate, scale: float, form: str) -> str:
    if math.isnan(value.low):
        return "-"
    return f"{scale * value.low:{form}} to {scale * value.high:{form}}"


def as_markdown(tables: Sequence[Overall]) -> str:
    """GitHub-flavoured Markdown, with the win rates of the first methods."""
    parts = []
    for found in tables:
        parts += [f"### {markdown(heading(found))}", _tabulated(header(found), rows(found), "pipe", markdown)]
        parts += ["\n".join(f"- {markdown(note)}" for note in notes(found))]
        parts += [markdown(WINS), _tabulated(*_wins(found), "pipe", markdown)]
    return "\n\n".join(parts) + "\n"


def as_html(tables: Sequence[Overall]) -> str:
    """A part of a page: the tables and what must be known of them."""
    parts = []
    for found in tables:
        said = "\n".join(f"<li>{html(note)}</li>" for note in notes(found))
        parts.append(
            f"<h2>{html(heading(found))}</h2>\n"
            f'<div tabindex="0">\n{_tabulated(header(found), rows(found), "html")}\n</div>\n<ul>\n{said}\n</ul>\n'
            f'<p>{html(WINS)}</p>\n<div tabindex="0">\n{_tabulated(*_wins(found), "html")}\n</div>'
        )
    return "\n".join(parts) + "\n"


def as_page(tables: Sequence[Overall]) -> str:
    """The same as a page of its own that loads nothing."""
    return page("Overall", as_html(tables))


def as_latex(tables: Sequence[Overall]) -> str:
    """A ``table*`` with a label for every track; needs the packages booktabs and graphicx."""
    names = labels(f"overall {found.metric} {found.track}" for found in tables)
    parts = []
    for found, label in zip(tables, names, strict=True):
        titles = header(found)
        cells = [list(map(latex, row)) for row in rows(found)]
        body = tabular([at == 1 for at in range(len(titles))], titles, [cells])
        parts.append(floating(heading(found), label, [body], " ".join(notes(found)), len(cells)))
    return document("\n".join(parts), "booktabs,graphicx")


def as_csv(tables: Sequence[Overall], excel_safe: bool = False) -> str:
    """One line per method and block with every number unrounded, as fractions; means stand in each of its lines."""
    names = ["track", "metric", "selection", "place", "method", "rank", "rank_low", "rank_high", "score", "score_low",
             "score_high", "win_rate", "dataset", "family", "features", "semantics", "data", "block_value",
             "block_rank", "block_score", "block_chance", "block_ideal"]  # fmt: skip
    lines = [line for found in tables for place, row in enumerate(found.rows, 1) for line in _flat(found, place, row)]
    cells = ([None if value != value else value for value in line] for line in lines)  # NaN is not NaN
    return csvout.text(names, cells, excel_safe=excel_safe)


def _flat(found: Overall, place: int, row: Standing) -> list[list[object]]:
    score = (None, None, None) if row.score is None else (row.score.mean, row.score.low, row.score.high)
    return [
        [
            found.track, found.metric, found.selection, place, row.label, row.rank.mean, row.rank.low, row.rank.high,
            *score, row.win_rate, block.dataset, block.family, block.features,
            block.semantics, block.data, row.values[at], row.ranks[at], None if row.scores is None else row.scores[at],
            block.chance, block.ideal,
        ]
        for at, block in enumerate(found.blocks)
    ]  # fmt: skip


def as_json(tables: Sequence[Overall]) -> str:
    """A JSON array of tables, numbers as fractions; those that do not exist are null."""
    return pretty(as_builtins(tables))


def _wins(found: Overall) -> tuple[list[str], list[list[str]]]:
    shown = found.rows[:_MOST]
    cells = [
        [
            plain(row.label),
            *("" if at == other else f"{100 * found.wins[at][other]:.0f}" for other in range(len(shown))),
        ]
        for at, row in enumerate(shown)
    ]
    return ["method", *(plain(row.label) for row in shown)], cells


def _tabulated(
    names: Sequence[str], cells: Sequence[Sequence[str]], form: str, escape: Callable[[str], str] = str
) -> str:
    from tabulate import tabulate

    align = ["left" if name == "method" else "right" for name in names]
    body = [[escape(cell) for cell in row] for row in cells]
    return tabulate(body, [escape(name) for name in names], tablefmt=form, disable_numparse=True, colalign=align)
