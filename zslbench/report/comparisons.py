"""A comparison of methods for people and for programs. Accuracies and differences are shown in percent."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from zslbench import csvout
from zslbench.grid import Column, Grid
from zslbench.jsontext import pretty
from zslbench.plaintext import plain
from zslbench.report.escaping import latex, markdown
from zslbench.report.latex import document, floating, labels, tabular
from zslbench.results.comparison import Comparison, as_builtins
from zslbench.results.stats import Paired
from zslbench.terms import EPOCHS, in_shots

NOTE = (
    "Percent. Interval: 95 %, bootstrap over splits. p: two-sided Wilcoxon signed-rank, corrected for all pairs here "
    "(Holm). Effect: mean difference over its standard deviation between splits; its 95 % interval is that of the "
    "noncentral t. P(a beats b): on a new split, (wins + ties/2 + 1) / (splits + 2), so that no number of wins makes "
    "it certain. Splits share classes and images, and intervals and p-values take them as independent, which is right "
    "for another split of these classes; for other classes they are optimistic. Other classes: the 95 % interval "
    "with the variance corrected for the classes that splits share (Nadeau and Bengio, 2003). P(better), P(equal), "
    "P(worse): that a is better, practically equal and worse on other classes (correlated Bayesian t-test)."
)

RULES = {
    "wilcoxon-holm": ("Wilcoxon's test with Holm's correction", ""),
    "nemenyi": (
        "Nemenyi's critical difference",
        " (Wilcoxon's test, corrected for so many pairs, could tell none apart on so few splits)",
    ),
}
"""What joins methods in a ranking: the test, and why it is not the usual one."""


class _Sheet(NamedTuple):
    header: list[str]
    rows: list[list[str]]


def heading(comparison: Comparison) -> str:
    """What is compared on what, in one line."""
    names = (comparison.dataset, comparison.family, comparison.features, comparison.semantics)
    dataset, family, features, semantics = map(plain, names)
    track = comparison.track + " track" + in_shots(comparison.shots)
    return (
        f"{comparison.metric} on {dataset} {family}, features {features}, semantics {semantics} (data "
        f"{comparison.data}, protocol {comparison.protocol}, {track}; {EPOCHS[comparison.selection]})"
    )


def as_rich(comparison: Comparison, *, all_notes: bool = True, all_in: str = "", more: str = "") -> RenderableType:
    """For a terminal.

    Args:
        comparison: what is shown.
        all_notes: explain every column.
        all_in: where the columns are that a narrow terminal does without, as a sentence.
        more: where the explanation is, as a sentence.
    """
    labels = list(comparison.values)
    legend = dict(zip("ab", labels, strict=True)) if len(labels) == 2 else {}
    if comparison.reference is not None:
        legend = {"a": comparison.reference}
    parts: list[RenderableType] = [Text(heading(comparison), style="bold")]
    parts += [Text(f"{letter}: {plain(label)}") for letter, label in legend.items()]
    for sheet in _sheets(comparison):
        per_split = sheet.header[0] == "split"
        header = ["split", *legend, "difference"] if per_split else sheet.header  # labels may be long
        kept = [at for at, name in enumerate(header) if per_split or name not in legend]
        columns = [
            Column(name, right=not left, hang=left, spare=_SPARE.get(name, 0))
            for name, left in zip(header, _words(sheet), strict=True)
        ]
        cells = [[row[at] for at in kept] for row in sheet.rows]
        parts += [Text(), Grid([columns[at] for at in kept], cells, all_in=all_in)]
    brief = "Percent. Intervals and p-values take splits as independent: for other classes they are optimistic."
    note = NOTE if all_notes else f"{brief} {more}".rstrip()
    return Group(*parts, Text(), *map(Text, _sentences(comparison)), Text(note, style="dim"))


_SPARE = {"effect's interval": 1, "effect": 2, "P(a beats b)": 3, "wins/ties/losses": 4, "P(worse)": 5, "P(equal)": 6}
"""Columns that a narrow terminal does without, the lowest number first."""


def as_markdown(comparison: Comparison) -> str:
    """GitHub-flavoured Markdown."""
    from tabulate import tabulate

    parts = [f"### {markdown(heading(comparison))}"]
    for sheet in _sheets(comparison):
        header, *rows = (list(map(markdown, row)) for row in (sheet.header, *sheet.rows))
        align = ["left" if left else "right" for left in _words(sheet)]
        parts.append(tabulate(rows, header, tablefmt="pipe", disable_numparse=True, colalign=align))
    return "\n\n".join([*parts, *map(markdown, _sentences(comparison)), NOTE]) + "\n"


def as_latex(comparison: Comparison) -> str:
    """A ``table*`` with a label and what may be concluded; needs the packages booktabs and graphicx."""
    sheets = _sheets(comparison)
    bodies = [tabular(_words(sheet), sheet.header, [[list(map(latex, row)) for row in sheet.rows]]) for sheet in sheets]
    rows = sum(len(sheet.rows) for sheet in sheets)
    (label,) = labels([f"compare {heading(comparison).split(',')[0]}"])
    notes = " ".join([*_sentences(comparison), NOTE])
    return document(floating(heading(comparison), label, bodies, notes, rows), "booktabs,graphicx")


def as_csv(comparison: Comparison, excel_safe: bool = False) -> str:
    """One line per pair with every number unrounded, as fractions; empty where there is none."""
    rows = [
        [comparison.metric, *(None if value != value else value for value in pair)]  # NaN is not NaN
        for pair in comparison.pairs
    ]
    return csvout.text(["metric", *Paired._fields], rows, excel_safe=excel_safe)


def as_json(comparison: Comparison) -> str:
    """One JSON object, accuracies as fractions; numbers that do not exist are null."""
    return pretty(as_builtins(comparison))


def _sheets(comparison: Comparison) -> list[_Sheet]:
    sheets = [_pairs(comparison.pairs, comparison.rope is not None)]
    if len(comparison.pairs) == 1:
        sheets.insert(0, _per_split(comparison))
    if (ranking := comparison.ranking) and comparison.reference is None:
        rows = [[plain(label), f"{rank:.2f}"] for label, rank in zip(ranking.labels, ranking.mean_ranks, strict=True)]
        sheets.append(_Sheet(["method", "mean rank"], rows))
    return sheets


def _per_split(comparison: Comparison) -> _Sheet:
    (a, first), (b, second) = comparison.values.items()
    rows = [
        [str(split), f"{100 * first[split]:.1f}", f"{100 * second[split]:.1f}", _signed(first[split] - second[split])]
        for split in comparison.splits
    ]
    return _Sheet(["split", plain(a), plain(b), "difference"], rows)


def _pairs(pairs: Sequence[Paired], with_rope: bool = False) -> _Sheet:
    header = ["a", "b", "a - b", "interval", "p", "wins/ties/losses", "effect", "effect's interval", "P(a beats b)"]
    rows = [
        [
            plain(pair.a), plain(pair.b), _signed(pair.difference), _interval(pair.low, pair.high),
            _number(pair.p_holm, ".2g"), f"{pair.wins}/{pair.ties}/{pair.losses}", _number(pair.effect, "+.2f"),
            "-" if math.isnan(pair.effect_low) else f"{pair.effect_low:+.2f} to {pair.effect_high:+.2f}",
            _number(pair.better, ".2f"),
        ]
        for pair in pairs
    ]  # fmt: skip
    if not all(math.isnan(pair.others_low) for pair in pairs):
        header.append("other classes")
        rows = [[*row, _interval(pair.others_low, pair.others_high)] for row, pair in zip(rows, pairs, strict=True)]
    if with_rope:
        header += ["P(better)", "P(equal)", "P(worse)"]
        chances = [(pair.rope_better, pair.rope_equal, pair.rope_worse) for pair in pairs]
        rows = [[*row, *(_number(each, ".2f") for each in three)] for row, three in zip(rows, chances, strict=True)]
    return _Sheet(header, rows)


def _interval(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{_signed(low)} to {_signed(high)}"


def _sentences(comparison: Comparison) -> list[str]:
    said = list(comparison.conclusions)
    if comparison.others:
        said[0] = f"For another split of these {comparison.classes} classes: {said[0]}"
        said += comparison.others
    if (ranking := comparison.ranking) and comparison.reference is None:
        said.append(f"Mean ranks differ where more than {ranking.critical_difference:.2f} lies between them (Nemenyi).")
        test, why = RULES[ranking.rule]
        said += [
            f"Not told apart by {test}{why}: {'any' if clique == ranking.labels else ', '.join(map(plain, clique))}."
            for clique in ranking.cliques
        ]
    return said


def _words(sheet: _Sheet) -> list[bool]:
    return [name in ("a", "b", "method") for name in sheet.header]


def _signed(fraction: float) -> str:
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"  # + 0.0: never -0.0


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
