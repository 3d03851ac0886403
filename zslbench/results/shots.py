"""What labelled images of unseen classes are worth: tables of several numbers of shots, side by side.

A plain classifier knows nothing of semantics and learns every class from its images. Where it passes a zero-shot method
says how many labelled images of each class the method's semantics are worth on these data.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zslbench._types import DoubleArray, IntArray
from zslbench.hashing import digest
from zslbench.plaintext import plain
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import Estimate, estimate
from zslbench.terms import FEW

_DRAWS = 2_000
_FEWEST = 6
"""From so many splits on they are drawn for an interval."""


class Curve(NamedTuple):
    """A method over the numbers of shots that are stored of it."""

    label: str
    plain: bool
    """Whether it learns from labelled images alone."""
    points: dict[int, Row]
    """Shots, ascending -> its row."""

    def mean(self, metric: str) -> dict[int, Estimate]:
        """Shots -> the estimate of a metric, over the splits that all of them have: a line joins means of one kind."""
        shared, found = self.shared, {}
        for shots, row in self.points.items():
            values = row.per_split[metric]
            same = values.keys() == shared
            found[shots] = row.metrics[metric] if same else estimate([[values[split]] for split in sorted(shared)])
        return found

    @property
    def shared(self) -> set[int]:
        """Splits that the method has at every number of shots."""
        return set.intersection(*(set(next(iter(row.per_split.values()), {})) for row in self.points.values()))

    def per_split(self, metric: str) -> dict[int, dict[int, float]]:
        """Shots -> split -> value."""
        return {shots: row.per_split[metric] for shots, row in self.points.items()}


class Crossing(NamedTuple):
    """Where a plain classifier on k images passes a method that has none, or as many."""

    method: str
    classifier: str
    metric: str
    at: float | None
    """Images per unseen class, between the measured numbers by straight lines; None where it never does."""
    low: float | None
    """Of the 95 % interval over drawn splits, or of single splits where they are few; None where it never does."""
    high: float | None
    """None where it lies beyond the highest number."""
    splits: int
    fewest: int
    """Shots that were measured, at least and at most."""
    most: int
    alike: bool = False
    """Whether the method has the k images too."""

    @property
    def sentence(self) -> str:
        """In words."""
        who = f"{plain(self.classifier)} on k images per unseen class"
        of = f"{plain(self.method)} {'with the same images' if self.alike else 'without any'} in {self.metric}"
        if self.at is None:
            return f"{who} does not pass {of} up to k = {self.most}{self._spread}."
        if self.at <= self.fewest:
            return f"{who} passes {of} by k = {self.fewest}, the fewest measured{self._spread}."
        return f"{who} passes {of} at k = {self.at:.1f}{self._spread}."

    @property
    def _spread(self) -> str:
        if self.splits == 1:
            return ", on one split"
        how = "95 % interval over splits" if self.splits >= _FEWEST else f"on {self.splits} single splits"
        ends = [self._end(end) for end in (self.low, self.high)]
        return f" ({how}: {ends[0]})" if ends[0] == ends[1] else f" ({how}: {ends[0]} to {ends[1]})"

    def _end(self, end: float | None) -> str:
        if end is None:
            return f"beyond {self.most}"
        return f"{self.fewest} or fewer" if end <= self.fewest else f"{end:.1f}"


def by_shots(tables: Sequence[Table]) -> list[list[Table]]:
    """Tables that differ in the number of shots alone, ascending; those of one number stand alone."""
    groups: dict[object, list[Table]] = {}
    for table in tables:
        key = table.dataset, table.features, table.semantics, table.family, table.data, table.protocol, table.track
        groups.setdefault(key, []).append(table)
    return [sorted(group, key=lambda table: table.shots) for group in groups.values()]


def curves(group: Sequence[Table]) -> list[Curve]:
    """Every method with two numbers of shots at least, in the order of the first table that it stands in."""
    found: dict[str, Curve] = {}
    for table in group:
        for row in table.rows:
            if row.metrics:
                who = digest([row.method, row.version, row.config, row.budget])
                curve = found.setdefault(who, Curve(row.label, FEW in row.needs, {}))
                curve.points[table.shots] = row
    return [curve for curve in found.values() if len(curve.points) > 1 and curve.shared]


def worth(tables: Sequence[Table], metric: str) -> list[str]:
    """Of each group of tables, what the best method's semantics are worth in labelled images; a sentence each."""
    found = [(group[0], first_crossing(group, metric)) for group in by_shots(tables)]
    return [
        f"{plain(table.dataset)} {plain(table.family)}: {crossing.sentence}" for table, crossing in found if crossing
    ]


def crossings(group: Sequence[Table], metric: str) -> list[Crossing]:
    """Where each plain classifier passes each method of the table without shots, the best method first."""
    if not group or group[0].shots:
        return []
    classifiers = [curve for curve in curves(group) if curve.plain]
    found = []
    for row in group[0].rows:
        if row.family != "bound" and row.metrics:
            for classifier in classifiers:
                own = dict.fromkeys(classifier.points, row.per_split[metric])
                found.append(_crossing(row.label, own, classifier, metric, alike=False))
    return [crossing for crossing in found if crossing is not None]


def crossings_alike(group: Sequence[Table], metric: str) -> list[Crossing]:
    """Where each plain classifier passes each method that has the same images, as the curves cross."""
    every = curves(group)
    found = [
        _crossing(curve.label, curve.per_split(metric), classifier, metric, alike=True)
        for curve in every
        if next(iter(curve.points.values())).family != "bound"
        for classifier in every
        if classifier.plain
    ]
    return [crossing for crossing in found if crossing is not None]


def first_crossing(group: Sequence[Table], metric: str) -> Crossing | None:
    """Of the best method without shots: where the first plain classifier passes it; None without such a classifier."""
    every = crossings(group, metric)
    best = [crossing for crossing in every if crossing.method == every[0].method]
    return min(best, key=lambda crossing: (crossing.at is None, crossing.at or 0.0), default=None)


def _crossing(
    label: str, own: Mapping[int, Mapping[int, float]], classifier: Curve, metric: str, *, alike: bool
) -> Crossing | None:
    """By the means over the splits that the method and the classifier have at every number of shots of both.

    Args:
        label: of the method.
        own: shots of the classifier -> split -> what the method reaches.
        classifier: the plain one.
        metric: what is compared.
        alike: whether the method has the images too.
    """
    others = {shots: values for shots, values in classifier.per_split(metric).items() if shots in own}
    both = [set(each) for number in others for each in (others[number], own[number])]
    splits = sorted(set.intersection(*both)) if both else []
    if not splits:
        return None
    shots = np.array(list(others), dtype=np.float64)
    # (shots, splits)
    ahead = np.array([[values[split] - own[number][split] for split in splits] for number, values in others.items()])
    at, low, high = (_known(end) for end in (passing(shots, ahead.mean(axis=1)), *_spread(shots, ahead)))
    return Crossing(label, classifier.label, metric, at, low, high, len(splits), min(others), max(others), alike)


def _known(shots: float) -> float | None:
    return None if np.isinf(shots) else shots


def passing(shots: DoubleArray, ahead: DoubleArray) -> float:
    """From how many shots on something is ahead for good, infinite where it is not at the end.

    Args:
        shots: (K,) ascending.
        ahead: (K,) by how much it is ahead at each; straight lines are drawn between them.
    """
    behind = np.flatnonzero(ahead <= 0)
    if not len(behind):
        return float(shots[0])
    last = int(behind[-1])
    if last == len(shots) - 1:
        return float("inf")
    share = -ahead[last] / (ahead[last + 1] - ahead[last])
    return float(shots[last] + share * (shots[last + 1] - shots[last]))


def _spread(shots: DoubleArray, ahead: DoubleArray) -> tuple[float, float]:
    """The ends of the interval over splits drawn with replacement, or of single splits where there are few."""
    splits = ahead.shape[1]
    drawn: IntArray = np.arange(splits)[:, None]
    if splits >= _FEWEST:
        drawn = np.random.default_rng(0).integers(splits, size=(_DRAWS, splits))
    at = np.sort([passing(shots, ahead[:, chosen].mean(axis=1)) for chosen in drawn])
    if splits < _FEWEST:
        return float(at[0]), float(at[-1])
    cut = int(0.025 * len(at))
    return float(at[cut]), float(at[-1 - cut])
