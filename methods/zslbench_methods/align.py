"""Two-tower contrastive alignment: CLIP's training objective on frozen features and class semantics."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from zslbench import Candidates, Choice, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, Standardiser, unit_rows
from zslbench_methods.common.scoring import Represented
from zslbench_methods.common.trained import Trained

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from zslbench_methods.common.trainer import Training


class Align(Trained):
    """An image and the semantics of its class are mapped to one direction of a joint space.

    A visual tower f and a semantic tower g end on the unit sphere of R^L. Their cosines over a learned
    temperature are the logits of the symmetric InfoNCE loss (van den Oord et al. 2018; Radford et al. 2021,
    section 2.3): over a batch, every image must find its semantics among all of the batch, and every
    semantics its image. The score of a candidate class is its logit.

    Departures from Radford et al., who train on pairs that occur once:

    - Several images of a batch share a class and so its semantics. All pairs of one class are positives: the
      target of a row is uniform over them (the supervised form: Khosla et al. 2020, the loss outside the
      logarithm; for two towers Yang et al. 2022), so that no pair of equal classes is pushed apart.
    - The towers are small and start from random numbers: one hidden layer each (or none) on top of features
      and semantics that stay as they are. With so few classes the danger is to learn them by heart; weight
      decay and Gaussian noise on the semantics work against it. The noise makes a class a cloud of semantics
      rather than a point; it is drawn anew for every image and epoch.
    - The learning rate falls to zero along a cosine, without the warm-up.

    Features have unit length per image before they are standardised per column over the training images;
    semantics are standardised over seen classes and then of unit length per class.

    Checked:

    - formula: the loss in both directions in float64, also by hand; its gradient against central differences
      (test_align.py)
    - solver: where no class occurs twice in a batch, the loss is torch's cross-entropy, as CLIP has it (test_align.py)
    """

    info = MethodInfo(
        name="align",
        title="Two-tower contrastive alignment",
        family="alignment",
        citation="""@inproceedings{radford2021clip,
  title     = {Learning Transferable Visual Models From Natural Language Supervision},
  author    = {Radford, Alec and Kim, Jong Wook and Hallacy, Chris and Ramesh, Aditya and Goh, Gabriel and
               Agarwal, Sandhini and Sastry, Girish and Askell, Amanda and Mishkin, Pamela and Clark, Jack and
               Krueger, Gretchen and Sutskever, Ilya},
  booktitle = {Proceedings of the 38th International Conference on Machine Learning},
  pages     = {8748--8763},
  year      = {2021},
  eprint    = {2103.00020}, archiveprefix = {arXiv},
}""",
        uses_gpu=True,
    )

    @dataclass(frozen=True)
    class Config:
        """The temperature and its bound are Radford et al.'s.

        The rest was chosen by the mean T1, and among equals H, on the validation classes of ten splits of the
        bundled data set, one value after another. Of all values there the noise alone matters much for H, and
        the learning rate for T1; T1 hardly changes after the fifth epoch.
        """

        width: int = param(64, "dimensions of the joint space", ge=1, search=Choice((32, 64, 128, 256)))
        visual: Literal["linear", "mlp"] = param(
            "mlp", "one layer for features, or two", search=Choice(("linear", "mlp"))
        )
        semantic: Literal["linear", "mlp"] = param(
            "mlp", "one layer for semantics, or two", search=Choice(("linear", "mlp"))
        )
        hidden: int = param(512, "hidden units of a tower with two layers", ge=1)
        epochs: int = param(20, "training epochs", ge=1)
        batch: int = param(128, "images per batch", ge=1)
        lr: float = param(1e-3, "AdamW's first learning rate", gt=0, search=Range(1e-5, 1e-2, log=True))
        weight_decay: float = param(1.0, "AdamW's weight decay", ge=0, search=Range(1e-4, 1e1, log=True))
        noise: float = param(
            1.0, "typical length of the noise added to semantics of length 1", ge=0, search=Range(0, 2)
        )
        temperature: float = param(0.07, "temperature at the start; it is learned", ge=0.01)

    config: Config
    STACKS: ClassVar = {"cpu": 8, "cuda": 16}

    def training(self, train: TrainingData) -> Training:
        """Both towers, of which a copy is kept after every epoch."""
        import torch
        from torch.optim.lr_scheduler import CosineAnnealingLR

        from zslbench_methods.common.batches import stream
        from zslbench_methods.common.trainer import Adam, Training, Update, rates

        c, self.device_ = self.config, train.device
        self.scale_features_ = Standardiser.of(unit_rows(train.features))
        self.scale_semantics_ = Standardiser.of(train.semantics)
        x, s, y = self._visual(train.features), self._semantic(train.semantics), train.tensor(train.labels)
        towers = build_towers(x.shape[1], s.shape[1], c, train.torch_generator("align init")).to(train.device)
        batches = stream(train.rng("align batches"), len(x), c.batch, c.epochs, wrap=False)
        steps = batches.shape[0] * batches.shape[1]
        lr = rates(lambda adam: CosineAnnealingLR(adam, steps), c.lr, steps)
        generator = train.torch_generator("align noise")

        shape = len(train.labels), s.shape[1]

        def table(epoch: int) -> Iterator[tuple[Any, ...]]:
            noise = torch.randn(shape, generator=generator)  # for every image, in a batch or not
            yield batches[epoch], noise[batches[epoch]]

        self.towers_: list[nn.ModuleDict] = []
        groups = parameter_groups(towers, c.weight_decay)
        adams = [Adam(one["params"], lr, weight_decay=one["weight_decay"], decoupled=True) for one in groups]
        return Training(
            towers, [Update(objective, adams)], data=(x, s, y), table=table,
            weights=lambda epoch: (c.noise * s.shape[1] ** -0.5,), epochs=c.epochs, train=train,
            after=lambda epoch: self.towers_.append(deepcopy(towers)),
        )  # fmt: skip

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield one scorer per epoch."""
        import torch

        semantics, visual = self._semantic(candidates.semantics), self._visual

        def scorer(towers: nn.ModuleDict) -> Scorer:
            @torch.no_grad()
            def scores(scaled: Tensor) -> DoubleArray:
                return logits(towers, scaled, semantics).double().numpy(force=True)

            return Represented(visual, scores)

        yield from map(scorer, self.towers_)

    def _visual(self, features: Any) -> Tensor:
        import torch

        scaled = self.scale_features_(unit_rows(features))
        return torch.tensor(scaled, dtype=torch.float32, device=self.device_)

    def _semantic(self, semantics: Any) -> Tensor:
        import torch

        scaled = unit_rows(self.scale_semantics_(semantics))
        return torch.tensor(scaled, dtype=torch.float32, device=self.device_)


def objective(towers: nn.ModuleDict, data: Any, batch: Any, weights: Any) -> Tensor:
    """`loss` of a batch: its images, and the noise on the semantics of each."""
    (x, s, y), (i, noise), (length,) = data, batch, weights
    return loss(towers, x[i], s[y[i]] + length * noise, y[i])


def loss(towers: nn.ModuleDict, features: Tensor, semantics: Tensor, labels: Tensor) -> Tensor:
    """Symmetric InfoNCE with every pair of one class as a positive.

    With logits z (B, B), images by semantics, and the target t_ij = [y_i = y_j] / #{k: y_k = y_i}, the mean
    over i of ``-sum_j t_ij log softmax_j(z_i.)``, averaged with the same over the columns.
    """
    z = logits(towers, features, semantics)
    same = (labels[:, None] == labels).to(z.dtype)
    targets = same / same.sum(1, keepdim=True)
    from_images = (targets * z.log_softmax(1)).sum()
    from_semantics = (targets.T * z.log_softmax(0)).sum()
    result: Tensor = -(from_images + from_semantics) / (2 * len(labels))
    return result


def logits(towers: nn.ModuleDict, features: Tensor, semantics: Tensor) -> Tensor:
    """Cosines over the temperature, (B, K), of features (B, D) and semantics (K, A)."""
    # Radford et al. bound 1 / temperature by 100 to keep training stable.
    bounded: Tensor = towers.sharpness.clamp(max=np.log(100))  # type: ignore[operator]
    result: Tensor = (
        directions(towers["visual"](features)) @ directions(towers["semantic"](semantics)).T * bounded.exp()
    )
    return result


def directions(vectors: Tensor) -> Tensor:
    """(B, L) of unit length, but for vectors near zero, where the gradient would have no bound."""
    return vectors * (vectors.square().sum(1, keepdim=True) + 1e-6).rsqrt()


def build_towers(visual_width: int, semantic_width: int, config: Align.Config, generator: Generator) -> nn.ModuleDict:
    """The two towers, ``visual`` and ``semantic``, and the logarithm of 1 / temperature, ``sharpness``."""
    import torch
    from torch import nn

    from zslbench_methods.common.layers import Affine

    def tower(width: int, kind: str) -> nn.Sequential:
        if kind == "linear":
            return nn.Sequential(Affine(width, config.width, generator=generator))
        hidden = Affine(width, config.hidden, generator=generator)
        return nn.Sequential(hidden, nn.ReLU(), Affine(config.hidden, config.width, generator=generator))

    towers = nn.ModuleDict(
        {"visual": tower(visual_width, config.visual), "semantic": tower(semantic_width, config.semantic)}
    )
    towers.register_parameter("sharpness", nn.Parameter(torch.tensor(-np.log(config.temperature), dtype=torch.float32)))
    return towers


def parameter_groups(towers: nn.ModuleDict, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases and the temperature do not."""
    parameters = list(towers.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
