"""One trial: a method sees training rows and nothing else, and what it scores is measured right."""

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zslbench import Method, MethodInfo, protocol
from zslbench.datasets import Dataset, DataView
from zslbench.metrics import harmonic_mean, per_class_accuracies
from zslbench.protocol import MethodError, candidates, run_trial, training_data
from zslbench.splits import Split, make_splits
from zslbench_methods.eszsl import ESZSL
from zslbench_methods.projection import Projection

STAGES = ("test", "validation")


@dataclass(frozen=True)
class NoConfig:
    """No parameter."""


def method(fit: Any = None, scorers: Any = None, **info: Any) -> type[Method]:
    """A method class from functions; by default it scores by the first feature and the class's position."""

    class Made(Method):
        Config = NoConfig

        def fit(self, train):
            self.train_ = train
            if fit:
                fit(train)

        def scorers(self, candidates):
            if scorers:
                yield from scorers(candidates)
            else:
                yield lambda features: features[:, :1] + np.arange(len(candidates))

    Made.info = MethodInfo(**{"name": "made", "title": "Made", "family": "linear", "citation": ""} | info)
    return Made


@pytest.fixture
def view(synthetic: Path) -> DataView:
    """A SYNTHETIC data set: 8 classes x 12 images."""
    return Dataset(synthetic).view()


@pytest.fixture
def split(synthetic: Path) -> Split:
    """Its first split into 6 seen and 2 unseen classes."""
    return make_splits(Dataset(synthetic), "6/2", 1)[0]


def seen_by_fit(view: DataView, split: Split, stage: Any, **info: Any) -> Any:
    """The training data that `run_trial` hands to `fit`."""
    caught: list[Any] = []
    run_trial(method(caught.append, **info), NoConfig(), view, split, stage, 0)
    return caught[0]


@pytest.mark.parametrize("stage", STAGES)
def test_fit_gets_the_training_rows_of_seen_classes_and_no_other(view, split, stage):
    """Row by row, features, labels and semantics are those of training images; held-out rows appear nowhere."""
    train = seen_by_fit(view, split, stage)
    part = split.partition(stage)
    held_out = np.concatenate([part.held_out_seen, part.held_out_unseen])
    expected = [
        image
        for image, label in enumerate(view.labels)
        if label not in split.unseen
        and image not in split.test_seen
        and (stage == "test" or (label not in split.validation and image not in held_out))
    ]
    assert len(train.features) == len(expected) > 0
    for row, label, image in zip(train.features, train.labels, expected, strict=True):
        np.testing.assert_array_equal(row, view.features[image])
        np.testing.assert_array_equal(train.semantics[label], view.semantics[view.labels[image]])
    given = {row.tobytes() for row in train.features}
    assert not given & {np.asarray(view.features[image]).tobytes() for image in held_out}
    hidden = [*split.unseen, *(split.validation if stage == "validation" else ())]
    assert not {row.tobytes() for row in train.semantics} & {view.semantics[label].tobytes() for label in hidden}


@pytest.mark.parametrize("stage", STAGES)
def test_only_a_transductive_method_sees_the_images_to_be_classified(view, split, stage):
    """It gets exactly the held-out rows of the stage, of each setting its own, and their order says nothing."""
    asked: list[Any] = []

    def scorers(given):
        asked.append(given)
        yield lambda features: np.zeros((len(features), len(given)))

    made, part = method(asked.append, scorers, transductive=True), split.partition(stage)
    run_trial(made, NoConfig(), view, split, stage, 0)
    train, zsl, gzsl = asked
    everything = np.concatenate([part.held_out_seen, part.held_out_unseen])
    for pool, images in ((train.unlabelled, everything), (gzsl.unlabelled, everything),
                         (zsl.unlabelled, part.held_out_unseen)):  # fmt: skip
        rows = [view.features[image].tobytes() for image in images]
        assert sorted(row.tobytes() for row in pool) == sorted(rows)
        assert not pool.flags.writeable
        # An order that followed the images, the classes, or seen before unseen ones would be told by these.
        places = [rows.index(row.tobytes()) for row in pool]
        assert places != sorted(places)
        shuffled = run_order(view, images[::-1], made)
        np.testing.assert_array_equal(shuffled, pool)
    asked.clear()
    run_trial(method(asked.append, scorers), NoConfig(), view, split, stage, 0)
    assert [each.unlabelled for each in asked] == [None, None, None]


def run_order(view, images, made):
    """The pool of these images as a method gets it."""
    return protocol._unlabelled(made.info, view, images)


def test_a_rehearsal_has_unlabelled_images_of_its_own(view, split):
    """A calibrated transductive method rehearses on held-out training images: no test image is among its pool."""
    asked: list[Any] = []
    made = method(asked.append, transductive=True, uses_rehearsal=True)
    run_trial(made, NoConfig(), view, split, "test", 0)
    rehearsal = asked[0].rehearsal
    hidden = {view.features[image].tobytes() for image in np.flatnonzero(np.isin(view.labels, split.unseen))}
    hidden |= {view.features[image].tobytes() for image in split.test_seen}
    for pool in (rehearsal.train.unlabelled, rehearsal.candidates.unlabelled):
        assert not {row.tobytes() for row in pool} & hidden
        assert {row.tobytes() for row in pool} == {row.tobytes() for row in rehearsal.features}


def test_the_validation_stage_never_touches_a_test_image(view, split):
    """No test image and no unseen class takes part in choosing: not in training, not among the candidates."""
    poisoned = np.array(view.features)
    poisoned[split.test_seen] = np.nan
    poisoned[np.isin(view.labels, split.unseen)] = np.nan
    semantics = np.array(view.semantics)
    semantics[list(split.unseen)] = np.nan
    given: list[Any] = []

    def scorers(candidates):
        given.append(candidates.semantics)
        return iter([lambda features: given.append(features) or np.zeros((len(features), len(candidates)))])

    run_trial(
        method(given.append, scorers), NoConfig(), replace(view, features=poisoned, semantics=semantics), split,
        "validation", 0,
    )  # fmt: skip
    train, *arrays = given
    assert all(np.isfinite(array).all() for array in (train.features, train.semantics, *arrays))


def test_training_data_hold_nothing_else(view, split):
    """Every array that `fit` can reach is one of the training arrays; in the object there is no way to the view."""
    train = seen_by_fit(view, split, "test")
    reachable = {field.name: getattr(train, field.name) for field in dataclasses.fields(train)}
    arrays = {name for name, value in reachable.items() if isinstance(value, np.ndarray)}
    assert arrays == {"features", "labels", "semantics"}
    assert reachable["unseen_semantics"] is reachable["maps"] is None
    for name in arrays:
        array = getattr(train, name)
        assert array.base is None or (array.base.size == array.size and array.base.base is None)


@pytest.mark.parametrize("name", ["features", "labels", "semantics", "unseen_semantics"])
def test_arrays_are_read_only_and_copies(view, split, name):
    """Writing to what `fit` is given raises; forcing it changes neither the data set nor what is measured."""
    train = seen_by_fit(view, split, "test", uses_unseen_semantics=True)
    array = getattr(train, name)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0

    def vandalise(train):
        array = getattr(train, name)
        array.flags.writeable = True
        array[:] = 0

    clean = run_trial(method(uses_unseen_semantics=True), NoConfig(), view, split, "test", 0)
    wild = run_trial(method(vandalise, uses_unseen_semantics=True), NoConfig(), view, split, "test", 0)
    assert wild.outcome == clean.outcome


def test_scorers_get_read_only_arrays(view, split):
    """A scorer cannot change the test images that the next epoch is measured on."""

    def scorers(candidates):
        yield lambda features: features.sort() or features[:, : len(candidates)]

    with pytest.raises(ValueError, match="read-only"):
        run_trial(method(scorers=scorers), NoConfig(), view, split, "test", 0)


def test_unseen_semantics_are_given_to_those_who_declare_it(view, split):
    """A method that declares ``uses_unseen_semantics`` gets the unseen rows, in the order of their classes."""
    assert seen_by_fit(view, split, "test").unseen_semantics is None
    given = seen_by_fit(view, split, "test", uses_unseen_semantics=True).unseen_semantics
    np.testing.assert_array_equal(given, view.semantics[list(split.unseen)])
    given = seen_by_fit(view, split, "validation", uses_unseen_semantics=True).unseen_semantics
    np.testing.assert_array_equal(given, view.semantics[list(split.validation)])


def test_maps_are_given_to_those_who_need_them(view, split):
    """A method that declares ``needs_maps`` trains on the maps of training images and scores maps of test images."""
    maps = np.arange(len(view.labels) * 6.0, dtype=np.float32).reshape(-1, 3, 2)
    view = replace(view, maps=maps)
    shapes = []

    def scorers(candidates):
        yield lambda features, maps: shapes.append(maps) or np.zeros((len(features), len(candidates)))

    caught: list[Any] = []
    run_trial(method(caught.append, scorers, needs_maps=True), NoConfig(), view, split, "test", 0)
    part = split.partition("test")
    np.testing.assert_array_equal(caught[0].maps, maps[part.train])
    np.testing.assert_array_equal(shapes[0], maps[part.held_out_unseen])
    assert seen_by_fit(view, split, "test").maps is None


def test_optional_maps_are_given_where_there_are_any(view, split):
    """A method that uses maps if any gets them in training and scoring, and does without where there are none."""
    maps = np.random.default_rng(0).normal(size=(len(view.labels), 4, 3)).astype(np.float16)

    def scorers(candidates):
        def scores(features, maps=None):
            factor = features[:, :1] if maps is None else maps.sum((1, 2))[:, None]
            return factor * np.arange(1, len(candidates) + 1)

        yield scores

    with_maps = run_trial(method(scorers=scorers, uses_maps=True), None, replace(view, maps=maps), split, "test", 0)
    without = run_trial(method(scorers=scorers, uses_maps=True), None, view, split, "test", 0)
    assert not np.allclose(with_maps.predictions["gzsl_margin"], without.predictions["gzsl_margin"])


def test_an_oracle_gets_mean_visual_features_as_semantics(view, split):
    """Seen classes: the mean of their training images; unseen ones: of the images to be classified; no other method."""
    got = {}

    def scorers(candidates):
        got[len(candidates)] = candidates
        yield lambda features: features[:, :1] + np.arange(len(candidates))

    oracle = method(scorers=scorers, family="bound", oracle=True)
    run_trial(oracle, None, view, split, "test", 0)
    part, features = split.partition("test"), np.asarray(view.features)
    for row, label in zip(got[2].semantics, part.unseen, strict=True):
        np.testing.assert_allclose(row, features[view.labels == label].mean(0), rtol=1e-5)
    everything = got[8]
    for row, label in zip(everything.semantics[:6], part.seen, strict=True):
        trained = part.train[view.labels[part.train] == label]
        np.testing.assert_allclose(row, features[trained].mean(0), rtol=1e-5)
    run_trial(method(scorers=scorers), None, view, split, "test", 0)
    np.testing.assert_array_equal(got[2].semantics, view.semantics[part.unseen])


def fitted(base: type[Method], config: Any, view: DataView, split: Split, stage: Any) -> list[bytes]:
    """Every learnt array of a method after a trial, bit for bit."""
    caught: list[Any] = []

    class Caught(base):
        def fit(self, train):
            super().fit(train)
            caught.append(self)

    run_trial(Caught, config, view, split, stage, 0)
    learnt = {name: value for name, value in vars(caught[0]).items() if name.endswith("_")}
    assert learnt
    return [
        np.asarray(part).tobytes()
        for _, value in sorted(learnt.items())
        for part in (dataclasses.astuple(value) if dataclasses.is_dataclass(value) else (value,))
    ]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("base", "config"),
    [(ESZSL, ESZSL.Config()), *((Projection, Projection.Config(direction=name)) for name in (
        "visual-to-semantic", "semantic-to-visual", "both"))],
    ids=["eszsl", "projection-vs", "projection-sv", "projection-both"],
)  # fmt: skip
def test_what_is_held_out_cannot_leak(view, split, base, config, stage):
    """With held-out images replaced by noise, their labels permuted and unseen semantics redrawn, no fitted
    parameter changes by a bit; with one training image changed, some do."""
    rng = np.random.default_rng(1)
    part = split.partition(stage)
    hidden = np.setdiff1d(np.arange(len(view.labels)), part.train)
    features, labels, semantics = np.array(view.features), np.array(view.labels), np.array(view.semantics)
    features[hidden] = rng.normal(size=features[hidden].shape)
    labels[part.held_out_unseen] = rng.permutation(labels[part.held_out_unseen])
    labels[part.held_out_seen] = rng.permutation(labels[part.held_out_seen])
    unknown = np.setdiff1d(np.arange(len(semantics)), part.seen)
    semantics[unknown] = rng.normal(size=semantics[unknown].shape)
    assert not np.array_equal(labels, view.labels)

    before = fitted(base, config, view, split, stage)
    assert fitted(base, config, replace(view, features=features, labels=labels, semantics=semantics), split, stage) == (
        before
    )
    features = np.array(view.features)
    features[part.train[0]] += 1
    assert fitted(base, config, replace(view, features=features), split, stage) != before


class TwoSeenTwoUnseen:
    """Eight images of classes 0 to 3, worked by hand; classes 2 and 3 are unseen."""

    labels = np.array([0, 0, 1, 1, 2, 2, 2, 3])
    names = ("a", "b", "c", "d")
    view = DataView(
        "hand", names, "f", "s", np.arange(8, dtype=np.float32)[:, None], labels, np.eye(4, dtype=np.float32),
        None, {},
    )  # fmt: skip
    split = Split("hand", "2/2", 0, (2, 3), (1,), np.array([1, 3]), names, labels)
    # One row per image: scores of classes 0 to 3.
    scores = np.array(
        [
            [0, 0, 0, 0],  # trained on
            [3, 0, 1, 0],  # class 0: right, by 2
            [0, 0, 0, 0],  # trained on
            [2, 1, 0, 1],  # class 1: taken for 0, by 1
            [0, 0, 1, 0],  # class 2: right, by 1
            [1, 1, 0.5, 0],  # class 2: taken for a seen class by 0.5, right among the unseen
            [0, 0, 0, 2],  # class 2: taken for 3, by 2
            [0, 0, 0, 1],  # class 3: right, by 1
        ]
    )

    def scorers(self, candidates):
        columns = candidates.semantics.argmax(1)
        yield lambda features: self.scores[features[:, 0].astype(int)][:, columns]


def test_numbers_worked_by_hand():
    """T1, OA, S, U, H, AUSUC, the per-class accuracies and the best calibrated H are those of the hand-worked case."""
    case = TwoSeenTwoUnseen()
    measured = run_trial(method(scorers=case.scorers), NoConfig(), case.view, case.split, "test", 0)
    outcome = measured.outcome
    assert outcome.zsl == {"T1": [pytest.approx((2 / 3 + 1) / 2)], "OA": [3 / 4]}
    assert outcome.gzsl["S"] == [(1 + 0) / 2]
    assert outcome.gzsl["U"] == [pytest.approx((1 / 3 + 1) / 2)]
    assert outcome.gzsl["H"] == [pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))]
    # S stays 1/2 until the largest margin, while U climbs 0, 2/3 (margin -1), 5/6 (margin 0.5).
    assert outcome.gzsl["AUSUC"] == [pytest.approx(1 / 2 * 5 / 6)]
    assert outcome.best_calibrated_h == pytest.approx(2 * (1 / 2) * (5 / 6) / (1 / 2 + 5 / 6))
    assert outcome.per_class == {"zsl": [pytest.approx(2 / 3), 1], "gzsl": [1, 0, pytest.approx(1 / 3), 1]}
    np.testing.assert_array_equal(measured.predictions["zsl_truth"], [2, 2, 2, 3])
    np.testing.assert_array_equal(measured.predictions["zsl_predicted"], [2, 2, 3, 3])
    np.testing.assert_array_equal(measured.predictions["gzsl_truth"], [0, 1, 2, 2, 2, 3])
    np.testing.assert_array_equal(measured.predictions["gzsl_margin"], [2, 1, -1, 0.5, -2, -1])


def test_candidates_say_which_classes_were_trained_on():
    """Candidates are in the order asked for; `seen` is the label in the training data, -1 for an unseen class."""
    case = TwoSeenTwoUnseen()
    part = SimpleNamespace(seen=np.array([1, 3]), few=np.array([]))
    given = candidates(case.view, part, np.array([3, 0, 1, 2]))
    assert given.seen.tolist() == [1, -1, 0, -1]
    assert given.generalized
    assert len(given) == 4
    assert not candidates(case.view, part, np.array([0, 2])).generalized
    np.testing.assert_array_equal(given.semantics, case.view.semantics[[3, 0, 1, 2]])


def test_every_epoch_is_measured_and_the_last_one_is_kept():
    """A method that yields several scorers leaves one value per epoch; predictions are those of the last."""
    case = TwoSeenTwoUnseen()
    perfect = np.eye(4)[case.labels]

    def scorers(candidates):
        columns = candidates.semantics.argmax(1)
        for scores in (1 - perfect, case.scores, perfect):
            yield lambda features, scores=scores: scores[features[:, 0].astype(int)][:, columns]

    outcome = run_trial(method(scorers=scorers), NoConfig(), case.view, case.split, "test", 0).outcome
    assert outcome.zsl["T1"] == [0, pytest.approx(5 / 6), 1]
    assert outcome.gzsl["H"] == [0, pytest.approx(4 / 7), 1]
    assert {len(curve) for curve in (*outcome.zsl.values(), *outcome.gzsl.values())} == {3}
    assert outcome.per_class == {"zsl": [1, 1], "gzsl": [1, 1, 1, 1]}
    assert outcome.best_calibrated_h == 1


def test_each_scorer_is_called_before_the_next_is_asked_for(view, split):
    """A method may yield the same network after each epoch of training: the harness scores in between."""
    events = []

    def scorers(candidates):
        for epoch in range(3):
            events.append(f"train {epoch}")
            yield (
                lambda features, epoch=epoch: (
                    events.append(f"score {epoch}") or np.zeros((len(features), len(candidates)))
                )
            )

    run_trial(method(scorers=scorers), NoConfig(), view, split, "test", 0)
    one_setting = [f"{what} {epoch}" for epoch in range(3) for what in ("train", "score")]
    one_setting.insert(1, "score 0")  # some rows again, to see that their scores do not depend on the others
    assert events == one_setting * 2


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("base", [ESZSL, Projection])
def test_predictions_give_the_metrics_again(view, split, base, stage):
    """Recomputed from the predictions alone, T1, OA, S, U, H are the last epoch's values exactly."""
    measured = run_trial(base, base.Config(), view, split, stage, 0)
    kept, outcome = measured.predictions, measured.outcome
    part = split.partition(stage)
    zsl = per_class_accuracies(kept["zsl_truth"], kept["zsl_predicted"], part.unseen)
    assert (zsl.mean(), np.mean(kept["zsl_truth"] == kept["zsl_predicted"])) == (
        outcome.zsl["T1"][-1], outcome.zsl["OA"][-1])  # fmt: skip
    predicted = np.where(kept["gzsl_margin"] >= 0, kept["gzsl_best_seen"], kept["gzsl_best_unseen"])
    seen = per_class_accuracies(kept["gzsl_truth"], predicted, part.seen).mean()
    unseen = per_class_accuracies(kept["gzsl_truth"], predicted, part.unseen).mean()
    assert [outcome.gzsl[name][-1] for name in "SUH"] == [seen, unseen, harmonic_mean(seen, unseen)]


def test_a_seen_class_without_an_image_to_spare_is_left_out_of_the_validation_measure():
    """A class with one training image cannot be held out in the validation stage: S is the mean of the others."""
    labels = np.repeat([0, 1, 2, 3, 4], [2, 6, 6, 6, 6])
    names = ("a", "b", "c", "d", "e")
    features = np.eye(5, dtype=np.float32)[labels]
    view = DataView("small", names, "f", "s", features, labels, np.eye(5, dtype=np.float32), None, {})
    split = Split("small", "4/1", 0, (4,), (3,), np.array([0, 2, 8, 14]), names, labels)

    def scorers(candidates):
        yield lambda features: features @ candidates.semantics.T

    outcome = run_trial(method(scorers=scorers), NoConfig(), view, split, "validation", 0).outcome
    assert outcome.gzsl["S"] == [1]
    assert len(outcome.per_class["gzsl"]) == 3  # b, c and the validation class d


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda n, k: np.zeros((n, k + 1)), r"scorer 1 returned \(\d+, 3\) float64: expected \(\d+, 2\) numbers"),
        (lambda n, k: np.zeros((k, n)), r"expected \(\d+, 2\) numbers, one column per candidate"),
        (lambda n, k: np.zeros(n), "expected"),
        (lambda n, k: 0.0, "expected"),
        (lambda n, k: np.full((n, k), np.nan), "NaN or infinite scores"),
        (lambda n, k: np.full((n, k), np.inf), "NaN or infinite scores"),
        (lambda n, k: np.full((n, k), "0"), "<U1: expected"),
        (lambda n, k: np.full((n, k), None), "object: expected"),
        (lambda n, k: np.zeros((n, k), complex), "complex128: expected"),
        (lambda n, k: None, "object: expected"),
    ],
)
def test_scores_that_cannot_be_ranked_are_the_method_s_error(view, split, returned, message):
    """Wrong shape, NaN, infinity, text or nothing at all is a MethodError that says what was expected."""

    def scorers(candidates):
        yield lambda features: returned(len(features), len(candidates))

    with pytest.raises(MethodError, match=message):
        run_trial(method(scorers=scorers), NoConfig(), view, split, "test", 0)


def test_a_later_scorer_is_checked_too(view, split):
    """The message counts which scorer went wrong."""

    def scorers(candidates):
        for value in (0, np.nan):
            yield lambda features, value=value: np.full((len(features), len(candidates)), value)

    with pytest.raises(MethodError, match="scorer 2 returned NaN"):
        run_trial(method(scorers=scorers), NoConfig(), view, split, "test", 0)


def test_no_scorer_is_the_method_s_error(view, split):
    """A method must yield at least its final model."""
    with pytest.raises(MethodError, match=r"made: scorers\(\) yielded no scorer; the last one is the final model"):
        run_trial(method(scorers=lambda candidates: iter(())), NoConfig(), view, split, "test", 0)


def test_what_a_method_raises_passes_through(view, split):
    """An error of the method is not disguised."""

    def fit(train):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        run_trial(method(fit), NoConfig(), view, split, "test", 0)


def test_scores_may_not_depend_on_the_other_rows(view, split):
    """A scorer that looks at the whole test set, or at the order of its rows, breaks the interface."""
    by_place = method(scorers=lambda all_: iter([lambda x: np.arange(len(x))[:, None] * np.ones(len(all_))]))
    by_batch = method(scorers=lambda all_: iter([lambda x: (x - x.mean(0)) @ np.ones((x.shape[1], len(all_)))]))
    for cheat in (by_place, by_batch):
        with pytest.raises(MethodError, match="depends on the other images"):
            run_trial(cheat, NoConfig(), view, split, "test", 0)


def test_scores_may_be_lists_integers_or_tensors(view, split):
    """Anything that NumPy reads as a matrix of numbers is measured alike."""
    import torch

    def scoring(convert):
        def scorers(candidates):
            factors = np.arange(1, len(candidates) + 1)
            yield lambda features: convert((np.abs(features[:, :1]) * factors * 37).astype(np.int64) % 100)

        return run_trial(method(scorers=scorers), NoConfig(), view, split, "test", 0).outcome

    plain = scoring(lambda rows: rows)
    for convert in (np.ndarray.tolist, torch.from_numpy, np.float16, np.float64):
        assert scoring(convert) == plain


def test_images_are_scored_in_blocks_that_change_nothing(view, split, monkeypatch):
    """However many images are scored at a time, the outcome is the same."""
    whole = run_trial(Projection, Projection.Config(), view, split, "test", 0)
    monkeypatch.setattr("zslbench.protocol._SCORE_ROWS", 5)
    parts = run_trial(Projection, Projection.Config(), view, split, "test", 0)
    assert parts.outcome == whole.outcome


def test_the_seed_comes_from_the_cell_alone(view, split, synthetic):
    """Two methods on one cell draw the same numbers; another split or seed draws others."""
    other = make_splits(Dataset(synthetic), "6/2", 2)[1]
    draw = {
        (cell.id, seed): training_data(
            method().info, view, cell.partition("test"), seen_by_fit_seed(view, cell, seed)
        ).rng("x").random()
        for cell in (split, other) for seed in (0, 1)
    }  # fmt: skip
    assert len(set(draw.values())) == 4
    assert seen_by_fit(view, split, "test").rng("x").random() == draw[split.id, 0]
    assert seen_by_fit(view, split, "test", uses_unseen_semantics=True).rng("x").random() == draw[split.id, 0]


def seen_by_fit_seed(view: DataView, split: Split, seed: int) -> int:
    """The seed that `fit` is given."""
    caught: list[Any] = []
    run_trial(method(caught.append), NoConfig(), view, split, "test", seed)
    return caught[0].seed


def test_cost_is_measured(view, split):
    """Seconds of fitting and of scoring are told apart, and the peak memory is that of this trial."""
    import time

    def scorers(candidates):
        time.sleep(0.05)
        yield lambda features: np.zeros((len(features), len(candidates)))

    measured = run_trial(method(lambda train: time.sleep(0.2), scorers), NoConfig(), view, split, "test", 0)
    assert 0.2 <= measured.fit_seconds < 0.2 + measured.score_seconds + 5
    assert measured.score_seconds >= 0.1
    assert measured.peak_mb is None or 10 < measured.peak_mb < 100_000


def test_scores_are_the_same_whether_test_images_are_held_or_read_anew(view, split, monkeypatch):
    """Where test images are too many to hold, every scorer reads them block by block, and measures the same."""

    def two_scorers(candidates):
        for sign in (1, -1):
            yield lambda features, sign=sign: sign * features[:, :1] * np.arange(1, len(candidates) + 1)

    made = method(scorers=two_scorers)
    monkeypatch.setattr(protocol, "_SCORE_ROWS", 5)
    held = run_trial(made, NoConfig(), view, split, "test", 0)
    monkeypatch.setattr(protocol, "_HELD_BYTES", 0)
    anew = run_trial(made, NoConfig(), view, split, "test", 0)
    assert anew.outcome == held.outcome
    assert len(anew.outcome.zsl["T1"]) == 2


def test_a_method_that_reads_blocks_gets_the_training_rows_and_no_others(view, split):
    """What a `reads_blocks` method slices is what another method is handed whole."""
    part = split.partition("test")
    whole = training_data(method().info, view, part, 0).features
    lazy = training_data(method(reads_blocks=True).info, view, part, 0).features
    assert lazy.shape == whole.shape
    assert np.array_equal(lazy[10:30], whole[10:30])
    assert np.array_equal(np.asarray(lazy), whole)
