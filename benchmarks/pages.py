"""What several pages say: how long the trials of a store took, and differences with their intervals."""

from collections.abc import Mapping, Sequence

from tabulate import tabulate

from zslbench.records import Store
from zslbench.results.stats import Paired


def minutes(store: Store) -> float:
    """Of one core, fitting and scoring, of every finished trial."""
    runs = [record.run for record in store.records() if record.status == "done"]
    return sum((run.fit_seconds or 0.0) + (run.score_seconds or 0.0) for run in runs) / 60


def told(store: Store) -> str:
    """In words."""
    return f"Its trials took {minutes(store):.0f} minutes of a core, which may have had other work."


def difference(pair: Paired) -> str:
    """``-13.4 [-18.0, -8.9]``, in percentage points."""
    return f"{100 * pair.difference:+.1f} [{100 * pair.low:.1f}, {100 * pair.high:.1f}]"


def differences(first: str, metrics: Sequence[str], pairs: Mapping[str, Mapping[str, Paired]]) -> str:
    """A row per pair, with its difference in each metric.

    Args:
        first: heading of what the pairs are called.
        metrics: in which they are compared.
        pairs: name -> metric -> one method against another; without metrics where they are not compared.
    """
    body = [
        [name, *(difference(pair[metric]) for metric in metrics), str(pair[metrics[0]].splits)]
        for name, pair in pairs.items()
        if pair
    ]
    return tabulate(body, [first, *metrics, "splits"], tablefmt="pipe", disable_numparse=True,
                    colalign=["left", *["right"] * (len(metrics) + 1)])  # fmt: skip
