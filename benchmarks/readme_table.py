"""Put the leaderboards of results/ucm-16-5, by the last and the validation-chosen epoch, into the README.

python benchmarks/readme_table.py            # write
python benchmarks/readme_table.py --check    # exit code 1 if the README is out of date
"""

import sys
from pathlib import Path

from zslbench.leaderboard import Selection, leaderboard
from zslbench.records import Store
from zslbench.report.tables import as_markdown

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- table:begin -->\n", "<!-- table:end -->\n"


def main() -> int:
    """Write the table between the README's markers and beside the records, or check that it stands there."""
    store = Store(ROOT / "results" / "ucm-16-5")
    rules: tuple[Selection, ...] = ("last", "val")
    tables = [as_markdown(leaderboard(store.latest().values(), store.plans(), selection=rule)) for rule in rules]
    table = "\n".join(tables)
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    wanted = {
        readme: before + BEGIN + table + END + rest.split(END)[1],
        store.folder / "leaderboard.md": table,
    }
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run python benchmarks/readme_table.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
