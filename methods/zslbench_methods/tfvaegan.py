"""TF-VAEGAN, inductive: f-VAEGAN with a decoder from features back to semantics. Generated features must be decoded
into the semantics they were made from, the decoder's hidden layer feeds back into the generator, and it stands beside
the features when the last classifier is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from zslbench import Candidates, Method, MethodInfo, Preset, Range, Scorer, TrainingData, param
from zslbench_methods.common.configs import ZLAP_PRESETS, ChosenClassifierConfig, GanConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from zslbench_methods.common.gan import Critic, Encoder, Feedback, Generator, SemanticDecoder


class TFVAEGAN(Method):
    """TF-VAEGAN without unlabelled images of unseen classes (section 3 of the publication).

    Beside the encoder, the generator G and the critic of f-VAEGAN there are

    - the semantic decoder Dec, from features to unit vectors as wide as the semantics s, trained to small
      |Dec(x) - s|_1 on real and on generated features (cycle consistency, weight `cycle`);
    - the feedback module F, from Dec's hidden layer h to G's: features are generated, decoded, and generated again
      with ``a F(h)`` added to G's hidden layer. The weight is `a1` in training and `a2` in synthesis.

    Every epoch is two passes, the first without feedback and the second with it; F moves only in the second. The
    last classifier is trained on, and scores, features concatenated with Dec(x) and h. Unseen semantics are not looked
    at before `scorers`.

    As in the released program, the critic is shown reconstructed features only, h enters F as a constant, and Dec moves
    in the critic's steps on real and, unless `freeze_decoder`, in the generator's on generated features (the program's
    scripts freeze it there for AWA).
    Departures: the program weighs each absolute error of Dec by the error's squared share and shrinks or grows the
    weight of the gradient penalty by a tenth after most steps; here the cycle loss is the publication's L1, the
    penalty's weight stays, and the encoder shares the generator's optimiser (there, its first decay rate is 0.9).
    The program reports the best epoch on test images; here the networks are trained for `epochs`, and the epochs
    whose scorers are yielded are those of the last classifier.

    ``classifier=prototype`` puts ZLAP's adjusted prototypes in the last classifier's place (`prototype_classifier`).

    With k labelled images of every unseen class these train the networks like all others, and stand beside the
    features generated for their class in the last classifier, as for `fvaegan`.

    Checked:

    - formula: objective, cycle loss, gradient penalty and feedback in NumPy and by hand (test_generative.py)
    - program: the training losses and their gradients in float64 equal the released program's to 1e-15, departures
      aside (once, outside the tests, before version 2)
    """

    info = MethodInfo(
        name="tfvaegan",
        title="TF-VAEGAN (inductive): latent embedding feedback and discriminative features",
        family="generative",
        version=2,
        citation="""@inproceedings{narayan2020latent,
  title = {Latent Embedding Feedback and Discriminative Features for Zero-Shot Classification},
  author = {Narayan, Sanath and Gupta, Akshita and Khan, Fahad Shahbaz and Snoek, Cees G. M. and Shao, Ling},
  booktitle = {Proceedings of the European Conference on Computer Vision (ECCV)},
  year = {2020},
  eprint = {2003.07833}, archiveprefix = {arXiv},
}""",
        uses_gpu=True,
    )

    @dataclass(frozen=True)
    class Generation(GanConfig):
        """The first stage: the five networks."""

        epochs: int = param(50, "epochs, each a pass without and one with feedback", ge=1)
        lr: float = param(
            1e-4, "step size (Adam) of encoder, generator and critic", gt=0, search=Range(1e-5, 1e-3, log=True)
        )
        decoder_lr: float = param(1e-4, "step size of the semantic decoder", gt=0, search=Range(1e-5, 1e-3, log=True))
        feedback_lr: float = param(1e-5, "step size of the feedback module", gt=0, search=Range(1e-6, 1e-3, log=True))
        penalty: float = param(10.0, "weight of the gradient penalty", ge=0)
        gamma: float = param(10.0, "weight of the GAN", ge=0, search=Range(0.1, 1000.0, log=True))
        cycle: float = param(0.01, "weight of the cycle consistency", ge=0, search=Range(1e-3, 1.0, log=True))
        a1: float = param(1.0, "weight of the feedback in training", ge=0, search=Range(0.01, 1.0, log=True))
        a2: float = param(1.0, "weight of the feedback in synthesis", ge=0, search=Range(0.01, 1.0, log=True))
        freeze_decoder: bool = param(False, "whether the decoder stays as it is in the generator's steps")

    @dataclass(frozen=True)
    class Config(ChosenClassifierConfig, Generation):
        """Defaults: the released program's for CUB, but for `epochs` (there 300)."""

        PRESETS: ClassVar = ZLAP_PRESETS | {
            "small": Preset(
                {"hidden": 256, "epochs": 15, "lr": 1e-3, "decoder_lr": 1e-3, "feedback_lr": 1e-4},
                "256 hidden units for two cores; lr, decoder_lr chosen on validation classes of the bundled data set",
            )
        }

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train the networks on all training images."""
        import torch

        from zslbench_methods.common.gan import Round, Rounds, SeenData, adam, critic_loss, descend, latents
        from zslbench_methods.common.prototype_classifier import last_classifier

        c, data = self.config, SeenData(train, self.config)
        networks = Networks.make(data.D, data.A, c.hidden, train.torch_generator("init"), train.device)
        encoder, critic, decoder = networks.encoder, networks.critic, networks.decoder
        move_critic, move_decoder = adam(c.lr, critic), adam(c.decoder_lr, decoder)
        move_generator, move_feedback = adam(c.lr, encoder, networks.generator), adam(c.feedback_lr, networks.feedback)
        moved = (move_generator, move_feedback) if c.freeze_decoder else (move_generator, move_feedback, move_decoder)

        def critic_step(x: Tensor, s: Tensor, noise: Tensor, alpha: Tensor, feedback: float) -> None:
            """The decoder on real features, then the critic on real against generated ones."""
            descend(cycle_loss(decoder, x, s) * c.cycle, move_decoder)
            with torch.no_grad():
                fake = networks.synthesise(feedback, latents(encoder, x, s, noise)[2], s)
            descend(critic_loss(critic, x, fake, s, alpha, c.penalty), move_critic)

        def play(drawn: Round, feedback: float) -> None:
            """A step of the generator, after `critic_steps` of the critic."""
            for batch in drawn.critic:
                critic_step(*batch, feedback)
            x, s, noise = drawn.x[-1], drawn.s[-1], drawn.noise[-1]
            descend(loss(networks, x, s, noise, gamma=c.gamma, cycle=c.cycle, feedback=feedback), *moved)

        without, with_feedback = (Rounds(partial(play, feedback=weight), train) for weight in (0.0, c.a1))
        for epoch in range(c.epochs):
            for rounds in (without, with_feedback):
                for drawn in data.epoch():
                    rounds(drawn)
            train.progress(epoch + 1, c.epochs)
        self.networks_ = networks
        self.classifier_ = last_classifier(
            partial(networks.synthesise, c.a2), data, train, c, partial(with_semantics, decoder)
        )

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """The last classifier after each of its epochs."""
        return self.classifier_.scorers(candidates)


def loss(
    networks: Networks, x: Tensor, s: Tensor, noise: Tensor, *, gamma: float, cycle: float, feedback: float
) -> Tensor:
    """The objective of all networks but the critic: that of f-VAEGAN + cycle * the decoder's loss on generated
    features.

    Args:
        networks: all networks.
        x: (B, D) scaled visual features.
        s: (B, A) their semantics.
        noise: (B, Z) of the latents.
        gamma: weight of the GAN.
        cycle: weight of the cycle consistency.
        feedback: weight of the feedback; 0 in the pass without.
    """
    from zslbench_methods.common.gan import latents, vae_loss

    mu, logvar, z = latents(networks.encoder, x, s, noise)
    out = logits(networks.generator, networks.decoder, networks.feedback, z, s, feedback)
    fake = networks.generator.last(out)
    adversarial: Tensor = networks.critic(fake, s).mean()
    consistency = cycle_loss(networks.decoder, fake, s)
    return vae_loss(out, x, mu, logvar) - gamma * adversarial + cycle * consistency


def cycle_loss(decoder: SemanticDecoder, x: Tensor, s: Tensor) -> Tensor:
    """The mean over images of |Dec(x) - s|_1 (section 3.2)."""
    error: Tensor = (decoder(x) - s).abs().sum(1).mean()
    return error


@dataclass(frozen=True)
class Networks:
    """The five networks."""

    encoder: Encoder
    generator: Generator
    critic: Critic
    decoder: SemanticDecoder
    feedback: Feedback

    @classmethod
    def make(cls, D: int, A: int, hidden: int, init: torch.Generator, device: str) -> Networks:
        """Networks for features as wide as D and semantics, hence latents, as wide as A."""
        from zslbench_methods.common.gan import Critic, Encoder, Feedback, Generator, SemanticDecoder

        return cls(
            Encoder(D, A, hidden, A, init).to(device),
            Generator(A, A, hidden, D, "sigmoid", init).to(device),
            Critic(D, A, hidden, init).to(device),
            SemanticDecoder(D, hidden, A, init).to(device),
            Feedback(hidden, init).to(device),
        )

    def synthesise(self, weight: float, z: Tensor, s: Tensor) -> Tensor:
        """Features (B, D), with feedback of this weight."""
        return self.generator.last(logits(self.generator, self.decoder, self.feedback, z, s, weight))


def logits(
    generator: Generator, decoder: SemanticDecoder, feedback: Feedback, z: Tensor, s: Tensor, weight: float
) -> Tensor:
    """Features before the sigmoid (B, D): generated, decoded, and generated again with feedback (section 3.3).

    Only the second generation is differentiated, with respect to the generator and the feedback module. A `weight`
    of 0 leaves the feedback out.
    """
    import torch

    if weight == 0:
        return generator.logits(z, s)
    with torch.no_grad():
        hidden = decoder.hidden(generator(z, s))
    return generator.logits(z, s, weight * feedback(hidden))


def with_semantics(decoder: SemanticDecoder, x: Tensor) -> Tensor:
    """Features with what they are decoded to and the decoder's hidden layer beside them: (B, D) -> (B, D + A + H)
    (section 3.4)."""
    import torch

    return torch.cat([x, decoder(x), decoder.hidden(x)], dim=1)
