"""The DSVA-like heads: their losses, their batches, their curve."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_problems import SMALL_SHAPES, Problem, assert_contract
from torch.nn import functional as F  # noqa: N812

from zslbench import Candidates, InputError
from zslbench_methods.common.episodes import draw_episodes
from zslbench_methods.dsva import DSVA, local_loss, loss, make_head, make_prototypes, squared_distances

HEADS = ("local", "global", "sum")


def short(**parameters):
    return DSVA(DSVA.Config(**{"epochs": 2, "batches_per_epoch": 5, "lr": 1e-2, "late_lr": 1e-2, **parameters}))


def batch(B=7, D=5, A=4, S=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    head = make_head(D, A, generator)
    with torch.no_grad():  # so that the affine part of LayerNorm matters
        for parameter in head[0].parameters():
            parameter.uniform_(0.5, 1.5, generator=generator)
    features, phi = torch.randn(B, D, generator=generator), torch.randn(S, A, generator=generator)
    labels = torch.randint(S, (B,), generator=generator)
    return head.to(dtype), features.to(dtype), labels, phi.to(dtype)


def numpy_loss(head, features, labels, phi, lambda_reg):
    """The formula, one image at a time in double precision."""
    gain, shift, W, c = (p.detach().double().numpy() for p in head.parameters())
    total = 0.0
    for x, y in zip(features.double().numpy(), labels.numpy(), strict=True):
        a = ((x - x.mean()) / np.sqrt(x.var() + 1e-5) * gain + shift) @ W + c
        logits = phi.double().numpy() @ a
        total += np.log(np.exp(logits).sum()) - logits[y]
        total += lambda_reg * np.mean((a - phi[y].double().numpy()) ** 2)
    return total / len(features)


@pytest.mark.parametrize("shape", [{}, {"D": 1}, {"A": 1}, {"S": 1}, {"B": 1}])
@pytest.mark.parametrize("lambda_reg", [0.0, 0.01, 3.0])
def test_loss_equals_the_formula(shape, lambda_reg):
    """The loss equals a plain NumPy evaluation of its formula in double precision."""
    inputs = batch(**shape)
    expected = numpy_loss(*inputs, lambda_reg)
    np.testing.assert_allclose(loss(*inputs, lambda_reg).item(), expected, rtol=1e-5, atol=1e-6)


def test_loss_equals_torch_cross_entropy_and_mse():
    """The two terms and their gradients are torch's own cross-entropy and mean squared error."""
    head, features, labels, phi = batch(dtype=torch.float64)
    attributes = head(features)
    expected = F.cross_entropy(attributes @ phi.T, labels) + 0.3 * F.mse_loss(attributes, phi[labels])
    ours = loss(head, features, labels, phi, 0.3)
    parameters = list(head.parameters())
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(torch.autograd.grad(ours, parameters), torch.autograd.grad(expected, parameters))


def test_loss_survives_large_logits():
    """Scores far beyond the range of exp give a finite loss."""
    head, features, labels, phi = batch()
    assert torch.isfinite(loss(head, features, labels, phi * 1e4, 0.0))


def test_phi_is_standardised_over_seen_classes_and_of_unit_length():
    """Rows of Phi have length one; before that, columns have mean 0 and deviation 1 over the seen classes."""
    problem = Problem()
    method = short()
    method.fit(problem.train)
    seen = problem.train.semantics.astype(np.float64)
    for semantics in (seen, problem.unseen.semantics):
        rows = (semantics - seen.mean(0)) / seen.std(0)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        np.testing.assert_allclose(method._phi(semantics).numpy(), rows, atol=1e-6)


def test_scores_are_attributes_times_phi():
    """A score is a·Phi."""
    problem, method = Problem(), short()
    test = problem.images(np.arange(len(problem.everything)))
    method.fit(problem.train)
    *_, scorer = method.scorers(problem.everything)
    attributes = method.heads_[-1](torch.from_numpy(test)).detach().numpy()
    phi = method._phi(problem.everything.semantics).numpy()
    np.testing.assert_allclose(scorer(test), attributes @ phi.T, rtol=1e-5, atol=1e-6)


def test_yields_the_head_of_every_epoch():
    """There is one scorer per epoch, and the first ones are those of a shorter training."""
    problem = Problem()
    test = problem.train.features
    long, brief = short(epochs=4), short(epochs=2)
    curves = []
    for method in (long, brief):
        method.fit(problem.train)
        curves.append([scorer(test) for scorer in method.scorers(problem.unseen)])
    assert [len(curve) for curve in curves] == [4, 2]
    np.testing.assert_array_equal(curves[0][:2], curves[1])
    assert not np.array_equal(curves[0][2], curves[0][3])


def test_first_step_is_adam_from_the_drawn_initialisation():
    """After one batch every weight with a clear gradient has moved by the learning rate, and none by more."""
    problem = Problem()
    method = short(epochs=1, batches_per_epoch=1, lr=1e-3)
    method.fit(problem.train)
    start = make_head(20, 6, problem.train.torch_generator("dsva init"))
    moves = [(p - q).abs() for p, q in zip(method.heads_[0].parameters(), start.parameters(), strict=True)]
    assert max(move.max().item() for move in moves) <= 1.001e-3
    assert moves[2].median().item() == pytest.approx(1e-3, rel=1e-2)


def test_initialisation_is_torchs_distribution_from_the_given_generator():
    """Weights are uniform in ±1/√D, LayerNorm is the identity, and the global generator is not used."""
    before = torch.get_rng_state()
    norm, linear = make_head(400, 50, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert norm.weight.unique().tolist() == [1.0]
    assert norm.bias.unique().tolist() == [0.0]
    assert 0.049 < linear.weight.max() <= 0.05
    assert -0.05 <= linear.weight.min() < -0.049
    assert linear.weight.std().item() == pytest.approx(0.05 / np.sqrt(3), rel=0.02)


def test_progress_counts_epochs():
    """`fit` reports each finished epoch."""
    problem, calls = Problem((3, 3)), []
    object.__setattr__(problem.train, "progress", lambda done, total: calls.append((done, total)))
    short(epochs=3).fit(problem.train)
    assert calls == [(1, 3), (2, 3), (3, 3)]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=7),
    ways=st.integers(1, 9),
    shots=st.integers(1, 6),
    batches=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_episodes_hold_distinct_classes_and_images(sizes, ways, shots, batches, seed):
    """An episode has min(ways, S) distinct classes and `shots` images of each, distinct if possible."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)) * 3, sizes))
    rows, classes = draw_episodes(labels, ways, shots, batches, np.random.default_rng(seed))
    width = min(ways, len(sizes))
    assert classes.shape == (batches, width)
    assert rows.shape == (batches, width * shots)
    for episode, held in zip(rows.reshape(batches, width, shots), classes, strict=True):
        assert len(set(held)) == width
        assert (labels[episode] == held[:, None]).all()
        for images, label in zip(episode, held, strict=True):
            if sizes[label // 3] >= shots:
                assert len(set(images)) == shots
    again, _ = draw_episodes(labels, ways, shots, batches, np.random.default_rng(seed))
    np.testing.assert_array_equal(rows, again)


def test_episodes_draw_classes_and_images_evenly():
    """Over many episodes every class is as frequent as any other, and so is every image of a class."""
    sizes = np.array([2, 3, 5, 8])
    labels = np.repeat(np.arange(4), sizes)
    rows, classes = draw_episodes(labels, 2, 3, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(classes.ravel()), 10_000, rtol=0.03)
    np.testing.assert_allclose(np.bincount(rows.ravel()), (30_000 / sizes)[labels], rtol=0.05)


def test_recognises_unseen_classes_of_a_linear_problem():
    """On an easy linear problem at least nine in ten images of unseen classes are recognised."""
    assert Problem().accuracy_on_unseen(short(epochs=3, batches_per_epoch=60)) > 0.9


def test_the_seed_matters():
    """Another seed gives another head."""
    heads = []
    for seed in (1, 2):
        problem, method = Problem(), short()
        object.__setattr__(problem.train, "seed", seed)
        method.fit(problem.train)
        heads.append(method.heads_[-1][1].weight)
    assert not torch.equal(*heads)


@pytest.mark.parametrize("shape", SMALL_SHAPES)
def test_keeps_the_contract_at_any_shape(shape):
    """Scores are finite, repeatable and row-wise, and arrays stay unchanged, however small the problem."""
    assert_contract(lambda: short(), SMALL_SHAPES[shape])


def grid(side):
    """Squared distances between the cells of a square grid, one pair at a time."""
    cells = [(row, column) for row in range(side) for column in range(side)]
    return np.array([[(r - i) ** 2 + (c - j) ** 2 for i, j in cells] for r, c in cells], np.float64)


def numpy_local_loss(prototypes, maps, labels, phi, lambda_local, compactness, side):
    """The formula, one image, attribute and cell at a time in double precision."""
    total, spread = 0.0, 0.0
    for image, y in zip(maps, labels, strict=True):
        attributes = []
        for prototype in prototypes:
            cells = [float(prototype @ cell) for cell in image]
            peak = int(np.argmax(cells))
            attributes.append(cells[peak])
            spread += sum(d / (1 + np.exp(-m)) for m, d in zip(cells, grid(side)[peak], strict=True))
        logits = phi @ attributes
        total += np.log(np.exp(logits).sum()) - logits[y] + lambda_local * np.mean((attributes - phi[y]) ** 2)
    return total / len(maps) + compactness * spread


@pytest.mark.parametrize("shape", [{}, {"side": 1}, {"D": 1}, {"A": 1}, {"S": 1}, {"B": 1}])
@pytest.mark.parametrize(("lambda_local", "compactness"), [(0.0, 0.0), (0.08, 0.01), (3.0, 0.5)])
def test_local_loss_equals_the_formula(shape, lambda_local, compactness):
    """Cross-entropy, regression and compactness of the local head equal a plain NumPy evaluation."""
    B, side, D, A, S = ({"B": 7, "side": 3, "D": 5, "A": 4, "S": 3} | shape).values()
    rng = np.random.default_rng(0)
    prototypes, maps = rng.standard_normal((A, D)), rng.standard_normal((B, side * side, D))
    labels, phi = rng.integers(S, size=B), rng.standard_normal((S, A))
    expected = numpy_local_loss(prototypes, maps, labels, phi, lambda_local, compactness, side)
    arrays = [torch.from_numpy(array) for array in (prototypes, maps, labels, phi)]
    distances = squared_distances(side).double()
    ours = local_loss(*arrays, lambda_local, compactness, distances)
    np.testing.assert_allclose(ours.item(), expected, rtol=1e-12)
    if compactness == 0:
        np.testing.assert_allclose(local_loss(*arrays, lambda_local, 0.5, None).item(), expected, rtol=1e-12)


def test_compactness_on_a_two_by_two_grid_by_hand():
    """With activations ln 3 at the peak and 0 elsewhere it is half the distances 1 + 1 + 2, at any corner."""
    for corner in range(4):
        maps = torch.zeros(1, 4, 1)
        maps[0, corner] = np.log(3)
        arrays = torch.ones(1, 1), maps, torch.tensor([0]), torch.zeros(1, 1)
        assert local_loss(*arrays, 0.0, 1.0, squared_distances(2)).item() == pytest.approx(2.0)


def test_gradient_of_compactness_holds_the_peak_fixed():
    """Its gradient is distance times the sigmoid's derivative in every cell, and none comes from the peak."""
    activations = torch.tensor([0.1, 0.7, -0.3, 0.2], dtype=torch.float64)
    maps, phi = activations.reshape(1, 4, 1).requires_grad_(), torch.zeros(1, 1, dtype=torch.float64)
    one = torch.ones(1, 1, dtype=torch.float64)
    local_loss(one, maps, torch.tensor([0]), phi, 0.0, 1.0, squared_distances(2).double()).backward()
    s = 1 / (1 + np.exp(-activations.numpy()))
    np.testing.assert_allclose(maps.grad.ravel(), grid(2)[1] * s * (1 - s), rtol=1e-12)


@pytest.mark.parametrize("side", [1, 2, 7])
def test_distances_are_those_of_a_grid_read_row_by_row(side):
    """Cells are counted along rows, and neighbours are at distance 1."""
    np.testing.assert_array_equal(squared_distances(side).numpy(), grid(side))


class WithMaps(Problem):
    """Every attribute shows in one cell and its opposite in another, so the mean over cells is noise."""

    cells = 9

    def __post_init__(self):
        super().__post_init__()
        rng, S = np.random.default_rng(5), len(self.sizes)
        semantics = rng.uniform(0, 3, (S + 2, self.A)).astype(np.float32)
        self.everything = Candidates(semantics, self.everything.seen)
        self.unseen = Candidates(semantics[S:], self.unseen.seen)
        maps = self.maps(self.train.labels)
        self.train = dataclasses.replace(
            self.train, features=maps.mean(1), maps=maps, semantics=np.ascontiguousarray(semantics[:S])
        )
        for array in (maps, self.train.features, semantics, self.train.semantics):
            array.setflags(write=False)

    def maps(self, classes):
        """Draw the map (P, D) of one image of each of `classes`."""
        N, rng = len(classes), self._rng
        maps = 0.1 * rng.standard_normal((N, self.cells, self.D))
        maps[..., -1] += 1  # lets a prototype, which has no intercept, express an attribute below the mean
        shown = self.everything.semantics[classes]
        for attribute in range(min(self.A, self.D)):
            cells = rng.permuted(np.tile(np.arange(self.cells), (N, 1)), axis=1)
            for cell, sign in zip(cells.T[:2], (1, -1), strict=False):
                maps[np.arange(N), cell, attribute] += sign * shown[:, attribute]
        return maps.astype(np.float32)

    def accuracy(self, method):
        """Fit and measure on new images of the unseen classes; chance is 1/2."""
        truth = np.repeat([0, 1], 100)
        maps = self.maps(truth + len(self.sizes))
        method.fit(self.train)
        *_, scorer = method.scorers(self.unseen)
        return (scorer(maps.mean(1), maps).argmax(1) == truth).mean()


def test_local_head_sees_what_the_mean_hides():
    """Where a map's mean says nothing about an attribute, the local head learns it and the global one cannot."""
    accuracy = {head: WithMaps().accuracy(short(epochs=2, batches_per_epoch=150, head=head)) for head in HEADS}
    assert accuracy["local"] > 0.9
    assert accuracy["sum"] > 0.8
    assert accuracy["global"] < 0.7


def test_heads_learn_beside_each_other():
    """The global head is the same with maps, without them and with `head=global`, and scores of `sum` add up."""
    problem = WithMaps()
    maps = problem.maps(np.arange(len(problem.everything)))
    scores, methods = {}, {}
    for head in HEADS:
        methods[head] = short(head=head)
        methods[head].fit(problem.train)
        scores[head] = [scorer(maps.mean(1), maps) for scorer in methods[head].scorers(problem.everything)]
    without = short()
    without.fit(dataclasses.replace(problem.train, maps=None))
    scores["without"] = [scorer(maps.mean(1)) for scorer in without.scorers(problem.everything)]
    np.testing.assert_array_equal(scores["without"], scores["global"])
    np.testing.assert_allclose(scores["sum"], np.add(scores["local"], scores["global"]), atol=1e-5)
    torch.testing.assert_close(methods["sum"].prototypes_, methods["local"].prototypes_, rtol=0, atol=0)


def test_scores_of_the_local_head_are_maxima_times_phi():
    """A score is the maximum over cells of every prototype's dot products, times Phi."""
    problem, method = WithMaps(), short()
    method.fit(problem.train)
    maps = problem.maps(np.resize(np.arange(len(problem.everything)), 300))
    *_, scorer = method.scorers(problem.everything)
    attributes = (maps @ method.prototypes_[-1].numpy().T).max(1)
    phi = method._phi(problem.everything.semantics).numpy()
    np.testing.assert_allclose(scorer(maps.mean(1), maps), attributes @ phi.T, rtol=1e-4, atol=1e-5)


def test_prototypes_start_near_zero():
    """Prototypes are uniform from 0 to 2e-4 from the given generator, and the global generator is not used."""
    before = torch.get_rng_state()
    prototypes = make_prototypes(400, 50, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert prototypes.shape == (50, 400)
    assert 0 <= prototypes.min() < 1e-6
    assert 1.99e-4 < prototypes.max() <= 2e-4
    assert prototypes.mean().item() == pytest.approx(1e-4, rel=0.02)


def test_the_schedule_is_the_released_programs():
    """Five epochs at 1e-4, then 1e-6 · 0.9^(epoch // 10), a new optimiser every epoch; LayerNorm rests at first."""
    training = DSVA(DSVA.Config(epochs=31, batches_per_epoch=1)).training(Problem().train)
    linear, norm = training.adams
    expected = [1e-4] * 5 + [1e-6] * 5 + [0.9e-6] * 10 + [0.81e-6] * 10 + [0.729e-6]
    assert linear.lr == pytest.approx(expected)
    assert norm.lr == pytest.approx([0.0] * 5 + expected[5:])
    assert linear.anew
    assert norm.anew
    assert [len(adam.parameters) for adam in (linear, norm)] == [2, 2]
    method = short(head_epochs=1)
    method.fit(Problem().train)
    assert method.heads_[0][0].weight.unique().tolist() == [1.0]
    assert len(method.heads_[1][0].weight.unique()) > 1


def test_maps_are_the_same_however_many_are_moved_at_a_time(monkeypatch):
    """Maps that are moved a few steps at a time give the bits that all of them at once give."""
    problem, found = WithMaps(), []
    for steps in (2, 100):
        monkeypatch.setattr("zslbench_methods.dsva._STEPS_OF_MAPS", steps)
        method = short()
        method.fit(problem.train)
        found.append(method.prototypes_)
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("head", HEADS)
def test_without_maps_the_global_head_is_trained_as_ever(head, capsys):
    """Without maps the weights are, to the bit, those of a plain loop over the global loss, and nothing is printed."""
    problem, method = Problem(), short(head=head, lambda_local=7.0, compactness=1.0)
    method.fit(problem.train)
    assert capsys.readouterr() == ("", "")

    features, labels = torch.tensor(problem.train.features), torch.tensor(problem.train.labels)
    expected = make_head(20, 6, problem.train.torch_generator("dsva init"))
    rng = problem.train.rng("dsva episodes")
    for trained in method.heads_:
        adam = torch.optim.Adam(expected[1].parameters(), lr=1e-2, betas=(0.5, 0.999), fused=True)
        rows, _ = draw_episodes(problem.train.labels, 8, 3, 5, rng)
        for batch in torch.tensor(rows):
            adam.zero_grad()
            loss(expected, features[batch], labels[batch], method._phi(problem.train.semantics), 1e-2).backward()
            adam.step()
        assert all(map(torch.equal, trained.parameters(), expected.parameters()))


@pytest.mark.parametrize("problem", [Problem(), WithMaps()], ids=["features", "maps"])
def test_a_pickled_method_scores_the_same(problem):
    """A fitted method survives pickling, with maps and without."""
    method = short()
    method.fit(problem.train)
    arrays = [problem.train.features] if problem.train.maps is None else [problem.train.features, problem.train.maps]
    copy = pickle.loads(pickle.dumps(method))  # noqa: S301
    for ours, theirs in zip(method.scorers(problem.unseen), copy.scorers(problem.unseen), strict=True):
        np.testing.assert_array_equal(ours(*arrays), theirs(*arrays))


def test_compactness_asks_for_a_square_grid():
    """Maps of six cells are refused in one line that says what to set, and accepted once it is set."""
    problem = WithMaps((2, 2))
    train = dataclasses.replace(problem.train, maps=problem.train.maps[:, :6])
    with pytest.raises(InputError, match=r"square grid of cells, found maps of 6 cells; set compactness=0\.$"):
        short().fit(train)
    short(compactness=0.0).fit(train)
    short(head="global").fit(train)


@pytest.mark.parametrize(
    "problem",
    [WithMaps((1, 1, 1)), WithMaps((1, 9, 2), D=5, A=40), WithMaps((3, 2), D=1, A=1), WithMaps((1,))],
    ids=["one-image classes", "unequal classes", "both widths 1", "one image"],
)
@pytest.mark.parametrize("head", HEADS)
def test_keeps_the_contract_with_maps(problem, head):
    """With maps, scores are finite, equal in either order and row-wise, and arrays stay unchanged."""
    maps = problem.maps(np.arange(len(problem.everything)))
    features, originals = maps.mean(1), [maps.copy(), problem.train.maps.copy()]
    curves = []
    for order in ((problem.unseen, problem.everything), (problem.everything, problem.unseen)):
        method = short(head=head)
        method.fit(problem.train)
        curves.append({len(c): [scorer(features, maps) for scorer in method.scorers(c)] for c in order})
    for K, curve in curves[0].items():
        assert np.isfinite(curve).all()
        assert np.shape(curve) == (2, len(maps), K)
        np.testing.assert_array_equal(curve, curves[1][K])
    *_, scorer = method.scorers(problem.everything)
    rows = np.concatenate([scorer(x[None], m[None]) for x, m in zip(features, maps, strict=True)])
    np.testing.assert_allclose(rows, scorer(features, maps), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(maps, originals[0])
    np.testing.assert_array_equal(problem.train.maps, originals[1])
