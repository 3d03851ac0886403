"""Leaderboard tables for a paper."""

import math
import re
from collections.abc import Iterable, Sequence

from zslbench.leaderboard import METRICS, Row, Table
from zslbench.report.tables import COLUMNS, cells, header, heading, notes
from zslbench.stats import Estimate

_ESCAPED = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip
_CITABLE = re.compile(r"[\w:.+/-]+")


def as_latex(tables: Sequence[Table]) -> str:
    """One ``table*`` per table; needs the packages booktabs and graphicx.

    Of the ranked rows the best of every metric is bold and the second best underlined, as far as the printed digits
    tell them apart. Bounds stand below a rule.
    """
    return "% \\usepackage{booktabs,graphicx}\n" + "\n".join(map(_as_latex, tables))


def _as_latex(table: Table) -> str:
    podium = {metric: _podium(table.rows, metric) for metric in METRICS}
    bounds = [row for row in table.rows if row.family == "bound"]
    methods = [row for row in table.rows if row.family != "bound"]
    columns = "".join("l" if column.words else "r" for column in COLUMNS)
    groups = [[_line(row, podium) for row in group] for group in (methods, bounds) if group]
    body = "\n\\midrule\n".join("\n".join(group) for group in groups)
    return rf"""\begin{{table*}}
\centering
\caption{{{escaped(heading(table))}}}
\resizebox{{\textwidth}}{{!}}{{%
\begin{{tabular}}{{{columns}}}
\toprule
{_row(map(escaped, header()))}
\midrule
{body}
\bottomrule
\end{{tabular}}}}
\par\smallskip
\begin{{minipage}}{{\textwidth}}\footnotesize
{escaped(" ".join(notes(table)))}
\end{{minipage}}
\end{{table*}}
"""


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_ESCAPED.get(character, character) for character in text)


def _row(line: Iterable[str]) -> str:
    return " & ".join(line) + r" \\"


def _line(row: Row, podium: dict[str, list[float]]) -> str:
    line = []
    for name, text in zip(header(), cells(row), strict=True):
        if name in METRICS and row.metrics:
            line.append(_number(row.metrics[name], podium[name] if row.rank is not None else []))
        elif name == "citation" and _CITABLE.fullmatch(row.citation):
            line.append(rf"\cite{{{row.citation}}}")
        else:
            line.append(escaped(text))
    return _row(line)


def _podium(rows: Sequence[Row], metric: str) -> list[float]:
    """The highest and the second highest printed number of the ranked rows."""
    return sorted({_printed(row.metrics[metric]) for row in rows if row.rank is not None}, reverse=True)[:2]


def _printed(value: Estimate) -> float:
    return round(100 * value.mean, 1)


def _number(value: Estimate, podium: Sequence[float]) -> str:
    text = f"{_printed(value):.1f}"
    if _printed(value) in podium:
        text = rf"\textbf{{{text}}}" if _printed(value) == podium[0] else rf"\underline{{{text}}}"
    if math.isnan(value.low):
        return text
    return rf"{text} {{\scriptsize $\pm$ {50 * (value.high - value.low):.1f}}}"
