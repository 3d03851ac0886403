"""Leaderboard tables for a paper."""

import math
import re
from collections.abc import Iterable, Sequence

from zslbench.plaintext import plain
from zslbench.report.escaping import latex as escaped
from zslbench.report.tables import Field, cells, columns, header, heading, paper_notes
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import Estimate
from zslbench.terms import METRICS, OPEN_METRICS

_LEFT_OUT = {"OA", "rule", "max-last T1/H", "max-val T1/H", "fit s", "peak MB", "needs", "citation"}
"""With these a table is too wide for type that can be read on paper; notes and caption tell what matters of them."""
_LATIN_1 = 0xFF
_CITABLE = re.compile(r"[\w:.+/-]+")
_LABEL = re.compile(r"([\w.+-]+)\[([\w.-]+=[^\[\],=]*(?:,[\w.-]+=[^\[\],=]*)*)\]")
_SIZES = ((75, r"\scriptsize"), (50, r"\footnotesize"), (30, ""))
"""So many rows fit a page in that size."""
_S_COLUMN = "S[table-format={digits}.1({half}),separate-uncertainty,detect-weight,mode=text]"
"""Of siunitx, for means with half the widths of their intervals: as many digits as the widest have."""


def as_latex(tables: Sequence[Table], wide: bool = False, asked: Sequence[str] = (), siunitx: bool = False) -> str:
    """One ``table*`` with a label per table; needs the packages booktabs and graphicx.

    Of the ranked rows the best of every metric is bold and the second best underlined, as far as the printed digits
    tell them apart. Bounds stand below a rule. A method is cited beside its name, or in a column of its own where
    `wide` asks for every column; `asked`: as in `zslbench.report.tables.columns`. With `siunitx` metrics stand in
    columns of that package, aligned by their decimal points; none is underlined then.
    """
    names = labels(f"{table.dataset} {table.family} {table.track}" for table in tables)
    made = [_as_latex(table, wide, asked, label, siunitx) for table, label in zip(tables, names, strict=True)]
    return document("\n".join(made), f"booktabs,graphicx{',siunitx' if siunitx else ''}")


def labels(texts: Iterable[str]) -> list[str]:
    """``tab:...`` of every text, all different.

    >>> labels(["ucm 16/5", "ucm 16/5"])
    ['tab:ucm-16-5', 'tab:ucm-16-5.2']
    """
    made: list[str] = []
    for text in texts:
        stem = re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")
        number = sum(label.partition(".")[0] == f"tab:{stem}" for label in made)
        made.append(f"tab:{stem}{f'.{number + 1}' if number else ''}")
    return made


def readable(label: str) -> str:
    """The label of a row as a paper would print it.

    >>> readable("clswgan[preset=small,ratio=100.0]")
    'clswgan (small, ratio = 100)'
    """
    found = _LABEL.fullmatch(label)
    if found is None:
        return label
    given = [part.split("=") for part in found[2].split(",")]
    words = [value if name == "preset" else f"{name} = {value.removesuffix('.0')}" for name, value in given]
    return f"{found[1]} ({', '.join(words)})"


def document(text: str, packages: str) -> str:
    """`text` under comments that say what it needs to be set."""
    beyond = "".join(sorted({character for character in text if ord(character) > _LATIN_1}))
    hint = (
        f"% {beyond} are beyond Latin-1: lualatex or xelatex is needed, with a font that has them\n" if beyond else ""
    )
    return f"% \\usepackage{{{packages}}}\n{hint}{text}"


def tabular(words: Iterable[bool | str], header: Iterable[str], groups: Iterable[Iterable[Iterable[str]]]) -> str:
    """A ``tabular`` of cells that are LaTeX already; it shrinks where it is wider than the page.

    Args:
        words: of every column whether it holds words, to the left, rather than numbers; or what LaTeX takes for it.
        header: plain titles.
        groups: of rows, with a rule between them.
    """
    columns = [each if isinstance(each, str) else "l" if each else "r" for each in words]
    titles = [
        f"{{{escaped(title)}}}" if len(column) > 1 else escaped(title)
        for column, title in zip(columns, header, strict=True)
    ]
    body = "\n\\midrule\n".join("\n".join(map(_row, group)) for group in groups)
    return rf"""\resizebox{{\ifdim\width>\linewidth\linewidth\else\width\fi}}{{!}}{{%
\begin{{tabular}}{{{"".join(columns)}}}
\toprule
{_row(titles)}
\midrule
{body}
\bottomrule
\end{{tabular}}}}"""


def _as_latex(table: Table, wide: bool, asked: Sequence[str], label: str, siunitx: bool) -> str:
    podium = {metric: _podium(table.rows, metric) for metric in (*METRICS, *OPEN_METRICS)}
    bounds = [row for row in table.rows if row.family == "bound"]
    methods = [row for row in table.rows if row.family != "bound"]
    shown = [column for column in columns(table, asked, wide) if wide or asked or column.name not in _LEFT_OUT]
    groups = [[_line(row, shown, podium, siunitx) for row in group] for group in (methods, bounds) if group]
    kinds = [
        _s_column(table.rows, column.name) if siunitx and column.name in (*METRICS, *OPEN_METRICS) else column.words
        for column in shown
    ]
    too_long = "" if len(table.rows) <= _SIZES[0][0] else f"% {len(table.rows)} rows may not fit a page; choose some\n"
    body = tabular(kinds, header(shown), groups)
    notes = " ".join([*paper_notes(table), *_about_marks(table.rows, siunitx)])
    return too_long + floating(heading(table), label, [body], notes, len(table.rows))


def _about_marks(rows: Sequence[Row], siunitx: bool) -> list[str]:
    """What is bold and underlined, and what the ranks are among where these are some rows of a table."""
    ranks = [row.rank for row in rows if row.rank is not None]
    some = ranks != list(range(1, len(ranks) + 1))
    said = []
    if len(ranks) > 1:
        second = "" if siunitx else "; underlined: the second best"
        said.append(f"Bold: the best of the ranked rows{' shown' if some else ''}{second}.")
    if some:
        said.append("Ranks are those among all rows, of which some are shown.")
    return said


def floating(caption: str, label: str, tabulars: Sequence[str], notes: str, rows: int) -> str:
    """A ``table*``: caption and notes are plain text, tabulars LaTeX, and with many `rows` the type is smaller."""
    smaller = [size for most, size in _SIZES if rows <= most]
    size = f"{smaller[-1] if smaller else _SIZES[0][1]}\n".lstrip("\n")
    body = "\n\\par\\medskip\n".join(tabulars)
    return rf"""\begin{{table*}}
\centering
\caption{{{escaped(caption)}}}
\label{{{label}}}
{size}{body}
\par\smallskip
\begin{{minipage}}{{\textwidth}}\footnotesize
{escaped(notes)}
\end{{minipage}}
\end{{table*}}
"""


def _row(line: Iterable[str]) -> str:
    return " & ".join(line) + r" \\"


def _line(row: Row, shown: Sequence[Field], podium: dict[str, list[float]], siunitx: bool) -> list[str]:
    line = []
    citation = rf"\cite{{{row.citation}}}" if _CITABLE.fullmatch(row.citation) else ""
    apart = "citation" in header(shown)
    for name, text in zip(header(shown), cells(row, shown), strict=True):
        if name in row.metrics:
            number = _aligned if siunitx else _number
            line.append(number(row.metrics[name], podium[name] if row.rank is not None else []))
        elif siunitx and name in (*METRICS, *OPEN_METRICS):
            line.append(f"{{{escaped(text)}}}")
        elif name == "citation" and citation:
            line.append(citation)
        elif name == "method":
            printed = escaped(plain(readable(row.label)))
            line.append(f"{printed} {citation}" if citation and not apart else printed)
        else:
            line.append(escaped(text))
    return line


def _s_column(rows: Sequence[Row], metric: str) -> str:
    values = [row.metrics[metric] for row in rows if metric in row.metrics]
    halves = [_half(value) for value in values if not math.isnan(value.low)]
    digits = max([2, *(len(f"{_printed(value):.1f}") - 2 for value in values)])
    return _S_COLUMN.format(digits=digits, half=max([2, *(len(f"{half:.1f}") - 1 for half in halves)]))


def _podium(rows: Sequence[Row], metric: str) -> list[float]:
    """The highest and the second highest printed number of the ranked rows."""
    ranked = [row.metrics[metric] for row in rows if row.rank is not None and metric in row.metrics]
    return sorted(set(map(_printed, ranked)), reverse=True)[:2]


def _printed(value: Estimate) -> float:
    return round(100 * value.mean, 1)


def _half(value: Estimate) -> float:
    return 50 * (value.high - value.low)


def _number(value: Estimate, podium: Sequence[float]) -> str:
    text = f"{_printed(value):.1f}"
    if _printed(value) in podium:
        text = rf"\textbf{{{text}}}" if _printed(value) == podium[0] else rf"\underline{{{text}}}"
    if math.isnan(value.low):
        return text
    return rf"{text} {{\scriptsize $\pm$ {_half(value):.1f}}}"


def _aligned(value: Estimate, podium: Sequence[float]) -> str:
    """For a column of siunitx, which takes no underline."""
    bold = r"\bfseries " if podium and _printed(value) == podium[0] else ""
    half = "" if math.isnan(value.low) else rf" \pm {_half(value):.1f}"
    return f"{bold}{_printed(value):.1f}{half}"
