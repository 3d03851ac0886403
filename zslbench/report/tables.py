"""One leaderboard table as Rich, Markdown, HTML, CSV or JSON. Accuracies are shown in percent."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, get_type_hints

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from zslbench import csvout, grid
from zslbench.configuration import close_matches
from zslbench.errors import InputError
from zslbench.jsontext import compact, pretty
from zslbench.plaintext import plain
from zslbench.report.escaping import html, markdown
from zslbench.results.leaderboard import Row, Table, lacking_validation
from zslbench.results.stats import Estimate, too_few
from zslbench.spelling import argument
from zslbench.terms import EPOCHS, METRICS, OPEN_METRICS, STRICT, in_shots, track_in_words

_GAINS = {"last": "max-last T1/H", "val": "max-val T1/H"}
_WIDE_ONLY = ("rule", "citation", "peak MB")
"""Columns that a terminal shows when it is asked for all."""
_KEYS = ("tests", "validations", "others", "tried", "classes", "per_seed")
"""What a row says of the records behind it, which no table shows: `zslbench export` and the tables of budgets do."""
_TERMS = (
    "T1: ZSL accuracy per class; OA: ZSL accuracy over all images; S, U: GZSL accuracy on seen and unseen classes; H: "
    "their harmonic mean, averaged over trials; AUSUC: area under the seen-unseen curve."
)
_BOUNDS = "Bounds are no methods: they mark what chance, a classifier of seen classes or ideal semantics would give."
_EXPENDABLE = ("fit s", "OA", *_GAINS.values(), "AUSUC", "needs", "done", "S", "U")
"""Columns that a narrow terminal can do without, first to last."""


def heading(table: Table) -> str:
    """What the table is about, in one line; the hash tells tables of equal names but other data apart."""
    dataset, family, features, semantics = map(plain, (table.dataset, table.family, table.features, table.semantics))
    names = f"{dataset} {family}, features {features}, semantics {semantics}"
    return f"{names} (data {table.data}, protocol {table.protocol}, {table.track} track{in_shots(table.shots)})"


def notes(table: Table, shown: Sequence["Field"] = ()) -> list[str]:
    """What a reader must know to read the table honestly.

    Args:
        table: the table.
        shown: its columns, where they are not the usual ones.
    """
    rows = table.rows
    said = [
        f"Percent: mean over splits ± half the width of the 95 % interval (bootstrap over splits and seeds, widened "
        f"for small samples; Student's t below 6 splits). Splits share classes and images, and intervals take them as "
        f"independent: they are optimistic. Epoch: {', '.join(sorted({EPOCHS[row.selection] for row in rows}))}.",
        _TERMS,
    ]
    if any(column.name in OPEN_METRICS for column in shown):
        said.append(
            "AUROC: how often a seen image has a higher margin (best seen less best unseen score) than an unseen one, "
            "of pairs of one each; OpenworldAUC: how often that is so and both get their right class among their own "
            "kind; it is AUSUC with images instead of classes counted alike. 'zslbench verify' can add them to "
            "older records."
        )
    if any(row.inflation_last for row in rows):
        said.append(
            "max-last, max-val: what choosing the epoch on the TEST set would add to T1 and H over the last epoch, and "
            "over the epoch chosen on validation classes; it is never part of a result."
        )
    if any(row.published for row in rows):
        said.append(
            "published: what others report for the same data, features, semantics, splits and protocol, in percent, "
            "and how far the row is above it; 'zslbench reproduce' names the sources."
        )
    if any(row.family == "bound" for row in rows):
        said.append(_BOUNDS)
    if any(row.budget for row in rows):
        said.append(
            "budget b: on each split b configurations, the named one and draws from the method's ranges, were tried on "
            "validation classes; the best one of that split is tested. The table of budgets shows the gain."
        )
    if table.track != STRICT:
        said.append(
            f"{table.track} track: {track_in_words(table.track)}. Its rows are compared with those of no other."
        )
    if table.shots:
        said.append(
            f"{table.shots}-shot: {table.shots} labelled image(s) of every unseen class were trained on, the same for "
            f"all methods, and are not measured. Rows are compared with those of no other number of shots."
        )
    said += by_chance(table)
    said += _about_rows(rows)
    return said + table.mixtures


def brief_notes(table: Table, more: str = "") -> list[str]:
    """What must not be missed, in three lines at most: what the numbers are, and what is amiss with some rows.

    Args:
        table: the table.
        more: where the rest is said.
    """
    rules = ", ".join(sorted({EPOCHS[row.selection] for row in table.rows}))
    said = f"Percent ± half the 95 % interval (optimistic); {rules}. {more}".rstrip()
    lacking = lacking_validation(table.rows)
    mixed = [re.split(r" \(|: ", sentence)[0].rstrip(".") + "." for sentence in table.mixtures]
    amiss = " ".join([*by_chance(table), *_unranked(table.rows), *([lacking] if lacking else []), *mixed])
    return [said, amiss] if amiss else [said]


def paper_notes(table: Table) -> list[str]:
    """What must not be missed where there is room for a few lines, and what the columns are."""
    bounds = [_BOUNDS] if any(row.family == "bound" for row in table.rows) else []
    return [*brief_notes(table), _TERMS, *bounds]


def by_chance(table: Table) -> list[str]:
    """What guessing reaches in T1, and which rows are not shown to be better; nothing where the number of unseen
    classes is not told by the split family's name."""
    if not (sizes := re.search(r"(?:^|-)\d+/(\d+)(?::|$)", table.family)):
        return []
    chance = 1 / int(sizes[1])
    doubtful = [
        plain(row.label) for row in table.rows
        if row.family != "bound" and row.metrics and not row.metrics["T1"].low > chance
        and not math.isnan(row.metrics["T1"].low)
    ]  # fmt: skip
    warned = f", which the intervals do not exclude of {', '.join(doubtful)}" if doubtful else ""
    return [f"T1 by chance: {100 * chance:.1f}{warned}."]


def _unranked(rows: Sequence[Row]) -> list[str]:
    """How many rows have no rank, by why."""
    whys = _by({row.label: plain(row.why) for row in rows if row.why and row.family != "bound"})
    return [f"Without a rank: {'; '.join(f'{len(labels)} ({why})' for why, labels in whys.items())}."] if whys else []


def _about_rows(rows: Sequence[Row]) -> list[str]:
    """What is true of some rows only, with their names."""
    said = []
    if whys := _by({row.label: plain(row.why) for row in rows if row.why and row.family != "bound"}):
        listed = "; ".join(f"{', '.join(labels)}: {why}" for why, labels in whys.items())
        said.append(f"Without a rank, and not compared: {listed}.")
    if extras := _by({row.label: f"+{row.extra}" for row in rows if row.extra}):
        listed = "; ".join(f"{', '.join(labels)} ({extra})" for extra, labels in extras.items())
        said.append(
            f"Compared are the trials that most methods share. Further ones, in brackets, are left out: {listed}."
        )
    if sentence := lacking_validation(rows):
        said.append(sentence)
    said += failed_draws(rows)
    measured = {row.label: too_few(row.metrics["T1"].splits) or "" for row in rows if row.metrics}
    for few, labels in _by(measured).items():
        if few:
            said.append(few if len(labels) == len(measured) else f"{', '.join(labels)}: {few}")
    return said


def failed_draws(rows: Sequence[Row]) -> list[str]:
    """How many configurations of a budget could not be measured, and hence not be chosen."""
    failed = {
        row.label: str(sum(len(one.numbers) for listed in row.tried.values() for one in listed if one.score is None))
        for row in rows
    }
    listed = [f"{', '.join(labels)}: {count}" for count, labels in _by(failed).items() if count != "0"]
    return [f"Configurations that failed on validation classes and could not be chosen: {'; '.join(listed)}."] * bool(
        listed
    )


def _by(words: Mapping[str, str]) -> dict[str, list[str]]:
    """Words -> the labels that they are said of."""
    labels: dict[str, list[str]] = {}
    for label, said in words.items():
        labels.setdefault(said, []).append(plain(label))
    return labels


def as_rich(
    tables: Sequence[Table],
    wide: bool = False,
    *,
    asked: Sequence[str] = (),
    all_notes: bool = True,
    all_in: str = "",
    more: str = "",
) -> RenderableType:
    """For a terminal.

    Args:
        tables: of a leaderboard.
        asked: as in `columns`.
        wide: every column, however wide the terminal is.
        all_notes: say all that `notes` says; else what concerns these rows alone, in a line or two.
        all_in: where the columns are that a narrow terminal does without, as a sentence.
        more: where the other notes are, as a sentence.
    """
    parts: list[RenderableType] = []
    for table in tables:
        # The gain over a rule that is not the table's; where that is the oracle, no gain tells anything.
        gains = [name for rule, name in _GAINS.items() if rule not in {row.selection for row in table.rows}]
        shown, spare = columns(table, asked, wide), [name for name in _EXPENDABLE if name != table.sort]
        laid_out = [
            grid.Column(
                column.name, right=not column.words, fold=column.words and column.name != "method",
                hang=column.name == "method",
                spare=1 + spare.index(column.name) if column.name in spare else 0,
            )
            for column in shown
        ]  # fmt: skip
        body = grid.Grid(
            laid_out, [cells(row, shown) for row in table.rows], all_in=all_in, whole=wide or bool(asked),
            left_out=(*_WIDE_ONLY, *gains),
        )  # fmt: skip
        said = notes(table, shown) if all_notes else brief_notes(table, more)
        parts += [Text(heading(table), style="bold"), body, *(Text(note, style="dim") for note in said), Text()]
    return Group(*parts)


def as_markdown(tables: Sequence[Table], asked: Sequence[str] = ()) -> str:
    """GitHub-flavoured Markdown; `asked`: as in `columns`."""
    parts = []
    for table in tables:
        shown = columns(table, asked)
        notes_list = "\n".join(f"- {markdown(note)}" for note in notes(table, shown))
        parts += [f"### {markdown(heading(table))}", _tabulated(table, shown, "pipe", markdown), notes_list]
    return "\n\n".join(parts) + "\n"


_STYLE = """:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
div { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 0.2em 0.7em; border-bottom: 1px solid #8886; white-space: nowrap }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } }
@media (max-width: 40em) { body { margin: 1em } }"""


def as_html(tables: Sequence[Table], asked: Sequence[str] = ()) -> str:
    """A page of its own that loads nothing; `asked`: as in `columns`."""
    parts = []
    for table in tables:
        shown = columns(table, asked)
        said = "\n".join(f"<li>{html(note)}</li>" for note in notes(table, shown))
        # Tabulate escapes the cells; a keyboard can scroll what has the focus.
        body = f'<div tabindex="0">\n{_tabulated(table, shown, "html")}\n</div>'
        parts.append(f"<h2>{html(heading(table))}</h2>\n{body}\n<ul>\n{said}\n</ul>")
    return page("Leaderboard", "\n".join(parts))


def page(title: str, body: str) -> str:
    """A page of its own around a part of one that is HTML already."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _tabulated(table: Table, shown: Sequence["Field"], form: str, escape: Callable[[str], str] = str) -> str:
    from tabulate import tabulate

    rows = [[escape(cell) for cell in cells(row, shown)] for row in table.rows]
    align = ["left" if column.words else "right" for column in shown]
    return tabulate(rows, header(shown), tablefmt=form, disable_numparse=True, colalign=align if rows else None)


def as_csv(tables: Sequence[Table], excel_safe: bool = False) -> str:
    """One line per row with every number of the JSON, unrounded, as fractions; empty where there is none.

    Columns of published numbers are there where some row has one.
    """
    lines = [_flat(table, row) for table in tables for row in table.rows]
    names = list(dict.fromkeys(chain(_flat(_NOTHING, _NOTHING.rows[0]), *lines)))
    return csvout.text(names, ([line.get(name) for name in names] for line in lines), excel_safe=excel_safe)


_NOTHING = Table("", "", "", "", {}, 0, "", [Row("", "", 0, None, 0, 0, 0, "", "", [], {}, {}, {}, None)])
"""A table whose flat row names the columns."""


def _flat(table: Table, row: Row) -> dict[str, object]:
    flat: dict[str, object] = {
        "dataset": table.dataset, "family": table.family, "features": table.features, "semantics": table.semantics,
        "data": table.data, "protocol": table.protocol, "track": table.track, "shots": table.shots, "rank": row.rank,
        "method": row.label,
        "method_name": row.method, "method_version": row.version, "config": compact(row.config).decode(),
        "citation": row.citation, "method_family": row.family, "needs": "; ".join(row.needs),
        "selection": row.selection, "done": row.done, "planned": row.planned, "extra": row.extra, "failed": row.failed,
        "unvalidated": row.unvalidated, "why": row.why, "splits": row.metrics["T1"].splits if row.metrics else 0,
        "seeds": row.seeds, "budget": row.budget.configurations if row.budget else 1,
    }  # fmt: skip
    for metric in (*METRICS, *(name for name in OPEN_METRICS if name in row.metrics)):
        told = row.metrics.get(metric)
        flat |= {f"{metric}_{part}": told and getattr(told, part) for part in Estimate._fields if part != "splits"}
    for rule, gain in (("last", row.inflation_last), ("val", row.inflation_val)):
        flat |= {f"{metric}_max_minus_{rule}": gain.get(metric) for metric in ("T1", "H")}
    flat |= {"seconds_per_trial": row.seconds, "fit_seconds_per_trial": row.fit_seconds}
    flat |= {"peak_mb": row.peak_mb, "device": row.device}
    flat |= {f"{metric}_published": value for metric, value in row.published.items()}
    return {name: "" if value is None or value != value else value for name, value in flat.items()}  # NaN is not NaN


def as_json(tables: Sequence[Table]) -> str:
    """A JSON array of tables, as `json_schema` describes; numbers that do not exist are null."""
    builtins = msgspec.to_builtins(tables, str_keys=True)
    for built, table in zip(builtins, tables, strict=True):
        for made, row in zip(built["rows"], table.rows, strict=True):
            made["metrics"] = {name: estimated._asdict() for name, estimated in row.metrics.items()}
            for name in _KEYS:
                del made[name]
    return pretty(builtins)  # which makes null of NaN


def json_schema() -> dict[str, Any]:
    """What `as_json` prints, as a JSON Schema; generated from the same structures."""

    def struct(source: type, **replaced: Any) -> type:
        hints = get_type_hints(source).items()
        fields = [(name, replaced.get(name, kind)) for name, kind in hints if source is not Row or name not in _KEYS]
        return msgspec.defstruct(source.__name__, fields)

    numbers = {name: float | None for name, kind in get_type_hints(Estimate).items() if kind is float}
    row = struct(Row, metrics=dict[str, struct(Estimate, **(numbers | {"mean": float}))])  # type: ignore[misc]
    table = struct(Table, rows=list[row])  # type: ignore[valid-type]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(list[table])}  # type: ignore[valid-type]


class Field(NamedTuple):
    """A column of the tables that people read: what it says of a row."""

    name: str
    text: Callable[[Row], str]
    words: bool = False
    """Whether it holds words, to the left, rather than numbers, to the right."""


def columns(table: Table, asked: Sequence[str] = (), wide: bool = False) -> list[Field]:
    """`COLUMNS`, and that of published numbers where some row has one.

    Args:
        table: what is shown.
        asked: only these columns, besides rank and method; those of `FURTHER` are shown only so, or in a wide table.
        wide: those of `FURTHER` too, where some row has them.
    """
    known = any(row.published for row in table.rows)
    after = 1 + max(at for at, column in enumerate(COLUMNS) if column.name in METRICS)
    further = [each for each in FURTHER if asked or (wide and any(each.name in row.metrics for row in table.rows))]
    every = [*COLUMNS[:after], *further, *([_PUBLISHED] if known else []), *COLUMNS[after:]]
    if not asked:
        return every
    by_name = {column.name: column for column in every}
    return [*COLUMNS[:2], *(by_name[name] for name in dict.fromkeys(asked) if name in by_name)]


def column_names(text: str) -> list[str]:
    """The columns of a text that names some, separated by commas; case does not matter.

    Raises:
        InputError: there is no such column.
    """
    known = [column.name for column in (*COLUMNS[2:], *FURTHER, _PUBLISHED)]
    folded, found = {name.casefold(): name for name in known}, []
    for name in (each.strip() for each in text.split(",")):
        if name.casefold() not in folded:
            raise InputError(
                f"{argument('columns', text)}: there is no column {plain(name)!r}.{close_matches(name, known)} There "
                f"are: {', '.join(known)}."
            )
        found.append(folded[name.casefold()])
    return found


def header(shown: Sequence[Field] | None = None) -> list[str]:
    """Titles of these columns, by default of `COLUMNS`."""
    return [column.name for column in shown or COLUMNS]


def cells(row: Row, shown: Sequence[Field] | None = None) -> list[str]:
    """One row as text, in these columns, by default in `COLUMNS`."""
    return [column.text(row) for column in shown or COLUMNS]


def _rank(row: Row) -> str:
    return "bound" if row.family == "bound" else str(row.rank or "")


def _metric(name: str) -> Callable[[Row], str]:
    return lambda row: percent(row.metrics[name]) if name in row.metrics else "-"


def percent(value: Estimate) -> str:
    """``71.2 ± 3.4``: the mean and half the width of the interval, if there is one."""
    if math.isnan(value.low):
        return f"{100 * value.mean:.1f}"
    return f"{100 * value.mean:.1f} ± {50 * (value.high - value.low):.1f}"


def _gain(gain: dict[str, float]) -> str:
    return f"+{abs(100 * gain['T1']):.1f}/+{abs(100 * gain['H']):.1f}" if gain else "-"  # abs: never -0.0


def _published(row: Row) -> str:
    told = [
        f"{name} {100 * value:.1f} ({100 * (row.metrics[name].mean - value):+.1f})"
        for name, value in row.published.items() if row.metrics
    ]  # fmt: skip
    return ", ".join(told) or "-"


def _seconds(row: Row) -> str:
    seconds = row.fit_seconds
    return "-" if seconds is None else f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}"


def _done(row: Row) -> str:
    done = f"{row.done}/{row.planned}" + (f" (+{row.extra})" if row.extra else "")
    return done + (f" ({row.failed} failed)" if row.failed else "")


COLUMNS = (
    Field("#", _rank),
    Field("method", lambda row: plain(row.label), words=True),
    *(Field(name, _metric(name)) for name in METRICS),
    Field("rule", lambda row: row.selection),
    Field(_GAINS["last"], lambda row: _gain(row.inflation_last)),
    Field(_GAINS["val"], lambda row: _gain(row.inflation_val)),
    Field("done", _done),
    Field("fit s", _seconds),
    Field("peak MB", lambda row: "-" if row.peak_mb is None else f"{row.peak_mb:.0f}"),
    Field("needs", lambda row: plain(", ".join(row.needs)) or "-", words=True),
    Field("citation", lambda row: plain(row.citation) or "-", words=True),
)
FURTHER = tuple(Field(name, _metric(name)) for name in OPEN_METRICS)
"""Columns for those who ask for them."""
_PUBLISHED = Field("published", _published)
