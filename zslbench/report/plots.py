"""The figures of a report, one function each: from a `Section` to a matplotlib figure, or None where there is nothing.

The same functions serve the page (SVG that takes the page's colours and fonts) and files (PNG and SVG on white).
"""

import functools
import io
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from zslbench._types import DoubleArray
from zslbench.files import write_all
from zslbench.plaintext import plain
from zslbench.report.contents import TOP, ClassAccuracies, Section
from zslbench.results.leaderboard import Row
from zslbench.results.overall import Overall, short_names
from zslbench.results.stats import Ranking
from zslbench.results.stress import StressTable
from zslbench.spelling import argument

# Okabe and Ito's colours for colour-blind readers, less black and yellow, which one of the two backgrounds swallows,
# and with orange and sky blue darkened: each has a contrast of 3 or more on both backgrounds.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C98600", "#3F9BD2", "#8C8C8C", "#A6761D")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2, 2, 2)))
RULES = {
    "last": ("o", COLOURS[2], "last epoch"),
    "val": ("s", COLOURS[4], "chosen on validation classes"),
    "test-max": ("*", COLOURS[1], "chosen on the TEST set (oracle)"),
}
"""A selection rule's marker, colour and name."""
_INK, _SOFT = "#010203", "#040506"
"""What stands for the page's text and line colours until the SVG is part of it."""
_UNKNOWN = "#D5D5D5"
"""Of a cell without a number."""
_PANELS = 16
_COLUMNS = 12
_ROWS = 40
_RANKED = 20


class Plot(NamedTuple):
    """A figure's name, heading, how to read it, and what draws it: from a `Section`, or those of `OVERALL_PLOTS` from
    an `Overall`."""

    name: str
    title: str
    how: str
    draw: Callable[[Any], Figure | None]


def caption(plot: Plot, section: Section | Overall) -> str:
    """How to read the figure, and what it leaves out."""
    if isinstance(section, Overall):
        cut = len(section.rows) - (_ROWS if plot.draw is heat else _RANKED)
        return f"{plot.how} The {cut} methods with the highest mean rank are left out." if cut > 0 else plot.how
    said = [how(plot, section), _joined(section) if plot.draw is ranks else "", left_out(plot, section)]
    return " ".join(filter(None, said))


def how(plot: Plot, section: Section) -> str:
    """How to read the figure."""
    if plot.draw is differences and not _leader_and_others(section)[1]:
        return "Each dot is the value on one split. The diamond below the dots is the mean with its 95 % interval."
    return plot.how


def finding(plot: Plot, section: Section | Overall) -> str:
    """What the figure shows, in a sentence, for those who do not see it; empty where no one thing stands out."""
    if isinstance(section, Overall):
        best = section.rows[0]
        return f"{plain(best.label)} has the best mean rank, {best.rank.mean:.1f}."
    ranking, accuracies, found = (
        section.comparison.ranking if section.comparison else None, section.accuracies, section.confusion,
    )  # fmt: skip
    if plot.name == "per-split" and section.leads:
        return section.leads[0].headline
    if plot.name == "tradeoff" and section.curves:
        best_curve = max(section.curves, key=lambda curve: curve.area)
        return f"{plain(best_curve.label)} has the largest area, {100 * best_curve.area:.1f} %."
    if plot.name == "ranks" and ranking is not None:
        return f"{plain(ranking.labels[0])} has the best mean rank, {ranking.mean_ranks[0]:.1f}."
    if plot.name == "classes" and accuracies is not None:
        first = accuracies.unseen[:, 0]
        if not np.isnan(first).all():
            at = int(np.nanargmin(first))
            return (
                f"Hardest for {plain(accuracies.labels[0])}: {accuracies.classes[at]}, {100 * first[at]:.0f} % unseen."
            )
    if plot.name == "confusion" and found is not None:
        wrong = np.nan_to_num(np.where(np.eye(len(found.classes), dtype=bool), 0, found.share))
        row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
        return (
            f"Most often {found.classes[row]} is taken for {found.classes[column]}: {100 * wrong[row, column]:.0f} %."
        )
    if plot.name == "learning" and section.learning:
        gains = {curve.label: curve.marks["test-max"][1] - curve.marks["last"][1] for curve in section.learning}
        most = max(gains, key=lambda label: gains[label])
        return f"Choosing the epoch on the test set would add most to {plain(most)}: {100 * gains[most]:.1f} points."
    if plot.name == "budget" and section.budgets is not None:
        curve = section.budgets.curves[0]
        gain = f": {100 * curve.gain.difference:+.1f} points" if curve.gain is not None else ""
        return f"{plain(curve.label)} is the best at its largest budget, b = {max(curve.values)}{gain} against b = 1."
    if plot.name == "stress" and section.stress is not None:
        losses = [(loss.loss.mean, loss.label, each.what) for each in section.stress.stresses for loss in each.losses]
        if losses:
            most_lost, label, what = max(losses)
            return f"{plain(label)} loses most, {100 * most_lost:.1f} points under {what}."
    return ""


def left_out(plot: Plot, section: Section) -> str:
    """The methods and classes that the figure has no room for, in a sentence each; empty where it shows all."""
    accuracies, said = section.accuracies, []
    shown, methods = {
        "shots": (len(section.shown), section.methods) if section.shots else (0, 0),
        "budget": (TOP, len(section.budgets.curves)) if section.budgets else (0, 0),
        "stress": (_COLUMNS, len(_stressed(section.stress))) if section.stress else (0, 0),
        "per-split": (len(section.shown), section.methods),
        "tradeoff": (len(section.shown), section.methods),
        "classes": (_COLUMNS, len(accuracies.labels) if accuracies else 0),
        "learning": (_PANELS, len(section.learning)),
    }.get(plot.name, (0, 0))
    if shown < methods:
        with_epochs = " that have epochs" if plot.draw is learning else ""
        said.append(
            f"Shown are the first {shown} of {methods} methods{with_epochs} in the order of the leaderboard (by "
            f"{section.metric}); choose others with {argument('methods')}."
        )
    if plot.draw is budget and section.budgets:
        most = max((row.metrics[section.metric].splits for row in section.table.rows if row.metrics), default=0)
        counts = {
            plain(curve.label): min((mean.splits for mean in curve.values.values()), default=0)
            for curve in section.budgets.curves[:TOP]
        }
        if fewer := [f"{label} {count}" for label, count in counts.items() if count < most]:
            said.append(f"Measured on fewer than {most} splits, and not comparable until then: {', '.join(fewer)}.")
    ranking = section.comparison.ranking if section.comparison else None
    if plot.draw is ranks and ranking is not None and len(ranking.labels) > _RANKED:
        said.append(f"The {len(ranking.labels) - _RANKED} methods with the highest mean ranks are left out.")
    cut = {"confusion": section.confusion, "classes": accuracies}.get(plot.name)
    if cut and cut.left_out:
        said.append(f"The {cut.left_out} classes with the highest accuracy are left out.")
    return " ".join(said)


def _joined(section: Section) -> str:
    """Which test joins the methods under a bar of the rank diagram, and why that one."""
    if section.comparison is None or section.comparison.ranking is None:
        return ""
    ranking, pairs = section.comparison.ranking, len(section.comparison.pairs)
    scale = "The bar above the axis is Nemenyi’s critical difference (5 %)"
    if ranking.rule == "nemenyi":
        return (
            f"{scale}: mean ranks that lie further apart differ, and an orange bar joins methods whose mean ranks lie "
            f"within it. Wilcoxon’s test, which joins them where it can, tells none of {pairs} pairs apart on "
            f"{ranking.blocks} splits once corrected for them all, whatever differs."
        )
    return (
        f"An orange bar joins methods that Wilcoxon’s signed-rank test with Holm’s correction for all {pairs} pairs "
        f"(5 %) does not tell apart. {scale}, a coarser yardstick that knows ranks alone: the two need not agree."
    )


def as_svg(plot: Plot, section: Section | Overall, prefix: str) -> str | None:
    """For the page: text stays text, colours follow the page's, and every id begins with `prefix`."""
    with _style(_INK, _SOFT):
        figure = plot.draw(section)
        if figure is None:
            return None
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = _with_titles(drawing.getvalue())
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = svg.replace("xlink:href", "href").replace(_INK, "currentColor").replace(_SOFT, "var(--line)")
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{prefix}-", svg)
    svg = re.sub(r">\s+<", ">\n<", svg)
    wide, high = (float(size) * 4 / 3 for size in re.findall(r'(?:width|height)="([\d.]+)pt"', svg)[:2])
    # As wide as the page, within what keeps its text legible; a narrow page scrolls it.
    size = f'width="{wide:.0f}" height="{high:.0f}" style="min-width:{0.85 * wide:.0f}px;max-width:{1.25 * wide:.0f}px"'
    return re.sub(r"<svg[^>]*?viewBox", f"<svg {size} viewBox", svg, count=1)


_TIP = "tip:"
"""Begins the id of what shows a text where a pointer rests on it."""


def _tip(text: str) -> dict[str, Any]:
    return {"gid": f"{_TIP}{plain(text)}"}


def _with_titles(svg: str) -> str:
    """The texts of `_tip` as titles of their elements, and numbers no finer than a hundredth of a point."""
    svg = re.sub(rf'<g id="{_TIP}([^"]*)">', r"<g><title>\1</title>", svg)
    return re.sub(r' (?:d|x|y|points|transform)="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), svg)


def as_files(plot: Plot, section: Section | Overall, stem: Path) -> dict[Path, bytes]:
    """What ``STEM.svg`` and ``STEM.png`` hold: the figure on white, with the caption as its description."""
    with _style("black", "0.8"):
        figure = plot.draw(section)
        if figure is None:
            return {}
        if isinstance(section, Section) and (cut := left_out(plot, section)):
            figure.supxlabel("\n".join(filter(None, [figure.get_supxlabel(), textwrap.fill(cut, 70)])), fontsize=8)
        vector, pixels = io.BytesIO(), io.BytesIO()
        said = {"Description": caption(plot, section)}
        figure.savefig(vector, format="svg", facecolor="white", metadata={"Date": None, **said})
        figure.savefig(pixels, format="png", facecolor="white", dpi=200, metadata=said)
    drawings = {".svg": _with_titles(vector.getvalue().decode()).encode(), ".png": pixels.getvalue()}
    return {stem.with_name(f"{stem.name}{suffix}"): drawing for suffix, drawing in drawings.items()}


def write_files(plot: Plot, section: Section, stem: Path) -> list[Path]:
    """Write `as_files`; returns what was written.

    Raises:
        InputError: a file cannot be written.
    """
    made = as_files(plot, section, stem)
    write_all(made)
    return list(made)


@contextmanager
def _style(ink: str, soft: str) -> Iterator[None]:
    coloured = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink)
    style: Any = coloured | {
        "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "zslbench", "text.parse_math": False,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.facecolor": "none",
        "grid.color": soft, "grid.linewidth": 0.6, "lines.linewidth": 1.6, "legend.frameon": False,
        "figure.constrained_layout.use": True,
    }  # fmt: skip
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # a matplotlibrc of the reader's could have labels read as formulas or as TeX
        matplotlib.rcParams.update(style)
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's fonts are others
        yield


def per_split(section: Section) -> Figure | None:
    """The metric on each split, method by method, with a line through what is paired."""
    rows = section.shown
    if not rows:
        return None
    figure, axes = _figure(8.4, 1.3 + 0.48 * len(rows))
    places = np.arange(len(rows))
    splits = sorted({split for row in rows for split in row.per_split[section.metric]})
    values = _percent([[row.per_split[section.metric].get(split, math.nan) for split in splits] for row in rows])
    for column in values.T:
        axes.plot(column, places, lw=0.8, alpha=0.35, zorder=1, **_ink())
    for at, row in enumerate(rows):
        axes.plot(values[at], np.full(len(splits), at), ls="", marker="o", ms=5, alpha=0.85, **_edge(), **_colour(at))
        for split, value in zip(splits, values[at], strict=True):  # a text belongs to one dot: another one, unseen
            tip = _tip(f"{row.label}, split {split}: {section.metric} {value:.1f}")
            axes.plot(value, at, ls="", marker="o", ms=5, alpha=0, **tip)
        said = row.metrics[section.metric]
        between = "" if math.isnan(said.low) else f", 95 % interval {100 * said.low:.1f} to {100 * said.high:.1f}"
        tip = _tip(f"{row.label}: {section.metric} {100 * said.mean:.1f} on average{between}")
        if between:
            axes.plot(_percent([said.low, said.high]), [at + 0.27] * 2, lw=1.8, **_ink(), **tip)
        axes.plot(100 * said.mean, at + 0.27, marker="D", ms=5, ls="", **_ink(), **tip)
    axes.set_yticks(places, [_wrap(row.label) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{section.metric} (%)")
    axes.grid(axis="x", ls=":")
    return figure


def differences(section: Section) -> Figure | None:
    """By how much each method lies above or below the leader on each split; of a single method, its values."""
    lead = next(iter(section.leads), None)
    best, rows = _leader_and_others(section)
    if lead is None or best is None or not rows:
        return per_split(section)
    metric, pairs = section.metric, {pair.b: pair for pair in lead.pairs}
    figure, axes = _figure(8.4, 1.5 + 0.48 * len(rows))
    axes.axvline(0, lw=1.2, **_ink())
    for at, row in enumerate(rows):
        for split, value in row.per_split[metric].items():
            if split in best.per_split[metric]:
                points = 100 * (value - best.per_split[metric][split])
                tip = _tip(f"{row.label}, split {split}: {points:+.1f} points ({metric} {100 * value:.1f})")
                axes.plot(points, at, ls="", marker="o", ms=5, alpha=0.85, **_edge(), **_colour(at + 1), **tip)
        if (pair := pairs.get(row.label)) is not None:
            low, high, mean = -100 * pair.high, -100 * pair.low, -100 * pair.difference
            tip = _tip(f"{row.label}: {mean:+.1f} points on average, 95 % interval {low:+.1f} to {high:+.1f}")
            if not math.isnan(low):
                axes.plot([low, high], [at + 0.27] * 2, lw=1.8, **_ink(), **tip)
            axes.plot(mean, at + 0.27, marker="D", ms=5, ls="", **_ink(), **tip)
    axes.set_yticks(np.arange(len(rows)), [_wrap(row.label) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_title(_wrap(f"the line: {lead.label}", 90), fontsize=9)
    axes.set_xlabel(f"{metric}: points above or below it on the same split")
    axes.grid(axis="x", ls=":")
    return figure


def _leader_and_others(section: Section) -> tuple[Row | None, list[Row]]:
    lead = next((lead.label for lead in section.leads), None)
    best = next((row for row in section.table.rows if row.label == lead), None)
    return best, [row for row in section.shown if best is not None and row.label != lead]


def budget(section: Section) -> Figure | None:
    """What the best of b configurations reaches."""
    if section.budgets is None:
        return None
    figure, axes = _figure(8.4, 3.9)
    for at, curve in enumerate(section.budgets.curves[:TOP]):
        told = curve.values
        low, high = (_percent([getattr(said, end) for said in told.values()]) for end in ("low", "high"))
        means = _percent([said.mean for said in told.values()])
        for budget, mean in zip(told, means, strict=True):
            tip = _tip(f"{curve.label}, b = {budget}: {mean:.1f}")
            axes.plot(budget, mean, marker=MARKERS[at % len(MARKERS)], ms=5, ls="", **_colour(at), **_edge(), **tip)
        axes.plot(list(told), means, ls=LINES[at % len(LINES)], label=_wrap(curve.label), **_colour(at))
        if not np.isnan(low).any():
            axes.fill_between(list(told), low, high, alpha=0.12, lw=0, **_colour(at))
    axes.set(xlabel="b: configurations tried on validation classes", ylabel=f"{section.budgets.metric} (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid()
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.02), handlelength=3)
    return figure


def stress(section: Section) -> Figure | None:
    """What each method loses under each stress, in points."""
    found = section.stress
    if found is None:
        return None
    labels = _stressed(found)[:_COLUMNS]
    values = np.full((len(found.stresses), len(labels)), np.nan)
    for row, each in enumerate(found.stresses):
        for loss in each.losses:
            if loss.label in labels:
                values[row, labels.index(loss.label)] = loss.loss.mean
    below, left = [_short(label, 22) for label in labels], [_short(each.what, 44) for each in found.stresses]
    figure, axes = _figure(2.6 + 0.5 * max(5, len(labels)) + _room(left), 1.9 + 0.28 * len(values) + _room(below))
    worst = max(0.01, float(np.nanmax(values, initial=0)))
    _heat(
        axes, values.clip(0) / worst, "Blues", texts=np.vectorize(lambda value: f"{-100 * value:+.1f}")(values),
        tips=lambda row, column: (
            f"{labels[column]}, {found.stresses[row].what}: {-100 * values[row, column]:+.1f} points of {found.metric}"
        ),
    )  # fmt: skip
    axes.set_xticks(range(len(labels)), below, rotation=90)
    axes.set_yticks(range(len(values)), left)
    return figure


def _stressed(found: StressTable) -> list[str]:
    """Labels of the methods that were measured under any stress, in their order."""
    known = {loss.label for each in found.stresses for loss in each.losses}
    return [label for label in found.labels if label in known]


def shots(section: Section) -> Figure | None:
    """Methods and plain classifiers over the number of labelled images of unseen classes, a panel per metric."""
    if not section.shots:
        return None
    figure = Figure(figsize=(8.4, 3.9))
    metrics = list(dict.fromkeys([section.metric, "T1" if section.metric != "T1" else "H"]))
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    numbers = sorted({number for curve in section.shots for number in curve.points})
    for axes, metric in zip(panels, metrics, strict=True):
        for at, curve in enumerate(section.shots):
            told = curve.mean(metric)
            style = {**(_ink() if curve.plain else _colour(at)), "ls": (0, (4, 2)) if curve.plain else "-"}
            marker = MARKERS[at % len(MARKERS)]
            axes.plot(
                list(told), _percent([said.mean for said in told.values()]), marker=marker, ms=5,
                label=_wrap(curve.label), **style,
            )  # fmt: skip
            for number, said in told.items():
                tip = _tip(f"{curve.label}, k = {number}: {metric} {100 * said.mean:.1f}")
                axes.plot(number, 100 * said.mean, marker=marker, ms=5, ls="", color=style["color"], **tip)
            ends = _percent([[said.low, said.high] for said in told.values()])
            if not np.isnan(ends).any():
                axes.fill_between(list(told), *ends.T, alpha=0.12, lw=0, color=style["color"])
        axes.set_xticks(numbers)
        axes.set(xlabel="k: labelled images of every unseen class", ylabel=f"{metric} (%)")
        axes.grid()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, handlelength=3)
    return figure


def tradeoff(section: Section) -> Figure | None:
    """Seen-unseen curves."""
    if not section.curves:
        return None
    figure, axes = _figure(8.4, 5.2)
    for at, curve in enumerate(section.curves):
        style = _colour(at)
        unseen, seen = (100 * each for each in curve.point)
        tip = _tip(f"{curve.label}: AUSUC {100 * curve.area:.1f}, by itself U {unseen:.1f} and S {seen:.1f}")
        axes.plot(100 * curve.unseen, 100 * curve.seen, ls=LINES[at % len(LINES)], **style, **tip)
        axes.plot(unseen, seen, marker=MARKERS[at % len(MARKERS)], ms=8, ls="", **_edge(), **style, **tip)
        axes.plot(
            [], [], ls=LINES[at % len(LINES)], marker=MARKERS[at % len(MARKERS)], ms=7, **_edge(), **style,
            label=f" {_wrap(curve.label)}\nAUSUC {100 * curve.area:.1f} %",
        )  # fmt: skip
    axes.set(xlim=(0, 100), ylim=(0, 102), xlabel="U: accuracy on unseen classes (%)",
             ylabel="S: accuracy on seen classes (%)")  # fmt: skip
    axes.grid()
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.02), labelspacing=0.8, handlelength=3)
    return figure


def ranks(section: Section) -> Figure | None:
    """Mean ranks with the critical difference, and bars over methods that are not told apart."""
    ranking = section.comparison.ranking if section.comparison else None
    return None if ranking is None else _rank_diagram(ranking)


def overall_ranks(found: Overall) -> Figure | None:
    """The same over blocks."""
    return None if found.ranking is None else _rank_diagram(found.ranking)


def heat(found: Overall) -> Figure | None:
    """Normalised scores, or the metric itself where there is no scale, of every method in every block."""
    rows = found.rows[:_ROWS]
    values = np.array([row.scores or row.values for row in rows], dtype=np.float64)
    names = short_names(found.blocks)
    below, left = [_short(name, 30) for name in names], [_short(row.label) for row in rows]
    figure, axes = _figure(2.6 + 0.55 * max(4, len(names)) + _room(left), 1.9 + 0.22 * len(rows) + _room(below))
    _heat(
        axes, values, least=-math.inf,
        tips=lambda row, column: f"{rows[row].label}, {names[column]}: {100 * values[row, column]:.1f}",
    )  # fmt: skip
    axes.set_xticks(range(len(names)), below, rotation=90)
    axes.set_yticks(range(len(rows)), left)
    return figure


def _rank_diagram(ranking: Ranking) -> Figure:
    ranking = _first(ranking, _RANKED)
    count = len(ranking.labels)
    left, end = math.ceil(count / 2), max(count, math.ceil(ranking.mean_ranks[-1]))
    first = 0.9 + 0.35 * len(ranking.cliques)
    figure, axes = _figure(8.4, 1.1 + 0.24 * (left + first))
    axes.set_axis_off()
    axes.set(xlim=(1 - 0.42 * end, end + 0.42 * end), ylim=(first + left, -2.6))
    axes.plot([1, end], [0, 0], lw=1.2, **_ink())
    for tick in range(1, end + 1):
        axes.plot([tick, tick], [0, -0.25], lw=1, **_ink())
        if end <= 12 or tick % 5 == 0 or tick in (1, end):
            axes.text(tick, -0.4, str(tick), ha="center", va="bottom")
    wide = min(ranking.critical_difference, end - 1.0)
    axes.plot([1, 1 + wide], [-1.9, -1.9], marker="|", ms=8, lw=1.5, **_ink())
    test = "Nemenyi" if ranking.rule == "nemenyi" else "Wilcoxon and Holm"
    axes.text(
        1.02 * (1 + wide), -1.9, va="center",
        s=f"critical difference {ranking.critical_difference:.2f} (Nemenyi, 5 %)\nbars: not told apart by {test}, 5 %",
    )  # fmt: skip
    for at, (label, rank) in enumerate(zip(ranking.labels, ranking.mean_ranks, strict=True)):
        on_left = at < left
        y = first + (at if on_left else count - 1 - at)
        edge = 0.6 if on_left else end + 0.4
        axes.plot([rank, rank, edge], [0, y, y], lw=0.8, **_ink(), **_tip(f"{label}: mean rank {rank:.2f}"))
        text = f"{_short(label)}  {rank:.1f}" if on_left else f"{rank:.1f}  {_short(label)}"
        axes.text(edge + (-0.1 if on_left else 0.1), y, text, ha="right" if on_left else "left", va="center")
    by_label = dict(zip(ranking.labels, ranking.mean_ranks, strict=True))
    for at, clique in enumerate(ranking.cliques):
        ends = [by_label[clique[0]] - 0.08, by_label[clique[-1]] + 0.08]
        tip = _tip(f"not told apart: {', '.join(map(plain, clique))}")
        axes.plot(ends, [0.45 + 0.35 * at] * 2, lw=3.5, solid_capstyle="butt", color=COLOURS[1], **tip)
    return figure


def _first(ranking: Ranking, most: int) -> Ranking:
    """The methods with the lowest mean ranks, and the bars that join some of them."""
    labels = ranking.labels[:most]
    joined: list[list[str]] = []
    for clique in ranking.cliques:
        kept = [label for label in clique if label in labels]
        if len(kept) > 1 and not any(set(kept) <= set(other) for other in joined):
            joined.append(kept)
    return ranking._replace(labels=labels, mean_ranks=ranking.mean_ranks[:most], cliques=joined)


def classes(section: Section) -> Figure | None:
    """GZSL accuracy per class and method: where the class is unseen, and where it is seen."""
    found = section.accuracies
    if found is None:
        return None
    labels = found.labels[:_COLUMNS]
    cell = 0.3
    below, left = [_short(label, 22) for label in labels], [_short(name) for name in found.classes]
    width, height = 2.2 + 2 * cell * max(6, len(labels)) + _room(left), 1.8 + 0.21 * len(left) + _room(below)
    figure = Figure(figsize=(width, height))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, values, title in zip(
        panels, (found.unseen, found.seen), ("class is unseen", "class is seen"), strict=True
    ):
        _heat(axes, values[:, : len(labels)], tips=functools.partial(_class_tip, found, values, title))
        axes.set_title(title, fontsize=10)
        axes.set_xticks(range(len(labels)), below, rotation=90)
    panels[0].set_yticks(range(len(left)), left)
    panels[1].tick_params(axis="y", left=False)
    return figure


def _class_tip(found: ClassAccuracies, values: DoubleArray, title: str, row: int, column: int) -> str:
    return f"{found.labels[column]}, {found.classes[row]}: {100 * values[row, column]:.0f} % where the {title}"


def confusion(section: Section) -> Figure | None:
    """What unseen classes are taken for."""
    found = section.confusion
    if found is None:
        return None
    size = 0.27 * len(found.classes)
    names = [_short(name) for name in found.classes]
    figure, axes = _figure(2.2 + size + _room(names), 1.8 + size + _room(names))
    _heat(
        axes, found.share, "Blues", least=0.005,
        tips=lambda row, column: (
            f"{found.classes[row]} taken for {found.classes[column]}: {100 * found.share[row, column]:.0f} %"
        ),
    )  # fmt: skip
    _colour_bar(figure, axes, "Blues")
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def learning(section: Section) -> Figure | None:
    """Test curves over epochs with the points of the selection rules, a panel per method."""
    shown = section.learning[:_PANELS]
    if not shown:
        return None
    columns = min(4, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(max(4.2, 2.25 * columns), 0.8 + 1.75 * lines))
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
    handles: dict[str, Any] = {}
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, curve in zip(panels.flat, shown, strict=False):
        axes.plot(np.arange(1, len(curve.values) + 1), 100 * curve.values, color=COLOURS[0])
        for rule, (epoch, value) in curve.marks.items():
            marker, colour, text = RULES[rule]
            oracle = rule == "test-max"
            (handles[text],) = axes.plot(
                epoch, 100 * value, ls="", marker=marker, ms=10 if oracle else 6, zorder=4, clip_on=False,
                color=colour, **_tip(f"{curve.label}, {text}: {100 * value:.1f} at epoch {epoch:.1f}"),
                **({"mfc": "none", "mec": colour, "mew": 1.4} if oracle else _edge()),
            )  # fmt: skip
        axes.set_title(_wrap(curve.label, 24), fontsize=8.5)
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=5)
        axes.grid()
    for axes in panels[:, 0]:
        axes.set_ylabel(f"{section.lead} (%)")
    figure.supxlabel("epoch", fontsize=9)
    # One below the other where the figure is too narrow for all of them side by side.
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=3 if columns > 2 else 1)
    return figure


PLOTS = (
    Plot(
        "shots",
        "Over labelled images",
        "Means over splits with their 95 % intervals, against the number of labelled images of every unseen class that "
        "were trained on; tables of other numbers stand by themselves. Dashed: plain classifiers, which learn each "
        "class from its images and know nothing of semantics. They have no point at 0.",
        shots,
    ),
    Plot(
        "budget",
        "Over tried configurations",
        "What the best of b configurations is expected to reach on test classes, chosen on validation classes, with "
        "its 95 % interval over splits; b = 1 is the configuration that was named. Compare methods at equal b.",
        budget,
    ),
    Plot(
        "stress",
        "What is lost where data are worse",
        "Points gained or lost against the data as they are, paired by split; the darker, the more is lost. Methods "
        "in the order of the leaderboard.",
        stress,
    ),
    Plot(
        "per-split",
        "Split by split",
        "Each dot is one split: by how many points the method lies above (right) or below (left) the leader on that "
        "very split. The diamond below the dots is the mean difference with its 95 % interval.",
        differences,
    ),
    Plot(
        "tradeoff",
        "Seen against unseen",
        "Each curve is what a method reaches when seen classes are made less and less likely, averaged over its trials "
        "(last epoch) at equal S : U; further to the upper right is better. The marker is where the method stands by "
        "itself, without that calibration.",
        tradeoff,
    ),
    Plot(
        "ranks",
        "Mean ranks",
        "Methods by their mean rank over the splits, 1 being best.",
        ranks,
    ),
    Plot(
        "classes",
        "Accuracy per class",
        "GZSL accuracy in percent (last epoch), averaged over the trials in which the class is unseen (left) and in "
        "which it is seen (right); brighter is better, and an empty cell means that there is no such trial.",
        classes,
    ),
    Plot(
        "confusion",
        "What unseen classes are taken for",
        "Of the images of the class in a row, the percentage that ZSL (last epoch) assigns to the class in a column, "
        "over the splits in which both are unseen (grey cells: in none). Rows need not add up to 100, because each "
        "pair has its own splits.",
        confusion,
    ),
    Plot(
        "learning",
        "Over epochs",
        "The line is the mean over splits on the test classes. Marks stand at the mean epoch that a rule chooses and "
        "the mean value there; they may lie off the line because each split chooses for itself. The star looks at the "
        "test set: an oracle, not a result.",
        learning,
    ),
)


OVERALL_PLOTS = (
    Plot(
        "heat",
        "Method by block",
        "Normalised score in percent: 0 is chance and 100 ideal semantics in that block (the metric itself where there "
        "is no such scale). Methods by mean rank, the best first; a column that is dark throughout is a hard block, a "
        "row that changes is a method that suits some data.",
        heat,
    ),
    Plot(
        "ranks",
        "Mean ranks over blocks",
        "Methods by their mean rank over blocks, 1 being best; a bar joins those that are not told apart. Blocks of "
        "one data set share images and classes, so the test takes for independent what is not quite so.",
        overall_ranks,
    ),
)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def _room(labels: Sequence[str]) -> float:
    """Inches that the longest label in a margin takes beyond those that every margin has."""
    return max(0.0, 0.09 * max(map(len, labels), default=0) - 1.4)


def _heat(
    axes: Axes,
    values: DoubleArray,
    colours: str = "cividis",
    *,
    least: float = 0.0,
    texts: NDArray[Any] | None = None,
    tips: Callable[[int, int], str],
) -> None:
    """Percentages as colours on one fixed scale, with their digits from `least` on.

    Args:
        axes: of the figure.
        values: fractions; NaN where there is none.
        colours: a scale that colour-blind readers tell apart.
        least: below it a cell has no digits, and at 0 no rectangle of its own.
        texts: of the cells instead of the percentages.
        tips: what is shown where a pointer rests on a cell.
    """
    scale = matplotlib.colormaps[colours]
    rows, columns = values.shape
    if least > 0:
        axes.add_patch(Rectangle((-0.5, -0.5), columns, rows, lw=0, fc=scale(0.0), zorder=0))
    for (row, column), value in np.ndenumerate(values):
        known = not math.isnan(value)
        if known and not value and least > 0:
            continue
        fill = scale(min(1.0, max(0.0, value))) if known else _UNKNOWN if least > 0 else f"{_UNKNOWN}50"
        tip = _tip(tips(row, column)) if known else {}
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, lw=0, fc=fill, clip_on=False, **tip))
        if known and value >= least:
            text = f"{100 * value:.0f}" if texts is None else str(texts[row, column])
            light = np.dot(fill[:3], (0.3, 0.59, 0.11)) > 0.45
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color="black" if light else "white")
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _colour_bar(figure: Figure, axes: Axes, colours: str) -> None:
    """The scale of a heat map, from 0 to 100 %."""
    bar = axes.inset_axes((1.04, 0.0, min(0.03, 0.012 * 8.4 / figure.get_figwidth()) + 0.015, 1.0))
    bar.imshow(np.linspace(1, 0, 64)[:, None], cmap=colours, aspect="auto", extent=(0, 1, 0, 100), vmin=0, vmax=1)
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.set_ylabel("%", rotation=0, labelpad=8)
    bar.yaxis.set_label_position("right")
    bar.spines[:].set_visible(False)


def _colour(at: int) -> dict[str, Any]:
    return {"color": COLOURS[at % len(COLOURS)]}


def _edge() -> dict[str, Any]:
    """An outline in the colour of the text, so that no marker fades into the background."""
    return {"mec": matplotlib.rcParams["text.color"], "mew": 0.6}


def _ink() -> dict[str, Any]:
    return {"color": matplotlib.rcParams["text.color"]}


def _percent(values: Sequence[Any]) -> DoubleArray:
    return 100 * np.asarray(values, dtype=np.float64)


def _wrap(label: str, width: int = 30) -> str:
    """A label on few lines, broken after commas and brackets where it can be."""
    label = plain(label, 3 * width)
    spaced = re.sub(r"([,\[])", "\\1\0", label)
    lines = textwrap.wrap(spaced.replace(" ", "\1").replace("\0", " "), width) or [label]
    return "\n".join(line.replace(", ", ",").replace("[ ", "[").replace("\1", " ") for line in lines)


def _short(label: str, width: int = 34) -> str:
    return plain(label, width)
