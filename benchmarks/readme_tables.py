"""Put the generated tables into the README: the methods, from the registry, and the leaderboards of results/ucm-16-5.
The schema of the leaderboard's JSON, generated too, goes into docs.

python benchmarks/readme_tables.py            # write
python benchmarks/readme_tables.py --check    # exit code 1 if the README is out of date
"""

import json
import re
import sys
import unicodedata
from pathlib import Path

from tabulate import tabulate

from zslbench.leaderboard import Selection, leaderboard
from zslbench.records import Store
from zslbench.registry import Registry
from zslbench.report.citations import cite
from zslbench.report.tables import as_markdown, json_schema

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Write the tables between the README's markers and beside the records, or check that they stand there."""
    readme = ROOT / "README.md"
    results = leaderboards()
    text = readme.read_text(encoding="utf-8")
    text = between(text, "table", results)
    text = between(text, "methods", methods())
    wanted = {
        readme: text,
        ROOT / "results" / "ucm-16-5" / "leaderboard.md": results,
        ROOT / "docs" / "leaderboard.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run python benchmarks/readme_tables.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


def between(text: str, name: str, table: str) -> str:
    """`text` with `table` between the markers of that name."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->\n"
    before, rest = text.split(begin)
    return before + begin + table + end + rest.split(end)[1]


def leaderboards() -> str:
    """The shipped results by the last and by the validation-chosen epoch."""
    store = Store(ROOT / "results" / "ucm-16-5")
    rules: tuple[Selection, ...] = ("last", "val")
    found = [leaderboard(store.records(), store.plans(), selection=rule) for rule in rules]
    for tables in found:
        cite(tables)
    return "\n".join(map(as_markdown, found))


def methods() -> str:
    """Every built-in method with its family, source and needs."""
    registry = Registry()
    rows = []
    for name in registry.names:
        info = registry.get(name).info
        rows.append([f"`{name}`", info.title, info.family, source(info.citation), ", ".join(info.needs) or "-"])
    rows.sort(key=lambda row: (row[2] == "bound", row[2], row[0]))
    header = ["method", "what", "family", "source", "needs or uses"]
    return tabulate(rows, header, tablefmt="github", disable_numparse=True) + "\n"


def source(citation: str) -> str:
    """``First author, year`` of a BibTeX entry; ``-`` without one."""
    authors = re.search(r"author\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\}", citation)
    year = re.search(r"year\s*=\s*\{(\d{4})\}", citation)
    if not (authors and year):
        return "-"
    first = authors[1].split(" and ")[0].split(",")[0].strip()
    umlauts = re.sub(
        r'\{\\"(\w)\}', lambda match: unicodedata.normalize("NFC", match[1] + "\N{COMBINING DIAERESIS}"), first
    )
    return f"{umlauts}, {year[1]}"


if __name__ == "__main__":
    sys.exit(main())
