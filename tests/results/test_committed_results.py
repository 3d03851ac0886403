"""The figures that the project shows come from the records it ships."""

import subprocess
import sys

import pytest
from conftest import ROOT

from zslbench.datasets import load_dataset
from zslbench.metrics import GzslDecisions, harmonic_mean, overall_accuracy, per_class_accuracies, seen_unseen_curve
from zslbench.records import Store
from zslbench.registry import Registry
from zslbench.results.leaderboard import leaderboard
from zslbench.splits import make_splits
from zslbench.suites import read_suite
from zslbench.variants import base_name

STORE = Store(ROOT / "results" / "ucm-16-5")


def test_the_readme_s_table_is_what_the_records_say():
    """The table in the README and the one beside the records are generated from the records."""
    checked = subprocess.run([sys.executable, ROOT / "benchmarks/readme_tables.py", "--check"], check=False)
    assert checked.returncode == 0


def test_every_method_beats_chance_on_ucm():
    """The 95 % interval of T1 lies above chance (one of five classes) for every ranked method, over 10 splits."""
    tables = leaderboard(STORE.latest().values(), STORE.plans())
    rows = [row for table in tables for row in table.rows]
    suite = read_suite(ROOT / "benchmarks/suites/ucm-all.toml")
    assert {row.label for row in rows} == {Registry().build(method.spec)[2] for method in suite.methods}
    registry = Registry()  # the bundled data set has no space that images and texts share, and the suite no shots
    infos = [registry.get(name).info for name in registry.names]
    playing = {info.name for info in infos if not (info.needs_joint_space or info.needs_shots)}
    assert {base_name(row.method) for row in rows} == playing
    ranked = [row for row in rows if row.rank is not None]
    unranked = {row.label for row in rows if row.rank is None and row.family != "bound"}
    assert not unranked
    assert len(ranked) == len(suite.methods) - 3  # less the bounds
    for row in ranked:
        assert row.metrics["T1"].splits == 10
        assert row.metrics["T1"].low > 0.2, row.label


def test_bounds_are_where_they_must_be():
    """Guessing is at chance, seen classes alone give U = 0, and nothing passes ideal semantics in T1 or H."""
    tables = leaderboard(STORE.latest().values(), STORE.plans())
    assert [table.track for table in tables] == ["strict", "transductive", "unseen-semantics"]
    for table in tables:
        rows = {row.label: row for row in table.rows}
        chance = rows["chance"].metrics["T1"]
        assert chance.low < 0.2 < chance.high
        assert rows["seen-only"].metrics["U"].mean == 0
        for metric in ("T1", "H"):
            assert max(rows.values(), key=lambda row: row.metrics[metric].mean).label == "oracle-prototypes"


def test_records_belong_to_the_bundled_data_and_splits():
    """Shipped records carry the hashes of the features, labels, semantics and splits that this version makes."""
    data = load_dataset("ucm")
    hashes = data.view().hashes
    splits = [split.hash for split in make_splits(data, "16/5", 10)]
    for key, record in STORE.latest().items():
        assert record.trial.key == key
        assert record.trial.hashes == hashes
        assert record.trial.split_hash == splits[record.trial.split]


@pytest.mark.parametrize("label", ["mcfa", "projection", "eszsl+cal", "chance"])
def test_metrics_follow_from_the_stored_predictions(label):
    """The last epoch's metrics of every shipped record are recomputed from its predictions alone."""
    splits = make_splits(load_dataset("ucm"), "16/5", 10)
    for record in STORE.latest().values():
        if record.label != label or record.trial.stage != "test":
            continue
        part, stored, outcome = splits[record.trial.split].partition("test"), STORE.predictions(record), record.outcome
        truth, decisions = (
            stored["gzsl_truth"],
            GzslDecisions(*(stored[f"gzsl_{name}"] for name in ("best_seen", "best_unseen", "margin"))),
        )
        seen = per_class_accuracies(truth, decisions.predicted(), part.seen).mean()
        unseen = per_class_accuracies(truth, decisions.predicted(), part.unseen).mean()
        assert outcome is not None
        assert {name: curve[-1] for name, curve in (outcome.zsl | outcome.gzsl).items()} == {
            "T1": per_class_accuracies(stored["zsl_truth"], stored["zsl_predicted"], part.unseen).mean(),
            "OA": overall_accuracy(stored["zsl_truth"], stored["zsl_predicted"]),
            "S": seen,
            "U": unseen,
            "H": harmonic_mean(seen, unseen),
            "AUSUC": seen_unseen_curve(truth, decisions, part.seen, part.unseen).area,
        }
