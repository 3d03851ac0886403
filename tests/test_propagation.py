"""Label propagation over a method's scores, against a dense solve of the published equation."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from zslbench import Candidates
from zslbench.errors import InputError
from zslbench.propagation import Propagation, nearest_neighbours, propagated
from zslbench.registry import Registry
from zslbench.unlabelled import KnownScores
from zslbench.variants import VARIANTS, base_name
from zslbench_methods.dem import DEM
from zslbench_methods.eszsl import ESZSL


def images_and_scores(seed: int = 0, count: int = 23) -> tuple[np.ndarray, np.ndarray]:
    """Made-up features and scores."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 6)).astype(np.float32) + 0.5, rng.normal(size=(count, 4))


def test_it_solves_the_published_equation() -> None:
    """F = (1 - a) (I - a S)^(-1) Y with dense matrices, neighbours found by sorting all cosines."""
    images, Y = images_and_scores()
    k, a = 3, 0.7
    C = cosine_similarity(images.astype(np.float64))
    np.fill_diagonal(C, -np.inf)
    near = np.zeros_like(C, dtype=bool)
    np.put_along_axis(near, np.argsort(-C, axis=1)[:, :k], True, axis=1)
    W = np.where(near | near.T, np.maximum(C, 0), 0)
    half = np.diag(W.sum(axis=1) ** -0.5)
    expected = (1 - a) * np.linalg.solve(np.eye(len(Y)) - a * half @ W @ half, Y)
    np.testing.assert_allclose(Propagation(images, k, a)(Y), expected, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_neither_scale_nor_offsets_of_images_change_a_decision(seed: int, scale: float) -> None:
    """Scores in any unit, with anything added to all scores of an image, lead to the same classes."""
    images, Y = images_and_scores(seed)
    spread, offsets = Propagation(images), np.random.default_rng(seed + 1).normal(size=(len(Y), 1))
    np.testing.assert_array_equal(spread(Y).argmax(1), spread(scale * Y + offsets).argmax(1))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_images(count: int) -> None:
    """With fewer images than neighbours, one alone included, scores are finite; one alone keeps its decision."""
    images, Y = images_and_scores(count=count)
    spread = Propagation(images)(Y)
    assert np.isfinite(spread).all()
    if count == 1:
        assert spread.argmax() == Y.argmax()


def test_images_of_zeros_stay_alone() -> None:
    """An image without a direction has no neighbour, and disturbs nobody."""
    images, _ = images_and_scores()
    images[3] = 0
    W = nearest_neighbours(images, 4)
    assert W[3].nnz == 0 or W[3].max() == 0
    assert np.isfinite(W.data).all()


def test_known_scores_follow_the_image_not_its_place() -> None:
    """Rows in any order and number get their own scores; a row that was not looked at is refused."""
    images, Y = images_and_scores()
    known = KnownScores(images, Y)
    some = np.array([7, 0, 7, 22])
    np.testing.assert_array_equal(known(images[some]), Y[some])
    with pytest.raises(ValueError, match=r"not among candidates\.unlabelled"):
        known(images[:1] + 1)


def test_what_it_says_of_itself() -> None:
    """It is transductive, keeps its base's parameters, cites both, and pickles, calibrated or not."""
    made = Registry().get("eszsl+propagate+cal")
    assert (made.info.name, made.info.track) == ("eszsl+propagate+cal", "transductive")
    assert made.Config is ESZSL.Config
    assert {"zhou2003learning", "chao2016gzsl"} <= {line.split("{")[1][:-1] for line in made.info.citation.splitlines()
                                                    if line.startswith("@")}  # fmt: skip
    assert type(pickle.loads(pickle.dumps(made()))) is made  # noqa: S301
    assert base_name(made.info.name) == "eszsl"


def test_what_cannot_be_added() -> None:
    """Twice, an unknown addition, and a second choice on the validation classes are refused in one line."""
    registry = Registry()
    with pytest.raises(InputError, match="transductive itself"):
        registry.get("eszsl+propagate+propagate")
    with pytest.raises(InputError, match=r"ends in '\+foo': \+cal, \+gate, \+propagate may be added"):
        registry.get("eszsl+foo")
    for name in ("eszsl+cal+gate", "eszsl+gate+cal", "eszsl+cal+cal"):
        with pytest.raises(InputError, match="chooses on the validation classes itself"):
            registry.get(name)
    assert set(VARIANTS) == {"+cal", "+gate", "+propagate"}


def test_without_unlabelled_images_it_says_so() -> None:
    """Asked outside of the harness it names what is missing."""
    made = propagated(DEM)()
    with pytest.raises(ValueError, match=r"candidates\.unlabelled"):
        next(iter(made.scorers(Candidates(np.zeros((2, 3), np.float32), np.array([-1, -1])))))
