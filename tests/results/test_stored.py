"""What a notebook asks of stored results is what the commands print."""

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from reports import done, trial, write_store

from zslbench.errors import InputError
from zslbench.records import Store
from zslbench.results import Results
from zslbench.results.leaderboard import Row


def test_a_row_names_the_trials_behind_it() -> None:
    """On the shipped records every row of every rule names each of its trials once, and what it averages by split;
    the bounds are in the table of every track."""
    store = Store(ROOT / "results" / "ucm-16-5")
    latest = store.latest()
    for rule in ("last", "val", "test-max"):
        strict, *others = Results(store).leaderboard(rule)  # type: ignore[arg-type]
        bounds = {row.label for row in strict.rows if row.family == "bound"}
        rows = [*strict.rows, *(row for table in others for row in table.rows if row.label not in bounds)]
        assert len(rows) + len(others) * len(bounds) == sum(len(table.rows) for table in (strict, *others))
        named = [key for row in rows for key in (*row.tests, *row.validations, *row.others)]
        assert len(named) == len(set(named))
        assert set(named) == set(latest)
        for row in rows:
            tests = [latest[key] for key in row.tests]
            assert {record.trial.stage for record in tests} == {"test"}
            assert {latest[key].trial.stage for key in row.validations} <= {"validation"}
            if rule == "last":
                for metric, values in row.per_split.items():
                    told = [one for one in tests if one.outcome]
                    found = {
                        one.trial.split: one.outcome.zsl | one.outcome.gzsl | one.outcome.open_world for one in told
                    }
                    assert values == {split: curves[metric][-1] for split, curves in found.items()}


def test_a_row_is_not_changed() -> None:
    """Rows and tables are made once: nothing is stamped on them afterwards."""
    table = Results(Store(ROOT / "results" / "ucm-16-5")).leaderboard()[0]
    row: Row = table.rows[0]
    for name, of in (("rank", row), ("citation", row), ("rows", table)):
        with pytest.raises(AttributeError):
            setattr(of, name, None)


def test_tables_are_chosen_by_what_their_heading_says(tmp_path: Path) -> None:
    """Data set, split family, features, semantics, hash of the data and protocol each choose among tables."""
    other = {
        "dataset": "b",
        "family": "3/1",
        "features": "g",
        "semantics": "t",
        "protocol": 2,
        "hashes": {"labels": "0"},
    }
    records = [done(trial("m", 0), [0.5]), done(trial("m", 0, **other), [0.5])]
    results = Results(write_store(tmp_path / "store", [(record, None) for record in records]))
    first, second = results.leaderboard()
    for name, attribute in (
        ("dataset", "dataset"), ("split_family", "family"), ("features", "features"), ("semantics", "semantics"),
        ("data", "data"), ("protocol", "protocol"),
    ):  # fmt: skip
        for table in (first, second):
            (found,) = results.leaderboard(**{name: getattr(table, attribute)})
            assert found.dataset == table.dataset
    with pytest.raises(InputError, match="matches the options"):
        results.leaderboard(dataset="b", protocol=1)


def test_what_is_asked_for_is_checked(tmp_path: Path) -> None:
    """Another kind of thing, or a word that is none, is one line; several methods may be one text."""
    results = Results(write_store(tmp_path / "store", [(done(trial("m", 0), [0.5]), None)]))
    calls: list[tuple[Any, str]] = [
        (lambda: results.leaderboard(select="best"), "select: one of last, val, test-max is expected"),  # type: ignore[arg-type]
        (lambda: results.leaderboard(sort="Z"), "sort: one of T1, OA, S, U, H, AUSUC is expected"),
        (lambda: results.leaderboard(splits="two"), "splits: a whole number is expected"),  # type: ignore[arg-type]
        (lambda: results.leaderboard(track="all"), "track='all' is none of strict"),
        (lambda: results.leaderboard(methods=3), "methods: a text or several is expected"),  # type: ignore[arg-type]
        (lambda: results.leaderboard(methods="m,n"), "no results of 'n'"),
        (lambda: results.compare("m", 3), "names: the label of a row, or a method's name, is expected"),  # type: ignore[arg-type]
        (lambda: results.compare(metric="h"), "metric: one of T1"),
        (lambda: results.predictions("n"), "no results of 'n'. There are: m"),
        (lambda: results.predictions(3), "label: the label of a row is expected"),  # type: ignore[arg-type]
    ]
    for call, said in calls:
        with pytest.raises(InputError, match=said):
            call()
    assert [row.label for row in results.leaderboard(methods="m")[0].rows] == ["m"]
