"""Calibrated stacking chooses its constant on validation classes and changes nothing else."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from plugins import write_plugin

from zslbench import Candidates, Method, MethodInfo, Rehearsal, TrainingData
from zslbench.calibration import best_constant, calibrated
from zslbench.configuration import parse_methods
from zslbench.datasets import Dataset, DataView
from zslbench.errors import InputError
from zslbench.metrics import harmonic_mean, per_class_accuracies
from zslbench.protocol import candidates, run_trial, training_data
from zslbench.registry import Registry
from zslbench.runner.plan import make_jobs
from zslbench.splits import Split, make_splits, read_splits
from zslbench_methods.eszsl import ESZSL


@pytest.fixture
def data(synthetic: Path) -> Dataset:
    """A SYNTHETIC data set: 8 classes x 12 images."""
    return Dataset(synthetic)


@pytest.fixture
def view(data: Dataset) -> DataView:
    return data.view()


@pytest.fixture
def split(data: Dataset) -> Split:
    return make_splits(data, "5/3", 1)[0]


def rehearsal_of(scores: np.ndarray, columns: list[int]) -> tuple[object, Rehearsal]:
    """A scorer that returns `scores` and the rehearsal it is judged in: two seen classes, then unseen ones."""
    K = scores.shape[1]
    seen = np.where(np.arange(K) < 2, np.arange(K), -1)
    train = TrainingData(np.zeros((2, 1), np.float32), np.arange(2), np.zeros((2, 1), np.float32), seed=0)
    rehearsal = Rehearsal(
        train, Candidates(np.zeros((K, 1), np.float32), seen), np.zeros((len(scores), 1), np.float32), np.array(columns)
    )
    return (lambda features: scores), rehearsal


def test_the_constant_by_hand() -> None:
    """Margins 5, 1 (seen images) and 3, -2 (unseen ones): between 3 and 5 lie H = 2 (1/2 1) / (1/2 + 1) = 2/3; so 4."""
    # rows: seen 0, seen 1, unseen 2, unseen 3
    scores = np.array([[5.0, 0, 0, 0], [0, 1.0, 0, 0], [3.0, 0, 0, -9], [-9, -2.0, -9, 0]])
    scorer, rehearsal = rehearsal_of(scores, [0, 1, 2, 3])
    # gamma <= 1: S = 1, U = 1/2 -> 2/3, which holds at zero already
    assert best_constant(scorer(rehearsal.features), rehearsal) == 0.0
    scores[3] = [2.0, -2, -9, 0]  # now no unseen image is right at zero: margins 5, 1 and 3, 2
    scorer, rehearsal = rehearsal_of(scores, [0, 1, 2, 3])
    assert best_constant(scorer(rehearsal.features), rehearsal) == 4.0


@pytest.mark.parametrize("seed", range(8))
def test_no_constant_is_better(seed: int) -> None:
    """On random scores no constant of a fine grid reaches a higher harmonic mean than the chosen one."""
    rng = np.random.default_rng(seed)
    scores, columns = rng.normal(size=(40, 5)) + [1, 1, 0, 0, 0], np.resize(np.arange(5), 40)
    scorer, rehearsal = rehearsal_of(scores, columns.tolist())

    def h(gamma: float) -> float:
        predicted = (scores - gamma * np.array([1, 1, 0, 0, 0])).argmax(1)
        accuracy = per_class_accuracies(columns, predicted, np.arange(5))
        return float(harmonic_mean(accuracy[:2].mean(), accuracy[2:].mean()))

    chosen = h(best_constant(scorer(rehearsal.features), rehearsal))
    assert chosen == pytest.approx(max(map(h, np.linspace(-4, 4, 4001))), abs=1e-9)


def test_it_is_the_base_method_but_for_a_constant_on_seen_scores(view: DataView, split: Split) -> None:
    """ZSL scores are the base method's to the bit; GZSL scores differ by one constant on seen classes."""
    method, part = calibrated(ESZSL), split.partition("test")
    train = training_data(method.info, view, part, 1, rehearsal=split.rehearsal("test"))
    ours, base = method(), ESZSL()
    ours.fit(train)
    base.fit(train)
    zsl = candidates(view, part, part.unseen)
    everything = candidates(view, part, np.concatenate([part.seen, part.unseen]))
    features = view.rows(part.held_out_unseen)
    np.testing.assert_array_equal(*(next(iter(m.scorers(zsl)))(features) for m in (ours, base)))
    handicap = next(iter(base.scorers(everything)))(features) - next(iter(ours.scorers(everything)))(features)
    np.testing.assert_allclose(handicap[:, everything.seen < 0], 0, atol=0)
    np.testing.assert_allclose(handicap[:, everything.seen >= 0], ours.constants_[-1], atol=1e-12)


def test_the_constant_is_the_validation_stage_s_best(view: DataView, split: Split) -> None:
    """The rehearsal of a test-stage trial is the validation-stage trial: its best H is what the constant reaches."""
    plain = run_trial(ESZSL, ESZSL.Config(), view, split, "validation", 0)
    method, part = calibrated(ESZSL), split.partition("test")
    train = training_data(method.info, view, part, 1, rehearsal=split.rehearsal("test"))
    assert train.rehearsal is not None
    base = ESZSL()
    base.fit(train.rehearsal.train)
    scores = next(iter(base.scorers(train.rehearsal.candidates)))(train.rehearsal.features)
    columns, seen = train.rehearsal.columns, train.rehearsal.candidates.seen >= 0
    predicted = (scores - best_constant(scores, train.rehearsal) * seen).argmax(1)
    accuracy = per_class_accuracies(columns, predicted, np.arange(len(seen)))
    reached = harmonic_mean(accuracy[seen].mean(), accuracy[~seen].mean())
    assert reached == pytest.approx(plain.outcome.best_calibrated_h)


def test_the_rehearsal_holds_training_images_alone(view: DataView, split: Split) -> None:
    """In both stages, the rehearsal's images are training rows of that stage, and its classes those trained on."""
    for stage in ("test", "validation"):
        part, inner = split.partition(stage), split.rehearsal(stage)
        assert inner is not None
        images = np.concatenate([inner.train, inner.held_out_seen, inner.held_out_unseen])
        assert len(np.unique(images)) == len(images)
        assert set(images) <= set(part.train)
        assert set(inner.seen) | set(inner.unseen) == set(part.seen)
        train = training_data(calibrated(ESZSL).info, view, part, 1, rehearsal=inner)
        assert train.rehearsal is not None
        assert train.rehearsal.train.rehearsal is None
        known = {row.tobytes() for row in np.asarray(train.features)}
        assert {row.tobytes() for row in train.rehearsal.features} <= known
        expected = np.concatenate([inner.seen, inner.unseen])[train.rehearsal.columns]
        held_out = np.concatenate([inner.held_out_seen, inner.held_out_unseen])
        np.testing.assert_array_equal(expected, view.labels[held_out])


def test_each_epoch_has_its_own_constant(view: DataView, split: Split, tmp_path: Path) -> None:
    """A method with three epochs gets three constants, each the best of its epoch."""
    registry = Registry([write_plugin(tmp_path / "mine.py")])
    (spec,) = parse_methods("mine+cal[ridge=2]")
    method, config, label = registry.build(spec)
    assert label == "mine+cal[ridge=2.0]"
    assert registry.source("mine+cal") == registry.source("mine") != ""
    measured = run_trial(method, config, view, split, "test", 0)
    assert len(measured.outcome.gzsl["H"]) == 3
    fitted = method(config)
    fitted.fit(training_data(method.info, view, split.partition("test"), 1, rehearsal=split.rehearsal("test")))
    assert len(set(fitted.constants_)) == 3


def test_a_calibrated_method_pickles_fitted_or_not(view: DataView, split: Split) -> None:
    """Although its class is made at run time, an instance crosses a process boundary with what it has learned."""
    method = calibrated(ESZSL)
    fitted = method(ESZSL.Config(log10_gamma=1.0))
    fitted.fit(training_data(method.info, view, split.partition("test"), 1, rehearsal=split.rehearsal("test")))
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    assert type(again) is method
    assert again.config == fitted.config
    np.testing.assert_array_equal(again.fitted_.V_, fitted.fitted_.V_)


def test_split_without_validation_classes_is_refused(data: Dataset, view: DataView, tmp_path: Path) -> None:
    """A calibrated method on a split whose validation classes are missing is an input error, before anything runs."""
    path = tmp_path / "splits.json"
    path.write_text('[{"unseen": ["class1", "class2", "class3", "class4", "class5", "class6", "class7"]}]')
    splits = read_splits(data, path)
    with pytest.raises(InputError, match="chooses on validation classes"):
        make_jobs(Registry(), parse_methods("eszsl+cal"), view, splits, range(1), ["test"])


def test_versions_follow_the_base_method() -> None:
    """A new version of the base method is a new version of the calibrated one."""
    newer = type("Newer", (ESZSL,), {"info": dataclasses.replace(ESZSL.info, version=ESZSL.info.version + 1)})
    assert calibrated(newer).info.version == calibrated(ESZSL).info.version + 1


def test_calibrating_twice_is_refused() -> None:
    """A method that chooses on the validation classes itself, a calibrated one above all, is not calibrated again."""
    with pytest.raises(InputError, match="'eszsl\\+cal' chooses on the validation classes itself"):
        Registry().get("eszsl+cal+cal")


def test_both_sources_are_cited() -> None:
    """A calibrated method says what the base method does, and cites its paper and that of calibrated stacking."""
    method = calibrated(ESZSL)
    assert ESZSL.info.citation in method.info.citation
    assert "Chao, Wei-Lun" in method.info.citation
    assert "bilinear compatibility" in (method.__doc__ or "")


def test_what_epochs_share_is_done_once_under_calibration_too(view: DataView, split: Split) -> None:
    """A calibrated method of several epochs represents the held-out images once, and the test images once for all."""
    calls = []

    class Shared:
        def __init__(self, represent, epoch):
            self.represent, self.epoch = represent, epoch

        def score(self, represented):
            return represented * (self.epoch + 1)

        def __call__(self, *inputs):
            return self.score(self.represent(*inputs))

    class Epochs(Method):
        """Epochs of one representation."""

        info = MethodInfo(name="epochs", title="Epochs", family="linear", citation="")

        @dataclasses.dataclass(frozen=True)
        class Config:
            """None."""

        def fit(self, train):
            self.width = train.features.shape[1]

        def scorers(self, candidates):
            weights = np.ones((self.width, len(candidates)), np.float32)

            def represent(features):
                calls.append(len(features))
                return features @ weights

            yield from (Shared(represent, epoch) for epoch in range(3))

    method, part = calibrated(Epochs), split.partition("test")
    train = training_data(method.info, view, part, 1, rehearsal=split.rehearsal("test"))
    everything = candidates(view, part, np.concatenate([part.seen, part.unseen]))
    fitted = method(Epochs.Config())
    fitted.fit(train)
    assert len(calls) == 1
    scorers = list(fitted.scorers(everything))
    assert len({id(scorer.represent) for scorer in scorers}) == 1
    represented = scorers[0].represent(train.features)
    for scorer in scorers:
        np.testing.assert_array_equal(scorer.score(represented), scorer(train.features))
