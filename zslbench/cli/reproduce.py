"""``zslbench reproduce``: published numbers beside stored ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zslbench import csvout
from zslbench.cli import completion
from zslbench.cli.options import check_excel, emit, excel_option, prose, result_console, store_option
from zslbench.cli.streams import say, tell
from zslbench.configuration import close_matches
from zslbench.errors import InputError
from zslbench.grid import Column, Grid
from zslbench.jsontext import pretty
from zslbench.plaintext import one_line, plain
from zslbench.report.escaping import markdown
from zslbench.results.published import PublishedTable, load_published, published_methods, published_names
from zslbench.terms import SELECTIONS

if TYPE_CHECKING:  # reading the store needs NumPy, listing the tables does not
    from zslbench.results.reproduction import Compared, Pair, Reproduction, Stored

_RULES = {"last": "last epoch", "val": "epoch by validation classes", "test-max": "epoch by the TEST set: oracle"}


@click.command()
@click.argument("name", required=False, shell_complete=completion.published)
@store_option
@click.option(
    "--dataset",
    "wanted",
    multiple=True,
    metavar="ID[=STORED]",
    help="Only this data set of the table; =STORED: what yours is called. May be repeated.",
)
@click.option(
    "--split-family",
    "family",
    shell_complete=completion.stored_families,
    help="Compare with this stored split family, not the one the table names.",
)
@click.option(
    "--select",
    type=click.Choice(SELECTIONS),
    default="last",
    show_default=True,
    help="Which epoch of ours counts.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json"]),
    default="table",
    show_default=True,
    help="How to print it.",
)
@excel_option
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def reproduce(
    name: str | None,
    store: Path,
    wanted: tuple[str, ...],
    family: str | None,
    select: Any,
    form: str,
    excel_safe: bool,
    as_json: bool,
) -> int:
    """Print published numbers beside stored ones, and all that is known to differ; trains nothing.

    NAME is a published table, or a method: then its rows of every table are shown, in JSON as an array. Without NAME
    the tables are listed. Rows that chose their epoch on the test set are also compared with our best epoch on the
    test set, an oracle.
    """
    form = "json" if as_json else form
    check_excel(excel_safe, form)
    if name is None:
        _print_rows([_summary(load_published(known)) for known in published_names()], form, excel_safe)
        return 0
    from zslbench.records import Store
    from zslbench.results.leaderboard import leaderboard
    from zslbench.results.reproduction import flat
    from zslbench.results.reproduction import reproduce as put_beside

    tables = _tables(name, wanted)
    records = Store(store)
    if not records.has_records():
        tell(f"no records in {store}: only the published numbers are shown.")
    selected = {table.selected(row) for table, _ in tables for row in table.rows}
    rules = [select, *(["test-max"] if "test-max" in selected and select != "test-max" else [])]
    stored = {rule: leaderboard(records.records(), records.plans(), selection=rule) for rule in rules}
    source = click.get_current_context().get_parameter_source("store")
    rest = {"store": str(store)} if source is click.core.ParameterSource.COMMANDLINE else {}
    results = [put_beside(table, stored, names=names, family=family, rest=rest) for table, names in tables]
    if form == "json":
        printed = results[0] if name in published_names() else results
        emit(pretty(printed))
    elif form == "csv":
        _print_rows([row for result in results for row in flat(result)], form, excel_safe)
    else:
        for result in results:
            _print(result, form)
    return 0


def _tables(name: str, wanted: Sequence[str]) -> list[tuple[PublishedTable, dict[str, str]]]:
    """The table of that id, or all that have rows of that method, with what `_names` says of each."""
    if name in published_names():
        return [((table := load_published(name)), _names([table], wanted)[table.id])]
    tables = [mine for each in published_names() if (mine := load_published(each).of_method(name))]
    if not tables:
        known = [*published_names(), *published_methods()]
        raise InputError(
            f"{name!r} is no published table, and no published row is of a method of that name."
            f"{close_matches(name, known)} Tables: {', '.join(published_names())}. "
            f"Methods: {', '.join(published_methods())}."
        )
    names = _names(tables, wanted)
    return [(table, names[table.id]) for table in tables if names[table.id] or not wanted]


def _names(tables: Sequence[PublishedTable], wanted: Sequence[str]) -> dict[str, dict[str, str]]:
    """Table -> data set id -> name of the stored data set, for those that are asked for."""
    names = {table.id: {} if wanted else {data.id: data.dataset for data in table.datasets} for table in tables}
    for item in wanted:
        asked, equals, stored = item.partition("=")
        found = [(table, data) for table in tables for data in table.datasets if asked in (data.id, data.dataset)]
        if not found or (equals and not stored):
            known = dict.fromkeys(
                name for table in tables for data in table.datasets for name in (data.dataset, data.id)
            )
            which = " or ".join(table.id for table in tables)
            raise InputError(
                f"--dataset {item}: no such data set in {which}.{close_matches(asked, known)} "
                f"Known: {', '.join(known)}; ID=STORED says what yours is called."
            )
        for table, data in found:
            names[table.id][data.id] = stored or data.dataset
    return names


def _summary(table: PublishedTable) -> dict[str, Any]:
    return {
        "name": table.id,
        "title": table.title,
        "data sets": ", ".join(dict.fromkeys(data.dataset for data in table.datasets)),
        "metrics": ", ".join(table.metrics),
        "rows": len(table.rows),
        "methods here": ", ".join(dict.fromkeys(row.ours for row in table.rows if row.ours)) or "-",
    }


def _print_rows(rows: list[dict[str, Any]], form: str, excel_safe: bool) -> None:
    if form == "json":
        emit(pretty(rows))
    elif form == "csv":
        emit(csvout.text(list(rows[0]), [list(row.values()) for row in rows], excel_safe=excel_safe) if rows else "")
    else:
        _print_table([list(map(str, row.values())) for row in rows], list(rows[0]), form)


def _print_table(body: list[list[str]], header: list[str], form: str) -> None:
    body = [list(map(plain, row)) for row in body]
    if form == "md":
        from tabulate import tabulate

        header, *body = (list(map(markdown, row)) for row in (header, *body))
        emit(tabulate(body, header, tablefmt="pipe", disable_numparse=True) + "\n\n")
        return
    prose = ("which", "title", "data sets", "metrics", "methods here")
    columns = [
        Column(
            name, fold=name in prose, hang=name in ("name", "method"), right=name not in (*prose, "name", "method"),
            spare=1 if name == "metrics" else 0,
        )
        for name in header
    ]  # fmt: skip
    result_console().print(Grid(columns, body, all_in="--format md shows all."), crop=False)


def _print(result: "Reproduction", form: str) -> None:
    title, heading, item, fence = ("# ", "## ", "- ", "```") if form == "md" else ("", "", "- ", "")

    def said(text: str) -> str:
        return markdown(text) if form == "md" else one_line(text)

    def paragraph(text: str, mark: str = "") -> None:
        say(*prose(mark + said(text)).split("\n"), "")

    paragraph(f"{result.title} ({result.id})", title)
    paragraph(f"Source: {result.source}")
    paragraph(f"Protocol: {result.protocol}")
    elsewhere = _elsewhere(result)
    for id, what in result.datasets.items():
        pairs = [pair for pair in result.pairs if pair.dataset == id]
        if not pairs:
            continue
        metrics = [name for name in result.metrics if any(name in pair.published for pair in pairs)]
        body = [line for pair in pairs for line in _lines(pair, metrics, elsewhere.get(pair.source, ""))]
        paragraph(what, heading)
        _print_table(body, ["method", "which", *metrics], form)
    notes = []
    if result.pairs:
        notes.append("Percent. Ours: mean over splits [95 % interval]; difference: ours minus published, and whether "
                     "the published number lies in our interval.")  # fmt: skip
    notes += [f"{mark.strip()}: {said(source)}." for source, mark in elsewhere.items()]
    notes += [said(f"{name}: {meaning}.") for name, meaning in result.metrics.items()]
    doubts = dict.fromkeys(pair.reason for pair in result.pairs if pair.uncertain)
    notes += [said(f"?: uncertain. {reason}") for reason in doubts] + ([said(result.note)] if result.note else [])
    say(*(line for note in notes for line in prose(item + note, "  ").split("\n")), "")
    if result.commands:
        paragraph("Not stored. What would fill it, given the data set (a bundled name or the path of a folder):")
        say(*filter(None, [fence, *result.commands, fence]), "")
    for sentence in (*result.gaps, result.verdict):
        paragraph(sentence)
    if result.differs:
        paragraph("Known differences:")
        say(*(line for each in result.differs for line in prose(item + said(each), "  ").split("\n")))


def _elsewhere(result: "Reproduction") -> dict[str, str]:
    """A mark for each source that is not the table's."""
    others = dict.fromkeys(pair.source for pair in result.pairs if pair.source != result.source)
    return {source: f" [{number}]" for number, source in enumerate(others, 1)}


def _lines(pair: "Pair", metrics: Sequence[str], origin: str) -> list[list[str]]:
    mark = "?" if pair.uncertain else ""
    rule = f", {_RULES[pair.selection]}" if pair.selection in _RULES else ""
    values = [_number(pair.published[name]) + mark if name in pair.published else "" for name in metrics]
    lines = [[pair.method + origin, f"published{rule}", *values]]
    for line in pair.stored:
        lines.append([pair.ours, _which(line), *(_ours(line.metrics.get(name)) for name in metrics)])
        lines.append(["", "difference", *(_difference(line.metrics.get(name)) for name in metrics)])
    if pair.ours and not pair.stored:
        lines.append([pair.ours, "not stored" if pair.comparable else "no trial measures this", *[""] * len(metrics)])
    return lines


def _number(value: float) -> str:
    return f"{value:.1f}" if value == round(value, 1) else f"{value:g}"


def _which(line: "Stored") -> str:
    trials = "" if line.done == line.planned else f" ({line.done}/{line.planned} trials)"
    return f"{line.features}, {line.semantics}, {_RULES[line.selection]}, {line.splits} split(s){trials}"


def _ours(compared: "Compared | None") -> str:
    if compared is None:
        return ""
    interval = "" if compared.low is None else f" [{compared.low:.1f}, {compared.high:.1f}]"
    return f"{compared.mean:.1f}{interval}"


def _difference(compared: "Compared | None") -> str:
    if compared is None or compared.difference is None:
        return ""
    inside = {True: " inside", False: " outside", None: ""}[compared.inside]
    return f"{compared.difference:+.1f}{inside}"
