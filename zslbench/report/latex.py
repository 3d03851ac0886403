"""Leaderboard tables for a paper."""

import math
import re
from collections.abc import Iterable, Sequence

from zslbench.report.escaping import latex as escaped
from zslbench.report.tables import Field, cells, columns, header, heading, notes
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import Estimate
from zslbench.terms import METRICS, OPEN_METRICS

_LEFT_OUT = {"OA", "rule", "max-last T1/H", "max-val T1/H", "fit s", "peak MB", "needs", "citation"}
"""With these a table is too wide for type that can be read on paper; notes and caption tell what matters of them."""
_LATIN_1 = 0xFF
_CITABLE = re.compile(r"[\w:.+/-]+")


def as_latex(tables: Sequence[Table], wide: bool = False, asked: Sequence[str] = ()) -> str:
    """One ``table*`` per table; needs the packages booktabs and graphicx.

    Of the ranked rows the best of every metric is bold and the second best underlined, as far as the printed digits
    tell them apart. Bounds stand below a rule. A method is cited beside its name, or in a column of its own where
    `wide` asks for every column; `asked`: as in `zslbench.report.tables.columns`.
    """
    return document("\n".join(_as_latex(table, wide, asked) for table in tables), "booktabs,graphicx")


def document(text: str, packages: str) -> str:
    """`text` under comments that say what it needs to be set."""
    beyond = "".join(sorted({character for character in text if ord(character) > _LATIN_1}))
    hint = (
        f"% {beyond} are beyond Latin-1: lualatex or xelatex is needed, with a font that has them\n" if beyond else ""
    )
    return f"% \\usepackage{{{packages}}}\n{hint}{text}"


def tabular(words: Iterable[bool], header: Iterable[str], groups: Iterable[Iterable[Iterable[str]]]) -> str:
    """A ``tabular`` of cells that are LaTeX already; it shrinks where it is wider than the page.

    Args:
        words: of every column whether it holds words, to the left, rather than numbers.
        header: plain titles.
        groups: of rows, with a rule between them.
    """
    body = "\n\\midrule\n".join("\n".join(map(_row, group)) for group in groups)
    return rf"""\resizebox{{\ifdim\width>\linewidth\linewidth\else\width\fi}}{{!}}{{%
\begin{{tabular}}{{{"".join("l" if each else "r" for each in words)}}}
\toprule
{_row(map(escaped, header))}
\midrule
{body}
\bottomrule
\end{{tabular}}}}"""


def _as_latex(table: Table, wide: bool, asked: Sequence[str]) -> str:
    podium = {metric: _podium(table.rows, metric) for metric in (*METRICS, *OPEN_METRICS)}
    bounds = [row for row in table.rows if row.family == "bound"]
    methods = [row for row in table.rows if row.family != "bound"]
    shown = [column for column in columns(table, asked, wide) if wide or asked or column.name not in _LEFT_OUT]
    groups = [[_line(row, shown, podium) for row in group] for group in (methods, bounds) if group]
    body = tabular([column.words for column in shown], header(shown), groups)
    return rf"""\begin{{table*}}
\centering
\caption{{{escaped(heading(table))}}}
{body}
\par\smallskip
\begin{{minipage}}{{\textwidth}}\footnotesize
{escaped(" ".join(notes(table, shown)))}
\end{{minipage}}
\end{{table*}}
"""


def _row(line: Iterable[str]) -> str:
    return " & ".join(line) + r" \\"


def _line(row: Row, shown: Sequence[Field], podium: dict[str, list[float]]) -> list[str]:
    line = []
    citation = rf"\cite{{{row.citation}}}" if _CITABLE.fullmatch(row.citation) else ""
    apart = "citation" in header(shown)
    for name, text in zip(header(shown), cells(row, shown), strict=True):
        if name in row.metrics:
            line.append(_number(row.metrics[name], podium[name] if row.rank is not None else []))
        elif name == "citation" and citation:
            line.append(citation)
        elif name == "method" and citation and not apart:
            line.append(f"{escaped(text)} {citation}")
        else:
            line.append(escaped(text))
    return line


def _podium(rows: Sequence[Row], metric: str) -> list[float]:
    """The highest and the second highest printed number of the ranked rows."""
    ranked = [row.metrics[metric] for row in rows if row.rank is not None and metric in row.metrics]
    return sorted(set(map(_printed, ranked)), reverse=True)[:2]


def _printed(value: Estimate) -> float:
    return round(100 * value.mean, 1)


def _number(value: Estimate, podium: Sequence[float]) -> str:
    text = f"{_printed(value):.1f}"
    if _printed(value) in podium:
        text = rf"\textbf{{{text}}}" if _printed(value) == podium[0] else rf"\underline{{{text}}}"
    if math.isnan(value.low):
        return text
    return rf"{text} {{\scriptsize $\pm$ {50 * (value.high - value.low):.1f}}}"
