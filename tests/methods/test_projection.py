"""Ridge projections against scikit-learn and by hand."""

from typing import get_args, get_type_hints

import numpy as np
import pytest
from linear_problems import SMALL_SHAPES, Problem, assert_contract
from scipy.spatial.distance import cdist
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler

from zslbench import Candidates, TrainingData
from zslbench_methods.common.linear import Standardiser, cosine, distances, unit_rows
from zslbench_methods.projection import AffineMap, Projection

DIRECTIONS = get_args(get_type_hints(Projection.Config)["direction"])


def fitted(train, **parameters):
    method = Projection(Projection.Config(**parameters))
    method.fit(train)
    return method


def reference(problem, ridge):
    """scikit-learn's predictions (semantics of test images, prototypes of the candidates) and its inputs."""
    train, test = problem.train, problem.images(np.arange(len(problem.everything)))
    scaler = StandardScaler().fit(train.semantics.astype(np.float64))
    X, T = (
        train.features.astype(np.float64),
        scaler.transform(train.semantics.astype(np.float64))[train.labels],
    )
    candidates = scaler.transform(problem.everything.semantics.astype(np.float64))

    def fit(inputs, targets):
        alpha = ridge * np.linalg.eigvalsh(np.cov(inputs.T, bias=True) * len(inputs)).mean()
        return Ridge(alpha=alpha).fit(inputs, targets)

    return fit(X, T).predict(test), fit(T, X).predict(candidates), test, candidates, X.mean(axis=0)


@pytest.mark.parametrize("problem", [Problem(), Problem((1, 5, 2), D=30, A=9)], ids=["N > D", "N < D, unequal"])
@pytest.mark.parametrize("ridge", [1e-3, 1.0, 50.0])
def test_equals_scikit_learn(problem, ridge):
    """Every direction and similarity agrees with scikit-learn's Ridge and cosine and SciPy's cdist."""
    semantics, prototypes, test, candidates, mean = reference(problem, ridge)
    to_semantic = cosine_similarity(semantics, candidates)
    to_visual = cosine_similarity(test - mean, prototypes - mean)
    expected = {
        ("visual-to-semantic", "euclidean"): to_semantic,
        ("semantic-to-visual", "euclidean"): -cdist(test, prototypes),
        ("semantic-to-visual", "cosine"): to_visual,
        ("both", "euclidean"): to_semantic + to_visual,
    }
    for (direction, similarity), scores in expected.items():
        method = fitted(problem.train, direction=direction, similarity=similarity, ridge=ridge)
        (scorer,) = method.scorers(problem.everything)
        np.testing.assert_allclose(scorer(test), scores, rtol=1e-6, atol=1e-7)


def test_two_images_by_hand():
    """With two classes at ±1 on both sides the Gram matrix is 2: a relative ridge of 1 halves predictions."""
    line = np.array([[-1], [1]], np.float32)
    train = TrainingData(line, np.array([0, 1]), line, seed=0)
    candidates = Candidates(line, np.array([0, 1]))
    (to_visual,) = fitted(train, direction="semantic-to-visual", ridge=1.0).scorers(candidates)
    np.testing.assert_allclose(to_visual(np.array([[1], [2]])), [[-1.5, -0.5], [-2.5, -1.5]])
    (to_semantic,) = fitted(train, direction="visual-to-semantic", ridge=1.0).scorers(candidates)
    np.testing.assert_allclose(to_semantic(np.array([[1], [-3]])), [[-1, 1], [1, -1]])
    np.testing.assert_allclose(fitted(train, direction="both", ridge=1.0).to_semantic_([[3.0]]), [[1.5]])


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_cosines_do_not_depend_on_scale(direction):
    """Multiplying features and semantics by constants leaves all cosine scores the same at the same ridge."""
    problem = Problem()
    train, factor = problem.train, np.float32(1000)
    scaled = TrainingData(train.features * factor, train.labels, train.semantics / factor, seed=0)
    (plain,) = fitted(train, direction=direction, similarity="cosine").scorers(problem.unseen)
    shrunk = Candidates(problem.unseen.semantics / factor, problem.unseen.seen)
    (other,) = fitted(scaled, direction=direction, similarity="cosine").scorers(shrunk)
    np.testing.assert_allclose(plain(train.features), other(scaled.features), rtol=1e-4, atol=1e-5)


def test_inputs_without_variation_predict_the_mean():
    """If inputs do not vary, the prediction is the mean of the targets."""
    mapping = AffineMap.fit(np.full((4, 2), 3.0), np.arange(4.0)[:, None], 1.0)
    np.testing.assert_allclose(mapping([[3.0, 3.0], [9.0, 0.0]]), [[1.5], [1.5]])


def test_standardiser_equals_scikit_learn_and_drops_constant_columns():
    """Columns are scaled as by StandardScaler; one that is constant becomes zero, also for other rows."""
    rows = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32) * [1, 100, 0] + [0, 5, 0.1]
    other = rows + 1
    scaled = Standardiser.of(rows)(other)
    expected = StandardScaler().fit(rows[:, :2]).transform(other[:, :2])
    np.testing.assert_allclose(scaled[:, :2], expected, rtol=1e-9)
    np.testing.assert_array_equal(scaled[:, 2], 0)


def test_zero_rows_have_zero_cosine():
    """A row of zeros stays zero instead of becoming NaN; other rows agree with scikit-learn."""
    a, b = np.array([[0.0, 0], [3, 4]]), np.array([[1.0, 0], [0, 0], [-6, -8]])
    np.testing.assert_allclose(unit_rows(a), [[0, 0], [0.6, 0.8]])
    np.testing.assert_allclose(cosine(a, b), cosine_similarity(a, b), atol=1e-15)


def test_distances_equal_scipy():
    """Distances are SciPy's, and never NaN for an image that lies on a prototype."""
    a = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32) + 100
    b = np.concatenate([a[:2].astype(np.float64), np.zeros((1, 4))])
    np.testing.assert_allclose(distances(a, b), cdist(a, b), atol=1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_recognises_unseen_classes_of_a_linear_problem(direction):
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    method = Projection(Projection.Config(direction=direction, ridge=0.01))
    assert Problem().accuracy_on_unseen(method) > 0.9


@pytest.mark.parametrize("shape", SMALL_SHAPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_keeps_the_contract_at_any_shape(shape, direction):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: Projection(Projection.Config(direction=direction)), SMALL_SHAPES[shape])
