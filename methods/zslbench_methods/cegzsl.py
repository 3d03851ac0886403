"""CE-GZSL: a Wasserstein GAN generates visual features from semantics, and an embedding is learned beside it in which
images of a class lie together and agree with its semantics. The last classifier looks at that embedding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from zslbench import Candidates, Choice, Method, MethodInfo, Preset, Range, Scorer, TrainingData, param
from zslbench_methods.common.configs import FeatureClassifierConfig, GanConfig

if TYPE_CHECKING:
    from torch import Tensor

    from zslbench_methods.common.gan import Critic, Embedding


class CEGZSL(Method):
    """CE-GZSL (section 3 of the publication).

    Features x are scaled to [0, 1] on the training rows and semantics s to unit length. The embedding is h = E(x), one
    layer with ReLU; z = H(h), linear and of unit length, is what images are compared by; a comparator F(h, s) says how
    well an image agrees with a class. With a batch of images of classes y,

        instance(z) = mean over i of -mean over p of log( exp(z_i·z_p / t_i) / Σ_{a ≠ i} exp(z_i·z_a / t_i) )
        class(h)    = mean over i of -log( exp(F(h_i, s_{y_i}) / t_c) / Σ_c exp(F(h_i, s_c) / t_c) )

    where p are the other images of i's class, images without any are left out, and c are the seen classes. The critic
    D, E, H and F take `critic_steps` on

        mean D(G(e, s), s) - mean D(x, s) + penalty * mean (|grad D| - 1)² + instance(z) + class(h)

    with real images in the last two terms; then the generator G takes one on

        -mean D(G(e, s), s) + instance_weight * instance(z of generated and of real images) + class_weight * class(h)

    with generated ones in the last. Unseen semantics are not looked at. In `scorers`, `samples` features are generated
    for every unseen candidate; they and, in GZSL, the seen training images train a softmax classifier on h.

    Every image of a step meets every seen class in F, so memory grows with batch * classes * `comparator`.

    Source of the facts: the released program (github.com/Hanzy1996/CE-GZSL, 7bf5358) and, by data set, its author in
    its issues 2, 15 and 19. CUB has sentence embeddings of 1024 columns there.

    Departures: there, the gradient of F is cleared once an epoch and so grows from step to step within it, here it is
    that of the step; the program trains a classifier after each of 2000 epochs and reports the best on the test images,
    here the GAN is trained for about as many epochs as the author names, and the epochs whose scorers are yielded are
    those of the last classifier; one training serves ZSL and GZSL.

    Checked:

    - formula: both contrasts and the generator's objective in NumPy, image by image, and the first by hand; who is
      moved by which sum of terms (test_cegzsl.py); the gradient penalty as for clswgan
    - reading: the released program, term by term (losses, layers, starting weights, step sizes, batches, last
      classifier); not run
    """

    info = MethodInfo(
        name="cegzsl",
        title="CE-GZSL: contrastive embedding for generalized zero-shot learning",
        family="generative",
        citation="""@inproceedings{han2021contrastive,
  title = {Contrastive Embedding for Generalized Zero-Shot Learning},
  author = {Han, Zongyan and Fu, Zhenyong and Chen, Shuo and Yang, Jian},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages = {2371--2381},
  year = {2021},
  eprint = {2103.16173}, archiveprefix = {arXiv},
}""",
        uses_gpu=True,
    )

    @dataclass(frozen=True)
    class Generation(GanConfig):
        """The first stage: the GAN, and the embedding beside it."""

        hidden: int = param(4096, "hidden units of generator and critic", ge=1)
        epochs: int = param(450, "epochs of the GAN", ge=1)
        batch: int = param(2048, "images per step", ge=1)
        embedding: int = param(2048, "width of the embedding", ge=1)
        projection: int = param(512, "width of what images are compared by", ge=1)
        comparator: int = param(2048, "hidden units of the comparator", ge=1)
        penalty: float = param(10.0, "weight of the gradient penalty", ge=0)
        instance_weight: float = param(
            1e-3, "weight of the contrast of images for the generator", ge=0, search=Range(1e-4, 1.0, log=True)
        )
        class_weight: float = param(
            1e-3, "weight of the contrast of classes for the generator", ge=0, search=Range(1e-4, 1.0, log=True)
        )
        instance_temperature: float = param(0.1, "temperature between images", gt=0, search=Choice((0.1, 1.0)))
        class_temperature: float = param(0.1, "temperature between classes", gt=0, search=Choice((0.1, 1.0)))
        decay: float = param(0.99, "factor on all step sizes after every `decay_epochs`", gt=0, le=1)
        decay_epochs: int = param(100, "epochs until the step sizes shrink", ge=1)

    @dataclass(frozen=True)
    class Config(FeatureClassifierConfig, Generation):
        """Defaults: the released program's and its author's for CUB."""

        samples: int = param(100, "synthetic features per unseen class", ge=1, search=Range(50, 2000, log=True))
        classifier_epochs: int = param(25, "epochs of the last classifier in GZSL", ge=1)
        classifier_batch: int = param(100, "its features per step; there, as many as `samples`", ge=1)
        zsl_epochs: int = param(100, "epochs of the last classifier in ZSL", ge=1)

        PRESETS: ClassVar = {
            "small": Preset(
                {"hidden": 256, "embedding": 256, "projection": 64, "comparator": 64, "epochs": 60, "batch": 128,
                 "lr": 1e-3, "instance_weight": 0.03, "class_weight": 0.03, "samples": 300, "zsl_epochs": 50},
                "narrow, for two cores; of four settings the best H on validation classes of the bundled data set",
            ),
            "awa1": Preset(
                {"epochs": 130, "batch": 4096, "decay_epochs": 50, "samples": 1800, "classifier_batch": 1800},
                "the author in issue 2; batch as for AWA2",
            ),
            "awa2": Preset(
                {"epochs": 130, "batch": 4096, "decay_epochs": 10, "samples": 2400, "classifier_batch": 2400},
                "the author in issue 2; batch of who reproduced the published numbers in issue 16",
            ),
            "sun": Preset(
                {"epochs": 1000, "batch": 1024, "lr": 5e-5, "comparator": 1024, "instance_weight": 0.01,
                 "class_weight": 0.01},
                "the author in issues 2 and 19; batch as asked in issue 19",
            ),
        }  # fmt: skip

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train the GAN and the embedding."""
        import torch
        from torch.optim.lr_scheduler import StepLR

        from zslbench_methods.common.feature_classifier import FeatureClassifier
        from zslbench_methods.common.gan import (
            Critic,
            Embedding,
            Generator,
            Round,
            Rounds,
            SeenData,
            adam,
            critic_loss,
            descend,
        )

        c, data, init = self.config, SeenData(train, self.config), train.torch_generator("init")
        generator = Generator(data.A, data.A, c.hidden, data.D, "relu", init).to(train.device)
        critic = Critic(data.D, data.A, c.hidden, init).to(train.device)
        embedding = Embedding(data.D, c.embedding, c.projection, init).to(train.device)
        comparator = Critic(c.embedding, data.A, c.comparator, init).to(train.device)
        move_generator, move_others = adam(c.lr, generator), adam(c.lr, critic, embedding, comparator)
        schedules = [StepLR(each, c.decay_epochs, c.decay) for each in (move_generator, move_others)]

        def play(drawn: Round) -> None:
            for (x, s, noise, alpha), y in zip(drawn.critic, drawn.y, strict=True):
                with torch.no_grad():
                    fake = generator(noise, s)
                h, z = embedding(x)
                contrast = instance(z, y, c.instance_temperature)
                agreement = classes(comparator, h, y, data.S, c.class_temperature)
                wasserstein = critic_loss(critic, x, fake, s, alpha, c.penalty)
                descend(wasserstein + contrast + agreement, move_others)
            x, s, y = drawn.x[-1], drawn.s[-1], drawn.y[-1]
            fake = generator(drawn.noise[-1], s)
            descend(loss(critic, embedding, comparator, fake, x, s, y, data.S, c), move_generator)

        rounds = Rounds(play, train)
        for epoch in range(c.epochs):
            for drawn in data.epoch():
                rounds(drawn)
            for schedule in schedules:
                schedule.step()
            train.progress(epoch + 1, c.epochs)

        self.generator_, self.embedding_ = generator, embedding
        self.classifiers_ = {
            generalized: FeatureClassifier(generator, data, train, stage, embedding.features)
            for generalized, stage in ((True, c), (False, replace(c, classifier_epochs=c.zsl_epochs)))
        }

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """The last classifier after each of its epochs."""
        return self.classifiers_[candidates.generalized].scorers(candidates)


def instance(z: Tensor, y: Tensor, temperature: float) -> Tensor:
    """The contrast of images: the mean over those images that have siblings, i.e. others
    of their class, of the mean over siblings of -log of the share that each has among all others; 0 without siblings.

    Args:
        z: (B, Z) projections of unit length.
        y: (B,) classes.
        temperature: divides the cosines.
    """
    import torch

    others = z.new_ones(len(z), len(z)).fill_diagonal_(0)
    siblings = (y[:, None] == y) * others
    # The least number rather than -inf: a lone image then has logarithms that a weight of 0 takes away.
    cosines = (z @ z.T / temperature).masked_fill(others == 0, torch.finfo(z.dtype).min)
    log_share = (cosines - cosines.logsumexp(1, keepdim=True)).masked_fill(others == 0, 0)
    count = siblings.sum(1)
    each = -(siblings * log_share).sum(1) / count.clamp_min(1)
    result: Tensor = each.sum() / (count > 0).sum().clamp_min(1)
    return result


def classes(comparator: Critic, h: Tensor, y: Tensor, semantics: Tensor, temperature: float) -> Tensor:
    """The contrast of classes: the mean cross-entropy over seen classes of F(h, s) / temperature.

    F has the critic's shape. Its first layer is affine in h and in s, so the part of each is computed once.

    Args:
        comparator: F.
        h: (B, E) embeddings.
        y: (B,) classes.
        semantics: (S, A) of the seen classes.
        temperature: divides F.
    """
    from torch.nn.functional import cross_entropy

    hidden = comparator.visual(h)[:, None] + semantics @ comparator.semantic  # (B, S, H)
    scores = comparator.top(hidden.flatten(0, 1)).reshape(len(h), len(semantics))
    return cross_entropy(scores / temperature, y)


def loss(
    critic: Critic,
    embedding: Embedding,
    comparator: Critic,
    fake: Tensor,
    real: Tensor,
    s: Tensor,
    y: Tensor,
    semantics: Tensor,
    w: CEGZSL.Generation,
) -> Tensor:
    """The generator's objective.

    Args:
        critic: D.
        embedding: E and H.
        comparator: F.
        fake: (B, D) generated features.
        real: (B, D) features of images, of the same classes in the same order.
        s: (B, A) semantics of those classes.
        y: (B,) those classes.
        semantics: (S, A) of the seen classes.
        w: the weights and temperatures.
    """
    import torch

    h, z = embedding(fake)
    with torch.no_grad():
        _, z_real = embedding(real)
    contrast = instance(torch.cat([z, z_real]), torch.cat([y, y]), w.instance_temperature)
    agreement = classes(comparator, h, y, semantics, w.class_temperature)
    adversarial: Tensor = critic(fake, s).mean()
    return w.instance_weight * contrast + w.class_weight * agreement - adversarial
