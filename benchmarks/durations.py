"""Write durations.json, by which a run in an empty store knows how long it will take: medians of the shipped trials.

python benchmarks/durations.py
"""

import json
import statistics
from pathlib import Path

import msgspec

from zslbench.records import Store

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """One entry per method, configuration and stage, with the trial that stands for it."""
    found: dict[tuple[str, str], list[float]] = {}
    trials = {}
    for record in Store(ROOT / "results" / "ucm-16-5").latest().values():
        if record.run.fit_seconds is not None and record.run.score_seconds is not None:
            kind = record.label, record.trial.stage
            trials.setdefault(kind, record.trial)
            found.setdefault(kind, []).append(record.run.fit_seconds + record.run.score_seconds)
    entries = [
        {"seconds": round(statistics.median(seconds), 3), "trial": msgspec.to_builtins(trials[kind])}
        for kind, seconds in sorted(found.items())
    ]
    lines = ",\n".join(json.dumps(entry, sort_keys=True) for entry in entries)
    (ROOT / "benchmarks" / "durations.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
