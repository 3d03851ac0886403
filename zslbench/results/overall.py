"""Methods over several data sets: how they rank, how far they come from chance to ideal semantics, who beats whom.

A **block** is one leaderboard table: a data set, a split family, features and semantics. Within a block methods are
ranked by the mean of a metric over splits, and their means are put on one scale,

    score = (mean - chance) / (ideal - chance),

where chance is what guessing is expected to reach (`chance`), and ideal the row of the bound whose semantics are the
mean features of the test images. A method at chance scores 0, one that loses nothing to its semantics 1; neither end is
a limit.

The sample is the **data sets**: blocks of one data set share its images and classes. Blocks are averaged inside a data
set first, so that every data set counts the same, and intervals are those of `zslbench.results.stats` with data sets in
the place of splits and blocks in the place of seeds: a bootstrap that draws data sets, and blocks inside each;
Student's below 6 data sets. They speak of *another data set like these*.

Only methods that are ranked in every block take part: a mean over other blocks is a mean over other questions.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from zslbench._types import DoubleArray
from zslbench.errors import InputError
from zslbench.hashing import digest
from zslbench.plaintext import plain
from zslbench.results.leaderboard import Row, Table
from zslbench.results.stats import Estimate, Ranking, estimates, rank_blocks
from zslbench.terms import TEST_LABELS, in_shots

FEWEST = 3
"""Data sets that an overall table needs: of two nobody can say which one is the exception."""


class Block(msgspec.Struct, frozen=True):
    """One leaderboard table, as far as it counts here."""

    dataset: str
    family: str
    features: str
    semantics: str
    data: str
    """Eight digits that stand for features, labels and semantics."""
    splits: int
    """That the ranked rows share."""
    chance: float | None
    """What guessing is expected to reach; None where the records do not tell how many classes there are."""
    ideal: float | None
    """What the bound with ideal semantics reaches; None where it was not run."""

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.dataset} {self.family}, {self.features}, {self.semantics}"


class Standing(msgspec.Struct, frozen=True):
    """One method over all blocks."""

    label: str
    method: str
    version: int
    rank: Estimate
    """Mean rank, 1 being best; ties share theirs."""
    score: Estimate | None
    """Mean normalised score; None where some block has no scale."""
    win_rate: float
    """Of all pairs of a block and another method, the share in which it is better; ties count half."""
    values: list[float]
    """Block by block, the mean over splits, a fraction."""
    ranks: list[float]
    scores: list[float] | None


class Overall(msgspec.Struct, frozen=True):
    """The methods of one track over the blocks that all of them have, best mean rank first."""

    track: str
    metric: str
    selection: str
    datasets: int
    blocks: list[Block]
    rows: list[Standing]
    wins: list[list[float]]
    """(rows, rows): in which share of the data sets' blocks the row's method is better than the column's."""
    left_out: dict[str, str]
    """Label -> in which blocks it is not ranked."""
    ranking: Ranking | None
    """Over blocks; None with fewer than 6 of them or 3 methods."""
    notes: list[str] = []
    """What must be known of this table alone, one sentence each."""
    shots: int = 0


def chance(metric: str, classes: Iterable[tuple[int, int]]) -> float:
    """What guessing is expected to reach, on average over splits.

    T1 and OA are one over the unseen classes; S, U and H one over all classes; AUSUC half of one over the product of
    seen and unseen classes, for a margin that is drawn independently of the image is in the right order half the time.

    Args:
        metric: one of `zslbench.terms.METRICS`.
        classes: of every split, how many are unseen and how many there are in all.
    """

    def guessed(unseen: int, every: int) -> float:
        if metric in ("T1", "OA"):
            return 1 / unseen
        return 1 / (2 * unseen * (every - unseen)) if metric == "AUSUC" else 1 / every

    return float(np.mean([guessed(*each) for each in classes]))


def overall(tables: Sequence[Table], metric: str) -> list[Overall]:
    """A table for every track that has enough data sets.

    Args:
        tables: of a leaderboard. Those of views (semantics, features or families whose name has a colon: controls,
            noise, parts) are left out: they are no further data.
        metric: by which methods are ranked within a block.

    Raises:
        InputError: no track has `FEWEST` data sets with two methods in common; the message says what there is.
    """
    views = [table for table in tables if table.is_view]
    groups: dict[tuple[int, str, int], list[Table]] = {}
    for table in tables:
        if table not in views:
            groups.setdefault((table.shots, table.track, table.protocol), []).append(table)
    made, lacking = [], []
    for (shots, track, _), members in groups.items():
        found = _overall(members, metric, views)
        if isinstance(found, Overall):
            made.append(found)
        else:
            lacking.append(f"{track} track{in_shots(shots)}: {found}")
    if not made:
        raise InputError(
            f"an overall table needs {FEWEST} data sets with methods in common. There is: "
            f"{'; '.join(lacking) or 'nothing but views of data sets'}."
        )
    return made


def possible(tables: Sequence[Table], metric: str) -> list[Overall]:
    """The same where there are enough data sets; else nothing."""
    try:
        return overall(tables, metric)
    except InputError:
        return []


def _overall(tables: Sequence[Table], metric: str, views: Sequence[Table]) -> Overall | str:
    """Of one track; or what is missing, in a few words."""
    tables = sorted(tables, key=lambda table: (table.dataset, table.family, table.features, table.semantics))
    datasets = list(dict.fromkeys(table.dataset for table in tables))
    if len(datasets) < FEWEST:
        return f"{', '.join(map(plain, datasets))} ({FEWEST - len(datasets)} more needed)"
    everywhere, left_out = _common(tables)
    if len(everywhere) < 2:
        reasons = "; ".join(f"{label}: {why}" for label, why in left_out.items())
        return f"{len(everywhere)} method(s) ranked in every block, and two are needed ({reasons})"
    blocks = [_block(table, metric) for table in tables]
    values = np.round([[rows[at].metrics[metric].mean for at in range(len(tables))] for rows in everywhere], 12)
    groups = [[at for at, table in enumerate(tables) if table.dataset == name] for name in datasets]
    ranks, wins = _ranks(values), _wins(values, groups)
    scores = _scores(values, blocks)
    rank_estimates = _estimated(ranks, groups, (1.0, float(len(values))))
    score_estimates = None if scores is None else _estimated(scores, groups, (-math.inf, math.inf))
    standings = [
        Standing(
            rows[0].label, rows[0].method, rows[0].version, rank_estimates[at],
            None if score_estimates is None else score_estimates[at],
            float((wins[at].sum() - 0.5) / (len(values) - 1)), values[at].tolist(), ranks[at].tolist(),
            None if scores is None else scores[at].tolist(),
        )
        for at, rows in enumerate(everywhere)
    ]  # fmt: skip
    order = sorted(range(len(standings)), key=lambda at: (standings[at].rank.mean, standings[at].label))
    first = tables[0]
    return Overall(
        first.track, metric, everywhere[0][0].selection, len(datasets), blocks, [standings[at] for at in order],
        wins[np.ix_(order, order)].tolist(), left_out,
        rank_blocks({row.label: dict(enumerate(row.values)) for row in standings}),
        list(_notes(blocks, views, len(datasets))), first.shots,
    )  # fmt: skip


def _common(tables: Sequence[Table]) -> tuple[list[list[Row]], dict[str, str]]:
    """The rows of every method that is ranked in each table, table by table; of the others, what they lack."""
    places: dict[tuple[str, int, str], dict[int, Row]] = {}
    for at, table in enumerate(tables):
        for row in table.rows:
            if row.family != "bound":
                places.setdefault((row.label, row.version, digest(row.config)), {})[at] = row
    everywhere, left_out = [], dict[str, str]()
    for (label, _, _), rows in places.items():
        ranked = {at for at, row in rows.items() if row.rank is not None}
        if len(ranked) == len(tables):
            everywhere.append([rows[at] for at in range(len(tables))])
            continue
        missing = [
            f"{plain(table.dataset)} {plain(table.family)} ({rows[at].why if at in rows else 'not run'})"
            for at, table in enumerate(tables) if at not in ranked
        ]  # fmt: skip
        said = f"not ranked in {len(missing)} of {len(tables)} blocks: {', '.join(missing)}"
        twin = label in left_out or label in {each[0].label for each in everywhere}
        left_out[f"{label} (another version or configuration)" if twin else label] = said
    return sorted(everywhere, key=lambda rows: rows[0].label), left_out


def _block(table: Table, metric: str) -> Block:
    ranked = [row for row in table.rows if row.rank is not None]
    classes = [*ranked[0].classes.values()]
    ideals = [row.metrics[metric].mean for row in table.rows if _is_ideal(row) and metric in row.metrics]
    return Block(
        table.dataset, table.family, table.features, table.semantics, table.data, len(ranked[0].per_split[metric]),
        chance(metric, classes) if classes else None, max(ideals, default=None),
    )  # fmt: skip


def _is_ideal(row: Row) -> bool:
    """Whether it is the bound whose semantics are made from the test images, on the splits that rank."""
    return row.family == "bound" and TEST_LABELS in row.needs


def _ranks(values: DoubleArray) -> DoubleArray:
    """(methods, blocks): 1 is best, ties share their mean rank."""
    from scipy.stats import rankdata

    ranks: DoubleArray = rankdata(-values, axis=0)
    return ranks


def _scores(values: DoubleArray, blocks: Sequence[Block]) -> DoubleArray | None:
    scales = [
        (block.chance, block.ideal) for block in blocks
        if block.chance is not None and block.ideal is not None and block.ideal > block.chance
    ]  # fmt: skip
    if len(scales) < len(blocks):
        return None
    low, high = np.array(scales).T
    scores: DoubleArray = (values - low) / (high - low)
    return scores


def _wins(values: DoubleArray, groups: Sequence[Sequence[int]]) -> DoubleArray:
    """(methods, methods): in which share a method is better, ties counting half, every data set counting the same."""
    above = (values[:, None] > values[None]) + 0.5 * (values[:, None] == values[None])
    wins: DoubleArray = np.mean([above[:, :, group].mean(axis=2) for group in groups], axis=0)
    return wins


def _estimated(cells: DoubleArray, groups: Sequence[Sequence[int]], bounds: tuple[float, float]) -> list[Estimate]:
    """Of every method: the mean over data sets, and its interval."""
    in_order = list(itertools.chain.from_iterable(groups))
    return estimates(cells.T[in_order], [len(group) for group in groups], bounds=bounds)


def _notes(blocks: Sequence[Block], views: Sequence[Table], datasets: int) -> Iterable[str]:
    if unscaled := [block.name for block in blocks if block.chance is None or block.ideal is None]:
        yield (
            f"No normalised score: the bound with ideal semantics ('{TEST_LABELS}' in `zslbench list methods`) is not "
            f"run in {len(unscaled)} of {len(blocks)} blocks, the first {plain(unscaled[0])}."
        )
    elif low := [block.name for block in blocks if not block.ideal > block.chance]:  # type: ignore[operator]
        yield f"No normalised score: ideal semantics are no better than chance in {', '.join(map(plain, low))}."
    if len(blocks) > datasets:
        yield (
            f"{len(blocks)} blocks of {datasets} data sets: blocks are averaged inside a data set first, and those of "
            f"one data set are no independent evidence."
        )
    if views:
        names = dict.fromkeys(f"{table.dataset} {table.family}, {table.semantics}" for table in views)
        yield f"Left out as views of data that are here: {len(views)} table(s), the first {plain(next(iter(names)))}."


def as_builtins(found: Sequence[Overall]) -> list[dict[str, Any]]:
    """For JSON: estimates and ranking as objects."""
    builtins: list[dict[str, Any]] = msgspec.to_builtins(found)
    for built, one in zip(builtins, found, strict=True):
        built["ranking"] = one.ranking and one.ranking._asdict()
        for made, row in zip(built["rows"], one.rows, strict=True):
            made |= {"rank": row.rank._asdict(), "score": row.score and row.score._asdict()}
    return builtins


def short_names(blocks: Sequence[Block]) -> list[str]:
    """Names of blocks as short as tells them apart: the data set, then what differs between its blocks."""
    said = []
    for block in blocks:
        others = [other for other in blocks if other.dataset == block.dataset and other is not block]
        differing = [
            getattr(block, field) for field in ("family", "features", "semantics", "data")
            if any(getattr(other, field) != getattr(block, field) for other in others)
        ]  # fmt: skip
        said.append(" ".join([block.dataset, *differing]))
    return said
