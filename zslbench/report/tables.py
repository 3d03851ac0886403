"""One leaderboard table as Rich, Markdown, CSV or JSON. Accuracies are shown in percent."""

import csv
import io
import math
import re
from collections.abc import Sequence
from itertools import compress

import msgspec
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from zslbench.hashing import digest
from zslbench.leaderboard import METRICS, Row, Table
from zslbench.stats import Estimate

_RULES = {
    "last": "last epoch",
    "val": "epoch chosen on validation classes",
    "test-max": "epoch chosen on the TEST set: an oracle, not a result",
}


_EXPENDABLE = ("s/trial", "OA", "oracle gain T1/H", "AUSUC", "needs", "done")
"""Columns that a narrow terminal can do without, first to last."""


def heading(table: Table) -> str:
    """What the table is about, in one line; the hash tells tables of equal names but other data apart."""
    names = f"{table.dataset} {table.family}, features {table.features}, semantics {table.semantics}"
    return f"{names} (data {data_hash(table)}, protocol {table.protocol})"


def data_hash(table: Table) -> str:
    """Eight digits that stand for features, labels and semantics."""
    return digest(table.hashes)[:8]


def notes(table: Table) -> list[str]:
    """What a reader must know to read the table honestly."""
    rows = table.rows
    said = [
        f"Percent. Mean over splits and the 95 % interval (Student t over splits). Epoch: "
        f"{', '.join(sorted({_RULES[row.selection] for row in rows}))}.",
        "T1: ZSL accuracy per class; OA: ZSL accuracy over all images; S, U: GZSL accuracy on seen and unseen "
        "classes; H: their harmonic mean, averaged over trials; AUSUC: area under the seen-unseen curve.",
    ]
    if any(row.inflation for row in rows) and any(row.selection != "test-max" for row in rows):
        said.append(
            "Oracle gain: what choosing the epoch on the test set would add to T1 and H; it is never part of a result."
        )
    if any(row.family == "bound" for row in rows):
        said.append(
            "Bounds are no methods: they mark what chance, a classifier of seen classes or ideal semantics would give."
        )
    if any(row.rank is None and row.family != "bound" for row in rows):
        said.append(
            "Methods without a rank lack trials that this table needs (done/planned, or splits that others have), or "
            "come from an older version of their method, and are not compared."
        )
    few = min((row.metrics["T1"].splits for row in rows if row.metrics), default=0)
    if 0 < few < 6:
        said.append(
            f"With {few} split(s) no rank-based paired test can reach p < 0.05: read the intervals, not the ranks."
        )
    return said


class _Fitting:
    """A table that leaves columns out, the least telling first, until it fits the terminal, and says so."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        left_out: list[str] = []
        for name in ("", *_EXPENDABLE):
            left_out += [name] if name else []
            rich = self._without(left_out)
            if Measurement.get(console, options.update(max_width=10_000), rich).maximum <= options.max_width:
                break
        yield rich
        if left_out:
            yield Text(f"Left out, for want of width: {', '.join(left_out)}. --format md shows all.", style="dim")

    def _without(self, left_out: Sequence[str]) -> RichTable:
        title = Text(heading(self.table), style="bold")
        rich = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        shown = [name not in left_out for name in header()]
        for name in compress(header(), shown):
            text = name == "method"
            rich.add_column(name, justify="left" if text else "right", no_wrap=not text, min_width=10 if text else None)
        for row in self.table.rows:
            rich.add_row(*(Text(cell) for cell in compress(cells(row), shown)))  # Text: no markup, no :emoji: in labels
        return rich


def as_rich(tables: Sequence[Table]) -> RenderableType:
    """For a terminal."""
    parts: list[RenderableType] = []
    for table in tables:
        parts += [_Fitting(table), *(Text(note, style="dim") for note in notes(table)), Text()]
    return Group(*parts)


def as_markdown(tables: Sequence[Table]) -> str:
    """GitHub-flavoured Markdown."""
    from tabulate import tabulate

    parts = []
    for table in tables:
        body = tabulate(
            [[re.sub(r"([\\|*`<])", r"\\\1", cell) for cell in cells(row)] for row in table.rows],
            header(),
            tablefmt="pipe",
            disable_numparse=True,
            colalign=["right", "left", *["right"] * (len(header()) - 2)],
        )
        parts += [f"### {heading(table)}", body, "\n".join(f"- {note}" for note in notes(table))]
    return "\n\n".join(parts) + "\n"


def as_csv(tables: Sequence[Table]) -> str:
    """One line per row with every number unrounded, as fractions."""
    spread = [f"{metric}_{part}" for metric in METRICS for part in ("mean", "low", "high", "std")]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        [
            "dataset",
            "family",
            "features",
            "semantics",
            "data",
            "protocol",
            "rank",
            "method",
            "selection",
            "done",
            "planned",
            "splits",
        ]
        + [*spread, "T1_oracle_gain", "H_oracle_gain", "seconds_per_trial", "method_family", "needs"]
    )
    for table in tables:
        for row in table.rows:
            numbers: list[object] = []
            for metric in METRICS:
                numbers += row.metrics[metric][:4] if row.metrics else [""] * 4
            writer.writerow(
                [table.dataset, table.family, table.features, table.semantics, data_hash(table), table.protocol]
                + [
                    row.rank or "",
                    row.label,
                    row.selection,
                    row.done,
                    row.planned,
                    row.metrics["T1"].splits if row.metrics else 0,
                ]
                + ["" if isinstance(number, float) and math.isnan(number) else number for number in numbers]
                + [row.inflation.get("T1", ""), row.inflation.get("H", ""), "" if row.seconds is None else row.seconds]
                + [row.family, "; ".join(row.needs)]
            )
    return buffer.getvalue()


def as_json(tables: Sequence[Table]) -> str:
    """A JSON array of tables; metrics are objects and numbers that do not exist are null."""
    builtins = msgspec.to_builtins(tables)
    for built, table in zip(builtins, tables, strict=True):
        for plain, row in zip(built["rows"], table.rows, strict=True):
            plain["metrics"] = {
                name: {
                    key: None if isinstance(value, float) and math.isnan(value) else value
                    for key, value in estimated._asdict().items()
                }
                for name, estimated in row.metrics.items()
            }
    return msgspec.json.format(msgspec.json.encode(builtins), indent=2).decode()


def header() -> list[str]:
    """Column titles."""
    return ["#", "method", *METRICS, "oracle gain T1/H", "done", "s/trial", "needs"]


def cells(row: Row) -> list[str]:
    """One row as text."""
    numbers = [_percent(row.metrics[metric]) for metric in METRICS] if row.metrics else ["-"] * len(METRICS)
    gain = f"+{100 * row.inflation['T1']:.1f}/+{100 * row.inflation['H']:.1f}" if row.inflation else "-"
    done = f"{row.done}/{row.planned}" + (f" ({row.failed} failed)" if row.failed else "")
    if row.rank is None and row.metrics and row.done == row.planned and row.family != "bound":
        done += f" ({row.metrics['T1'].splits} splits)"
    rank = "bound" if row.family == "bound" else str(row.rank or "")
    seconds = "-" if row.seconds is None else f"{row.seconds:.1f}" if row.seconds >= 1 else f"{row.seconds:.2f}"
    return [rank, row.label, *numbers, gain, done, seconds, ", ".join(row.needs) or "-"]


def _percent(value: Estimate) -> str:
    if math.isnan(value.low):
        return f"{100 * value.mean:.1f}"
    return f"{100 * value.mean:.1f} ± {100 * (value.high - value.mean):.1f}"
