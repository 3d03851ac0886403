"""Put what is generated into its pages: the README's answer and table and the leaderboards beside the records, from
results/ucm-16-5; the methods, from the registry; the schema of the leaderboard's JSON.

python benchmarks/readme_tables.py            # write
python benchmarks/readme_tables.py --check    # exit code 1 if the README is out of date
"""

import json
import re
import sys
import unicodedata
from pathlib import Path

from method_pages import built_in, checked
from tabulate import tabulate

from zslbench.records import Store
from zslbench.report.tables import as_markdown, json_schema
from zslbench.results.answer import leads
from zslbench.results.citations import cited
from zslbench.results.comparison import compare_rows
from zslbench.results.leaderboard import Table, leaderboard
from zslbench.results.stats import ALPHA
from zslbench.terms import Selection

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ("T1", "S", "U", "H", "AUSUC")
BEST = 3
"""So many of the best rows are in the README's table,"""
NAMED = ("mcfa+cal", "cada", "mcfa", "oracle-prototypes", "chance")
"""and what the paper is about, with and without calibration, and bounds."""


def main() -> int:
    """Write what is generated between its markers, or check that it stands there."""
    readme, page, results = ROOT / "README.md", ROOT / "docs/methods.md", ROOT / "results/ucm-16-5/leaderboard.md"
    last, val = leaderboards()
    text = between(readme.read_text(encoding="utf-8"), "answer", answer(last))
    found = ROOT / "docs/results.md"
    wanted = {
        found: between(found.read_text(encoding="utf-8"), "answer", answer(last)),
        readme: between(text, "table", short(last)),
        page: between(page.read_text(encoding="utf-8"), "methods", methods()),
        results: "\n".join(map(as_markdown, (last, val))),
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


def leaderboards() -> list[list[Table]]:
    """The shipped results by the last and by the validation-chosen epoch."""
    store = Store(ROOT / "results" / "ucm-16-5")
    rules: tuple[Selection, ...] = ("last", "val")
    found = [leaderboard(store.records(), store.plans(), selection=rule) for rule in rules]
    return list(map(cited, found))


def answer(tables: list[Table]) -> str:
    """Two sentences: who leads, and whom it can be told apart from; what becomes of the paper's two methods."""
    table = tables[0]  # the strict track
    lead = leads(table, ["H"])[0]
    apart, others = len(lead.apart) or "none", len(lead.apart) + len(lead.not_apart)
    told = (
        f"on {lead.value.splits} splits Wilcoxon’s test with Holm’s correction tells it apart from {apart} of {others}"
    )
    paper = " and ".join(_from_cada(table, metric) for metric in ("T1", "H"))
    return (
        f"**{lead.headline.removesuffix('.')}**; {told}. Of the paper’s two methods, without calibration, mcfa differs "
        f"from cada {paper}.\n"
    )


def _from_cada(table: Table, metric: str) -> str:
    pair = compare_rows(table, ["mcfa", "cada"], metric).pairs[0]
    difference, low, high = pair.difference, pair.low, pair.high
    if pair.a != "mcfa":
        difference, low, high = -difference, -high, -low
    shown = "" if pair.p < ALPHA else ", not shown to differ"
    return (
        f"by {100 * difference:+.1f} points of {metric} (95 % interval {100 * low:+.1f} to {100 * high:+.1f}, Wilcoxon "
        f"p = {pair.p:.2g}{shown})"
    )


def short(tables: list[Table]) -> str:
    """Few rows and columns of the whole table."""
    table = tables[0]  # the strict track
    rows = [row for row in table.rows if (row.rank is not None and row.rank <= BEST) or row.label in NAMED]
    body = [
        ["bound" if row.rank is None else row.rank, row.label]
        + [
            f"{100 * row.metrics[name].mean:.1f} ± {50 * (row.metrics[name].high - row.metrics[name].low):.1f}"
            for name in COLUMNS
        ]
        for row in rows
    ]
    return tabulate(body, ["#", "method", *COLUMNS], tablefmt="github", disable_numparse=True) + "\n"


def methods() -> str:
    """Every built-in method with its page, family, source and needs, and what it was checked against."""
    registry = built_in()
    rows = []
    for name in registry.names:
        info, compared = registry.get(name).info, ", ".join(against for against, _ in checked(registry.get(name)))
        needs = ", ".join(info.needs) or "-"
        cited, link = source(info.citation), f"[`{name}`](methods/{name}.md)"
        rows.append([link, info.title, info.family, cited, info.track, needs, compared or "-"])
    rows.sort(key=lambda row: (row[2] == "bound", row[2], row[0]))
    header = ["method", "what", "family", "source", "track", "needs or uses", "checked against"]
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
