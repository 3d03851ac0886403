"""Views that say less than the arrays they are of: noise on semantics, a share of the columns, noise on test images."""

import copy
import dataclasses

import numpy as np
import pytest
from conftest import write_synthetic

from zslbench.datasets import Dataset
from zslbench.errors import InputError
from zslbench.methods import Method, MethodInfo
from zslbench.protocol import measure, run_trial, training_data
from zslbench.registry import Registry
from zslbench.splits import make_splits


@pytest.fixture
def data(tmp_path):
    """8 classes with 20 attributes in two groups, and words of 5 columns."""
    folder = write_synthetic(tmp_path / "toy", attributes=20)
    np.save(folder / "semantics/words.npy", np.arange(40, dtype=np.float32).reshape(8, 5) + 1)
    groups = ", ".join(['"x"'] * 8 + ['"y"'] * 12)
    columns = ", ".join(f'"a{number}"' for number in range(20))
    with (folder / "card.toml").open("a") as card:
        card.write(f'[semantics.truth]\nspace = "s"\ncolumns = [{columns}]\ngroups = [{groups}]\n')
        card.write('[features.made]\nspace = "s"\n')
    return Dataset(folder)


def of(data, semantics, split="6/2#0"):
    return data.view(semantics=semantics).of_split(split)


def test_noise_on_semantics_is_of_the_asked_size_and_scales(data):
    """Its standard deviation is a share of each column's; the same draw at every amount; another for another split."""
    stored = data.semantics("truth").astype(np.float64)
    drawn = {amount: of(data, f"truth:noise:{amount}").semantics - stored for amount in ("0.1", "0.3", "1")}
    np.testing.assert_allclose(drawn["0.3"], 3 * drawn["0.1"], atol=1e-5)
    np.testing.assert_allclose(drawn["1"], 10 * drawn["0.1"], atol=1e-5)
    many = np.stack([of(data, "truth:noise:1", f"6/2#{split}").semantics - stored for split in range(60)])
    np.testing.assert_allclose((many / stored.std(0)).std(), 1, rtol=0.03)
    assert len({array.tobytes() for array in many}) == 60
    assert not np.array_equal(of(data, "truth:noise:1:7").semantics, of(data, "truth:noise:1").semantics)


def test_a_share_of_the_columns_with_their_groups(data):
    """So many columns as they are stored, with the groups that are theirs; smaller shares within larger ones."""
    stored = data.semantics("truth")
    columns_of = {}
    for share, kept in (("0.5", 10), ("0.25", 5), ("0.1", 2)):
        view = of(data, f"truth:part:{share}")
        assert view.semantics.shape == (8, kept)
        columns = [int(np.flatnonzero((stored == column[:, None]).all(0))[0]) for column in view.semantics.T]
        assert columns == sorted(columns)
        assert view.attribute_groups == tuple("x" if column < 8 else "y" for column in columns)
        assert view.named_attributes
        columns_of[share] = set(columns)
    assert columns_of["0.1"] < columns_of["0.25"] < columns_of["0.5"]
    assert len({of(data, "truth:part:0.25", f"6/2#{split}").semantics.tobytes() for split in range(6)}) == 6


def test_views_side_by_side(data):
    """Each block is a view of its own, brought to unit length; groups follow the columns."""
    view = of(data, "truth:part:0.25+words")
    np.testing.assert_allclose((view.semantics**2).sum(1), 2, rtol=1e-5)
    assert view.semantics.shape == (8, 10)
    assert view.attribute_groups[5:] == ("words",) * 5
    assert len(view.attribute_groups) == 10


def test_names_are_one_per_view_and_part_of_what_tells_trials_apart(data):
    """0.30 is 0.3; names and hashes differ from those of what is stored; a joint space stays one."""
    view = data.view(semantics="truth:noise:0.30")
    assert view.semantics_name == "truth:noise:0.3"
    assert data.view(semantics="truth:part:.50:2").semantics_name == "truth:part:0.5:2"
    assert data.view("made:noise:0.50").features_name == "made:noise:0.5"
    hashes = [data.view(*names).hashes for names in (
        ("made", "truth"), ("made:noise:0.5", "truth"), ("made:noise:1", "truth"), ("made", "truth:noise:0.5"),
        ("made", "truth:part:0.5"),
    )]  # fmt: skip
    assert len({tuple(sorted(each.items())) for each in hashes}) == 5
    assert data.view("made:noise:0.5", "truth:noise:0.5").joint_space


@pytest.mark.parametrize(
    ("features", "semantics"),
    [
        (None, "truth:noise:0"), (None, "truth:noise"), (None, "truth:part:1"), (None, "truth:part:0.0"),
        (None, "none:part:0.5"), (None, "random:60:part:0.5"), ("made:noise:0", None), ("none:noise:1", None),
        ("made:part:0.5", None),
    ],
)  # fmt: skip
def test_names_that_are_none(data, features, semantics):
    """No noise, all of the columns, or of no array: one line that says what there is."""
    with pytest.raises(InputError, match=r"toy has no (semantics|features)"):
        data.view(features, semantics)


def test_noise_on_features_is_on_images_to_be_classified_alone(data):
    """Training rows stay; test rows get noise of the asked size, each image its own in whatever company it is read."""
    view, plain = data.view("made:noise:0.5").of_split("6/2#0"), data.view()
    images = np.arange(96)
    np.testing.assert_array_equal(view.rows(images), plain.rows(images))
    noise = view.tested_rows(images) - plain.rows(images)
    np.testing.assert_allclose((noise / data.features().std(0)).std(), 0.5, rtol=0.06)
    some = np.array([17, 3, 80])
    np.testing.assert_array_equal(view.tested_rows(some), view.tested_rows(images)[some])
    large = data.view("made:noise:1").of_split("6/2#0").tested_rows(images) - plain.rows(images)
    np.testing.assert_allclose(large, 2 * noise, atol=1e-4)
    other = data.view("made:noise:0.5").of_split("6/2#1").tested_rows(images)
    assert not np.isclose(other, view.tested_rows(images)).all(1).any()
    part = view.cut(np.arange(10, 90), np.arange(8))
    np.testing.assert_allclose(part.tested_rows(np.arange(80)), view.tested_rows(images)[10:90], rtol=1e-5)
    np.testing.assert_array_equal(copy.deepcopy(view).tested_rows(some), view.tested_rows(some))


def test_a_method_is_fitted_on_clean_features_and_scored_on_noisy_ones(data):
    """What `fit` sees equals the stored features; what a scorer sees does not; neither does a transductive pool."""
    seen = {}

    class Spy(Method):
        info = MethodInfo(name="spy", title="Spy", family="linear", citation="", transductive=True, uses_rehearsal=True)

        @dataclasses.dataclass(frozen=True)
        class Config:
            pass

        def fit(self, train):
            seen["train"], seen["pool"] = train.features, train.unlabelled
            seen["below"], seen["pool below"] = train.rehearsal.features, train.rehearsal.candidates.unlabelled

        def scorers(self, candidates):
            def score(features):
                seen["scored"] = features
                return features[:, : len(candidates)]

            yield score

    view, (split,) = data.view("made:noise:2"), make_splits(data, "6/2", 1)
    run_trial(Spy, Spy.Config(), view, split, "test", 0)
    part, below = split.partition("test"), split.rehearsal("test")
    clean = data.view()
    np.testing.assert_array_equal(seen["train"], clean.rows(part.train))
    rows = lambda images: {row.tobytes() for row in clean.rows(images)}  # noqa: E731
    rehearsed = rows(np.concatenate([below.held_out_seen, below.held_out_unseen]))
    assert {row.tobytes() for row in seen["below"]} == {row.tobytes() for row in seen["pool below"]} == rehearsed
    tested = rows(np.concatenate([part.held_out_seen, part.held_out_unseen]))
    for name in ("scored", "pool"):
        assert not {row.tobytes() for row in seen[name]} & tested


def test_much_noise_leaves_chance_and_little_changes_little(data):
    """A closed form is as good with a hundredth of a deviation, and falls to chance with a hundred."""
    method, splits = Registry().get("eszsl"), make_splits(data, "5/3", 6)
    means = [
        np.mean(
            [
                run_trial(method, method.Config(), data.view(name), split, "test", 0).outcome.zsl["T1"][-1]
                for split in splits
            ]
        )
        for name in ("made", "made:noise:0.01", "made:noise:100")
    ]
    assert means[0] > 0.5
    assert abs(means[1] - means[0]) < 0.05
    assert abs(means[2] - 1 / 3) < 0.12


def test_training_data_of_a_part_has_as_many_groups_as_columns(data):
    """So that methods that use groups can."""
    (split,) = make_splits(data, "6/2", 1)
    view = of(data, "truth:part:0.25", split.id)
    train = training_data(Registry().get("eszsl").info, view, split.partition("test"), 0)
    assert train.semantics.shape[1] == len(train.attribute_groups) == 5
    dsva = Registry().get("dap")
    measure(dsva, dsva.Config(), view, split.partition("test"), 0)


def test_a_model_is_not_fitted_on_noise_of_the_test(data):
    """It would be fitted on clean features and called otherwise; of worse semantics it is fitted."""
    import zslbench as zb

    with pytest.raises(InputError, match=r"'made:noise:1': this noise is on images to be classified alone"):
        zb.fit("sae", zb.load(data.folder, features="made:noise:1"), validate=False)
    model = zb.fit("sae", zb.load(data.folder, semantics="truth:part:0.5"), validate=False)
    assert len(model.predict(data.features()[:3])) == 3
