"""Write a page of the documentation for each built-in method, docs/methods/NAME.md, and their places in mkdocs.yml.

A page is made of what stands next to the method: its docstring, in which paragraphs that begin with Source, Departures
or Quirks and the list under Checked have places of their own, its parameters and presets, the published tables with a
row of it, and its rows in the stored records.

python benchmarks/method_pages.py             # write
python benchmarks/method_pages.py --check     # exit code 1 if a page is out of date
"""

import inspect
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from tabulate import tabulate

from zslbench.cli.inspect import describe_method
from zslbench.methods import Method
from zslbench.records import Store
from zslbench.registry import Registry
from zslbench.results.leaderboard import Row, leaderboard
from zslbench.results.published import load_published, published_names
from zslbench.terms import track_in_words
from zslbench.variants import base_name

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "methods"
STORE = ROOT / "results" / "ucm-16-5"
METRICS = ("T1", "S", "U", "H", "AUSUC")
CHECKED = "\nChecked:\n"
BEGINS = {"source": "Source", "departures": ("Departure", "Quirk", "Left out", "What is left out")}
"""Part of a page -> with what a paragraph of the docstring begins that belongs there."""
NAV = re.compile(r"(?<=# methods:begin\n).*?(?= +# methods:end)", re.DOTALL)


def main() -> int:
    """Write the pages, or check that they stand there and no others."""
    config = ROOT / "mkdocs.yml"
    made = pages()
    wanted = {PAGES / f"{name}.md": text for name, text in made.items()}
    lines = "".join(f"          - {name}: methods/{name}.md\n" for name in made)
    wanted[config] = NAV.sub(lambda _: lines, config.read_text(encoding="utf-8"))
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    gone = sorted(set(PAGES.glob("*.md")) - set(wanted))
    if "--check" in sys.argv[1:]:
        for path in stale + gone:
            print(f"{path.relative_to(ROOT)} is out of date: run python benchmarks/method_pages.py", file=sys.stderr)
        return 1 if stale or gone else 0
    PAGES.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    for path in gone:
        path.unlink()
    return 0


def pages() -> dict[str, str]:
    """Name of a method -> its page."""
    registry, store = built_in(), Store(STORE)
    tables = leaderboard(store.records(), store.plans())  # bounds are in each, and of no track
    rows = [(table.track, row) for table in tables for row in table.rows if row.family != "bound" or table is tables[0]]
    return {
        name: page(registry.get(name), [(track, row) for track, row in rows if base_name(row.method) == name])
        for name in registry.names
    }


def built_in() -> Registry:
    """The methods of this repository, all of them: an installation may be older than pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["entry-points"]["zslbench.methods"]
    registry = Registry()
    if differ := sorted(set(registry.names) ^ set(declared)):
        sys.exit(f"installed methods are not those of pyproject.toml ({', '.join(differ)}): install zslbench again")
    return registry


def page(method: type[Method], rows: list[tuple[str, Row]]) -> str:
    """Of one method, with its rows in the stored records and their tracks."""
    told, parts = describe_method(method), parts_of(method)
    name, needs = method.info.name, "" if told["needs"] == "-" else f"; needs or uses: {told['needs']}"
    about = inspect.cleandoc(method.Config.__doc__ or "")
    bibtex = f"```bibtex\n{told['citation'].strip()}\n```" if told["citation"] else ""
    sections = {
        "What it is": parts["about"],
        "Where it comes from": join(parts["source"], bibtex),
        "What was checked, against what": parts["checked"] or "Nothing is recorded.",
        "What differs on purpose": parts["departures"],
        "Parameters": join(about, parameters(told), presets(told)) if told["parameters"] else "None.",
        "On UC Merced": on_ucm(rows),
        "Published numbers": published(name),
    }  # fmt: skip
    head = (
        f"# {told['title']}\n\n<!-- written by benchmarks/method_pages.py: change the method's docstring -->\n\n"
        f"`{name}`, version {told['version']}; family {told['family']}; track {method.info.track} "
        f"({track_in_words(method.info.track)}){needs}.\n"
    )
    return head + "".join(f"\n## {title}\n\n{text.strip()}\n" for title, text in sections.items() if text)


def parts_of(method: type[Method]) -> dict[str, str]:
    """The docstring, each paragraph where it belongs; a list or a formula goes with the paragraph that it follows."""
    found: dict[str, list[str]] = {"about": [], "source": [], "departures": []}
    text, _, _ = inspect.cleandoc(method.__doc__ or "").partition(CHECKED)
    kind = "about"
    for paragraph in re.split(r"\n\n+|(?<=[.:;])\s(?=(?:Departures?|Quirks?)\b[^.]*:)", text.strip()):
        if not (found[kind] and paragraph.startswith((" ", "- "))):
            kind = next((kind for kind, begins in BEGINS.items() if paragraph.startswith(begins)), "about")
        found[kind].append(paragraph)
    listed = "\n".join(f"- **{against}**: {what}" for against, what in checked(method))
    return {kind: "\n\n".join(paragraphs) for kind, paragraphs in found.items()} | {
        "checked": re.sub(r"\btest_\w+\.py", r"`\g<0>`", listed)
    }


def checked(method: type[Method]) -> list[tuple[str, str]]:
    """What a docstring says under Checked: against what, and what."""
    _, _, text = inspect.cleandoc(method.__doc__ or "").partition(CHECKED)
    items = re.findall(r"^- (\w+): (.*?)(?=\n- |\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return [(against, " ".join(what.split())) for against, what in items]


def parameters(told: dict[str, Any]) -> str:
    """A table of all."""
    rows = [
        [f"`{row['name']}`", f"`{typed(row['default'])}`", row["type"], row["meaning"], row["search"] or "-"]
        for row in told["parameters"]
    ]
    return markdown(rows, ["parameter", "default", "what it may be", "meaning", "where tuning looks"])


def typed(value: Any) -> str:
    """As a user types it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def presets(told: dict[str, Any]) -> str:
    """A table of all, typed ``name[preset=...]``."""
    rows = [
        [
            f"`preset={name}`",
            ", ".join(f"`{key}={typed(value)}`" for key, value in preset["values"].items()),
            preset["source"],
        ]
        for name, preset in told["presets"].items()
    ]
    return markdown(rows, ["preset", "stands for", "where it comes from"]) if rows else ""


def on_ucm(rows: list[tuple[str, Row]]) -> str:
    """Its rows of the shipped leaderboard, ranked ones of each track first."""
    shown = [
        [f"`{row.label}`", "-" if row.family == "bound" else track, "-" if row.rank is None else row.rank]
        + [f"{100 * row.metrics[name].mean:.1f} ± {50 * (row.metrics[name].high - row.metrics[name].low):.1f}"
           for name in METRICS]
        + [f"{row.done}/{row.planned}"]
        for track, row in rows if row.metrics
    ]  # fmt: skip
    if not shown:
        return "No stored trials."
    table = markdown(shown, ["row", "track", "rank in it", *METRICS, "trials"])
    return (
        f"Percent ± half the 95 % interval over splits of 16 seen and 5 unseen classes, last epoch, "
        f"from `results/{STORE.name}`; [what the columns mean](../reading.md).\n\n{table}"
    )


def published(name: str) -> str:
    """The published tables that have a row of it."""
    tables = [
        table for table in map(load_published, published_names())
        if (own := table.of_method(name)) is not None and own.rows
    ]  # fmt: skip
    listed = "\n".join(f"- `zslbench reproduce {table.id}`: {table.title}" for table in tables)
    return f"What differs from them is said before any number is:\n\n{listed}" if listed else ""


def markdown(rows: list[list[Any]], header: list[str]) -> str:
    """A table of plain text."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return tabulate(cells, header, tablefmt="github", disable_numparse=True)


def join(*texts: str) -> str:
    """What there is of them, as paragraphs."""
    return "\n\n".join(filter(None, texts))


if __name__ == "__main__":
    sys.exit(main())
