"""How long the trials of a store took, for the pages that are made of them."""

from zslbench.records import Store


def minutes(store: Store) -> float:
    """Of one core, fitting and scoring, of every finished trial."""
    runs = [record.run for record in store.records() if record.status == "done"]
    return sum((run.fit_seconds or 0.0) + (run.score_seconds or 0.0) for run in runs) / 60


def told(store: Store) -> str:
    """In words."""
    return f"Its trials took {minutes(store):.0f} minutes of a core, which may have had other work."
