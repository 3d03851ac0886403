"""One trainer for all: its plain loop against loops written out here, stacks against single fits, recorded steps."""

import dataclasses
from collections.abc import Callable
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_problems import Problem
from quick import quick
from torch import nn

from zslbench.registry import Registry
from zslbench.testing import problems
from zslbench_methods import align, cada, cnzsl, dem, hsva, mcfa
from zslbench_methods.common import gan, graphs, schedules, trainer
from zslbench_methods.common.batches import ClassRows, distinct, stream
from zslbench_methods.common.classnorm import Prototypes
from zslbench_methods.common.gan import descend
from zslbench_methods.common.hierarchy import Hierarchy, Widths
from zslbench_methods.common.scaling import MinMax
from zslbench_methods.common.trained import Trained
from zslbench_methods.common.trainer import Adam, Training, Update, run, run_together
from zslbench_methods.common.vae import AlignedVAEs

pytestmark = pytest.mark.filterwarnings("error:There is a performance drop")  # of torch.func.vmap

REGISTRY = Registry()
STACKED = [name for name in REGISTRY.names if issubclass(REGISTRY.get(name), Trained)]
APART = {"cnzsl": 0.05}
"""By how much of the largest score a stack's scores may differ from a single fit's, where it is more than 1e-5: biases
in front of CNZSL's standardisation have a gradient of rounding alone, of which Adam makes whole steps."""


def networks_of(fitted):
    """All numbers that a method learned."""
    held = [value for key, value in sorted(vars(fitted).items()) if key.endswith("_")]
    if hasattr(fitted, "classifier_"):
        held = [fitted.classifier_.vaes]
    flat = [one for value in held for one in (value if isinstance(value, list) else [value])]
    modules = [one for one in flat if isinstance(one, nn.Module)]
    return [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]


def assert_same_bits(ours, reference):
    theirs = [*reference.parameters(), *reference.buffers()]
    assert len(ours) >= len(theirs) > 0
    assert all(map(torch.equal, ours[-len(theirs) :], theirs))


# The plain loop


def old_cada(c, train):
    vaes, scale = AlignedVAEs.build(train, c), MinMax.fit(train.features)
    X, S, y = train.tensor(scale(train.features)), train.tensor(train.semantics), train.tensor(train.labels)
    rng, generator, n = train.rng("batches"), train.torch_generator("noise"), len(train.labels)
    adam = torch.optim.Adam(vaes.parameters(), lr=c.lr, amsgrad=True, fused=True)
    for epoch in range(c.epochs):
        w = {name: cada.warm_up(epoch, getattr(c, f"{name}_start"), getattr(c, f"{name}_end"), getattr(c, name))
             for name in ("beta", "cross", "distance")}  # fmt: skip
        rows = train.tensor(distinct(rng, np.full(-(-n // c.batch), n), c.batch))
        noise = train.tensor(vaes.noise(len(rows), 2 * c.batch, generator=generator))
        for i, eps in zip(rows, noise, strict=True):
            loss = cada.loss(vaes, X[i], S[y[i]], eps, **w)
            adam.zero_grad()
            loss.backward()
            adam.step()
    return vaes


def old_mcfa(c, train):
    vaes, scale, by_class = AlignedVAEs.build(train, c), MinMax.fit(train.features), ClassRows(train.labels)
    X, S = train.tensor(scale(train.features)), train.tensor(train.semantics)
    rng, generator = train.rng("batches"), train.torch_generator("noise")
    relations, steps = mcfa.Relations.of(c.ways, c.shots, c, like=X), -(-len(train.labels) // (c.ways * c.shots))
    adam = torch.optim.Adam(vaes.parameters(), lr=c.lr, amsgrad=True, fused=True)
    for _ in range(c.epochs):
        drawn = mcfa.sample_rows(rng, by_class, steps, c.ways, c.shots, shared=True)
        noise = train.tensor(vaes.noise(steps, c.ways * c.shots + c.ways, generator=generator))
        for y, i, eps in zip(*map(train.tensor, drawn), noise, strict=True):
            loss = mcfa.loss(vaes, X[i], S[y], eps, relations, c)
            adam.zero_grad()
            loss.backward()
            adam.step()
    return vaes


def old_dem(c, train):
    x, y = train.tensor(train.features), train.tensor(train.labels)
    s = torch.tensor(dem.unit_rows(train.semantics), dtype=torch.float32)
    network = dem.make_network(s.shape[1], c.hidden, x.shape[1], c.output, train.torch_generator("dem init"))
    adam = torch.optim.Adam(network.parameters(), lr=c.lr, fused=True)
    for rows in stream(train.rng("dem batches"), len(x), c.batch, c.epochs, wrap=True):
        for batch in train.tensor(rows):
            dem.loss(network, x[batch], s[y[batch]], c.penalty).backward()
            adam.step()
            adam.zero_grad()
    return network


def old_cnzsl(c, train):
    x, y = torch.tensor(cnzsl.unit_rows(train.features), dtype=torch.float32), train.tensor(train.labels)
    s = torch.tensor(cnzsl.unit_rows(train.semantics) * np.sqrt(train.semantics.shape[1]), dtype=torch.float32)
    network = Prototypes(s.shape[1], c.hidden, x.shape[1], norm=True, proper=True,
                         generator=train.torch_generator("cnzsl init"))  # fmt: skip
    adam = torch.optim.Adam(network.parameters(), lr=c.lr, weight_decay=c.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.StepLR(adam, 25, 0.1)
    for rows in train.tensor(stream(train.rng("cnzsl batches"), len(x), c.batch, c.epochs, wrap=True)):
        for batch in rows:
            cnzsl.loss(network, x[batch], y[batch], s, c.scale).backward()
            adam.step()
            adam.zero_grad()
        schedule.step()
    return network


def old_align(c, train):
    method = align.Align(c)
    method.device_, method.scale_features_ = "cpu", align.Standardiser.of(align.unit_rows(train.features))
    method.scale_semantics_ = align.Standardiser.of(train.semantics)
    x, y = method._visual(train.features), train.tensor(train.labels)
    s = method._semantic(train.semantics)[y]
    towers = align.build_towers(x.shape[1], s.shape[1], c, train.torch_generator("align init"))
    adam = torch.optim.AdamW(align.parameter_groups(towers, c.weight_decay), lr=c.lr, fused=True)
    batches = stream(train.rng("align batches"), len(x), c.batch, c.epochs, wrap=False)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, batches.shape[0] * batches.shape[1])
    generator = train.torch_generator("align noise")
    for rows in train.tensor(batches):
        noisy = s + c.noise * s.shape[1] ** -0.5 * torch.randn(s.shape, generator=generator)
        for batch in rows:
            align.loss(towers, x[batch], noisy[batch], y[batch]).backward()
            adam.step()
            adam.zero_grad()
            schedule.step()
    return towers


def old_hsva(c, train):
    networks = Hierarchy(train.features.shape[1], train.semantics.shape[1], len(train.semantics),
                         Widths(c.hidden, c.structure, c.shared, c.latent, c.head),
                         train.torch_generator("init"))  # fmt: skip
    outer, inner = (torch.optim.Adam(own, lr=c.lr, amsgrad=True, fused=True)
                    for own in (networks.outer(), networks.inner()))  # fmt: skip
    heads = torch.optim.Adam(networks.heads.parameters(), lr=c.head_lr, fused=True)
    draws = hsva.Draws(train, MinMax.fit(train.features)(train.features), c)
    for epoch in range(c.epochs):
        w = hsva.Weights.at(epoch, c)
        for piece in draws.table(epoch):
            for batch in zip(*map(train.tensor, piece), strict=True):
                x, s, unseen, y, noise, directions = hsva.Step.of(draws.data, batch)
                apart, *together = directions.chunk(3)
                descend(hsva.classification(networks.logits(*networks.structures(x, s)), y), outer, heads)
                with torch.no_grad():
                    structures = networks.structures(x, s)
                logits = networks.logits(*structures)
                descend(hsva.classification(logits, y) - w.distance * hsva.discrepancy(logits, apart), heads)
                for drawn in together:
                    logits = networks.logits(*networks.structures(x, s))
                    descend(w.distance * hsva.discrepancy(logits, drawn), outer)
                descend(hsva.distribution(networks, x, s, unseen, noise, w), outer, inner)
    return networks


OLD: dict[str, tuple[Callable[..., nn.Module], dict[str, object]]] = {
    "align": (old_align, {"hidden": 16, "epochs": 3, "batch": 32}),
    "cada": (old_cada, {"epochs": 4, "cross_start": 1, "cross_end": 3, "distance_start": 0, "distance_end": 2}),
    "cnzsl": (old_cnzsl, {"hidden": 16, "epochs": 30, "batch": 128}),
    "dem": (old_dem, {"hidden": 16, "epochs": 3}),
    "hsva": (old_hsva, {"epochs": 2, "batch": 20}),
    "mcfa": (old_mcfa, {"epochs": 2}),
}


def with_marks(names):
    """Those that are trained longest run with the slow tests."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name == "hsva" else []) for name in names]


@pytest.mark.parametrize("name", with_marks(OLD))
def test_a_single_fit_gives_the_bits_of_a_plain_loop(name):
    """On the CPU weights equal, to the bit, those of a loop of backward passes and torch's optimizers."""
    loop, overrides = OLD[name]
    spec = quick(name)
    method, config, _ = REGISTRY.build(dataclasses.replace(spec, overrides=spec.overrides | overrides))
    problem = Problem()
    train = dataclasses.replace(problem.train, unseen_semantics=problem.unseen.semantics)
    fitted = method(config)
    fitted.fit(train)
    assert_same_bits(networks_of(fitted), loop(config, train))


def test_a_fit_that_diverges_says_so():
    """Weights that are no numbers end a single fit in one line."""
    with pytest.raises(FloatingPointError, match="NaN or infinite in training"):
        dem.DEM(dem.DEM.Config(lr=1e38, epochs=2)).fit(Problem().train)


# Stacks


def stacked(name, places=(0, 1, 2, 3), **changed):
    """Members of a stack, the same one by its number wherever it stands: seeds, step sizes and weights differ."""
    method, config, _ = REGISTRY.build(quick(name))
    trial = problems.trial_of(method.info)
    trains = [dataclasses.replace(trial.train, seed=place) for place in places]
    configs = [dataclasses.replace(config, lr=config.lr * (1 + place), **changed.get(str(place), {}))
               for place in places]  # fmt: skip
    return method, trains, configs, trial


def scores(fitted, trial):
    return [np.array(scorer(*setting.inputs)) for setting in trial.settings for scorer in
            fitted.scorers(setting.candidates)]  # fmt: skip


def bits(fitted, trial):
    return [curve.tobytes() for curve in scores(fitted, trial)]


@pytest.mark.parametrize("name", with_marks(STACKED))
def test_a_stack_gives_what_single_fits_give(name):
    """Scores are those of single fits up to rounding, and as many images as before, but for one, are put where they
    were; progress is told of every member."""
    method, trains, configs, trial = stacked(name)
    told = [[] for _ in trains]
    trains = [dataclasses.replace(train, progress=lambda *state, own=own: own.append(state))
              for train, own in zip(trains, told, strict=True)]  # fmt: skip
    together = method.fit_many(trains, configs)
    assert all(own[-1] == (len(own), len(own)) for own in told)
    for train, config, member in zip(trains, configs, together, strict=True):
        alone = method(config)
        alone.fit(train)
        for ours, theirs in zip(scores(member, trial), scores(alone, trial), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=APART.get(name, 1e-5) * np.abs(theirs).max())
            assert (ours.argmax(1) != theirs.argmax(1)).sum() <= 1


@pytest.mark.parametrize("name", with_marks(STACKED))
def test_neither_place_nor_company_nor_a_death_changes_a_bit(name):
    """In other places, beside another member and beside one that dies, members keep their bits; the dead one is
    returned as what it died of."""
    method, trains, configs, trial = stacked(name)
    others = method.fit_many(trains, configs)[1:]
    expected = [bits(member, trial) for member in others]
    method, trains, configs, trial = stacked(name, (3, 9, 1, 2))
    moved = method.fit_many(trains, configs)
    assert [bits(moved[place], trial) for place in (2, 3, 0)] == expected
    configs[1] = dataclasses.replace(configs[1], lr=1e38)
    three, dead, *two = method.fit_many(trains, configs)
    assert isinstance(dead, FloatingPointError)
    assert len(str(dead).splitlines()) == 1
    assert [bits(member, trial) for member in (*two, three)] == expected


def test_members_of_other_shapes_or_kinds_have_stacks_of_their_own():
    """Whoever hands over unequal networks, or networks that differ in a word, gets what each gives alone, in order."""
    problem, kinds = Problem(), [(5, "relu"), (6, "relu"), (5, "linear"), (5, "relu")]
    configs = [dem.DEM.Config(hidden=hidden, output=output, epochs=2) for hidden, output in kinds]
    fitted = dem.DEM.fit_many([problem.train] * 4, configs)
    for place in (1, 2):
        alone = dem.DEM(configs[place])
        alone.fit(problem.train)
        for one, two in zip(networks_of(fitted[place]), networks_of(alone), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    assert [method.config for method in fitted] == configs
    assert networks_of(fitted[0])[0].untyped_storage().nbytes() == networks_of(fitted[0])[0].nbytes


def test_a_member_that_cannot_begin_dies_alone():
    """What goes wrong before the training is that member's error."""
    problem = Problem()
    broken = dataclasses.replace(problem.train, semantics=np.zeros(()))
    fitted = dem.DEM.fit_many([problem.train, broken], [dem.DEM.Config(hidden=5, epochs=1)] * 2)
    assert isinstance(fitted[0], dem.DEM)
    assert isinstance(fitted[1], Exception)


def regression(seed, adam, dtype=torch.float64, steps=30, weights=lambda epoch: (1.0, 0.0)):
    """A small network that is to say what it is told; `adam` makes its optimizer."""
    rng = np.random.default_rng(seed)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(dtype)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.tensor(rng.normal(size=parameter.shape)))
    x, y = (torch.tensor(rng.normal(size=(8, width))).to(dtype) for width in (3, 2))

    def objective(network, data, batch, w):
        loss = w[0] * (network(data[0][batch[0]]) - data[1][batch[0]]).square().sum()
        if schedules.given(w[1]):
            loss = loss + w[1] * sum(parameter.square().sum() for parameter in network.parameters())
        return loss

    rows = rng.integers(8, size=(2, steps, 5))
    return Training(network, [Update(objective, [adam(network)])], data=(x, y), table=lambda epoch: [(rows[epoch],)],
                    epochs=2, train=Problem().train, weights=weights)  # fmt: skip


@settings(deadline=None, max_examples=6)
@given(
    lrs=st.lists(st.floats(1e-4, 0.1), min_size=2, max_size=3),
    decays=st.lists(st.sampled_from([0.0, 0.01, 0.3]), min_size=3, max_size=3),
    beta=st.sampled_from([0.5, 0.9]), amsgrad=st.booleans(), decoupled=st.booleans(),
)  # fmt: skip
def test_stacked_optimizers_are_torchs(lrs, decays, beta, amsgrad, decoupled):
    """In float64 members end where torch's own, unfused Adam, AMSGrad or AdamW leads each, to 1e-12."""
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    pairs = list(zip(lrs, decays, strict=False))
    made = [
        regression(
            seed, lambda net, pair=pair: Adam(net.parameters(), pair[0], (beta, 0.99), amsgrad, pair[1], decoupled)
        )
        for seed, pair in enumerate(pairs)
    ]
    expected = []
    for training, (lr, decay) in zip(made, pairs, strict=True):
        network, (x, y) = deepcopy(training.networks), training.data
        adam = kind(network.parameters(), lr=lr, betas=(beta, 0.99), amsgrad=amsgrad, weight_decay=decay, foreach=False)
        for epoch in range(2):
            for i in torch.tensor(training.table(epoch)[0][0]):
                adam.zero_grad()
                (network(x[i]) - y[i]).square().sum().backward()
                adam.step()
        expected.append(network)
    assert run_together(made) == [None] * len(made)
    for training, network in zip(made, expected, strict=True):
        for ours, theirs in zip(training.networks.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_weight_that_is_zero_for_some_is_refused():
    """A term cannot be left out for some members and not for others."""
    made = [
        regression(0, lambda net: Adam(net.parameters(), 0.1), weights=lambda epoch, w=w: (1.0, w)) for w in (0.0, 1.0)
    ]
    with pytest.raises(ValueError, match="fit them apart"):
        run_together(made)


# Recorded steps


@pytest.fixture
def recorded(monkeypatch):
    """Steps are recorded, by a recording that is none: the step itself is called again. Returns how often one began."""
    began = []

    def replay(self):
        began.append(self.done)
        return self._step

    monkeypatch.setattr(trainer, "recorded", lambda device: True)
    monkeypatch.setattr(graphs.Recorded, "replay", replay)
    return began


@pytest.mark.parametrize("name", with_marks(STACKED))
def test_recorded_steps_do_what_plain_ones_do(name, request):
    """Batches, step sizes and weights that lie in fixed places lead where the plain loop leads."""
    method, config, _ = REGISTRY.build(quick(name))
    trial = problems.trial_of(method.info)
    plain = method(config)
    plain.fit(trial.train)
    began = request.getfixturevalue("recorded")
    ours = method(config)
    ours.fit(trial.train)
    assert began
    for one, other in zip(scores(ours, trial), scores(plain, trial), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=APART.get(name, 1e-5) * np.abs(other).max())


def test_a_step_is_recorded_anew_when_a_weight_leaves_zero(request):
    """One recording serves all epochs in which the same terms count, whatever their weights; a stack's too."""
    rates = list(np.linspace(0.1, 0.01, 2 * 6))

    def made(weights):
        return [
            regression(seed, lambda net: Adam(net.parameters(), rates), torch.float32, 6, weights) for seed in (0, 1)
        ]

    for weights, recordings in ((lambda epoch: (1.0 + epoch, 0.0), [0]), (lambda epoch: (1.0, 0.1 * epoch), [0, 6])):
        plain, ours, together = made(weights), made(weights), made(weights)
        for training in plain:
            run(training)
        began = request.getfixturevalue("recorded")
        began.clear()
        run(ours[0])
        assert began == recordings
        run_together(together)
        for others in (ours[:1], together):
            for training, other in zip(plain, others, strict=False):
                for one, two in zip(training.networks.parameters(), other.networks.parameters(), strict=True):
                    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["cegzsl", "clswgan", "fvaegan", "tfvaegan"])
def test_recorded_rounds_do_what_plain_ones_do(name, monkeypatch):
    """Rounds of a GAN that are copied to fixed places lead where the rounds themselves lead, schedules included."""
    method, config, _ = REGISTRY.build(quick(name))
    trial = problems.trial_of(method.info)
    plain, ours, begun = method(config), method(config), []
    plain.fit(trial.train)
    monkeypatch.setattr(gan, "recorded", lambda device: True)
    monkeypatch.setattr(gan, "Replay", lambda step, said: begun.append(said) or step)
    monkeypatch.setattr(torch.optim, "Adam", partial(_uncaptured, torch.optim.Adam))
    ours.fit(trial.train)
    assert len(begun) == (2 if name == "tfvaegan" else 1)
    for one, other in zip(scores(ours, trial), scores(plain, trial), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


def _uncaptured(adam, parameters, **options):
    """On the CPU nothing can be captured."""
    return adam(parameters, **options | {"capturable": False})
