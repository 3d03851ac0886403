"""A hook of mkdocs: the shipped results as pages of the documentation, made anew at every build.

``results/leaderboard/`` is what `zslbench site` makes of all stores under results/ (an index, overall where there are
data sets enough; a page per data set and track; a page per method), ``results/report.html`` the report of
results/ucm-16-5. docs/results.md shows both.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to those of the documentation, so that links to them are checked like any other."""
    stores = sorted(path.parent.relative_to(ROOT) for path in (ROOT / "results").glob("*/records.jsonl"))
    with tempfile.TemporaryDirectory() as folder:
        _run("report", "--store", "results/ucm-16-5", "-o", f"{folder}/report.html")
        _run("site", *map(str, stores), "-o", f"{folder}/leaderboard", "--first", "--title", "Shipped results")
        for path in sorted(Path(folder).rglob("*.html")):
            name = path.relative_to(folder).as_posix()
            content = path.read_text(encoding="utf-8")
            files.append(File.generated(config, f"results/{name}", content=content))
    return files


def _run(*arguments: str) -> None:
    env = dict(os.environ)
    subprocess.run([sys.executable, "-m", "zslbench", *arguments], cwd=ROOT, env=env, check=True, stdout=sys.stderr)
