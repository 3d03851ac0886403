"""The pieces that CADA-VAE and MCFA share, against plain references."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.preprocessing import MinMaxScaler

from zslbench import Candidates, TrainingData
from zslbench_methods import cada, mcfa
from zslbench_methods.cada import CADAVAE
from zslbench_methods.common.batches import ClassRows, distinct, stream
from zslbench_methods.common.latent_classifier import LatentClassifier
from zslbench_methods.common.layers import Affine
from zslbench_methods.common.scaling import MinMax
from zslbench_methods.common.softmax import softmax_regression
from zslbench_methods.common.trainer import Adam, Training, Update
from zslbench_methods.common.trainer import run as train_networks
from zslbench_methods.common.vae import VAE, AlignedVAEs, kl, l1, wasserstein
from zslbench_methods.mcfa import MCFA


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build_vaes(published=True, visual=(6, 9, 8), semantic=(4, 7, 5), latent=3):
    return AlignedVAEs(visual, semantic, latent, published=published, generator=generator())


# Batches


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    count=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_distinct_draws_in_range_and_without_repetition_where_possible(sizes, count, seed):
    """Numbers lie in 0..size-1 and repeat only where fewer than `count` exist."""
    drawn = distinct(np.random.default_rng(seed), sizes, count)
    assert drawn.shape == (len(sizes), count)
    for row, size in zip(drawn, sizes, strict=True):
        assert row.min() >= 0
        assert row.max() < size
        if size >= count:
            assert len(set(row)) == count


def test_distinct_makes_every_subset_equally_likely():
    """A chi-square test does not tell the subsets of 2 out of 5 from uniform ones."""
    drawn = np.sort(distinct(np.random.default_rng(0), np.full(20_000, 5), 2), axis=1)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 10
    assert chisquare(counts).pvalue > 1e-3


def test_class_rows_names_the_rows_of_each_class_in_order():
    """Rows of scattered labels are found class by class in row order, and absent classes have no position."""
    rows = ClassRows(np.array([4, 0, 4, 2, 0, 4]))
    assert rows.classes.tolist() == [0, 2, 4]
    assert rows.counts.tolist() == [2, 1, 3]
    assert rows.row(2, np.arange(3)).tolist() == [0, 2, 5]
    assert rows.row(np.array([[0], [1]]), np.array([0])).tolist() == [[1], [3]]


@settings(deadline=None)
@given(n=st.integers(1, 70), size=st.integers(1, 32), epochs=st.integers(1, 4), seed=st.integers(0, 1000))
def test_stream_without_wrap_drops_only_the_incomplete_batch(n, size, epochs, seed):
    """Every epoch holds floor(n / size) full batches without repetition."""
    batches = stream(np.random.default_rng(seed), n, size, epochs, wrap=False)
    size = min(size, n)
    assert batches.shape == (epochs, n // size, size)
    for epoch in batches:
        assert len(np.unique(epoch)) == epoch.size
        assert epoch.min() >= 0
        assert epoch.max() < n


@settings(deadline=None)
@given(n=st.integers(1, 70), size=st.integers(1, 32), epochs=st.integers(1, 4), seed=st.integers(0, 1000))
def test_wrapping_stream_continues_where_the_last_epoch_ended(n, size, epochs, seed):
    """An epoch has ceil(n / size) batches, and consecutive runs of n items are whole shuffles."""
    batches = stream(np.random.default_rng(seed), n, size, epochs, wrap=True)
    size = min(size, n)
    assert batches.shape == (epochs, -(-n // size), size)
    items = batches.ravel()
    for start in range(0, len(items) - n + 1, n):
        assert sorted(items[start : start + n]) == list(range(n))


def test_published_epochs_have_the_published_number_of_batches():
    """1000 ZSL latents give 32 batches of 32 per epoch, 1000 GZSL latents give 31."""
    rng = np.random.default_rng(0)
    assert stream(rng, 1000, 32, 2, wrap=True).shape == (2, 32, 32)
    assert stream(rng, 1000, 32, 2, wrap=False).shape == (2, 31, 32)


# Scaling


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 6))
def test_min_max_scaling_equals_scikit_learns(seed, rows, columns):
    """Training and other rows are scaled as by scikit-learn, constant columns and one-row data included."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns)).astype(np.float32)
    X[:, 0] = 2.5
    other = rng.normal(size=(4, columns)).astype(np.float32) * 3
    before = X.copy()
    scale = MinMax.fit(X)
    reference = MinMaxScaler().fit(X)
    for data in (X, other):
        scaled = scale(data)
        assert scaled.dtype == np.float32
        span = np.abs(data / scale.span).max() + 1
        np.testing.assert_allclose(scaled, reference.transform(data), atol=1e-5 * span)
    np.testing.assert_array_equal(X, before)


# Autoencoders


def test_fused_heads_are_initialised_head_by_head():
    """Each head's weights fill the Xavier range of its own size with gain 0.5, and biases are zero."""
    layer = Affine(30, 400, 400, generator=generator())
    bound = 0.5 * np.sqrt(6 / (30 + 400))
    for head in layer.weight.detach().split(400, dim=1):
        assert bound * 0.99 < head.abs().max() <= bound
    assert not layer.bias.any()


def test_initialisation_leaves_the_global_random_state_alone():
    """Building the autoencoders draws from the given generator only, and equal seeds give equal weights."""
    state = torch.get_rng_state()
    first, second = build_vaes(), build_vaes()
    assert torch.equal(state, torch.get_rng_state())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_decoding_two_batches_at_once_equals_decoding_each():
    """The concatenation changes nothing, for batches of different length."""
    vae = VAE(6, 5, 4, 3, generator()).double()
    a, b = torch.randn(4, 3, dtype=torch.double), torch.randn(2, 3, dtype=torch.double)
    for both, alone in zip(vae.decode(a, b), (vae.decode(a), vae.decode(b)), strict=True):
        torch.testing.assert_close(both, *alone)


@pytest.mark.parametrize(("published", "rank"), [(True, 1), (False, 3)])
def test_published_noise_keeps_the_latents_of_a_class_on_a_line(published, rank):
    """Samples of one Gaussian vary along one direction as published and along all of them corrected."""
    vaes = build_vaes(published)
    mu, logvar = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[0.1, -0.3, 0.2]])
    noise = vaes.noise(50, generator=generator())
    z = vaes.sample(mu.expand(50, 3), logvar.expand(50, 3), noise)
    assert torch.linalg.matrix_rank(z - mu, tol=1e-4) == rank


@pytest.mark.parametrize(("published", "factor"), [(True, 1.0), (False, 0.5)])
def test_sampling_scales_the_noise_as_the_variant_says(published, factor):
    """The standard deviation is exp(logvar) as published and exp(logvar / 2) corrected."""
    mu, logvar, noise = (np.random.default_rng(i).normal(size=(5, 3)) for i in range(3))
    z = build_vaes(published).sample(*map(torch.tensor, (mu, logvar, noise)))
    np.testing.assert_allclose(z, mu + noise * np.exp(factor * logvar), rtol=1e-12)


def test_kl_and_l1_equal_the_formulas():
    """Both are sums over rows and columns, compared with loops in float64."""
    rng = np.random.default_rng(0)
    mu, logvar = rng.normal(size=(2, 4, 3))
    divergence = sum(
        0.5 * (np.exp(logvar[i, j]) + mu[i, j] ** 2 - 1 - logvar[i, j]) for i in range(4) for j in range(3)
    )
    assert kl(torch.tensor(mu), torch.tensor(logvar)).item() == pytest.approx(divergence, rel=1e-12)
    difference = sum(abs(mu[i, j] - logvar[i, j]) for i in range(4) for j in range(3))
    assert l1(torch.tensor(mu), torch.tensor(logvar)).item() == pytest.approx(difference, rel=1e-12)


def test_wasserstein_distance_equals_the_formula():
    """It is the distance of means and standard deviations exp(logvar / 2), row by row."""
    mu, logvar, mu2, logvar2 = np.random.default_rng(0).normal(size=(4, 5, 3))
    spread = np.exp(logvar / 2) - np.exp(logvar2 / 2)
    expected = np.sqrt(((mu - mu2) ** 2).sum(1) + (spread**2).sum(1))
    ours = wasserstein(*map(torch.tensor, (mu, logvar, mu2, logvar2)))
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_wasserstein_distance_of_equal_gaussians_has_a_finite_gradient():
    """Equal Gaussians do not turn the weights into NaN."""
    mu = torch.zeros(2, 3, requires_grad=True)
    wasserstein(mu, mu * 2, torch.zeros(2, 3), torch.zeros(2, 3)).sum().backward()
    assert torch.isfinite(mu.grad).all()


# The plain loop that the speed comparison uses


@pytest.fixture(scope="module")
def plain():
    """The benchmark script as a module."""
    path = Path(__file__).parents[2] / "benchmarks" / "speed" / "vae_trials.py"
    spec = importlib.util.spec_from_file_location("vae_trials", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plain_pairs(vae, copy):
    """(our tensor, the plain layer's) for every weight and bias, in the plain layout."""
    heads = [vae.heads.weight.chunk(2, 1), vae.heads.bias.chunk(2)]
    layers = {
        copy.encoder[0]: (vae.encoder.weight, vae.encoder.bias),
        copy.mu: (heads[0][0], heads[1][0]),
        copy.logvar: (heads[0][1], heads[1][1]),
        copy.decode[0]: (vae.decoder.weight, vae.decoder.bias),
        copy.decode[2]: (vae.output.weight, vae.output.bias),
    }
    for layer, (weight, bias) in layers.items():
        yield weight.t(), layer.weight
        yield bias, layer.bias


def plain_copy(plain, vae, sizes, latent):
    copy = plain.PlainVAE(*sizes, latent).double()
    with torch.no_grad():
        for ours, theirs in plain_pairs(vae, copy):
            theirs.copy_(ours)
    return copy


@pytest.mark.parametrize("method", ["cada", "mcfa"])
def test_optimised_training_equals_the_plain_eager_loop(plain, method):
    """Ten steps of Adam on the same batches and noise give the same losses and the same weights."""
    sizes = (6, 9, 8), (4, 7, 5)
    vaes = build_vaes(True, *sizes).double()
    copies = [plain_copy(plain, v, size, 3) for v, size in zip((vaes.visual, vaes.semantic), sizes, strict=True)]
    rng = np.random.default_rng(0)
    ways, shots, steps = 3, 4, 10
    images = ways * shots
    rows = images if method == "cada" else ways
    X = torch.tensor(rng.random((steps, images, 6)))
    S = torch.tensor(rng.normal(size=(steps, rows, 4)))
    noise = torch.tensor(rng.normal(size=(steps, images + rows, 1)))
    y = torch.arange(ways).repeat_interleave(shots)
    config = MCFA.Config()
    relations = mcfa.Relations.of(ways, shots, config, like=X)
    our_losses, plain_losses = [], []

    def objective(vaes, data, batch, weights):
        x, s, eps = batch
        if method == "cada":
            value = cada.loss(vaes, x, s, eps, beta=0.25, cross=2.37, distance=8.13)
        else:
            value = mcfa.loss(vaes, x.unflatten(0, (ways, shots)), s, eps, relations, config)
        our_losses.append(value.item())
        return value

    done = []
    train = replace(Problem(0).train, progress=lambda *state: done.append(state))
    step = [Update(objective, [Adam(vaes.parameters(), 1e-2, amsgrad=True)])]
    train_networks(Training(vaes, step, data=(), table=lambda epoch: [(X, S, noise)], epochs=1, train=train))
    assert done == [(1, 1)]

    adam = torch.optim.Adam([p for copy in copies for p in copy.parameters()], lr=1e-2, amsgrad=True)
    for x, s, eps in zip(X, S, noise, strict=True):
        if method == "cada":
            value = plain.plain_cada(*copies, x, s, eps[:images], eps[images:])
        else:
            value = plain.plain_mcfa(*copies, x, s, y, eps[:images], eps[images:])
        plain_losses.append(value.item())
        adam.zero_grad()
        value.backward()
        adam.step()

    np.testing.assert_allclose(our_losses, plain_losses, rtol=1e-7)
    for vae, copy in zip((vaes.visual, vaes.semantic), copies, strict=True):
        for ours, theirs in plain_pairs(vae, copy):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


# The classifier on latents


@pytest.mark.parametrize("wrap", [True, False])
def test_softmax_regression_equals_torch_step_by_step(wrap):
    """The written-out gradient and Adam follow autograd and torch.optim.Adam on the same batches."""
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(75, 4)).astype(np.float32)
    targets = rng.integers(3, size=75)
    options = {"batch": 32, "wrap": wrap}
    ours = list(
        softmax_regression(
            Affine(4, 3, generator=generator()),
            torch.from_numpy(latents),
            targets,
            epochs=3,
            lr=1e-2,
            rng=np.random.default_rng(5),
            **options,
        )
    )
    start = Affine(4, 3, generator=generator())
    layer = torch.nn.Linear(4, 3).double()
    with torch.no_grad():
        layer.weight.copy_(start.weight.t())
        layer.bias.copy_(start.bias)
    adam = torch.optim.Adam(layer.parameters(), lr=1e-2, betas=(0.5, 0.999))
    epochs = stream(np.random.default_rng(5), 75, 32, 3, wrap=wrap)
    assert len(epochs[0]) == (3 if wrap else 2)
    for weights, batches in zip(ours, epochs, strict=True):
        for rows in batches:
            out = layer(torch.tensor(latents[rows]).double())
            loss = torch.nn.functional.cross_entropy(out, torch.tensor(targets[rows]))
            adam.zero_grad()
            loss.backward()
            adam.step()
        np.testing.assert_allclose(weights[:-1].T, layer.weight.detach(), atol=1e-5)
        np.testing.assert_allclose(weights[-1], layer.bias.detach(), atol=1e-5)


def make_stage(counts=(1, 3, 7), unseen=2, variant="published", **settings):
    """A classifier stage on untrained autoencoders: classes of these sizes, rows of all classes shuffled."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    semantics = rng.normal(size=(len(counts) + unseen, 4)).astype(np.float32)
    train = TrainingData(
        features=rng.random((len(labels), 6)).astype(np.float32),
        labels=labels,
        semantics=semantics[: len(counts)],
        seed=3,
    )
    config = CADAVAE.Config(
        variant=variant,
        zsl_samples=5,
        seen_samples=4,
        unseen_samples=6,
        zsl_epochs=2,
        gzsl_epochs=3,
        **settings,
    )
    vaes = build_vaes(variant == "published")
    return LatentClassifier(vaes, MinMax.fit(train.features), train, config), semantics


def test_zsl_classifier_is_trained_on_semantic_latents_alone():
    """Every unseen class gives `zsl_samples` latents, labelled with its column."""
    stage, semantics = make_stage()
    latents, targets = stage.training_latents(Candidates(semantics[3:], np.array([-1, -1])))
    assert latents.shape == (10, 3)
    assert targets.tolist() == [0] * 5 + [1] * 5


def test_gzsl_classifier_is_trained_on_column_positions():
    """Columns in any order receive `seen_samples` or `unseen_samples` latents of their own class."""
    stage, semantics = make_stage()
    order = np.array([4, 1, 0, 3, 2])
    seen = np.where(order < 3, order, -1)
    latents, targets = stage.training_latents(Candidates(semantics[order], seen))
    assert np.bincount(targets).tolist() == [6, 4, 4, 6, 4]
    assert len(latents) == len(targets)


@pytest.mark.parametrize("setting", ["zsl", "gzsl"])
def test_training_latents_lie_on_the_line_through_their_classes_gaussian(setting):
    """As published, a latent is mu + one number * exp(logvar) of its class's semantics or of one of its images."""
    stage, semantics = make_stage()
    seen = np.array([-1, -1]) if setting == "zsl" else np.array([0, 1, 2, -1, -1])
    candidates = Candidates(semantics[-len(seen) :], seen)
    latents, targets = stage.training_latents(candidates)
    train = stage.train
    for z, column in zip(latents, targets, strict=True):
        label = seen[column]
        if label < 0:
            encoded = stage.vaes.semantic.gaussian(torch.tensor(candidates.semantics[[column]]))
        else:
            encoded = stage.vaes.visual.gaussian(torch.tensor(stage.scale(train.features[train.labels == label])))
        mu, logvar = encoded.detach().numpy().astype(float).reshape(-1, 2, 3).swapaxes(0, 1)
        eps = (z - mu) / np.exp(logvar)
        assert np.ptp(eps, axis=1).min() < 1e-4


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_seen_classes_are_represented_by_first_or_by_random_rows(variant):
    """Rows belong to their class; small classes are tiled; published takes the first, corrected any subset."""
    stage, semantics = make_stage(variant=variant)
    labels = stage.train.labels
    rows, columns = stage._image_rows(Candidates(semantics, np.array([0, 1, 2, -1, -1])))
    assert columns.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_array_equal(labels[rows], columns)
    one, three, seven = (rows[columns == c].tolist() for c in range(3))
    firsts = [np.flatnonzero(labels == c).tolist() for c in range(3)]
    assert one == firsts[0] * 4
    assert set(three) == set(firsts[1])
    assert len(set(seven)) == 4
    if variant == "published":
        assert three == firsts[1] + firsts[1][:1]
        assert seven == firsts[2][:4]
    else:
        assert seven != firsts[2][:4]


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_the_few_shot_rules_of_cada_vae_by_hand(variant):
    """Two images of one unseen class and one of another, five latents of each kind (there, 200).

    In ZSL each unseen class has five latents of its semantics and five of its images, the two taken in turn as
    published; seen classes have none. In GZSL it has the same, where without shots there are six of semantics, and each
    seen class its four.
    """
    stage, semantics = make_stage(variant=variant, few_samples=5)
    few = np.random.default_rng(2).random((3, 6)).astype(np.float32)
    stage.train = replace(
        stage.train, features=np.concatenate([stage.train.features, few]),
        labels=np.concatenate([stage.train.labels, [3, 4, 3]]), semantics=semantics,
        few=np.arange(14) >= 11,
    )  # fmt: skip
    everything = Candidates(semantics, np.array([0, 1, 2, -1, -1]), few=np.array([-1, -1, -1, 3, 4]))
    unseen = everything.of(everything.seen < 0)
    rows, columns = stage._image_rows(unseen)
    assert columns.tolist() == [0] * 5 + [1] * 5
    first = rows[:5].tolist()
    assert first == [11, 13, 11, 13, 11] or (variant == "corrected" and first == [13, 11, 13, 11, 13])
    assert rows[5:].tolist() == [12] * 5
    latents, targets = stage.training_latents(unseen)
    assert targets.tolist() == [0] * 5 + [1] * 5 + [0] * 5 + [1] * 5
    assert np.bincount(stage.training_latents(everything)[1]).tolist() == [4, 4, 4, 10, 10]
    if variant == "published":  # a latent is mu + one number * exp(logvar) of its image, then of its semantics
        images = stage.vaes.visual.gaussian(torch.tensor(stage.scale(stage.train.features[rows])))
        classes = stage.vaes.semantic.gaussian(torch.tensor(unseen.semantics))[torch.tensor([0] * 5 + [1] * 5)]
        mu, logvar = torch.cat([images, classes]).detach().numpy().astype(float).reshape(-1, 2, 3).swapaxes(0, 1)
        assert np.ptp((latents.numpy() - mu) / np.exp(logvar), axis=1).max() < 1e-4


def test_the_autoencoders_do_not_see_the_few():
    """As in the released program, k images of unseen classes train the classifier alone."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 5)
    train = TrainingData(
        rng.random((20, 6)).astype(np.float32), labels, rng.normal(size=(4, 4)).astype(np.float32), seed=3,
        few=labels == 3,
    )  # fmt: skip
    short = {"epochs": 2, "visual_encoder": 7, "visual_decoder": 7, "semantic_encoder": 7, "semantic_decoder": 7}
    for method in (CADAVAE, MCFA):
        one, other = method(method.Config(**short)), method(method.Config(**short))
        one.fit(train)
        other.fit(train.without_few())
        states = (made.classifier_.vaes.state_dict() for made in (one, other))
        for mine, its in zip(*(state.values() for state in states), strict=True):
            assert torch.equal(mine, its)
        assert one.classifier_.train is train
        np.testing.assert_array_equal(one.classifier_.scale.low, other.classifier_.scale.low)


def test_scores_are_log_probabilities_of_a_linear_classifier_on_the_mean():
    """Every row sums to one after exp, and equals the classifier applied to mu of the visual encoder."""
    stage, semantics = make_stage()
    x = np.random.default_rng(1).random((5, 6)).astype(np.float32)
    candidates = Candidates(semantics[3:], np.array([-1, -1]))
    scores = [scorer(x) for scorer in stage.scorers(candidates)]
    assert len(scores) == 2
    np.testing.assert_allclose(np.exp(scores[-1]).sum(1), 1, rtol=1e-5)
    mu = stage.vaes.visual.gaussian(torch.tensor(stage.scale(x)))[:, :3].detach().numpy()
    *_, weights = softmax_regression(
        Affine(3, 2, generator=stage.train.torch_generator("classifier init zsl")),
        *stage.training_latents(candidates),
        epochs=2,
        batch=32,
        lr=1e-3,
        wrap=True,
        rng=stage.train.rng("classifier batches zsl"),
    )
    logits = mu @ weights[:-1].numpy() + weights[-1].numpy()
    np.testing.assert_allclose(scores[-1], logits - np.logaddexp.reduce(logits, axis=1, keepdims=True), atol=1e-6)


def test_test_features_are_encoded_once_but_never_stale(monkeypatch):
    """All epochs share one encoding of a block, which is made anew for every array, changed in place or not."""
    stage, semantics = make_stage()
    calls = []
    inner = stage.vaes.visual.gaussian
    first, *others = stage.scorers(Candidates(semantics[3:], np.array([-1, -1])))
    assert others
    assert all(scorer.represent is first.represent for scorer in others)
    monkeypatch.setattr(stage.vaes.visual, "gaussian", lambda rows: calls.append(1) or inner(rows))
    blocks = list(np.random.default_rng(1).random((2, 5, 6)).astype(np.float32))
    means = [first.represent(block) for block in blocks]
    for scorer in (first, *others):
        for block, encoded in zip(blocks, means, strict=True):
            np.testing.assert_array_equal(scorer.score(encoded), scorer(block))
    assert len(calls) == 2 + 2 * (1 + len(others))
    blocks[0].flags.writeable = True
    before = means[0].clone()
    blocks[0][0] += 1
    assert not np.array_equal(first.represent(blocks[0])[0], before[0])
    np.testing.assert_array_equal(means[0], before)


@settings(max_examples=20, deadline=None)
@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    width=st.integers(1, 3),
    semantic=st.integers(1, 3),
    method=st.sampled_from([CADAVAE, MCFA]),
    variant=st.sampled_from(["published", "corrected"]),
)
def test_methods_survive_the_smallest_data(counts, width, semantic, method, variant):
    """One-image classes, one seen class and single columns give finite scores in both settings."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    semantics = np.zeros((len(counts) + 2, semantic), dtype=np.float32)
    train = TrainingData(rng.random((len(labels), width)).astype(np.float32), labels, semantics[: len(counts)], seed=1)
    small = {f"{modality}_{side}": 4 for modality in ("visual", "semantic") for side in ("encoder", "decoder")}
    warm = {f"{term}_end": 0 for term in ("beta", "cross", "distance")} if method is CADAVAE else {}
    model = method(method.Config(variant=variant, latent=2, epochs=2, zsl_epochs=1, gzsl_epochs=1, **small, **warm))
    model.fit(train)
    for first in (0, len(counts)):
        seen = np.r_[np.arange(len(counts)), -1, -1][first:]
        for scorer in model.scorers(Candidates(semantics[first:], seen)):
            scores = scorer(rng.random((3, width)).astype(np.float32))
            assert scores.shape == (3, len(seen))
            assert np.isfinite(scores).all()


# Both methods as wholes

SMALL = {f"{modality}_{side}": 32 for modality in ("visual", "semantic") for side in ("encoder", "decoder")}
RAMPS = {f"{term}_{end}": epoch for term in ("beta", "cross", "distance") for end, epoch in (("start", 0), ("end", 5))}
QUICK = {
    CADAVAE: {"latent": 8, "epochs": 40, "lr": 2e-3, "batch": 20, **SMALL, **RAMPS},
    MCFA: {"latent": 8, "epochs": 40, "lr": 2e-3, **SMALL},
}


class Problem:
    """SYNTHETIC: 20 seen and 4 unseen classes; features are a linear map of the semantics plus noise."""

    def __init__(self, seed=7):
        rng = np.random.default_rng(0)
        semantics = rng.integers(2, size=(24, 6)).astype(np.float32) + rng.random((24, 6), dtype=np.float32) / 2
        mix = rng.normal(size=(6, 48))

        def images(labels):
            return (semantics[labels] @ mix + 0.1 * rng.normal(size=(len(labels), 48))).astype(np.float32)

        labels = np.repeat(np.arange(20), 8)
        self.train = TrainingData(images(labels), labels, semantics[:20], seed=seed)
        for array in (self.train.features, self.train.labels, semantics):
            array.flags.writeable = False
        self.unseen = Candidates(semantics[20:], np.full(4, -1))
        self.all = Candidates(semantics, np.r_[np.arange(20), np.full(4, -1)])
        self.labels = np.repeat(np.arange(24), 10)
        self.features = images(self.labels)


def run(method, seed=7, order=("unseen", "all"), **config):
    """Fit and score: {setting: the scores of every scorer}."""
    problem = Problem(seed)
    model = method(method.Config(**{**QUICK[method], **config}))
    model.fit(problem.train)
    return {name: [scorer(problem.features) for scorer in model.scorers(getattr(problem, name))] for name in order}


@pytest.mark.slow  # trained for long, as in test_learning.py
@pytest.mark.parametrize("variant", ["published", "corrected"])
@pytest.mark.parametrize("method", [CADAVAE, MCFA])
def test_methods_learn_an_easy_problem(method, variant):
    """On linear data, unseen classes are told apart, and images of seen classes are found among all classes."""
    scores = run(method, variant=variant, epochs=100, unseen_samples=200, classifier_lr=1e-2)
    labels = Problem().labels
    new = labels >= 20
    assert np.mean(scores["unseen"][-1][new].argmax(1) + 20 == labels[new]) > 0.7  # chance: 1/4
    assert np.mean(scores["all"][-1][~new].argmax(1) == labels[~new]) > 0.7  # chance: 1/24


@pytest.mark.parametrize("variant", ["published", "corrected"])
@pytest.mark.parametrize("method", [CADAVAE, MCFA])
def test_methods_are_deterministic_whatever_the_order_of_settings(method, variant):
    """The same seed gives the same bytes in either order of ZSL and GZSL, another seed gives others."""
    options = {"variant": variant, "epochs": 2, "zsl_epochs": 2, "gzsl_epochs": 2}
    first = run(method, **options)
    again = run(method, order=("all", "unseen"), **options)
    other = run(method, seed=8, **options)
    for name, scores in first.items():
        for ours, same, different in zip(scores, again[name], other[name], strict=True):
            assert ours.tobytes() == same.tobytes()
            assert ours.tobytes() != different.tobytes()


@pytest.mark.parametrize("method", [CADAVAE, MCFA])
def test_methods_leave_inputs_and_global_random_states_alone(method):
    """Neither the candidates, nor the test features, nor the random states of torch and NumPy change."""
    problem = Problem()
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    features, semantics = problem.features.copy(), problem.all.semantics.copy()
    model = method(method.Config(**{**QUICK[method], "epochs": 1}))
    model.fit(problem.train)
    for scorer in model.scorers(problem.all):
        scorer(problem.features)
    np.testing.assert_array_equal(problem.features, features)
    np.testing.assert_array_equal(problem.all.semantics, semantics)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("method", [CADAVAE, MCFA])
def test_earlier_scorers_keep_their_state(method):
    """A scorer gives the same scores after the later epochs have been trained."""
    problem = Problem()
    model = method(method.Config(**{**QUICK[method], "epochs": 1, "zsl_epochs": 3}))
    model.fit(problem.train)
    scorers, at_once = [], []
    for scorer in model.scorers(problem.unseen):
        scorers.append(scorer)
        at_once.append(scorer(problem.features))
    for scorer, scores in zip(scorers, at_once, strict=True):
        np.testing.assert_array_equal(scorer(problem.features), scores)
    assert not np.array_equal(at_once[0], at_once[-1])


@pytest.mark.parametrize(("method", "zsl", "gzsl"), [(CADAVAE, 22, 23), (MCFA, 50, 23)])
def test_every_classifier_epoch_is_yielded(method, zsl, gzsl):
    """The default numbers of classifier epochs are the published ones, and each yields one scorer."""
    scores = run(method, epochs=1)
    assert (len(scores["unseen"]), len(scores["all"])) == (zsl, gzsl)


def test_method_modules_are_imported_without_torch():
    """Listing the methods does not pay for torch."""
    code = "import sys, zslbench_methods.cada, zslbench_methods.mcfa; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
