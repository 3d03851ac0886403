"""Which methods of a run lead on validation classes, so that their models are the ones to keep."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from zslbench.records import Plan, PlanRow, Record, Status
from zslbench.records.standings import Comparable, comparable
from zslbench.results.entries import Place
from zslbench.results.leaderboard import base_of
from zslbench.results.stats import split_means
from zslbench.terms import LEADS, in_shots, track_of

METRIC = LEADS["gzsl"]


@dataclass
class Standing:
    """The rows of one table by their mean H on validation classes after the last epoch, which the models are of."""

    table: str
    """What it is of, in words."""
    leader: PlanRow | None
    """None where no row has finished its validation trials."""
    mean: float
    behind: list[PlanRow] = field(default_factory=list)
    """Rows that do not lead, whatever else may end."""
    unfinished: list[PlanRow] = field(default_factory=list)
    """Rows that may lead yet: their validation trials failed or were not run."""
    bounds_alone: list[PlanRow] = field(default_factory=list)
    """Bounds, none of which leads, where no other row is in the table."""


def standings(plan: Plan, records: Mapping[str, Record], status: Mapping[str, Status]) -> Iterator[Standing]:
    """One for each table of a plan, also where bounds alone are in it. No trial of the test stage is looked at.

    Rows are compared over the splits and seeds that most of them plan, as in a leaderboard; bounds stand behind them.

    Args:
        plan: the rows.
        records: that count, by key.
        status: whether they are done, by key.
    """
    tables: dict[tuple[Comparable, str], list[PlanRow]] = {}
    bounds: dict[Comparable, list[PlanRow]] = {}
    for row in plan.rows:
        if row.family == "bound":
            bounds.setdefault(comparable(row.trial), []).append(row)
        else:
            tables.setdefault((comparable(row.trial), track_of(row.needs)), []).append(row)
    for of in [of for of in bounds if of not in {of for of, _ in tables}]:
        trial = bounds[of][0].trial
        where = f"{trial.dataset}, {trial.family}{in_shots(trial.shots)}"
        yield Standing(where, None, -1.0, bounds_alone=bounds[of])
    for (of, track), rows in tables.items():
        trial = rows[0].trial
        base = base_of(frozenset(keys_of(row, "validation")) for row in rows)
        found = Standing(f"{trial.dataset}, {trial.family}{in_shots(trial.shots)}, track {track}", None, -1.0)
        found.behind += bounds.get(of, [])
        ranked = []
        for row in rows:
            keys = keys_of(row, "validation")
            if not base <= keys.keys():
                found.behind.append(row)
            elif any(status.get(keys[place]) != "done" for place in base):
                found.unfinished.append(row)
            else:
                ranked.append((-_mean({place: records[keys[place]] for place in base}), row.label, row))
        if ranked:
            (mean, _, found.leader), *behind = sorted(ranked, key=lambda each: each[:2])
            found.mean = -mean
            found.behind += [row for _, _, row in behind]
        yield found


def keys_of(row: PlanRow, stage: str) -> dict[Place, str]:
    """Keys of a row's trials of a stage."""
    return {(cell.split, cell.seed): cell.key for cell in row.cells if cell.stage == stage}


def _mean(records: Mapping[Place, Record]) -> float:
    """Of the metric after the last epoch, over seeds inside a split and then over splits."""
    places = sorted(records)
    shape = np.unique([split for split, _ in places], return_counts=True)[1]
    outcomes = [records[place].outcome for place in places]
    values = [outcome.gzsl[METRIC][-1] for outcome in outcomes if outcome is not None]
    return float(split_means(np.array(values)[:, None], tuple(shape.tolist())).mean())
