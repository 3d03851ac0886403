"""What methods lose where their data are worse: tables of views beside the table that they are views of.

A view's name says which one that is (`zslbench.datasets.controls`, `zslbench.reduced`). Split by split, a view shares
every draw with it, so differences are paired.
"""

import math
import re
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from zslbench import shelltext
from zslbench.datasets.controls import read_weaker
from zslbench.errors import InputError
from zslbench.reduced import read_reduced
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import Estimate, estimate

_FEWEST_RANKED = 3
"""Of fewer methods an order says nothing."""


class Loss(msgspec.Struct, frozen=True):
    """One method under one stress. Accuracies are fractions."""

    label: str
    clean: float
    """Over the splits that both tables have, as the next one."""
    stressed: float
    loss: Estimate
    """Of the clean value over the stressed one, paired by split."""
    rank_clean: int | None
    """Among the methods that are ranked in both tables; None for one that is not."""
    rank: int | None

    @property
    def certain(self) -> bool:
        """Whether the interval of the loss leaves out zero."""
        return self.loss.low > 0 or self.loss.high < 0


class Stress(msgspec.Struct, frozen=True):
    """One way in which the data are worse."""

    what: str
    features: str
    semantics: str
    family: str
    losses: list[Loss]
    """Best clean rank first."""
    tau: float
    """Kendall's rank correlation of the methods that are ranked in both tables; NaN of fewer than three."""


class StressTable(msgspec.Struct, frozen=True):
    """All that is stored of one data set, choice of arrays, family and track under stress."""

    dataset: str
    features: str
    semantics: str
    family: str
    track: str
    shots: int
    data: str
    protocol: int
    metric: str
    selection: str
    labels: list[str]
    """Best clean rank first, unranked methods last."""
    stresses: list[Stress]


def stress_tables(tables: Sequence[Table], metric: str) -> list[StressTable]:
    """The tables of views, beside those that they are of; bounds are left out.

    Args:
        tables: of a leaderboard sorted by the metric.
        metric: whose loss is told.

    Raises:
        InputError: there is no view, or not the table that it is of.
    """
    views = [(table, found) for table in tables if (found := _view(table)) is not None]
    if not views:
        more = shelltext.command("zslbench", "run", suite="stress")
        raise InputError(f"no stored trial is of a view that is worse than its data: run `{more}`.")
    stressed = []
    for clean in tables:
        mine = [(table, what) for table, (of, what) in views if of == _place(clean)]
        if _view(clean) is None and mine:
            stressed.append(_beside(clean, mine, metric))
    if not stressed:
        lacking = views[0][1][0]
        raise InputError(
            f"trials of views are stored, and none of what they are views of: run the same methods with features "
            f"{lacking[1]!r}, semantics {lacking[2]!r} and split family {lacking[3]!r}."
        )
    return stressed


def stresses(tables: Sequence[Table]) -> list[StressTable | None]:
    """Of each table what is stored of it under stress, by the metric that ranks; None where nothing is."""
    views = [(table, found) for table in tables if (found := _view(table)) is not None]
    beside = [[(view, what) for view, (of, what) in views if of == _place(table)] for table in tables]
    return [
        _beside(table, mine, table.sort) if mine and _view(table) is None else None
        for table, mine in zip(tables, beside, strict=True)
    ]


_Place = tuple[str, str, str, str, str, int, int, str]


def _place(table: Table) -> _Place:
    """What a table is about, apart from the hashes that differ between a view and what it is of."""
    labels = table.hashes.get("labels", "")
    names = table.dataset, table.features, table.semantics, table.family, table.track
    return *names, table.shots, table.protocol, labels


def _view(table: Table) -> tuple[_Place, str] | None:
    """Of which table it is a view, and in what it is worse; None where it is none."""
    said: list[str] = []
    features, semantics, family = table.features, table.semantics, table.family
    if (weaker := read_weaker(features)) is not None:
        features, amount = weaker.of, weaker.amount
        said.append(f"feature noise {amount:g} SD")
    if (weaker := read_weaker(semantics)) is not None:
        semantics = weaker.of
        kind = (
            f"attribute noise {weaker.amount:g} SD" if weaker.kind == "noise" else f"{weaker.amount:.0%} of attributes"
        )
        said.append(kind)
    while (reduced := read_reduced(family)) is not None:
        family, what, share = reduced
        said.append(f"{share:.0%} of {'seen classes' if what == 'seen' else 'training images'}")
    if not said:
        return None
    return (table.dataset, features, semantics, family, table.track, *_place(table)[5:]), " and ".join(said)


def _beside(clean: Table, views: Iterable[tuple[Table, str]], metric: str) -> StressTable:
    rows = _rows(clean, metric)
    labels = sorted(rows, key=lambda label: (rows[label].rank is None, rows[label].rank, label))
    stresses = []
    for table, what in views:
        others = _rows(table, metric)
        shared = [label for label in labels if label in others]
        ranked = [label for label in shared if rows[label].rank and others[label].rank]
        ranks = [_ranks({label: source[label] for label in ranked}, metric) for source in (rows, others)]
        losses = [_loss(label, rows[label], others[label], metric, *ranks) for label in shared]
        stresses.append(
            Stress(what, table.features, table.semantics, table.family, [loss for loss in losses if loss], _tau(*ranks))
        )
    selection = next((row.selection for row in clean.rows), "")
    return StressTable(
        clean.dataset, clean.features, clean.semantics, clean.family, clean.track, clean.shots, clean.data,
        clean.protocol, metric, selection, labels, sorted(stresses, key=_by_what),
    )  # fmt: skip


def _by_what(stress: Stress) -> tuple[str, float]:
    """All of one kind side by side, mildest first: little noise, large shares."""
    words = re.sub(r"[\d.%]", "", stress.what)
    weaker, reduced = read_weaker(stress.features) or read_weaker(stress.semantics), read_reduced(stress.family)
    if weaker is not None:
        return words, weaker.amount if weaker.kind == "noise" else -weaker.amount
    return words, -reduced[2] if reduced is not None else 0.0


def _rows(table: Table, metric: str) -> dict[str, Row]:
    return {row.label: row for row in table.rows if row.family != "bound" and row.per_split.get(metric)}


def _ranks(rows: dict[str, Row], metric: str) -> dict[str, int]:
    ordered = sorted(rows, key=lambda label: -rows[label].metrics[metric].mean)
    return {label: place for place, label in enumerate(ordered, 1)}


def _tau(clean: dict[str, int], stressed: dict[str, int]) -> float:
    if len(clean) < _FEWEST_RANKED:
        return math.nan
    from scipy.stats import kendalltau

    return float(kendalltau([clean[label] for label in clean], [stressed[label] for label in clean]).statistic)


def _loss(
    label: str, clean: Row, stressed: Row, metric: str, ranks_clean: dict[str, int], ranks: dict[str, int]
) -> Loss | None:
    """None where no split is in both tables."""
    before, after = clean.per_split[metric], stressed.per_split[metric]
    common = sorted(before.keys() & after.keys())
    if not common:
        return None
    differences = [[before[split] - after[split]] for split in common]
    return Loss(
        label, float(np.mean([before[split] for split in common])), float(np.mean([after[split] for split in common])),
        estimate(differences, bounds=(-1.0, 1.0)), ranks_clean.get(label), ranks.get(label),
    )  # fmt: skip
