"""``zslbench list`` and ``zslbench describe``: what there is, without importing torch or ray."""

import dataclasses
import inspect
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.text import Text

from zslbench.cli import completion
from zslbench.cli.options import emit, plugin_option, prose, result_console
from zslbench.cli.streams import say, tell
from zslbench.configuration import Choice, Range, close_matches, describe_type, presets
from zslbench.datasets import Dataset, bundled_names, load_dataset
from zslbench.datasets.known import known_names, load_known
from zslbench.errors import InputError
from zslbench.grid import Column, Grid
from zslbench.jsontext import pretty
from zslbench.methods import Method
from zslbench.plaintext import one_line, plain, visible
from zslbench.registry import Registry
from zslbench.shelltext import command
from zslbench.splits import split_families
from zslbench.terms import MODEL_SUFFIX, track_in_words

if TYPE_CHECKING:
    from zslbench.models.header import Header


@click.command("list")
@click.argument("kind", type=click.Choice(["methods", "datasets", "suites"]))
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(kind: str, folder: Path | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """List methods, data sets or suites.

    Suites are those that come with zslbench, run by their names, or the files *.toml in FOLDER.
    """
    if folder and kind != "suites":
        raise click.UsageError(f"only `list suites` takes a folder: got {folder} with `list {kind}`.")
    rows = _suites(folder) if kind == "suites" else _datasets() if kind == "datasets" else _methods(plugins)
    if as_json:
        emit(pretty(rows))
        return
    if not rows:
        tell(f"no {kind} found")
        return
    told = _TOLD[kind] if not folder else ""
    names = [name for name in rows[0] if not (told and name in ("get it", "run it"))]  # the same for all but the name
    cells = [[one_line(row[name]) for name in names] for row in rows]
    whole = {"classes": {"right": True}, "images": {"right": True}, "methods": {"right": True}, "name": {"hang": True}}
    columns = [Column(name, **whole.get(name, {"fold": name != "file"})) for name in names]
    console = result_console()
    console.print(Grid(columns, cells), crop=False)
    if told:
        console.print(Text(told))


_TOLD = {
    "methods": "`zslbench describe NAME` says what it does and its parameters.",
    "datasets": "`zslbench data download NAME` gets one without features; `zslbench describe NAME` says more.",
    "suites": "`zslbench run --suite NAME` runs one.",
}


@click.command()
@click.argument("name", shell_complete=completion.described)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def describe(name: str, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Describe the method or the data set called NAME (a bundled or known one, or a folder), or a model file."""
    from zslbench.models.file import read_header

    registry = Registry(plugins)
    if name not in registry.names and (Path(name).is_file() or name.endswith(MODEL_SUFFIX)):
        header = read_header(Path(name))
        if not as_json:
            lines = [f"file       {plain(name)}", *_model_lines(header)]
            say(*(part for line in lines for part in prose(line, " " * 11).split("\n")))
            return
        described = {"name": name, **_describe_model(header)}
    elif registry.knows(name):
        described = describe_method(registry.get(name))
    elif name in bundled_names() or Path(name).is_dir():
        described = _describe_dataset(load_dataset(name))
    elif name in known_names():
        described = load_known(name).described()
    else:
        datasets = sorted({*bundled_names(), *known_names()})
        known = [*registry.names, *datasets]
        raise InputError(
            f"nothing is called {name!r}.{close_matches(name, known)} Methods: {', '.join(registry.names)}. "
            f"Data sets: {', '.join(datasets)}, or a data set folder."
        )
    if as_json:
        emit(pretty(described))
    else:
        _print(described)


def _methods(plugins: tuple[Path, ...]) -> list[dict[str, Any]]:
    registry = Registry(plugins)
    rows = []
    for name in registry.names:
        try:
            info = registry.get(name).info
        except InputError as error:  # one broken package must not hide the others
            rows.append({"name": name, "title": f"not available: {error}", "family": "", "track": "", "needs": ""})
            continue
        needs = ", ".join(info.needs) or "-"
        rows.append({"name": name, "title": info.title, "family": info.family, "track": info.track, "needs": needs})
    return rows


def _datasets() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in bundled_names():
        try:
            data = load_dataset(name)
        except InputError as error:  # where one that is written at first use cannot be
            lacking = dict.fromkeys(("classes", "images", "features", "semantics"), "-")
            rows.append({"name": name, "title": f"not available: {error}", **lacking, "get it": "comes with zslbench"})
            continue
        rows.append(
            {
                "name": name,
                "title": data.card.title,
                "classes": len(data.class_names),
                "images": len(data.labels),
                "features": ", ".join(data.feature_names),
                "semantics": ", ".join(data.semantics_names),
                "get it": "comes with zslbench",
            }
        )
    for known in map(load_known, known_names()):
        if known.name not in bundled_names():
            row = {"name": known.name, "title": known.title, "classes": known.classes, "images": known.images}
            rows.append(row | {"features": "-", "semantics": "-", "get it": f"zslbench data download {known.name}"})
    return rows


def _suites(folder: Path | None) -> list[dict[str, Any]]:
    from zslbench.shipped import shipped
    from zslbench.suites import read_suite

    if folder and not folder.is_dir():
        raise InputError(f"no folder {folder}: expected one with suite files (*.toml).")
    rows = []
    for path in sorted((folder or shipped("suites")).glob("*.toml"), key=lambda path: path.stem):
        row: dict[str, Any] = {"name": path.stem}
        row |= dict.fromkeys(("title", "methods", "split families", "splits of each"), "")
        try:
            suite = read_suite(path)
            row |= {
                "title": suite.title,
                "methods": len(suite.methods),
                "split families": ", ".join(
                    dict.fromkeys(family for part in suite.each_part for family in part.families)
                )
                or suite.splits_file
                or "the data set's first",
                "splits of each": suite.splits or "default",
            }
        except InputError as error:  # one broken file must not hide the others
            row["title"] = f"not readable: {error}"
        rows.append(
            row | ({"file": str(path)} if folder else {"run it": command("zslbench", "run", "--suite", path.stem)})
        )
    return rows


def describe_method(method: type[Method]) -> dict[str, Any]:
    """What `describe` says of a method, and its page in the documentation."""
    types = typing.get_type_hints(method.Config)
    parameters = []
    for field in dataclasses.fields(method.Config):
        bounds = " and ".join(f"{sign} {bound}" for sign, bound in field.metadata.get("bounds", {}).items())
        parameters.append(
            {
                "name": field.name,
                "default": field.default,
                "type": describe_type(types[field.name]) + (f" {bounds}" if bounds else ""),
                "meaning": field.metadata.get("meaning", ""),
                "search": _search(field.metadata.get("search")),
            }
        )
    return {
        "name": method.info.name,
        "title": method.info.title,
        "family": method.info.family,
        "track": f"{method.info.track}: {track_in_words(method.info.track)}",
        "version": method.info.version,
        "needs": ", ".join(method.info.needs) or "-",
        "about": _docstring(method),
        "parameters": parameters,
        "presets": {name: {"values": dict(preset.values), "source": preset.source}
                    for name, preset in presets(method.Config).items()},
        "citation": method.info.citation,
    }  # fmt: skip


def _describe_dataset(data: Dataset) -> dict[str, Any]:
    from zslbench.datasets.examine import examine

    view, found = data.view(), examine(data.folder)
    card = msgspec.to_builtins(data.card)
    return {
        "name": data.name,
        "title": data.card.title,
        "about": data.card.description,
        "images": len(data.labels),
        "classes": {name: int(count) for name, count in zip(data.class_names, data.images_per_class, strict=True)},
        "features": {name: found.features.get(name, {}) | _said(card["features"], name) for name in data.feature_names},
        "maps": {name: found.maps.get(name, {}) | _said(card["maps"], name) for name in data.map_names},
        "semantics": {name: found.semantics.get(name, {}) | _said(card["semantics"], name)
                      for name in data.semantics_names},
        "default features": view.features_name,
        "default semantics": view.semantics_name,
        "split families": split_families(data),
        "splits": found.splits,
        "images per class": found.images_per_class,
        "errors": found.errors,
        "warnings": found.warnings,
        "hashes": view.hashes,
        "licence": data.card.licence,
        "provenance": data.card.provenance,
        "citation": data.card.citation,
    }  # fmt: skip


def _describe_model(header: "Header") -> dict[str, Any]:
    described: dict[str, Any] = msgspec.to_builtins(header)
    confidence = described.pop("confidence")
    if header.confidence:
        described["calibration"] = {"temperature": confidence["temperature"], "expected error": confidence["error"]}
    del described["seen"]
    described["chance"] = header.chance or None
    described["classes"] = {
        name: "without images" if kind == "unseen" else kind
        for name, kind in zip(header.classes, header.kinds, strict=True)
    }
    return described


def _model_lines(header: "Header") -> list[str]:
    from zslbench.classnames import as_listed
    from zslbench.cli.fit import described

    settings = ", ".join(f"{name}={value}" for name, value in header.config.items())
    sides = {
        side: ", ".join(
            plain(as_listed([name])) for name, of in zip(header.classes, header.kinds, strict=True) if of == side
        )
        for side in ("seen", "few", "unseen")
    }
    made = f"{header.fitted} by" if header.fitted else "by"
    return [
        *described(header),
        f"settings   {one_line(settings) or 'none'}",
        f"made       {made} zslbench {plain(header.zslbench)}, seed {header.seed}",
        *(f"{side:<10} {names}" for side, names in sides.items() if names),
    ]


def _said(cards: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    return {key: value for key, value in cards.get(name, {}).items() if value}


def _docstring(method: type[Method]) -> str:
    return inspect.cleandoc(method.__doc__ or "")  # its own, not the base class's


def _search(search: Any) -> str:
    match search:
        case Range(low, high, log):
            return f"{low} to {high}{', logarithmic' if log else ''}"
        case Choice(values):
            return ", ".join(map(str, values))
        case _:
            return ""


def _print(described: dict[str, Any]) -> None:
    console = result_console()

    def say(text: str, head: str = "", indent: str = "  ") -> None:
        said = Text(prose(f"{head}{text}", indent))  # Text: no markup in names and texts
        said.stylize("bold", 0, len(head))
        console.print(said, soft_wrap=True)

    for key, value in described.items():
        if key == "parameters":
            say("" if value else ": none", key)
            columns = [Column("name", hang=True), Column("default", fold=True)]
            columns += [Column(name, fold=True) for name in ("type", "meaning", "search")]
            if value:
                console.print(Grid(columns, [list(map(one_line, row.values())) for row in value]), crop=False)
        elif value in ({}, []):
            continue
        elif key == "presets":
            say("", key)
            for name, preset in value.items():
                values = ", ".join(f"{parameter}={given}" for parameter, given in preset["values"].items())
                say(f"  {name}: {one_line(values)} ({one_line(preset['source'])})", indent="    ")
        elif isinstance(value, list) and any(" " in str(item) for item in value):
            say("", key)
            for item in value:
                say(f"  {one_line(item)}", indent="    ")
        elif isinstance(value, dict):
            say("", key)
            for name, item in value.items():
                say(f"  {plain(name)}: {one_line(_short(item))}", indent="    ")
        elif isinstance(value, str) and "\n" in value:
            say("", key)
            for line in value.strip().split("\n"):
                say(visible(line), indent=" " * (len(line) - len(line.lstrip())))
        else:
            say(f": {one_line(', '.join(map(str, value)) if isinstance(value, list) else value)}", key)


def _short(item: Any) -> str:
    if isinstance(item, dict):
        return "; ".join(f"{key} {_short(value)}" for key, value in item.items())
    if isinstance(item, list):
        return " x ".join(map(str, item)) if all(isinstance(part, int) for part in item) else ", ".join(map(str, item))
    return f"{item:.4g}" if isinstance(item, float) else str(item)
