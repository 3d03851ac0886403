"""Leaderboards of hand-made records: worked by hand, never mixed, never over holes."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zslbench.errors import InputError
from zslbench.protocol import Outcome
from zslbench.records import Cell, Failure, Plan, PlanRow, Record, Run, Trial
from zslbench.report.tables import notes
from zslbench.results.leaderboard import Row, Table, leaderboard
from zslbench.results.published import Citation, PublishedData, PublishedRow, PublishedTable, Source
from zslbench.results.stats import estimate
from zslbench.terms import METRICS

SELECTIONS = ("last", "val", "test-max")
curves = st.integers(1, 5).flatmap(lambda size: st.lists(st.floats(0, 1), min_size=size, max_size=size))


def trial(
    method: str = "m",
    split: int = 0,
    seed: int = 0,
    stage: Any = "test",
    *,
    version: int = 1,
    config: dict[str, Any] | None = None,
    data: str = "data",
    split_hash: str | None = None,
    protocol: int = 1,
    family: str = "6/2",
) -> Trial:
    """A trial on a made-up data set."""
    return Trial(
        method=method,
        method_version=version,
        config=config or {},
        dataset="toy",
        features="made",
        semantics="truth",
        hashes={"features": data, "labels": "l", "semantics": "s"},
        family=family,
        split=split,
        split_hash=split_hash or f"hash of {split}",
        seed=seed,
        stage=stage,
        protocol=protocol,
    )


def record(
    *args: Any,
    H: Sequence[float] | float = 0.5,
    T1: Sequence[float] | float = 0.5,
    label: str | None = None,
    seconds: tuple[float, float] | None = (1.0, 0.5),
    **kwargs: Any,
) -> Record:
    """A finished record; OA, S, U and AUSUC are told apart from T1 and H by a divisor, epoch by epoch."""
    made = trial(*args, **kwargs)
    h, t1 = ([value] if isinstance(value, float) else list(value) for value in (H, T1))
    outcome = Outcome(
        zsl={"T1": t1, "OA": [value / 2 for value in t1]},
        gzsl={"S": [v / 3 for v in h], "U": [v / 4 for v in h], "H": h, "AUSUC": [v / 5 for v in h]},
        per_class={},
        best_calibrated_h=0.0,
    )
    run = Run(fit_seconds=seconds[0], score_seconds=seconds[1]) if seconds else Run()
    return Record(key=made.key, label=label or made.method, status="done", trial=made, outcome=outcome, run=run)


def needing(*needs: str, family: str = "linear", **kwargs: Any) -> Record:
    """A finished record of a method that declares to use more than seen classes."""
    made = record(**kwargs)
    made.needs, made.family = [*needs], family
    return made


def test_a_track_has_a_table_of_its_own_and_bounds_stand_in_each() -> None:
    """A method is ranked among those that use the same, whatever else it needs; the strict table comes first."""
    tables = leaderboard(
        [
            needing("unlabelled test images", method="t", H=0.9),
            needing("unseen semantics", method="u", H=0.8),
            needing("joint space", "pre-training on names", method="p", H=0.7),
            needing("pre-training on names", "unlabelled test images", method="pt", H=0.95),
            needing("validation classes", "attributes", "feature maps", method="s", H=0.5),
            needing(method="s2", H=0.4),
            needing("labelled test images", method="oracle", H=0.99, family="bound"),
        ]
    )
    found = {table.track: {row.label: row.rank for row in table.rows} for table in tables}
    assert found == {
        "strict": {"s": 1, "s2": 2, "oracle": None},
        "pre-trained": {"p": 1, "oracle": None},
        "pre-trained+transductive": {"pt": 1, "oracle": None},
        "transductive": {"t": 1, "oracle": None},
        "unseen-semantics": {"u": 1, "oracle": None},
    }
    assert tables[0].track == "strict"
    said = " ".join(notes(next(table for table in tables if table.track == "pre-trained+transductive")))
    assert "fitting uses pre-training on names and unlabelled test images" in said


def test_bounds_alone_are_a_strict_table() -> None:
    """A store with nothing but bounds has one table."""
    (only,) = leaderboard([needing(method="chance", family="bound")])
    assert only.track == "strict"
    assert [row.label for row in only.rows] == ["chance"]


def failed(*args: Any, **kwargs: Any) -> Record:
    """A failed record."""
    made = trial(*args, **kwargs)
    failure = Failure("ValueError", "no")
    return Record(key=made.key, label=made.method, status="failed", trial=made, failure=failure)


def plan(*trials: Trial) -> Plan:
    """A plan of one method's trials."""
    cells = [Cell(each.key, each.split, each.seed, each.stage) for each in trials]
    return Plan("2026-01-01", "zslbench run", [PlanRow(trials[0].method, trials[0], cells)])


def only(tables: list[Table]) -> Table:
    """The one table."""
    assert len(tables) == 1
    return tables[0]


def row(tables: list[Table], label: str = "m") -> Row:
    """The one row of that label."""
    (found,) = [row for table in tables for row in table.rows if row.label == label]
    return found


def test_seeds_are_averaged_inside_a_split() -> None:
    """A split with two seeds counts as much as a split with one, and the interval is over splits."""
    made = [record(H=0.48), record("m", 0, 1, H=0.5), record("m", 1, H=0.52), record("m", 2, H=0.5)]
    found = row(leaderboard(made))
    low, high = stats.t.interval(0.95, 2, loc=0.503333, scale=stats.sem([0.49, 0.52, 0.5]))
    told = found.metrics["H"]
    assert (told.splits, found.seeds) == (3, 2)
    assert (told.mean, told.low, told.high) == pytest.approx((0.503333, low, high), abs=1e-6)
    assert told.seed_sd == pytest.approx(0.02 / math.sqrt(2))
    assert found.per_split["H"] == pytest.approx({0: 0.49, 1: 0.52, 2: 0.5})
    assert tuple(found.per_split) == METRICS


def test_all_estimates_are_those_of_each_row_alone() -> None:
    """Rows with one number of seeds, with several and with uneven ones are estimated as if each were alone.

    Seeds of b and c are others than those of the base, so that none of theirs is left out.
    """
    rng = random.Random(1)
    seeds = {"a": [1] * 8, "b": [2] * 8, "c": [1, 2, 1, 3, 1, 1, 2, 1], "d": [1] * 8, "e": [1] * 6}
    made = {
        name: [
            record(name, split, seed + 10 * (name in "bc"), H=rng.random())
            for split, count in enumerate(each)
            for seed in range(count)
        ]
        for name, each in seeds.items()
    }
    together = only(leaderboard([one for each in made.values() for one in each]))
    for found in together.rows:
        alone = row(leaderboard(made[found.label]), found.label)
        for name in METRICS:
            assert found.metrics[name] == pytest.approx(alone.metrics[name], nan_ok=True)
        values: dict[int, list[float]] = {}
        for one in made[found.label]:
            assert one.outcome is not None
            values.setdefault(one.trial.split, []).append(one.outcome.gzsl["H"][-1])
        expected = estimate(list(values.values()))
        assert found.metrics["H"] == pytest.approx(expected, nan_ok=True)


def test_every_metric_is_averaged_over_trials() -> None:
    """H is the mean of the trials' H, like any other metric; it is not computed from mean S and mean U."""
    first, second = record(H=0.0, T1=0.2), record("m", 1, H=0.5, T1=0.4)
    for made, S, U in ((first, 1.0, 0.0), (second, 0.5, 0.5)):
        assert made.outcome is not None
        made.outcome.gzsl |= {"S": [S], "U": [U]}
    metrics = row(leaderboard([first, second])).metrics
    assert tuple(metrics) == METRICS
    means = {name: metrics[name].mean for name in METRICS}
    assert means == pytest.approx({"T1": 0.3, "OA": 0.15, "S": 0.75, "U": 0.25, "H": 0.25, "AUSUC": 0.05})


@pytest.mark.parametrize(
    ("selection", "T1", "H"),
    [("last", 0.3, 0.1), ("val", 0.2, 0.4), ("test-max", 0.5, 0.7)],
)
def test_which_epoch_counts(selection: Any, T1: float, H: float) -> None:
    """Last, best on validation classes, best on test: chosen by T1 for ZSL and by H for GZSL, with all that belongs."""
    records = [
        record(T1=[0.5, 0.2, 0.3], H=[0.4, 0.7, 0.1]),
        record(stage="validation", T1=[0.1, 0.9, 0.8], H=[0.6, 0.5, 0.5]),
    ]
    metrics = row(leaderboard(records, selection=selection)).metrics
    expected = {"T1": T1, "OA": T1 / 2, "S": H / 3, "U": H / 4, "H": H, "AUSUC": H / 5}
    assert {name: metrics[name].mean for name in METRICS} == pytest.approx(expected)


def test_each_trial_has_its_own_epoch() -> None:
    """Under "val" every cell uses the validation record of its own split and seed."""
    cells = [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 0)]
    records = []
    for split, seed, best in cells:
        records.append(record("m", split, seed, H=[split / 2 + seed / 10 + epoch / 100 for epoch in range(3)]))
        records.append(record("m", split, seed, "validation", H=[float(epoch == best) for epoch in range(3)]))
    means = [(0.00 + 0.11) / 2, (0.52 + 0.60) / 2]
    assert row(leaderboard(records, selection="val")).metrics["H"].mean == pytest.approx(sum(means) / 2)


def test_a_validation_epoch_that_the_test_never_reached() -> None:
    """Where training was shorter on the test stage, its last epoch stands for later ones."""
    records = [record(H=[0.3, 0.4]), record(stage="validation", H=[0.1, 0.2, 0.3, 0.4])]
    assert row(leaderboard(records, selection="val")).metrics["H"].mean == 0.4


def test_the_last_of_equally_good_epochs_counts() -> None:
    """A tie on the validation classes (with one class, always) goes to the later epoch, the longer training."""
    records = [record(H=[0.3, 0.4, 0.5]), record(stage="validation", H=[0.1, 0.2, 0.2])]
    assert row(leaderboard(records, selection="val")).metrics["H"].mean == 0.5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(curves, curves, curves, curves), min_size=1, max_size=4))
def test_the_oracle_is_an_upper_bound(cells: list[tuple[list[float], ...]]) -> None:
    """No rule beats the epoch chosen on the test set, in T1 or H, and the oracle gain is the difference."""
    records = []
    for split, (T1, H, val_T1, val_H) in enumerate(cells):
        records += [record("m", split, T1=T1, H=H), record("m", split, 0, "validation", T1=val_T1, H=val_H)]
    rows = {selection: row(leaderboard(records, selection=selection)) for selection in SELECTIONS}
    for name, at in (("T1", 0), ("H", 1)):
        oracle = rows["test-max"].metrics[name].mean
        assert oracle == pytest.approx(sum(max(cell[at]) for cell in cells) / len(cells))
        for rule in SELECTIONS:
            assert rows[rule].metrics[name].mean <= oracle
            for other in SELECTIONS:  # both gains are told whatever the rule
                told = {"last": rows[other].inflation_last, "val": rows[other].inflation_val}
                if rule in told:
                    assert told[rule][name] == pytest.approx(oracle - rows[rule].metrics[name].mean, abs=1e-12)
                    assert told[rule][name] >= 0.0
    assert (rows["last"].inflation, rows["val"].inflation) == (rows["last"].inflation_last, rows["val"].inflation_val)
    assert rows["test-max"].inflation == {}


def test_oracle_gain_worked_by_hand() -> None:
    """Seeds are averaged inside splits here too."""
    records = [record(H=[0.5, 0.3]), record("m", 0, 1, H=[0.1, 0.4]), record("m", 1, H=[0.9, 0.6])]
    found = row(leaderboard(records))
    assert found.inflation_last["H"] == pytest.approx((0.1 + 0.3) / 2)
    assert found.inflation_last["T1"] == 0.0
    assert found.inflation_val == {}


def test_the_gain_over_validation_is_of_validated_trials() -> None:
    """Split 1 has no validation trial: the gain over the validated choice is that of split 0 alone."""
    records = [record(H=[0.5, 0.3]), record("m", 1, H=[0.9, 0.6]), record(stage="validation", H=[0.1, 0.2])]
    found = row(leaderboard(records))
    assert found.inflation_val == pytest.approx({"T1": 0.0, "H": 0.2})
    assert found.inflation_last == pytest.approx({"T1": 0.0, "H": 0.25})


def test_the_best_mean_comes_first() -> None:
    """Complete rows are ranked by the mean of the metric asked for, the highest first."""
    records = [
        record(name, split, H=H, T1=1 - H) for name, H in (("a", 0.2), ("b", 0.6), ("c", 0.4)) for split in (0, 1)
    ]
    for sort, order in (("H", "bca"), ("T1", "acb"), ("OA", "acb"), ("AUSUC", "bca")):
        table = only(leaderboard(records, sort=sort))
        assert [(found.label, found.rank) for found in table.rows] == list(zip(order, (1, 2, 3), strict=True))
        assert table.sort == sort


def test_equal_rows_are_in_order_of_their_labels() -> None:
    """A tie never depends on the order of records."""
    for names in ("ba", "ab"):
        assert [found.label for found in only(leaderboard([record(name) for name in names])).rows] == ["a", "b"]


def test_a_row_with_a_hole_is_not_ranked() -> None:
    """A method that lacks a split that another one has is shown last, without a rank, however good it is."""
    records = [record("a", 0, H=0.9), record("b", 0, H=0.1), record("b", 1, H=0.1)]
    table = only(leaderboard(records))
    assert [(found.label, found.rank, found.done) for found in table.rows] == [("b", 1, 2), ("a", None, 1)]


def test_a_missing_seed_is_a_hole() -> None:
    """A split is complete with all its seeds only."""
    records = [record("a", 0, 0, H=0.9), record("b", 0, 0), record("b", 0, 1)]
    assert {found.label: found.rank for found in only(leaderboard(records)).rows} == {"a": None, "b": 1}


def test_a_failure_is_a_hole() -> None:
    """A failed trial is counted, its row averages the rest and is not ranked."""
    found = row(leaderboard([record("m", 0, H=0.4), failed("m", 1)]))
    assert (found.rank, found.done, found.planned, found.failed) == (None, 1, 2, 1)
    assert found.metrics["H"].mean == 0.4
    assert found.metrics["H"].splits == 1
    assert math.isnan(found.metrics["H"].std)


def test_what_was_planned_and_never_ran_is_a_hole() -> None:
    """A plan's cells without a record count as missing; a complete plan changes nothing."""
    cells = [trial("m", split) for split in range(3)]
    records = [record("m", split) for split in range(3)]
    for done, rank in ((3, 1), (2, None), (0, None)):
        found = row(leaderboard(records[:done], [plan(*cells)]))
        assert (found.rank, found.done, found.planned) == (rank, done, 3)
    assert found.metrics == {}
    assert (found.inflation_last, found.inflation_val, found.per_split) == ({}, {}, {})
    assert found.seconds is None


def test_rows_without_numbers_come_last() -> None:
    """A method of which nothing is done stands under one of which something is."""
    tables = leaderboard([record("b", 0, H=0.0)], [plan(trial("a"), trial("a", 1)), plan(trial("b"), trial("b", 1))])
    assert [(found.label, found.rank) for found in only(tables).rows] == [("b", None), ("a", None)]


def test_validation_trials_are_needed_where_they_choose() -> None:
    """Under "val" a cell without its validation record is a hole and outside the mean; under "last" it is none."""
    records = [record("m", 0, H=0.2), record("m", 0, 0, "validation"), record("m", 1, H=0.8)]
    chosen, last = (row(leaderboard(records, selection=rule)) for rule in ("val", "last"))
    assert (chosen.rank, chosen.done, chosen.planned) == (None, 3, 4)
    assert (chosen.metrics["H"].mean, chosen.metrics["H"].splits) == (0.2, 1)
    assert (last.rank, last.done, last.planned) == (1, 2, 2)
    records.append(record("m", 1, 0, "validation"))
    assert row(leaderboard(records, selection="val")).rank == 1


def test_a_failed_validation_trial() -> None:
    """It is counted and makes a hole under "val", and does not matter under "last"."""
    records = [record(), failed(stage="validation")]
    found = {rule: row(leaderboard(records, selection=rule)) for rule in SELECTIONS}
    assert {rule: (each.rank, each.failed) for rule, each in found.items()} == {
        "val": (None, 1),
        "last": (1, 0),
        "test-max": (1, 0),
    }


@pytest.mark.parametrize("selection", SELECTIONS)
def test_validation_records_alone_rank_nobody(selection: Any) -> None:
    """Where nothing was measured on test classes there is no number and no rank."""
    found = row(leaderboard([record(stage="validation")], selection=selection))
    assert (found.rank, found.metrics) == (None, {})


@pytest.mark.parametrize("other", [{"data": "other"}, {"protocol": 2}, {"family": "5/3"}])
def test_other_data_are_another_table(other: dict[str, Any]) -> None:
    """Records of other features, another protocol version or another split family are never in one table."""
    tables = leaderboard([record(H=0.2), record(H=0.8, **other)])
    assert sorted(table.rows[0].metrics["H"].mean for table in tables) == [0.2, 0.8]
    for table in tables:
        assert only([table]).rows[0].rank == 1


def test_other_method_versions_are_another_row() -> None:
    """Two versions of a method are never averaged, their labels say which is which, and only the newest is ranked."""
    table = only(leaderboard([record(H=0.2), record("m", 1, H=0.2), record(H=0.8, version=2)]))
    assert [(found.label, found.version, found.rank) for found in table.rows] == [
        ("m (version 2)", 2, 1),
        ("m (version 1)", 1, None),
    ]


def test_other_configurations_are_another_row() -> None:
    """Rows are told apart by the whole configuration, even where changed defaults give them the same label."""
    table = only(leaderboard([record(config={"x": 1}), record(config={"x": 2}), record("n")]))
    assert len(table.rows) == 3
    labels = {found.label for found in table.rows}
    assert len(labels) == 3
    assert "n" in labels
    assert sum(found.startswith("m (version 1) (") for found in labels) == 2


def test_an_edited_split_is_a_hole_until_it_is_run_again() -> None:
    """Records of what split 1 was before are neither averaged nor compared with those of what it is now."""
    old = [record(name, split, H=0.9) for name in "ab" for split in (0, 1)]
    new = record("a", 1, H=0.1, split_hash="edited")
    for records in ([*old, new], [*old[:2], new, *old[2:]]):
        plans = [plan(*[made.trial for made in old]), plan(old[0].trial, new.trial)]
        rows = {found.label: found for found in only(leaderboard(records, plans)).rows}
        assert rows["a"].metrics["H"].mean == pytest.approx(0.5)
        assert (rows["a"].rank, rows["a"].done) == (1, 2)
        assert rows["b"].metrics["H"].mean == 0.9
        assert (rows["b"].rank, rows["b"].done, rows["b"].planned) == (None, 1, 2)


def test_a_split_that_was_edited_back() -> None:
    """The split that the last plan asked for counts, though its records are the older ones."""
    old, new = record(H=0.9), record(H=0.1, split_hash="edited")
    assert row(leaderboard([old, new])).metrics["H"].mean == 0.1
    plans = [plan(old.trial), plan(new.trial), plan(old.trial)]
    assert row(leaderboard([old, new], plans)).metrics["H"].mean == 0.9


def test_validation_records_of_an_edited_split_choose_nothing() -> None:
    """A test trial is never paired with a validation trial of another split."""
    records = [record(stage="validation"), record(split_hash="edited")]
    found = row(leaderboard(records, selection="val"))
    assert (found.rank, found.done, found.planned, found.metrics) == (None, 1, 2, {})


def test_only_the_first_splits() -> None:
    """A limit drops later splits, planned or done, and makes no hole of them."""
    records = [record("m", split, H=split / 10) for split in range(4)]
    planned = [plan(*(trial("m", split) for split in range(9)))]
    found = row(leaderboard(records, planned, splits=3))
    assert (found.rank, found.done, found.planned) == (1, 3, 3)
    assert found.metrics["H"].mean == pytest.approx(0.1)
    assert row(leaderboard(records, planned, splits=5)).rank is None


def test_seconds_are_the_mean_of_fitting_and_scoring() -> None:
    """Time per trial is averaged over test trials that were timed."""
    records = [record("m", 0, seconds=(1, 2)), record("m", 1, seconds=(4, 1)), record("m", 2, seconds=None)]
    records.append(record("m", 0, 0, "validation", seconds=(100, 100)))
    assert row(leaderboard(records)).seconds == 4.0
    assert row(leaderboard(records)).fit_seconds == 2.5
    assert row(leaderboard([record(seconds=None)])).seconds is None


def test_what_a_row_says_besides_its_numbers() -> None:
    """Configuration, citation, the highest peak of memory and the devices come from the row's test trials."""
    records = [record("m", split, config={"x": 1}) for split in range(3)]
    for made, peak, device in zip(records, (10.0, 30.0, None), ("cuda", "cpu", "cpu"), strict=True):
        made.run.peak_mb, made.run.device = peak, device
    records[2].citation = "doe2020m"
    found = row(leaderboard(records))
    assert (found.config, found.citation, found.peak_mb, found.device) == ({"x": 1}, "doe2020m", 30.0, "cpu, cuda")
    assert row(leaderboard([record()])).peak_mb is None


def test_of_a_trial_s_records_a_finished_one_counts() -> None:
    """In order of writing: a failure that was retried is forgotten, and one after success changes nothing."""
    for made in ([failed(), record(H=0.4)], [record(H=0.4), failed()], [failed(), failed(), record(H=0.4), failed()]):
        found = row(leaderboard(made))
        assert (found.done, found.failed, found.metrics["H"].mean) == (1, 0, 0.4)
    assert row(leaderboard([failed(), failed()])).failed == 1


def test_nothing_stored_is_no_table() -> None:
    """Without records and plans there is nothing to show."""
    assert leaderboard([]) == []


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(SELECTIONS))
def test_the_order_of_records_is_irrelevant(shuffler: random.Random, selection: Any) -> None:
    """Parallel runs store records in any order: the table is the same."""
    records = [
        record(name, split, seed, stage, H=[((split * 7 + seed * 3 + len(stage)) % 10) / 10, 0.5], T1=[0.1, 0.2])
        for name in "abc"
        for split in range(3)
        for seed in range(2)
        for stage in ("test", "validation")
        if (name, split) != ("c", 2)
    ]
    expected = leaderboard(records, selection=selection)
    shuffler.shuffle(records)
    assert repr(leaderboard(iter(records), selection=selection)) == repr(expected)  # NaN is not equal to itself


def test_bounds_are_shown_last_and_never_ranked() -> None:
    """A bound has no rank however high it is, stands below every method, and its missing trials unrank nobody."""
    bound = record("oracle", H=0.9)
    bound.family, bound.needs = "bound", ["labelled test images"]
    made = [record("m", split, H=0.5) for split in range(2)] + [record("n", H=0.1)]
    rows = only(leaderboard([bound, *made])).rows
    assert [(row.label, row.rank) for row in rows] == [("m", 1), ("n", None), ("oracle", None)]
    assert rows[-1].needs == ["labelled test images"]
    planned = plan(trial("oracle", 0), trial("oracle", 5))
    planned.rows[0].family = "bound"
    assert row(leaderboard(made[:2], [planned])).rank == 1


def test_a_method_with_more_splits_unranks_nobody() -> None:
    """The base is what most rows plan: a row with two further splits is ranked over the base alone and counts them."""
    records = [record(name, split, H=H) for name, H in (("a", 0.2), ("b", 0.4), ("c", 0.3)) for split in range(6)]
    records += [record("c", split, H=1.0) for split in (6, 7)]
    rows = only(leaderboard(records)).rows
    assert [(found.label, found.rank, found.why, found.extra) for found in rows] == [
        ("b", 1, "", 0), ("c", 2, "", 2), ("a", 3, "", 0),
    ]  # fmt: skip
    assert (rows[1].done, rows[1].planned, rows[1].metrics["H"].splits) == (6, 6, 6)
    assert rows[1].metrics["H"].mean == pytest.approx(0.3)
    assert list(rows[1].per_split["H"]) == list(range(6))
    assert rows[1].metrics["H"] == pytest.approx(row(leaderboard(records[:18]), "c").metrics["H"], nan_ok=True)


def test_further_seeds_are_beyond_the_base() -> None:
    """Under "val" too a row's further seeds are left out, of numbers, gains and times, and counted with both stages."""
    records = [
        record(name, split, seed, stage, H=[0.5, 0.9 if seed else 0.4])
        for name in "abc"
        for split in range(2)
        for seed in range(2 if name == "c" else 1)
        for stage in ("test", "validation")
    ]
    found = row(leaderboard(records, selection="val"), "c")
    assert (found.rank, found.done, found.planned, found.extra, found.seeds) == (3, 4, 4, 4, 1)
    assert found.metrics["H"].mean == 0.5
    assert found.inflation_last["H"] == pytest.approx(0.1)


def test_equally_many_rows_and_the_larger_set() -> None:
    """Of two bases planned by equally many rows the larger counts, and the rows that lack some of it say what."""
    records = [record(name, split) for name in "ab" for split in range(6)]
    records += [record(name, split) for name in "cd" for split in range(8)]
    whys = {found.label: (found.rank, found.why) for found in only(leaderboard(records)).rows}
    assert whys == {"c": (1, ""), "d": (2, ""), "a": (None, "lacks splits 6, 7"), "b": (None, "lacks splits 6, 7")}


def test_a_failure_beyond_the_base_unranks_nobody() -> None:
    """Only what the base holds must be finished; the failure is still counted."""
    records = [record(name, split) for name in "abc" for split in range(2)]
    rows = only(leaderboard([*records, failed("c", 2)])).rows
    assert [(found.label, found.rank, found.failed, found.why) for found in rows] == [
        ("a", 1, 0, ""), ("b", 2, 0, ""), ("c", 3, 1, ""),
    ]  # fmt: skip


def test_every_unranked_row_says_why() -> None:
    """Older versions, failures, missing splits, seeds and trials each have their own words."""
    full = [(split, seed) for split in range(10) for seed in range(2)]
    records = [record(name, *place, version=2) for name in ("x", "y", "z", "old") for place in full]
    records += [record("old", *place) for place in full]
    records += [record("hole", *place) for place in full if place[0] != 8]
    records += [record("short", *place) for place in full if place[0] < 3]
    records += [record("seedless", *place) for place in full if place[1] == 0]
    records += [failed("broken", *place) if place == (4, 1) else record("broken", *place) for place in full]
    records += [failed("dead", *place) for place in full]
    bound = record("bound")
    bound.family = "bound"
    rows = only(leaderboard([*records, bound], [plan(trial("new"))])).rows
    assert {found.label: found.why for found in rows if found.rank is None} == {
        "old (version 1)": "older version 1 of old, 2 is current",
        "hole": "lacks split 8",
        "short": "3 of 10 splits",
        "seedless": "lacks 10 of 20 trials",
        "broken": "1 trial failed",
        "dead": "20 trials failed",
        "new": "no trial is finished",
        "bound": "a bound, no method",
    }
    assert {found.label for found in rows if found.rank is not None} == {"x", "y", "z", "old (version 2)"}
    assert not any(found.why for found in rows if found.rank is not None)


def test_missing_validation_trials_are_a_reason() -> None:
    """Under "val" a row without validation trials has its own words, and counts the test trials left out for it."""
    records = [record(name, split, 0, stage) for name in "ab" for split in range(2) for stage in ("test", "validation")]
    found = row(leaderboard([*records, record("c"), record("c", 1)], selection="val"), "c")
    assert (found.rank, found.why, found.unvalidated) == (None, "lacks 2 validation trials", 2)
    found = row(leaderboard([*records[:-1], failed("b", 1, 0, "validation")], selection="val"), "b")
    assert (found.rank, found.why) == (None, "1 trial failed")


@pytest.mark.parametrize(("metric", "value"), [("H", 1.7), ("T1", -0.1), ("AUSUC", 53.0)])
def test_an_accuracy_outside_its_range_is_refused(metric: str, value: float) -> None:
    """A record with an accuracy that none can be, as from an edited file, is named with metric and value."""
    made = record("m", 3, 1)
    assert made.outcome is not None
    (made.outcome.zsl if metric == "T1" else made.outcome.gzsl)[metric] = [0.5, value]
    with pytest.raises(InputError, match=rf"record {made.key} \(m, split 3, seed 1, test\) has {metric} = {value};"):
        leaderboard([record("n"), made])


def test_an_outcome_without_a_metric_is_refused() -> None:
    """A curve that is empty or missing is one line too."""
    for curves in ({"T1": [], "OA": []}, {}):
        made = record(stage="validation")
        assert made.outcome is not None
        made.outcome.zsl = curves
        with pytest.raises(InputError, match="has T1 = None; an accuracy from 0 to 1 is expected"):
            leaderboard([made])


def test_published_numbers_stand_beside_the_rows_they_are_about() -> None:
    """Of T1 and the metric that ranks, for the same label, data set and family and like for like, as fractions."""
    data = PublishedData(id="toy", title="Toy", dataset="toy", family="6/2", like_for_like=True)
    shown = [PublishedRow("ESZSL", {"toy": {"T1": 54.0, "H": 20.0, "U": 12.0}}, ours="eszsl")]
    published = PublishedTable(
        "x", "X", "p", Source("P", 2020), Citation("k", ""), {"T1": "", "H": "", "U": ""}, [data], [], rows=shown
    )
    records = [record("eszsl", H=0.25, T1=0.5), record("sae")]
    found = leaderboard(records, published=iter([published]))
    assert row(found, "eszsl").published == {"H": 0.2, "T1": 0.54}
    assert row(found, "sae").published == {}
    assert row(leaderboard(records, sort="S", published=[published]), "eszsl").published == {"T1": 0.54}
    assert row(leaderboard([record("eszsl", family="5/3")], published=[published]), "eszsl").published == {}
    assert row(leaderboard(records), "eszsl").published == {}


def test_mixed_machines_are_said_with_the_table() -> None:
    """Trials of one table on other devices or versions are named where the table is printed; failures and trials that
    count nowhere are not."""
    made = [record("m", split) for split in range(3)]
    for number, each in enumerate(made):
        each.run.device, each.run.versions = "cpu", {"numpy": f"2.{min(number, 1)}", "python": "3.11"}
    made[2].run.device, made[2].run.device_name = "cuda", "Some GPU"
    other = failed("m", 3)
    other.run.versions = {"numpy": "9"}
    table = only(leaderboard([*made, other]))
    said = [
        "Trials ran on different devices (cpu, cuda Some GPU): compare neither times nor memory.",
        "Trials ran with different versions of numpy: 2.0, 2.1.",
    ]
    assert table.mixtures == said
    assert notes(table)[-2:] == said
    assert only(leaderboard(made[:1])).mixtures == []


def test_stacks_are_said_with_the_table() -> None:
    """Trials that were fitted side by side are told in the notes, with the sizes; how they ran else is not."""
    made = [record("m", split) for split in range(4)]
    for each, execution in zip(made, ("stack of 10, CUDA graph", "stack of 2", "stack of 10", "loop"), strict=True):
        each.run.execution = execution
    assert only(leaderboard(made)).mixtures == [
        "Trials were fitted side by side as one program (stack of 2, stack of 10): their numbers differ from those of "
        "single trials by what training makes of rounding, and their seconds are shares."
    ]
    assert only(leaderboard(made[3:])).mixtures == []
