"""k-shot trials: a few labelled images of every unseen class, drawn by hashing, trained on and never measured."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from conftest import ROOT, write_synthetic
from plugins import write_plugin

import zslbench as zb
from zslbench import Method, MethodInfo
from zslbench.configuration import parse_methods
from zslbench.datasets import Dataset, DataView
from zslbench.errors import InputError
from zslbench.gating import SeenExpert
from zslbench.protocol import candidates, columns_of, run_trial, training_data
from zslbench.records import Store
from zslbench.records.trials import key_of
from zslbench.registry import Registry
from zslbench.runner.plan import as_plan, make_jobs
from zslbench.splits import PlainRoster, Split, Stage, make_splits

STAGES: tuple[Stage, ...] = ("test", "validation")


@pytest.fixture(scope="module")
def split() -> Split:
    """21 classes x 30 images, shuffled: the first split into 16 seen and 5 unseen ones."""
    labels = np.random.default_rng(3).permutation(np.repeat(np.arange(21), 30))
    roster = PlainRoster("fake", tuple(f"c{index:02}" for index in range(21)), labels)
    return make_splits(roster, "16/5", 1)[0]


@pytest.mark.parametrize("stage", STAGES)
def test_shots_are_images_of_every_unseen_class_that_are_not_measured(split: Split, stage: Stage) -> None:
    """k images of each class that plays unseen leave those to be measured; nothing else changes."""
    before, after = split.partition(stage), split.partition(stage, 4)
    assert len(before.few) == 0
    labels, counts = np.unique(split.labels[after.few], return_counts=True)
    assert labels.tolist() == after.unseen.tolist()
    assert counts.tolist() == [4] * len(after.unseen)
    assert np.array_equal(after.few, np.unique(after.few)), "ascending, without repetition"
    assert np.array_equal(np.union1d(after.few, after.held_out_unseen), before.held_out_unseen)
    assert not np.intersect1d(after.few, after.held_out_unseen).size
    for name in ("seen", "unseen", "train", "held_out_seen", "classes", "images"):
        assert np.array_equal(getattr(after, name), getattr(before, name))


@pytest.mark.parametrize("seed", [0, 1])
def test_fewer_shots_are_among_more(split: Split, seed: int) -> None:
    """The images of k shots contain those of fewer, in either stage and in both rehearsals."""
    for k in (1, 2, 5, 10):
        for stage in STAGES:
            games = split.partition(stage, k, seed), split.partition(stage, k - 1, seed)
            assert np.isin(games[1].few, games[0].few).all()
            below = split.rehearsal(stage, k, seed), split.rehearsal(stage, k - 1, seed)
            assert below[0] is not None
            assert below[1] is not None
            assert np.isin(below[1].few, below[0].few).all()
            assert len(below[0].few) == k * len(below[0].unseen)


def test_the_seed_decides_which_images(split: Split) -> None:
    """Each seed of a trial draws other images, so that several seeds tell how lucky a draw was; the same seed, the
    same ones."""
    one, again, other = (split.partition("test", 5, seed).few for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_draw_never_changes() -> None:
    """Never to be changed: the key of a stored trial stands for these images."""
    roster = PlainRoster("fake", tuple("abcd"), np.repeat(np.arange(4), 6))
    split = make_splits(roster, "3/1", 1)[0]
    assert split.unseen == PINNED["unseen"]
    for (stage, shots, seed), images in PINNED["few"].items():
        assert split.partition(stage, shots, seed).few.tolist() == images


PINNED: dict[str, Any] = {
    "unseen": (3,),
    "few": {
        ("test", 1, 0): [23], ("test", 3, 0): [19, 20, 23], ("test", 3, 1): [18, 20, 23],
        ("validation", 2, 0): [12, 17],
    },
}  # fmt: skip


def test_no_test_image_takes_part_in_choosing(split: Split) -> None:
    """The validation stage and the rehearsals draw their shots from training images of seen classes."""
    test = split.partition("test", 5)
    hidden = np.concatenate([test.held_out_seen, test.held_out_unseen, test.few])
    for part in (split.partition("validation", 5), split.rehearsal("test", 5), split.rehearsal("validation", 5)):
        assert part is not None
        assert not np.intersect1d(part.images, hidden).size
        assert not np.isin(part.few, test.few).any()
    validation, rehearsal = split.partition("validation", 5), split.rehearsal("test", 5)
    assert rehearsal is not None
    for field in dataclasses.fields(validation):
        assert np.array_equal(getattr(validation, field.name), getattr(rehearsal, field.name))


def test_a_partition_cut_down_keeps_its_shots(split: Split) -> None:
    """Counted anew among its own images, a stage has the same images as shots."""
    part = split.partition("validation", 3)
    within = part.within(part.images, part.classes)
    assert np.array_equal(part.images[within.few], part.few)


@dataclasses.dataclass(frozen=True)
class NoConfig:
    """No parameter."""


class Spy(Method):
    """Keeps what it is given, and scores by nothing."""

    info = MethodInfo("spy", "Spy", "linear", "", uses_rehearsal=True, uses_unseen_semantics=True, uses_maps=True)
    Config = NoConfig
    given: list[Any] = []  # noqa: RUF012

    def fit(self, train: Any) -> None:
        """Keep it."""
        self.given[:] = [train]

    def scorers(self, candidates: Any) -> Any:
        """Keep them, and score by the place."""
        self.given.append(candidates)

        def score(features: Any, *maps: Any) -> Any:
            self.given.append(features)
            return features[:, :1] + np.arange(len(candidates))

        yield score


@pytest.fixture
def data(synthetic: Path) -> Dataset:
    """A SYNTHETIC data set: 8 classes x 12 images."""
    return Dataset(synthetic)


def given_to(view: DataView, split: Split, stage: Stage, shots: int) -> list[Any]:
    """Training data, candidates and features of a trial."""
    run_trial(Spy, NoConfig(), view, split, stage, 0, shots=shots)
    return list(Spy.given)


@pytest.mark.parametrize("stage", STAGES)
def test_a_method_gets_the_few_as_further_rows(data: Dataset, stage: Stage) -> None:
    """They come last, with their own labels and semantics; the rows before them are those of a trial without shots."""
    view, split = data.view(), make_splits(data, "6/2", 1)[0]
    rows = np.arange(len(view.labels), dtype=np.float32)
    view = dataclasses.replace(view, maps=rows[:, None, None] * np.ones((1, 2, 3), np.float32))
    plain, part = given_to(view, split, stage, 0)[0], split.partition(stage, 2)
    train = given_to(view, split, stage, 2)[0]
    N, S, U = len(plain.labels), len(plain.semantics), len(part.unseen)
    assert train.few.tolist() == [False] * N + [True] * (2 * U)
    assert train.seen_classes == plain.seen_classes == S
    np.testing.assert_array_equal(train.features[:N], plain.features)
    np.testing.assert_array_equal(train.labels[:N], plain.labels)
    np.testing.assert_array_equal(train.semantics[:S], plain.semantics)
    np.testing.assert_array_equal(train.semantics[S:], view.semantics[part.unseen])
    np.testing.assert_array_equal(train.unseen_semantics, view.semantics[part.unseen])
    for row, label, local, image in zip(train.features[N:], train.labels[N:], train.maps[N:], part.few, strict=True):
        np.testing.assert_array_equal(row, view.features[image])
        np.testing.assert_array_equal(train.semantics[label], view.semantics[view.labels[image]])
        assert (local == image).all()
        assert label >= S
    for array in (train.features, train.labels, train.semantics, train.few):
        assert not array.flags.writeable
    alone = train.without_few()
    assert alone.few is None
    for name in ("features", "labels", "semantics", "maps"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(plain, name))


@pytest.mark.parametrize("stage", STAGES)
def test_candidates_say_which_are_trained(data: Dataset, stage: Stage) -> None:
    """Classes with few images stay unseen; `few` and `trained` give the label of their rows, in any order."""
    view, split = data.view(), make_splits(data, "6/2", 1)[0]
    part = split.partition(stage, 1)
    train = training_data(Spy.info, view, part, 0)
    classes = np.concatenate([part.unseen, part.seen])[::-1]
    found = candidates(view, part, classes)
    unseen = np.isin(classes, part.unseen)
    assert ((found.seen < 0) == unseen).all()
    assert found.few is not None
    assert ((found.few >= 0) == unseen).all()
    np.testing.assert_array_equal(train.semantics[found.trained], view.semantics[classes])
    some = found.of(unseen)
    assert not some.generalized
    np.testing.assert_array_equal(train.semantics[some.trained], view.semantics[classes[unseen]])
    without = candidates(view, split.partition(stage), classes)
    assert without.few is None
    assert without.trained is without.seen


def test_the_few_are_never_scored(data: Dataset) -> None:
    """No scorer is called with a row that was trained on."""
    view, split = data.view(), make_splits(data, "6/2", 1)[0]
    train, *rest = given_to(view, split, "test", 3)
    trained = {row.tobytes() for row in train.features}
    scored = [row.tobytes() for given in rest if isinstance(given, np.ndarray) for row in given]
    assert scored
    assert not trained & set(scored)
    rehearsal = train.rehearsal
    assert not {row.tobytes() for row in rehearsal.features} & {row.tobytes() for row in rehearsal.train.features}
    assert rehearsal.train.few.sum() == 3 * (rehearsal.candidates.seen < 0).sum()


def test_the_seen_expert_of_a_gate_knows_seen_classes_alone(data: Dataset) -> None:
    """COSMO's first expert is fitted without the few images of unseen classes, as if there were none."""
    view, split = data.view(), make_splits(data, "6/2", 1)[0]
    with_few, without = (training_data(Spy.info, view, split.partition("test", k), 0) for k in (3, 0))
    one, other = SeenExpert(with_few.without_few()), SeenExpert(without)
    np.testing.assert_array_equal(one.W, other.W)


def test_without_shots_a_trial_has_the_key_that_it_had() -> None:
    """A shipped record, from before there were shots, has the key that its trial gives; with a shot it has another."""
    record = next(iter(Store(ROOT / "results" / "ucm-16-5").records()))
    assert record.trial.shots == 0
    assert key_of(record.trial) == record.key
    assert key_of(msgspec.structs.replace(record.trial, shots=1)) != record.key


def jobs_of(data: Dataset, methods: str, shots: list[int], **changes: Any) -> Any:
    """Planned trials of one split, in both stages."""
    splits = changes.get("splits") or make_splits(data, "6/2", 1)
    registry = changes.get("registry") or Registry()
    return make_jobs(registry, parse_methods(methods), data.view(), splits, [0], STAGES, shots)


def test_every_number_of_shots_is_a_trial_of_its_own(data: Dataset) -> None:
    """Keys differ by shots, those of 0 are those of a plan without shots, and the plan has a row for each number."""
    plain, several = jobs_of(data, "eszsl", [0]), jobs_of(data, "eszsl", [0, 2, 5])
    assert len({job.trial.key for job in several}) == 6
    assert {job.trial.key for job in plain} <= {job.trial.key for job in several}
    rows = as_plan(several, "zslbench run ...").rows
    assert [(row.trial.shots, len(row.cells)) for row in rows] == [(0, 2), (2, 2), (5, 2)]


def learner(tmp_path: Path) -> Registry:
    """A registry with a method `mine` that needs labelled images of unseen classes."""
    path = write_plugin(tmp_path / "plugin.py")
    path.write_text(path.read_text().replace('citation=""', 'citation="", needs_shots=True'))
    return Registry([path])


def test_a_method_that_needs_shots_is_left_out_without(data: Dataset, tmp_path: Path) -> None:
    """It has trials wherever there are shots; where there are to be none at all, it is refused and told what to add."""
    registry = learner(tmp_path)
    jobs = jobs_of(data, "eszsl,mine", [0, 1], registry=registry)
    assert {(job.label, job.trial.shots) for job in jobs} == {("eszsl", 0), ("eszsl", 1), ("mine", 1)}
    with pytest.raises(InputError, match=r"'mine' learns every class from labelled images .* such as shots=5"):
        jobs_of(data, "eszsl,mine", [0], registry=registry)


@pytest.mark.parametrize(
    ("methods", "most", "where"),
    [("eszsl", 6, "validation stage"), ("eszsl+cal", 4, "rehearsal of the validation stage")],
)
def test_more_shots_than_images_are_refused_at_planning(tmp_path: Path, methods: str, most: int, where: str) -> None:
    """The smallest class that plays unseen is named, with its images and the most shots that work; these work."""
    sizes = [12] * 8
    data = Dataset(write_synthetic(tmp_path / "toy", per_class=sizes))
    split = make_splits(data, "6/2", 1)[0]
    smallest = {"eszsl": split.validation[0], "eszsl+cal": int(split.rehearsal("validation").unseen[0])}[methods]
    sizes[smallest] = {"eszsl": 9, "eszsl+cal": 8}[methods]
    data = Dataset(write_synthetic(tmp_path / "other", per_class=sizes))
    data_splits = make_splits(PlainRoster("toy", data.class_names, data.labels), "6/2", 1)
    with pytest.raises(InputError) as raised:
        jobs_of(data, methods, [0, 30], splits=data_splits)
    assert f"class 'class{smallest}'" in str(raised.value)
    assert where in str(raised.value)
    assert f"at most shots={most} works" in str(raised.value)
    assert jobs_of(data, methods, [most], splits=data_splits)
    with pytest.raises(InputError, match=f"at most shots={most} works"):
        jobs_of(data, methods, [most + 1], splits=data_splits)


def test_a_partition_of_too_few_images_is_refused(split: Split) -> None:
    """Whoever asks a split directly is told as well."""
    with pytest.raises(InputError, match="has 30 image"):
        split.partition("test", 30)


def test_evaluate_and_run_take_shots(data: Dataset, tmp_path: Path) -> None:
    """What one trial measures here and now is what a run stores, a table for each number of shots."""
    loaded = zb.load(data.folder)
    split = loaded.splits("6/2", 1)[0]
    once = zb.evaluate("eszsl", loaded, split, shots=3)
    results = zb.run(
        "eszsl", loaded, split_family="6/2", splits=1, shots=[0, 3], workers=0, store=tmp_path / "store", quiet=True
    )
    tables = results.leaderboard()
    assert [table.shots for table in tables] == [0, 3]
    assert tables[1].rows[0].metrics["T1"].mean == once.T1
    (only,) = results.leaderboard(shots=3)
    assert only.shots == 3
    assert "strict track, 3-shot" in repr(results.leaderboard(shots=3))
    with pytest.raises(InputError, match="shots=4 is none of 0, 3"):
        results.leaderboard(shots=4)
    frame = results.records()
    assert frame["shots"].tolist() == [0, 0, 3, 3]
    assert results.leaderboard().to_frame()["shots"].tolist() == [0, 3]
    images = results.predictions("eszsl", loaded).query("setting == 'ZSL' and stage == 'test' and shots == 3")["image"]
    assert images.tolist() == split.partition("test", 3).held_out_unseen.tolist()
    with pytest.raises(InputError, match="shots"):
        zb.evaluate("eszsl", loaded, split, shots=-1)


def test_an_image_more_moves_the_numbers_it_should(data: Dataset) -> None:
    """With many shots a regression knows the unseen classes better than without; S, U and T1 stay accuracies."""
    loaded = zb.load(data.folder)
    split = loaded.splits("6/2", 1)[0]
    none, many = (zb.evaluate("eszsl", loaded, split, shots=shots) for shots in (0, 6))
    assert many.U >= none.U
    assert all(0 <= value <= 1 and math.isfinite(value) for value in many.metrics.values())
    assert columns_of(np.array([4, 2]), np.array([2, 4])).tolist() == [1, 0]


def test_a_kept_model_of_a_k_shot_trial_knows_its_images(data: Dataset, tmp_path: Path) -> None:
    """Read back, the model of a trial says of every held-out image what the trial said."""
    loaded, store = zb.load(data.folder), tmp_path / "store"
    zb.run(
        "prototypes,cada[epochs=2]", loaded, split_family="6/2", splits=1, shots=2, workers=0, store=store, quiet=True,
        save_models="all", validation=False,
    )  # fmt: skip
    part = loaded.splits("6/2", 1)[0].partition("test", 2)
    names = np.array(loaded.class_names)
    for record in Store(store).latest().values():
        model = zb.load_model(store / "models" / f"{record.key}.zsl")
        said = model.predict(loaded.view.features[part.held_out_unseen], candidates="unseen").labels
        predicted = Store(store).predictions(record)["zsl_predicted"]
        assert list(said) == names[predicted].tolist()
        few = len(part.few)
        assert (model.header.few, model.header.images) == (few, len(part.train) + few)
        assert model.header.kinds.count("few") == len(part.unseen)


@pytest.mark.parametrize(
    ("verb", "said"),
    [("fit", "names no class without any"), ("tune", "needs labelled images of unseen classes, and a search stays")],
)
def test_a_method_of_images_alone_is_neither_fitted_nor_tuned(data: Dataset, verb: str, said: str) -> None:
    """A model's unseen classes have no image, and a search plays without shots: one line each."""
    with pytest.raises(InputError, match=said):
        getattr(zb, verb)("prototypes", zb.load(data.folder))


@pytest.mark.parametrize("k", [1, 2, 5, 10])
@pytest.mark.parametrize("name", ["awa1", "awa2", "cub", "sun"])
def test_cada_s_epochs_for_k_shots_are_presets(name: str, k: int) -> None:
    """The released program has other numbers for each data set and number of shots; all are at hand by name."""
    _, config, label = Registry().build(parse_methods(f"cada[preset={name}-{k}-shot]")[0])
    assert 0 < config.zsl_epochs <= 100
    assert 0 < config.gzsl_epochs <= 100
    assert label == f"cada[preset={name}-{k}-shot]"
