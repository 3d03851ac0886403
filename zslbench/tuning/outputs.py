"""What is made of a search: a suite that compares default and tuned, a table, a plot, and a sentence about both."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zslbench import csvout
from zslbench.configuration import Choice, MethodSpec
from zslbench.errors import InputError
from zslbench.files import write_all
from zslbench.plaintext import plain
from zslbench.spelling import argument
from zslbench.tuning.blind import Metric
from zslbench.tuning.ledger import DEFAULT, Configuration, Ledger
from zslbench.tuning.space import Axis

_SHOWN = 5


@dataclass(frozen=True)
class Report:
    """A search that ended, with what its outputs say besides."""

    ledger: Ledger
    axes: Sequence[Axis]
    spec: MethodSpec
    """The method with what the user fixed."""
    metric: Metric
    splits: Sequence[str]
    """Ids."""
    validation_classes: int
    """How many classes play unseen in some split."""
    tested_elsewhere: int
    """How many of those are unseen test classes of another of these splits."""
    suite: Mapping[str, Any]
    """What the suite file says besides the methods."""

    @property
    def best(self) -> Configuration | None:
        """The best of those that were measured on every split, if there is one."""
        return next(iter(self.ledger.ranked), None)

    @property
    def default(self) -> Configuration | None:
        """The default configuration, if it was measured on every split."""
        return next((known for known in self.ledger.ranked if known.number == DEFAULT), None)

    @property
    def compared(self) -> str:
        """How many configurations there were, and how they ended."""
        ended = self.ledger.ended
        counts = {end: sum(known.end == end for known in ended) for end in ("done", "stopped", "failed")}
        parts = [f"{counts['done']} measured on all {len(self.splits)} split(s)"]
        parts += [f"{counts['stopped']} dropped earlier"] if counts["stopped"] else []
        parts += [f"{counts['failed']} failed"] if counts["failed"] else []
        return f"{len(ended)} configuration(s) were compared ({', '.join(parts)})"

    @property
    def caveat(self) -> str:
        """What must be known to read the numbers."""
        overlap = (
            f" {self.tested_elsewhere} of these classes are test classes of another of these splits, so tuned numbers "
            f"on the same splits are slightly optimistic too."
            if self.tested_elsewhere
            else ""
        )
        if len(self.ledger.ended) == 1:
            return f"Only the default configuration was measured: give more {argument('trials')}."
        return (
            f"{self.compared} by mean {self.metric} on {self.validation_classes} validation classes of "
            f"{len(self.splits)} split(s). The best is chosen for its mean, so that mean is optimistic: what "
            f"tuning gains is what default and tuned reach on the test classes.{overlap}"
        )


def write_outputs(report: Report, best: Path, excel_safe: bool = False) -> None:
    """``table.csv``, ``search.svg`` and the suite file `best`; the latter two only where a configuration is done.

    They are written together or, where one cannot be, not at all.

    Raises:
        InputError: a file cannot be written.
    """
    folder = report.ledger.folder
    made = {folder / "table.csv": as_csv(report, excel_safe)}
    if report.best is not None:
        made |= {folder / "search.svg": as_svg(report), best: as_suite(report)}
    try:
        write_all(made)
    except InputError as error:
        raise InputError(f"{error} What was measured is kept.") from error


def as_suite(report: Report) -> str:
    """A suite file whose run compares the default with the best configuration."""
    import tomli_w

    assert report.best is not None
    compared = [dict(report.spec.overrides)]
    if report.best.number != DEFAULT:
        compared.append(compared[0] | report.best.params)
    said = [report.caveat, f"Mean {report.metric} on validation classes: {_gain(report)}."]
    text = "\n".join(textwrap.fill(line, 110, initial_indent="# ", subsequent_indent="# ") for line in said)
    text += f"\n\n{tomli_w.dumps(report.suite)}"
    for params in compared:
        text += f"\n[[methods]]\n{tomli_w.dumps({'name': report.spec.name})}"
        # TOML has no null; a method's parameters are read from text as on the command line.
        written = {name: "null" if value is None else value for name, value in params.items()}
        text += f"\n[methods.params]\n{tomli_w.dumps(written)}" if written else ""
    return text


def rows(report: Report) -> tuple[list[str], list[list[Any]]]:
    """Every configuration: parameters, mean, value per split (fractions), how it ended; names first."""
    names = [axis.name for axis in report.axes]
    header = ["number", *names, f"mean_{report.metric}", *report.splits, "status", "epochs", "seconds", "message"]
    found = []
    for known in report.ledger.ended:
        values = [*known.values, *[None] * (len(report.splits) - len(known.values))]
        mean = known.mean if known.values else None
        params = [known.params[name] for name in names]
        found.append([known.number, *params, mean, *values, known.end, known.epochs, known.seconds, known.message])
    return header, found


def as_csv(report: Report, excel_safe: bool = False) -> str:
    """The rows as a file of their own."""
    header, found = rows(report)
    for row in found:
        row[-2] = f"{row[-2]:.3f}"  # seconds
    return csvout.text(header, found, excel_safe=excel_safe)


def as_json(report: Report) -> dict[str, Any]:
    """Everything, as JSON holds it."""

    def of(known: Configuration) -> dict[str, Any]:
        mean = known.mean if known.values else None
        return {
            "number": known.number, "params": known.params, "status": known.end, "mean": mean,
            "values": known.values, "epochs": known.epochs, "seconds": known.seconds, "message": known.message,
        }  # fmt: skip

    best, default = report.best, report.default
    return {
        "method": report.spec.name, "fixed": dict(report.spec.overrides), "metric": report.metric,
        "splits": list(report.splits), "validation_classes": report.validation_classes,
        "tested_elsewhere": report.tested_elsewhere, "caveat": report.caveat,
        "best": of(best) if best else None, "default": of(default) if default else None,
        "configurations": [of(known) for known in report.ledger.ended],
    }  # fmt: skip


def as_table(report: Report) -> Any:
    """The best configurations and the default, as a table for a terminal."""
    from zslbench.grid import Column, Grid

    columns = [Column("#", right=True), Column("configuration", fold=True)]
    columns += [Column(name, right=True) for name in (f"mean {report.metric}", "gain", "better on", "s")]
    rows = []
    default, ranked = report.default, report.ledger.ranked
    shown = ranked[:_SHOWN]
    shown += [default] if default is not None and default not in shown else []
    for known in shown:
        gain, better = "", ""
        if default is not None and known is not default:
            wins = sum(mine > other for mine, other in zip(known.values, default.values, strict=True))
            gain, better = f"{100 * known.gain(default):+.1f}", f"{wins}/{len(known.values)} splits"
        name = f"{show(known.params)} (default)" if known is default else show(known.params)
        rows.append((str(known.number), plain(name), f"{100 * known.mean:.1f}", gain, better, f"{known.seconds:.2g}"))
    return Grid(columns, rows)


def show(params: Mapping[str, Any]) -> str:
    """Parameters as a person reads them; the files hold them in full."""

    def one(value: Any) -> str:
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        return f"{value:.4g}" if isinstance(value, float) else plain(value)

    return ", ".join(f"{name}={one(value)}" for name, value in params.items())


def _gain(report: Report) -> str:
    assert report.best is not None
    best = f"{100 * report.best.mean:.1f} % (configuration {report.best.number})"
    if report.default is None:
        return f"{best}; the default failed"
    if report.best is report.default:
        return f"{best}; the default is the best"
    return f"{best}; {100 * report.default.mean:.1f} % with the default"


def as_svg(report: Report) -> str:
    """Parallel coordinates: one line per configuration, from its parameters to its mean, the same bytes every time."""
    import matplotlib
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    ranked = report.ledger.ranked
    means = [known.mean for known in ranked]
    low, high = min(means), max(means)
    colours = Normalize(low, high if high > low else low + 1e-9)
    viridis = matplotlib.colormaps["viridis"]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a matplotlibrc of the reader's could have names read as TeX
        matplotlib.rcParams.update({"svg.hashsalt": "zslbench", "font.size": 9, "text.parse_math": False})
        figure = Figure(figsize=(1.6 * len(report.axes) + 3, 4.2), layout="constrained")
        plot = figure.add_subplot()
        for known in reversed(ranked):
            heights = [_height(axis, known.params[axis.name]) for axis in report.axes] + [colours(known.mean)]
            marked = known is ranked[0] or known.number == DEFAULT
            plot.plot(
                range(len(heights)), heights, color=viridis(0.85 * colours(known.mean)), lw=2.5 if marked else 1,
                ls="--" if known.number == DEFAULT else "-", alpha=1 if marked else 0.6, zorder=3 if marked else 2,
                label={True: "default", False: "best"}[known.number == DEFAULT] if marked else None,
            )  # fmt: skip
        for place, axis in enumerate(report.axes):
            plot.axvline(place, color="0.6", lw=0.8)
            for height, text in _ticks(axis):
                plot.annotate(text, (place, height), xytext=(3, 0), textcoords="offset points", fontsize=7, zorder=4)
        plot.axvline(len(report.axes), color="0.6", lw=0.8)
        for height, mean in ((0, low), (1, high)):
            plot.annotate(
                f"{100 * mean:.1f}", (len(report.axes), height), xytext=(3, 0), textcoords="offset points", fontsize=7
            )
        plot.set_xticks(
            range(len(report.axes) + 1), [*(axis.name for axis in report.axes), f"mean {report.metric} (%)"]
        )
        plot.set_yticks([])
        plot.set_title(f"{report.spec.name}: validation classes of {len(report.splits)} split(s)", fontsize=10)
        plot.spines[:].set_visible(False)
        plot.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False)
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", metadata={"Date": None})
    return drawing.getvalue()


def _height(axis: Axis, value: Any) -> float:
    """Where a value lies on its axis, from 0 to 1 within what is searched; a default may lie outside and is clipped."""
    if isinstance(axis.search, Choice):
        values = list(axis.search.values)
        return values.index(value) / max(1, len(values) - 1) if value in values else 0.0
    low, high = axis.search.low, axis.search.high
    if axis.search.log:
        low, high = math.log(low), math.log(high)
        value = math.log(value) if value > 0 else low
    return min(1.0, max(0.0, float(value - low) / (high - low or 1)))


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    ends = axis.search.values if isinstance(axis.search, Choice) else (axis.search.low, axis.search.high)
    return [(_height(axis, value), show({"": value}).removeprefix("=")) for value in ends]
