"""What a table was measured on, in a few facts: images, classes, which of them are unseen where, chance and bounds."""

from collections.abc import Mapping, Sequence

from zslbench.datasets import Dataset, load_dataset
from zslbench.errors import InputError
from zslbench.hashing import array_digest
from zslbench.plaintext import MOST_SAID, plain
from zslbench.report.background import Fact
from zslbench.results.leaderboard import Table

_SPLITS = 20
"""So many splits are listed; of more the others are counted."""
_NAME = 60
"""Characters of a class's name in a list of many."""


def dataset_of(table: Table) -> Dataset | None:
    """The data set of the table's name, if it is found here and has the same labels."""
    try:
        data = load_dataset(table.dataset)
    except (InputError, OSError, ValueError):  # a name may be no path at all
        return None
    return data if table.hashes.get("labels") == array_digest(data.labels) else None


def data_card(table: Table, dataset: Dataset | None) -> list[Fact]:
    """The facts.

    Args:
        table: what is shown.
        dataset: where it is found here.
    """
    sizes = [size for row in table.rows for size in row.classes.values()]
    return [fact for fact in (
        Fact("Data", [_title(table, dataset)]),
        Fact("Images", [f"{len(dataset.labels):,}"] if dataset else []),
        Fact("Classes", [f"{_span([every for _, every in sizes])}, {_span([less for less, _ in sizes])} of them unseen"]
             if sizes else []),
        Fact("By chance", _chance(table, [less for less, _ in sizes])),
        Fact("Bounds", _bounds(table)),
    ) if fact.values]  # fmt: skip


def _title(table: Table, dataset: Dataset | None) -> str:
    title = f" ({plain(dataset.card.title)})" if dataset and dataset.card.title else ""
    return f"{plain(table.dataset)}{title}, features {plain(table.features)}, semantics {plain(table.semantics)}"


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _chance(table: Table, unseen: Sequence[int]) -> list[str]:
    """What guessing reaches in T1: one over the unseen classes."""
    if not unseen:
        return []
    ends = sorted({f"{100 / count:.1f}" for count in (min(unseen), max(unseen))}, key=float)
    return [f"T1 {' to '.join(ends)} %"]


def _bounds(table: Table) -> list[str]:
    """T1 and H of every bound."""
    return [
        f"{plain(row.label)}: T1 {100 * row.metrics['T1'].mean:.1f}, H {100 * row.metrics['H'].mean:.1f}"
        for row in table.rows
        if row.family == "bound" and row.metrics
    ]


def unseen_classes(unseen: Mapping[int, Sequence[str]]) -> list[Fact]:
    """A fact per split: the names of its unseen classes, as far as predictions tell them."""
    said = [
        Fact(f"#{split}", [plain(", ".join(plain(name, _NAME) for name in names), MOST_SAID)])
        for split, names in sorted(unseen.items())
    ]
    if len(said) <= _SPLITS:
        return said
    return [*said[:_SPLITS], Fact("…", [f"and {len(said) - _SPLITS} further splits"])]
