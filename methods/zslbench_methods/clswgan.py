"""f-CLSWGAN: a Wasserstein GAN generates visual features from semantics, and a classifier of seen classes sees to it
that they can be told apart. Features generated for unseen classes then train an ordinary classifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from zslbench import Candidates, Method, MethodInfo, Preset, Range, Scorer, TrainingData, param
from zslbench_methods.common.configs import ZLAP_PRESETS, ChosenClassifierConfig, GanConfig

if TYPE_CHECKING:
    from torch import Tensor

    from zslbench_methods.common.gan import Critic, SeenData


class CLSWGAN(Method):
    """f-CLSWGAN (sections 3 and 4 of the publication).

    Features x are scaled to [0, 1] on the training rows and semantics s to unit length. The generator G(z, s), with
    normal noise z as wide as s, and the critic D(x, s) have one hidden layer each. Before every step of the
    generator the critic takes `critic_steps` on

        mean D(G(z, s), s) - mean D(x, s) + penalty * mean (|grad D| - 1)²

    and the generator's objective adds the cross-entropy of a softmax classifier that was trained on seen features
    beforehand and stays fixed. Neither looks at unseen semantics. In `scorers`, `samples` features are generated for
    every unseen candidate; they and, in GZSL, the seen training images train a softmax classifier, whose
    log-probabilities are the scores.

    Departures: the released program evaluates on test images after every epoch of the GAN; here the GAN is trained for
    `epochs`, and the epochs whose scorers are yielded are those of the last classifier. There, ZSL and GZSL are trained
    apart, on CUB for 70 and 56 epochs; here one GAN of 56 serves both. For FLO the program has `classification` = 0.1.

    ``classifier=prototype`` puts ZLAP's adjusted prototypes in the last classifier's place (`prototype_classifier`).

    Checked:

    - formula: objective, gradient penalty and the penalty's own gradient in NumPy and by hand (test_generative.py)
    - program: the generator's loss and gradients in float64 equal the released program's to 1e-15 (once, outside the
      tests, before version 2)
    """

    info = MethodInfo(
        name="clswgan",
        title="f-CLSWGAN: feature generating networks for zero-shot learning",
        family="generative",
        version=2,
        citation="""@inproceedings{xian2018feature,
  title = {Feature Generating Networks for Zero-Shot Learning},
  author = {Xian, Yongqin and Lorenz, Tobias and Schiele, Bernt and Akata, Zeynep},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2018},
  eprint = {1712.00981}, archiveprefix = {arXiv},
}""",
        uses_gpu=True,
    )

    @dataclass(frozen=True)
    class Generation(GanConfig):
        """The first stage: the GAN, and the classifier of seen classes that guides it."""

        penalty: float = param(10.0, "weight of the gradient penalty", ge=0)
        classification: float = param(
            0.01, "weight of the classification loss", ge=0, search=Range(1e-3, 1.0, log=True)
        )
        seen_epochs: int = param(50, "epochs of the classifier of seen classes", ge=1)
        seen_lr: float = param(1e-3, "its step size (Adam)", gt=0)
        seen_batch: int = param(100, "its images per step", ge=1)

    @dataclass(frozen=True)
    class Config(ChosenClassifierConfig, Generation):
        """Defaults: the publication's; where it differs by data set, those for CUB."""

        PRESETS: ClassVar = ZLAP_PRESETS | {
            "small": Preset(
                {"hidden": 256, "epochs": 30, "lr": 1e-3},
                "256 hidden units for two cores; step sizes chosen on validation classes of the bundled data set",
            )
        }

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train the classifier of seen classes, then the GAN."""
        import torch

        from zslbench_methods.common.gan import Critic, Generator, Round, Rounds, SeenData, adam, critic_loss, descend
        from zslbench_methods.common.prototype_classifier import last_classifier

        c, data, init = self.config, SeenData(train, self.config), train.torch_generator("init")
        generator = Generator(data.A, data.A, c.hidden, data.D, "relu", init).to(train.device)
        critic = Critic(data.D, data.A, c.hidden, init).to(train.device)
        move_generator, move_critic = adam(c.lr, generator), adam(c.lr, critic)
        seen = self._seen_classifier(train, data)

        def play(drawn: Round) -> None:
            for x, s, noise, alpha in drawn.critic:
                with torch.no_grad():
                    fake = generator(noise, s)
                descend(critic_loss(critic, x, fake, s, alpha, c.penalty), move_critic)
            s, y = drawn.s[-1], drawn.y[-1]
            fake = generator(drawn.noise[-1], s)
            descend(loss(critic, seen, fake, s, y, c.classification), move_generator)

        rounds = Rounds(play, train)
        for epoch in range(c.epochs):
            for drawn in data.epoch():
                rounds(drawn)
            train.progress(epoch + 1, c.epochs)
        self.generator_ = generator
        self.classifier_ = last_classifier(generator, data, train, c)

    def _seen_classifier(self, train: TrainingData, data: SeenData) -> Tensor:
        from zslbench_methods.common.gan import dense
        from zslbench_methods.common.softmax import softmax_regression

        *_, weights = softmax_regression(
            dense(data.D, len(train.semantics), train.torch_generator("seen classifier init")),
            data.X,
            train.labels,
            epochs=self.config.seen_epochs,
            batch=self.config.seen_batch,
            lr=self.config.seen_lr,
            wrap=True,
            rng=train.rng("seen classifier batches"),
        )
        return weights

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """The last classifier after each of its epochs."""
        return self.classifier_.scorers(candidates)


def loss(critic: Critic, seen: Tensor, fake: Tensor, s: Tensor, y: Tensor, weight: float) -> Tensor:
    """The generator's objective: -mean D(fake) + weight * mean of -log p(y | fake) (section 3).

    Args:
        critic: the critic.
        seen: (D + 1, S) the fixed softmax classifier of seen classes, biases last.
        fake: (B, D) generated features.
        s: (B, A) their semantics.
        y: (B,) their classes.
        weight: of the classification.
    """
    log_p = (fake @ seen[:-1] + seen[-1]).log_softmax(1)
    classification: Tensor = -log_p.gather(1, y[:, None]).mean()
    adversarial: Tensor = critic(fake, s).mean()
    return weight * classification - adversarial
