"""What a report contains: worked by hand, and compared with the leaderboard of the shipped records."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from conftest import ROOT
from reports import LABELS, answers, done, failed, section_of, several, tables_of, trial, write_store

from zslbench.errors import InputError
from zslbench.hashing import array_digest
from zslbench.records import Store
from zslbench.report.contents import along, learning_curve, sections
from zslbench.results.leaderboard import leaderboard
from zslbench.results.rows import limited


def test_a_straight_curve_is_followed_along_its_line():
    """On S = 1 - U the point whose S is a quarter of S + U is (0.75, 0.25)."""
    unseen, seen = along(np.array([0, 0.5, 1.0]), np.array([1.0, 0.5, 0]))
    assert unseen[50] == pytest.approx(0.75)
    assert seen[50] == pytest.approx(0.25)
    assert unseen + seen == pytest.approx(1)


def test_a_curve_keeps_its_ends():
    """Where S falls before U begins to rise, and U rises on after S is 0, the far ends stay."""
    unseen, seen = along(np.array([0, 0, 0.5, 0.8, 0.9]), np.array([1.0, 0.6, 0.5, 0, 0]))
    assert (unseen[-1], seen[-1]) == (0, 1)
    assert (unseen[0], seen[0]) == (0.9, 0)


def test_a_curve_without_a_hit_is_zero():
    """Nothing right at any calibration gives zeros, not NaN."""
    unseen, seen = along(np.zeros(3), np.zeros(3))
    assert not unseen.any()
    assert not seen.any()


def test_the_rules_stop_where_they_must():
    """Each rule's mark is the mean of what it chooses split by split; among equals the last epoch is taken."""
    tests = [done(trial("a", 0), [0.2, 0.6, 0.4]), done(trial("a", 1), [0.4, 0.2, 0.6])]
    validations = [
        done(trial("a", 0, "validation"), [0.1, 0.2, 0.2]),
        done(trial("a", 1, "validation"), [0.9, 0.1, 0.1]),
    ]
    curve = learning_curve("a", tests, validations, "H")
    assert curve is not None
    assert curve.values == pytest.approx([0.3, 0.4, 0.5])
    assert curve.marks["last"] == pytest.approx((3, 0.5))
    assert curve.marks["val"] == pytest.approx((2, 0.4))
    assert curve.marks["test-max"] == pytest.approx((2.5, 0.6))


def test_a_split_of_many_seeds_counts_once():
    """Seeds are averaged inside their split, before splits are."""
    tests = [
        done(trial("a", 0), [0.0, 0.0]),
        done(trial("a", 1), [1.0, 1.0]),
        done(trial("a", 1, seed=1), [1.0, 1.0]),
    ]
    curve = learning_curve("a", tests, [], "H")
    assert curve is not None
    assert curve.values == pytest.approx([0.5, 0.5])
    assert curve.marks["last"] == pytest.approx((2, 0.5))
    assert "val" not in curve.marks


def test_one_epoch_is_no_curve():
    """A method that yields one scorer has nothing to show over epochs."""
    assert learning_curve("a", [done(trial("a", 0), [0.5])], [], "H") is None


@pytest.mark.parametrize("lead", ["T1", "H"])
def test_marks_are_the_leaderboard_s_numbers(lead: str):
    """On the shipped records every mark's height is the mean that the leaderboard gives for that rule."""
    store = Store(ROOT / "results" / "ucm-16-5")
    records = [record for record in store.latest().values() if record.label in ("mcfa", "dem", "cada", "sje")]
    for rule in ("last", "val", "test-max"):
        (table,) = leaderboard(records, selection=rule)
        assert len(table.rows) > 2
        for row in table.rows:
            mine = [record for record in records if record.label == row.label]
            tests = [record for record in mine if record.trial.stage == "test"]
            curve = learning_curve(row.label, tests, [each for each in mine if each not in tests], lead)
            assert curve is not None
            assert curve.marks[rule][1] == pytest.approx(row.metrics[lead].mean), (row.label, rule)


@pytest.fixture
def two_splits(tmp_path: Path) -> Store:
    """One method on two splits, unseen {2, 3} and {1, 3}."""
    return write_store(
        tmp_path / "store",
        [
            (done(trial("a", 0), [0.5], [1.0, 0.8, 0.5, 0.2]), answers(0, [2, 3, 3, 3])),
            (done(trial("a", 1), [0.7], [0.9, 0.6, 0.4, 0.3]), answers(1, [1, 1, 1, 3])),
        ],
    )


def test_confusion_counts_only_where_both_are_candidates(two_splits: Store):
    """A share is of the images in splits where both classes are unseen, and NaN where they never are together."""
    found = section_of(two_splits).confusion
    assert found is not None
    assert found.classes == ["class 1", "class 2", "class 3"]
    expected = [[1, np.nan, 0], [np.nan, 0.5, 0.5], [0.5, 0, 0.75]]
    np.testing.assert_allclose(found.share, expected)
    assert found.left_out == 0


def test_accuracies_tell_seen_from_unseen(two_splits: Store):
    """A class's accuracy where it is unseen and where it is seen are kept apart; NaN where there is no such split."""
    found = section_of(two_splits).accuracies
    assert found is not None
    # Split 0 lists the classes 0, 1, 2, 3; split 1 lists 0, 2, then 1, 3.
    np.testing.assert_allclose(found.seen[:, 0], [0.95, 0.8, 0.6, np.nan])
    np.testing.assert_allclose(found.unseen[:, 0], [np.nan, 0.4, 0.5, 0.25])


def test_the_hardest_classes_are_shown_where_there_are_too_many(two_splits: Store, monkeypatch: pytest.MonkeyPatch):
    """With room for two, the two of the lowest accuracy are kept, in the order of the classes; the rest is counted."""
    monkeypatch.setattr("zslbench.report.contents._MOST_CLASSES", {"confusion": 2, "accuracies": 2})
    section = section_of(two_splits)
    assert section.confusion is not None
    assert section.accuracies is not None
    assert (section.confusion.classes, section.confusion.left_out) == (["class 2", "class 3"], 1)
    assert (section.accuracies.classes, section.accuracies.left_out) == (["class 1", "class 3"], 2)
    np.testing.assert_allclose(section.confusion.share, [[0.5, 0.5], [0, 0.75]])
    np.testing.assert_allclose(section.accuracies.unseen[:, 0], [0.4, 0.25])


def test_the_area_is_the_mean_of_the_trials(two_splits: Store):
    """AUSUC: both trials are separable, S is 1 until U is at its end (3/4), so the area is 3/4 in each."""
    (curve,) = section_of(two_splits).curves
    assert curve.area == pytest.approx(0.75)
    assert curve.unseen.max() == pytest.approx(0.75)
    assert curve.point == pytest.approx((0.6, 0.6))


def test_classes_have_names_where_the_data_set_is(two_splits: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The card's names, if a data set of that name and with the same labels is found; else numbers, said once."""
    assert sum("by number" in warning for warning in section_of(two_splits).warnings) == 1
    _write_data(tmp_path / "hand-made")
    monkeypatch.chdir(tmp_path)
    section = section_of(two_splits)
    assert section.class_name(2) == "gulf"
    assert not any("by number" in warning for warning in section.warnings)


def test_a_data_set_with_other_labels_does_not_lend_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same name is not enough: the labels' hash must be the records'."""
    _write_data(tmp_path / "hand-made")
    monkeypatch.chdir(tmp_path)
    other = trial("a", 0, hashes={"labels": "11"})
    section = section_of(write_store(tmp_path / "store", [(done(other, [0.5]), answers(0, [2, 2, 3, 3]))]))
    assert section.dataset is None


def test_a_lost_predictions_file_is_a_warning(two_splits: Store):
    """Figures do without the trial, the page says which, and the numbers of the record stay."""
    record = next(two_splits.records())
    (two_splits.folder / str(record.predictions)).unlink()
    section = section_of(two_splits)
    assert any("Left out of the figures: a, split 0" in warning for warning in section.warnings)
    assert section.confusion is not None
    assert section.confusion.classes == ["class 1", "class 3"]
    assert section.table.rows[0].done == 2


def test_what_keeps_from_trusting_the_numbers_is_said(tmp_path: Path):
    """Holes, failures, few splits, several versions and devices, and test-set columns each have their sentence."""
    planned = [trial("a", split) for split in range(2)] + [trial("b", split) for split in range(3)]
    store = write_store(
        tmp_path / "store",
        [
            (done(planned[0], [0.5, 0.6], device="cpu", versions={"numpy": "1"}), answers(0, [2, 2, 3, 3])),
            (done(planned[1], [0.5, 0.6], device="cuda", versions={"numpy": "2"}), answers(1, [1, 1, 3, 3])),
            (done(planned[2], [0.4, 0.3]), answers(0, [2, 2, 3, 3])),
            (failed(planned[3], "no luck"), None),
            (failed(planned[4], "no luck"), None),
        ],
        planned,
    )
    said = "\n".join(section_of(store).warnings)
    (table,) = tables_of(store)
    reasons = {row.label: row.why for row in table.rows if row.rank is None}
    assert reasons["b"]
    assert all(f"No rank ({why}): {label}." in said for label, why in reasons.items())
    assert "Failed: b, split 1 seed 0, split 2 seed 0: ValueError: no luck" in said
    assert "different devices (cpu, cuda)" in said
    assert "different versions of numpy: 1, 2" in said
    assert "“max” look at the test set" in said
    oracle = "\n".join(section_of(store, selection="test-max").warnings)
    assert "an oracle's, not results" in oracle


def test_missing_validation_trials_are_said(tmp_path: Path):
    """Where --select val cannot choose an epoch the page names the method and what to run."""
    made = [(done(trial(name, split), [0.5, 0.6]), None) for name in ("with", "without") for split in range(2)]
    made += [(done(trial("with", split, "validation"), [0.5, 0.6]), None) for split in range(2)]
    store = write_store(tmp_path / "store", made)
    said = "\n".join(section_of(store, selection="val").warnings)
    assert "Validation trials are missing for without: run with validation=True" in said
    assert "Validation trials" not in "\n".join(section_of(store).warnings)


def test_only_the_methods_that_are_asked_for(tmp_path: Path):
    """Labels, or names of methods for all of their rows; ranks stay, and pairs and figures know of no other method."""
    store = several(tmp_path / "store")
    with store.writing():
        store.append(msgspec.structs.replace(done(trial("a", 0, config={"k": 1}), [0.1]), label="a[k=1,l=2]"), None)
    tables = tables_of(store)

    def kept(text: str) -> list[str]:
        return [row.label for table in limited(tables, text) for row in table.rows]

    assert kept("a") == ["a"]
    assert kept("a[k=1,l=2], c") == ["c", "a[k=1,l=2]"]
    (section,) = sections(limited(tables, "a,c"), store)
    assert [row.rank for row in section.table.rows] == [1, 3]
    assert section.comparison is not None
    assert [(pair.a, pair.b) for pair in section.comparison.pairs] == [("a", "c")]
    assert section.accuracies is not None
    assert section.accuracies.labels == ["a", "c"]
    assert section.methods == 2
    with pytest.raises(InputError, match=r"no results of 'd'.*There are: a, b, c"):
        limited(tables, "a,d")


def test_figures_are_drawn_over_what_ranks(tmp_path: Path):
    """A method with more trials than the others is drawn over those that it is ranked by, and the page says so."""
    store = several(tmp_path / "store", splits=2)
    with store.writing():
        store.append(done(trial("a", 2), [0.1, 0.1, 0.1]), answers(2, [0, 1, 1, 1]))
        store.append(done(trial("a", 0, seed=7), [0.1, 0.1, 0.1]), answers(0, [2, 2, 2, 2]))
    section = section_of(store)
    assert [row.rank for row in section.table.rows] == [1, 2, 3]
    assert sorted((record.trial.split, record.trial.seed) for record in section.best) == [(0, 0), (1, 0)]
    assert section.learning[0].marks["last"][1] == pytest.approx(section.table.rows[0].metrics["H"].mean)
    assert any("More is stored of a than" in warning for warning in section.warnings)


def test_few_splits_are_said_and_many_are_ranked(tmp_path: Path):
    """Below 6 splits there is a sentence instead of ranks; with 6 the best of three has mean rank 1."""
    section = section_of(several(tmp_path / "few", splits=3))
    assert section.comparison is not None
    assert section.comparison.ranking is None
    assert "too few" in str(section.too_few)
    section = section_of(several(tmp_path / "many"))
    assert section.comparison is not None
    assert section.comparison.ranking is not None
    assert section.comparison.ranking.labels == ["a", "b", "c"]
    assert section.comparison.ranking.mean_ranks == [1, 2, 3]


def test_provenance_adds_up(tmp_path: Path):
    """Seconds of all trials, commands, splits and hashes are those of the records."""
    planned = [trial("a", 0)]
    store = write_store(
        tmp_path / "store", [(done(planned[0], [0.5], host="h1"), None)], planned, "zslbench run --methods a"
    )
    facts = {fact.name: fact.values for fact in section_of(store).provenance}
    assert facts["Commands"] == ["2026-01-01T00:00  zslbench run --methods a"]
    assert facts["Compute time"] == ["0.00 hours of fitting and scoring, all trials added up"]
    assert facts["Hosts"] == ["h1"]
    assert facts["Data (SHA-256)"] == [f"labels: {array_digest(LABELS)}"]
    assert facts["Splits of 2/2"] == [f"#0 ({planned[0].split_hash[:8]}…)"]


def test_splits_bound_the_figures_as_they_bound_the_table(tmp_path: Path):
    """With the first two splits only, a figure knows of two."""
    store = several(tmp_path / "store")
    (section,) = sections(tables_of(store, splits=2), store)
    assert set(section.shown[0].per_split["H"]) == {0, 1}
    assert len(section.best) == 2


def _write_data(folder: Path) -> None:
    """A SYNTHETIC data set with the labels of the hand-made trials."""
    for kind in ("features", "semantics"):
        (folder / kind).mkdir(parents=True)
    np.save(folder / "labels.npy", LABELS)
    np.save(folder / "features/f.npy", np.ones((len(LABELS), 2), np.float32))
    np.save(folder / "semantics/s.npy", np.eye(4, dtype=np.float32))
    (folder / "card.toml").write_text(
        'name = "hand-made"\nclasses = ["bay", "cape", "gulf", "isle"]\n'
        'default_features = "f"\ndefault_semantics = "s"\n'
    )
