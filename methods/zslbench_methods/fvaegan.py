"""f-VAEGAN-D2, inductive: one network is the decoder of a variational autoencoder and the generator of a Wasserstein
GAN, so that generated features cover what the autoencoder has to reconstruct. Features generated for unseen classes
then train an ordinary classifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from zslbench import Candidates, Method, MethodInfo, Preset, Range, Scorer, TrainingData, param
from zslbench_methods.common.configs import ZLAP_PRESETS, ChosenClassifierConfig, GanConfig

if TYPE_CHECKING:
    from torch import Tensor

    from zslbench_methods.common.gan import Critic, Encoder, Generator


class FVAEGAN(Method):
    """f-VAEGAN-D2 without unlabelled images of unseen classes (sections 3.1 and 3.2 of the publication).

    Features x are scaled to [0, 1] on the training rows and semantics s to unit length; latents are as wide as s.
    Encoder and generator minimise

        BCE(x, G(z, s)) + KL(q(z | x, s) || N(0, 1)) - gamma * (mean D(G(z, s), s) + mean D(G(e, s), s))

    with latents z ~ q of the images, e ~ N(0, 1), sums over columns and means over images; the critic is that of
    WGAN-GP and takes `critic_steps` before each of their steps. Unseen semantics are not looked at. In `scorers`,
    `samples` features are generated for every unseen candidate; they and, in GZSL, the seen training images train a
    softmax classifier.

    `critic` says what the critic learns to tell from real features. ``prior``, G(e, s): the authors' program, as seen
    in its copies in GASL and AVCA-GZSL. ``reconstructed``, G(z, s), which is then all that it says to the generator:
    TF-VAEGAN's program in its f-VAEGAN mode. ``both``: the publication's text.

    The critic D2 on unlabelled images makes the publication's transductive variant and is left out. The weight
    gamma does not appear in the critic's own loss, where Adam would cancel it. Departures from the authors' program:
    the generator ends in a sigmoid and all networks have leaky hidden layers of f-CLSWGAN's width and step size (there,
    one of 1024 units with ReLU, step size 1e-3, batches of 128 to 512 images, and autoencoder terms that are sums over
    the batch against weights of the GAN from 1e4 to 1e5), and it trains for 300 to 400 epochs. Follow-up
    programs choose the epoch on test images; here the GAN is trained for `epochs`, and the epochs whose scorers are
    yielded are those of the last classifier.

    ``classifier=prototype`` puts ZLAP's adjusted prototypes in the last classifier's place (`prototype_classifier`).

    With k labelled images of every unseen class these train the networks like all others, and stand beside the
    features generated for their class in the last classifier. GASL's any-shot copy of the program
    (github.com/LiangjunFeng/Generative-Any-Shot-Learning, 8fda280) does so in GZSL; in ZSL its classifier sees
    generated features alone, here the k images too. What the authors' own few-shot program did is not known here.

    Checked:

    - formula: objective, gradient penalty and the penalty's own gradient in NumPy and by hand (test_generative.py)
    """

    info = MethodInfo(
        name="fvaegan",
        title="f-VAEGAN-D2 (inductive): a feature generating framework for any-shot learning",
        family="generative",
        version=2,
        citation="""@inproceedings{xian2019fvaegan,
  title = {{f-VAEGAN-D2}: A Feature Generating Framework for Any-Shot Learning},
  author = {Xian, Yongqin and Sharma, Saurabh and Schiele, Bernt and Akata, Zeynep},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2019},
  eprint = {1903.10132}, archiveprefix = {arXiv},
}""",
        uses_gpu=True,
    )

    @dataclass(frozen=True)
    class Generation(GanConfig):
        """The first stage: encoder, generator and critic."""

        penalty: float = param(10.0, "weight of the gradient penalty", ge=0)
        gamma: float = param(10.0, "weight of the GAN", ge=0, search=Range(0.1, 1000.0, log=True))
        critic: Literal["prior", "reconstructed", "both"] = param(
            "prior", "whose features the critic learns to tell from real ones: latents of the prior, of images, or both"
        )

    @dataclass(frozen=True)
    class Config(ChosenClassifierConfig, Generation):
        """Defaults: `critic` as in the authors' program; the rest as in TF-VAEGAN's for CUB, but for `epochs`."""

        PRESETS: ClassVar = ZLAP_PRESETS | {
            "small": Preset(
                {"hidden": 256, "epochs": 30, "lr": 1e-3},
                "256 hidden units for two cores; step sizes chosen on validation classes of the bundled data set",
            )
        }

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train encoder, generator and critic on all training images."""
        import torch

        from zslbench_methods.common.gan import (
            Critic,
            Encoder,
            Generator,
            Round,
            Rounds,
            SeenData,
            adam,
            critic_loss,
            descend,
            latents,
        )
        from zslbench_methods.common.prototype_classifier import last_classifier

        c, data, init = self.config, SeenData(train, self.config), train.torch_generator("init")
        encoder = Encoder(data.D, data.A, c.hidden, data.A, init).to(train.device)
        generator = Generator(data.A, data.A, c.hidden, data.D, "sigmoid", init).to(train.device)
        critic = Critic(data.D, data.A, c.hidden, init).to(train.device)
        move_generator, move_critic = adam(c.lr, encoder, generator), adam(c.lr, critic)

        def play(drawn: Round) -> None:
            for x, s, noise, alpha in drawn.critic:
                with torch.no_grad():
                    z = noise[len(x) :] if c.critic == "prior" else latents(encoder, x, s, noise)[2]
                    fake = generator(z, s.repeat(len(z) // len(x), 1))
                descend(critic_loss(critic, x, fake, s, alpha[: len(z)], c.penalty), move_critic)
            objective = loss(encoder, generator, critic, drawn.x[-1], drawn.s[-1], drawn.noise[-1], c.gamma)
            descend(objective, move_generator)

        rounds = Rounds(play, train)
        for epoch in range(c.epochs):
            for drawn in data.epoch(blocks=1 if c.critic == "reconstructed" else 2):
                rounds(drawn)
            train.progress(epoch + 1, c.epochs)
        self.generator_ = generator
        self.classifier_ = last_classifier(generator, data, train, c)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """The last classifier after each of its epochs."""
        return self.classifier_.scorers(candidates)


def loss(
    encoder: Encoder, generator: Generator, critic: Critic, x: Tensor, s: Tensor, noise: Tensor, gamma: float
) -> Tensor:
    """The objective of encoder and generator: L_VAE - gamma * the sum of the means of D (section 3.1).

    Args:
        encoder: the encoder.
        generator: the decoder and generator.
        critic: the critic.
        x: (B, D) scaled visual features.
        s: (B, A) their semantics.
        noise: (B, Z) to let the critic speak of reconstructed features alone, or (2 B, Z): of those from the prior too.
        gamma: weight of the GAN.
    """
    from zslbench_methods.common.gan import latents, vae_loss

    mu, logvar, z = latents(encoder, x, s, noise)
    s_all = s.repeat(len(z) // len(s), 1)
    logits = generator.logits(z, s_all)
    adversarial: Tensor = critic(generator.last(logits), s_all).sum() / len(x)
    return vae_loss(logits[: len(x)], x, mu, logvar) - gamma * adversarial
