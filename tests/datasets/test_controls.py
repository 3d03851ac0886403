"""Semantics that say nothing of the classes: what they hold, what they are called, and that they leave only chance."""

import dataclasses
import pickle
import runpy
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from conftest import ROOT, write_synthetic

import zslbench as zb
from zslbench.configuration import MethodSpec
from zslbench.datasets import Dataset
from zslbench.methods import Candidates, TrainingData
from zslbench.protocol import run_trial
from zslbench.records import Store
from zslbench.registry import Registry
from zslbench.splits import make_splits
from zslbench.suites import read_suite
from zslbench.tuning.blind import blind
from zslbench.verification import verify

CHEAP = ("eszsl", "sae", "gfzsl")


@pytest.fixture
def two(synthetic: Path) -> Dataset:
    """A data set with two arrays of semantics, of which one names its attributes in groups and shares a space."""
    np.save(synthetic / "semantics/words.npy", np.arange(32, dtype=np.float32).reshape(8, 4) + 1)
    with (synthetic / "card.toml").open("a") as card:
        card.write('[semantics.words]\nspace = "s"\ncolumns = ["a", "b", "c", "d"]\ngroups = ["x", "x", "y", "y"]\n')
        card.write('[features.made]\nspace = "s"\n')
    return Dataset(synthetic)


def rows(array: np.ndarray) -> set[bytes]:
    """Its rows, to be compared without their order."""
    return {row.tobytes() for row in array}


def test_shuffled_rows_are_the_same_rows_in_another_order_for_each_split(two: Dataset) -> None:
    """Every split has all rows, each once, in an order of its own, the same each time; another seed has others."""
    stored, seen = two.semantics("truth"), set()
    for split in make_splits(two, "6/2", 6):
        drawn = two.view(semantics="truth:shuffled").of_split(split.id).semantics
        assert rows(drawn) == rows(stored)
        np.testing.assert_array_equal(drawn, two.semantics("truth:shuffled", split.id))
        assert not np.array_equal(drawn, two.semantics("truth:shuffled:1", split.id))
        seen.add(drawn.tobytes())
    assert len(seen) == 6


def test_every_order_is_equally_likely(two: Dataset) -> None:
    """A class keeps its own row in one of eight splits, as chance has it, and gets no row more often than others do."""
    blocks, first = two.view(semantics="truth:shuffled").blocks, two.semantics("truth")[:, 0]
    assert blocks is not None
    times = np.zeros((8, 8))  # class gets row
    for split in range(800):
        times += blocks.drawn(f"6/2#{split}")[0][:, :1] == first
    assert times.sum() == 6400
    assert ((times - 100) ** 2 / 100).sum() < 91  # chi square with 49 degrees of freedom: 1 in 4000


def test_random_numbers_are_standard_normal_and_of_the_split(two: Dataset) -> None:
    """As many columns as asked for, with mean 0 and variance 1, anew for each split and seed."""
    drawn = np.stack([two.semantics("random:60", f"6/2#{split}") for split in range(50)])
    assert drawn.shape == (50, 8, 60)
    assert drawn.dtype == np.float32
    assert abs(drawn.mean()) < 0.03
    assert abs(drawn.var() - 1) < 0.05
    assert len(rows(drawn.reshape(400, 60))) == 400
    assert not rows(drawn[0]) & rows(two.semantics("random:60:7", "6/2#0"))


def test_controls_stand_side_by_side_with_others(two: Dataset) -> None:
    """Blocks of one seed are shuffled alike, those without a control stay, and every row has length one."""
    both = two.view(semantics="truth:shuffled+words:shuffled").of_split("s").semantics
    plain = two.view(semantics="truth+words").semantics
    assert rows(both) == rows(plain)
    mixed = two.view(semantics="truth+words:shuffled+random:3").of_split("s").semantics
    np.testing.assert_array_equal(mixed[:, :6], plain[:, :6])
    np.testing.assert_array_equal(mixed[:, 6:10], both[:, 6:])
    np.testing.assert_allclose(np.linalg.norm(mixed[:, 10:], axis=1), 1, rtol=1e-6)


def test_a_view_says_what_it_is(two: Dataset) -> None:
    """Name, hash, groups, named attributes and joint space are those of what it is made of; a seed of 0 is not said."""
    names = "truth", "truth:shuffled", "truth:shuffled:1", "random:6", "random:6:1", "random:7"
    assert len({two.view(semantics=name).hashes["semantics"] for name in names}) == len(names)
    zero, none = two.view(semantics="truth:shuffled:0+random:6:00"), two.view(semantics="truth:shuffled+random:6")
    assert (zero.semantics_name, zero.hashes) == ("truth:shuffled+random:6", none.hashes)
    words = two.view(semantics="words:shuffled")
    assert (words.attribute_groups, words.named_attributes, words.joint_space) == (("x", "x", "y", "y"), True, True)
    numbers = two.view(semantics="random:2")
    assert (numbers.attribute_groups, numbers.named_attributes, numbers.joint_space) == (
        ("random:2",) * 2,
        False,
        False,
    )


def test_an_array_of_that_name_comes_first(two: Dataset) -> None:
    """A file that is called like a control is that file."""
    np.save(two.folder / "semantics/random:2.npy", np.ones((8, 3)))
    assert Dataset(two.folder).semantics("random:2").tolist() == [[1.0] * 3] * 8


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("truth:shufled", "Did you mean 'truth:shuffled'?"),
        ("thruth:shuffled", "Did you mean 'truth:shuffled'?"),
        ("truth:shuffled:x", "Did you mean 'truth:shuffled'?"),
        ("random", "Did you mean 'random:60'?"),
        ("random:0", "Did you mean 'random:60'?"),
        ("random:60:", "Did you mean 'random:60'?"),
        ("truth+random:1e3", "toy has no semantics 'random:1e3'."),
        (":shuffled", "toy has no semantics ':shuffled'."),
        ("truth:shuffled:-1", "Views are NAME:shuffled[:SEED], random:COLUMNS[:SEED], NAME:noise:AMOUNT[:SEED] and"),
    ],
)
def test_a_mistyped_control_is_one_clear_line(two: Dataset, name: str, said: str) -> None:
    """It names what is close, what there is and how a control is written."""
    with pytest.raises(zb.InputError) as error:
        two.view(semantics=name)
    assert said in str(error.value)
    assert "It has: truth, words. Views are " in str(error.value)


def test_the_library_hands_out_what_a_split_is_measured_with(two: Dataset) -> None:
    """`Data.semantics` asks for the split where they differ from split to split; what a trial sees are those very rows,
    in both stages and in a search, and after the trip to a worker."""
    data = zb.load(two.folder, semantics="truth:shuffled")
    split = data.splits("5/3")[1]
    with pytest.raises(zb.InputError, match=r"truth:shuffled are drawn anew for each split: give one, as in "):
        data.semantics()
    drawn = data.semantics(split)
    assert zb.load(two.folder).semantics(split) is not None

    class Noting(zb.Method):
        info = zb.MethodInfo(name="noting", title="", family="linear", citation="")

        @dataclasses.dataclass(frozen=True)
        class Config:
            pass

        seen: ClassVar[list[np.ndarray]] = []

        def fit(self, train: TrainingData) -> None:
            self.seen.append(train.semantics)

        def scorers(self, candidates: Candidates):  # type: ignore[no-untyped-def]
            self.seen.append(candidates.semantics)
            yield lambda features: np.zeros((len(features), len(candidates.semantics)))

    view = pickle.loads(pickle.dumps(data.view))  # noqa: S301
    for stage in ("test", "validation"):
        part = split.partition(stage)
        Noting.seen.clear()
        run_trial(Noting, None, view, split, stage, 0)
        for found, classes in zip(Noting.seen, (part.seen, part.unseen, [*part.seen, *part.unseen]), strict=True):
            np.testing.assert_array_equal(found, drawn[list(classes)])
    cut = blind(data.view, split, [0], rehearse=False).view
    np.testing.assert_array_equal(cut.of_split("other").semantics, drawn[part.classes])


def test_a_run_with_a_control_is_a_table_of_its_own(in_process, tmp_path: Path, synthetic: Path) -> None:
    """Trials are told apart from those with the true rows, found again, tabled and verified."""
    run = ("run", "--dataset", synthetic, "--methods", "eszsl", "--split-family", "5/3", "--splits", "2",
           "--no-validation", "--workers", "0", "--store", "s", "--semantics")  # fmt: skip
    for name in ("truth", "truth:shuffled", "truth:shuffled:0", "random:5:2+truth"):
        code, out, err = in_process(*run, name)
        assert code == 0, err
        assert f"semantics {name.removesuffix(':0')} (data" in out
    store = Store(tmp_path / "s")
    assert len(list(store.briefs())) == 6
    assert not verify(store).findings
    assert in_process(*run, "truth:shufled")[::2] == (
        2,
        "zslbench: toy has no semantics 'truth:shufled'. Did you mean 'truth:shuffled'? It has: truth. Views are "
        "NAME:shuffled[:SEED], random:COLUMNS[:SEED], NAME:noise:AMOUNT[:SEED] and NAME:part:SHARE[:SEED].\n",
    )


@pytest.mark.parametrize("name", CHEAP)
def test_nothing_but_chance_is_left(tmp_path: Path, name: str) -> None:
    """With semantics that say nothing, T1 is one over the number of unseen classes, to three standard errors over
    splits; with the true ones it is far above."""
    data = Dataset(write_synthetic(tmp_path / "toy", classes=12, per_class=10))
    method, config, _ = Registry().build(MethodSpec(name))
    splits = make_splits(data, "8/4", 60)

    def interval(semantics: str) -> tuple[float, float]:
        view = data.view(semantics=semantics)
        trials = [run_trial(method, config, view, split, "test", 0).outcome.zsl["T1"][-1] for split in splits]
        found = np.array(trials)
        half = 3 * found.std(ddof=1) / np.sqrt(len(found))
        return found.mean() - half, found.mean() + half

    for control in ("truth:shuffled", "random:6"):
        low, high = interval(control)
        assert low < 1 / 4 < high, control
        assert high - low < 0.25, control
    assert interval("truth")[0] > 0.5


def test_the_control_suites_hold_the_methods_of_the_large_one() -> None:
    """They are what benchmarks/control_suites.py writes now: run it again where ucm-all has changed."""
    made = runpy.run_path(str(ROOT / "benchmarks/control_suites.py"))["suites"]()
    for name, text in made.items():
        path = ROOT / f"benchmarks/suites/{name}.toml"
        assert path.read_text(encoding="utf-8") == text
    methods = {name: [method.name for method in read_suite(ROOT / f"benchmarks/suites/{name}.toml").methods]
               for name in made}  # fmt: skip
    assert set(methods["ucm-shuffled"]) - set(methods["ucm-random"]) == {"dap", "iap"}
    assert {"eszsl", "clswgan", "eszsl+propagate", "chance"} < set(methods["ucm-random"])
