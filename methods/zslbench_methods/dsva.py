"""DSVA-like attribute prediction from frozen features and maps (after Xu et al., ISPRS J. 2023)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from zslbench import Candidates, InputError, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, Standardiser, unit_rows
from zslbench_methods.common.scoring import Represented
from zslbench_methods.common.trained import Trained

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from zslbench_methods.common.trainer import Training


_STEPS_OF_MAPS = 16
"""For so many steps at a time maps are copied to the trial's device: all of them may be larger than its memory."""


class DSVA(Trained):
    """The two heads of DSVA on frozen features; every head predicts attributes, and attributes score classes.

    - Global: ``a = Linear(LayerNorm(x))``, from an image's features x.
    - Local, where the data set has feature maps: one prototype per attribute is compared with every cell of
      the map by dot product, and the attribute is the maximum over the cells. This head is the one whose
      numbers are published.

    With a (N, A) and the class matrix Phi (K, A), scores are ``a Phi'``. The loss of a head is a cross-entropy
    over all seen classes plus a small squared error between a and the row of Phi of the image's class (the
    publication's semantic compatibility and semantic regression); the local one also keeps every attribute's
    map compact around its peak (attention concentration). The losses of both heads are added, and because
    nothing below the heads is trained, neither head changes the other.

    Without maps the global head alone is trained and scored, whatever `head` says: a data set has maps or has none,
    so all trials of a table agree.

    The schedule is that of the released program (github.com/wenjiaXu/RS_Scene_ZSL, main.py:119-130): `head_epochs` at
    `lr`, in which LayerNorm stays as it is; then, where the transformer is trained too, everything at `late_lr` times
    0.9 for every ten epochs that have passed; the optimiser is made anew every epoch. There, scores of seen classes are
    lowered by a constant chosen by hand for every split: ``dsva+cal`` chooses it on validation classes.

    What is left out, and why this is "DSVA-like" and never DSVA: the transformer is not fine-tuned, there is
    no crop branch, and no group lasso on the prototypes (its weight is 0 in most of the published runs).

    Departures from the program: logits enter the cross-entropy as they are (there, a softmax is applied first and a
    second one inside the loss, so that gradients all but vanish); the maximum is over the cells of the map alone
    (there, over the transformer's class token too, :143-146 of model.py); maps are kept compact from the first epoch
    on. It trains ZSL on all images of the seen classes and GZSL on 600 of 800; here one training, on 80 % of them,
    serves both.

    There, the epoch is chosen by test accuracy, which is up to 18 points above that of the last epoch
    in its own logs; here every epoch's heads are kept and yielded, and the last ones are the result.

    Checked:

    - formula: both heads' losses in float64, compactness also by hand, the gradient of compactness (test_dsva.py)
    - program: the local head's loss and gradients in float64 equal the released program's to 1e-15, departures aside
      (once, outside the tests, before version 2)
    """

    info = MethodInfo(
        name="dsva",
        title="DSVA-like (feature level)",
        family="embedding",
        citation="""@article{xu2023dsva,
  title   = {Deep Semantic-Visual Alignment for Zero-Shot Remote Sensing Image Scene Classification},
  author  = {Xu, Wenjia and Wang, Jiuniu and Wei, Zhiwei and Peng, Mugen and Wu, Yirong},
  journal = {ISPRS Journal of Photogrammetry and Remote Sensing},
  volume  = {198},
  pages   = {140--152},
  year    = {2023},
}""",
        uses_gpu=True,
        version=2,
        uses_maps=True,
    )

    @dataclass(frozen=True)
    class Config:
        """Values of the publication's scripts, where it has one."""

        epochs: int = param(30, "training epochs", ge=1)
        batches_per_epoch: int = param(300, "batches per epoch", ge=1)
        ways: int = param(8, "seen classes per batch", ge=1)
        shots: int = param(3, "images per class and batch", ge=1)
        head_epochs: int = param(5, "first epochs, at `lr`", ge=0)
        lr: float = param(1e-4, "Adam's learning rate in them", gt=0, search=Range(1e-5, 1e-2, log=True))
        late_lr: float = param(1e-6, "Adam's learning rate in the later ones, before it decays", gt=0)
        beta1: float = param(0.5, "Adam's first decay rate", ge=0, lt=1)
        lambda_reg: float = param(1e-2, "weight of the attribute regression", ge=0, search=Range(1e-4, 1e2, log=True))
        lambda_local: float = param(8e-2, "the same in the local head", ge=0, search=Range(1e-4, 1e2, log=True))
        compactness: float = param(1e-9, "weight of the compactness of the local head's maps", ge=0)
        head: Literal["local", "global", "sum"] = param(
            "local", "whose scores count; without feature maps the global head's do"
        )

    config: Config
    STACKS: ClassVar = {"cpu": 8, "cuda": 16}

    def training(self, train: TrainingData) -> Training:
        """The head, and the prototypes of the local one; their states after every epoch are kept."""
        from torch import nn

        from zslbench_methods.common.episodes import draw_episodes
        from zslbench_methods.common.trainer import Adam, Training, Update

        c = self.config
        self.standardise_, self.device_ = Standardiser.of(train.semantics), train.device
        x, y, phi = train.tensor(train.features), train.tensor(train.labels), self._phi(train.semantics)
        head = make_head(x.shape[1], phi.shape[1], train.torch_generator("dsva init"))
        networks = nn.ModuleDict({"head": head})
        maps, distances = train.maps if c.head != "global" else None, None
        self.local_ = maps is not None
        if maps is not None:
            distances = self._distances(maps.shape[1])
            drawn = make_prototypes(maps.shape[2], phi.shape[1], train.torch_generator("dsva local init"))
            networks.register_parameter("prototypes", nn.Parameter(drawn))
        networks.to(train.device)
        norm = list(head[0].parameters())
        others = [one for one in networks.parameters() if all(one is not own for own in norm)]
        rates = [self._rate(epoch) for epoch in range(c.epochs) for _ in range(c.batches_per_epoch)]
        late = [0.0 if step < c.head_epochs * c.batches_per_epoch else rate for step, rate in enumerate(rates)]
        adams = [Adam(own, lr, (c.beta1, 0.999), anew=True) for own, lr in ((others, rates), (norm, late))]
        rng = train.rng("dsva episodes")

        def table(epoch: int) -> Iterator[tuple[Any, ...]]:
            rows, _ = draw_episodes(train.labels, c.ways, c.shots, c.batches_per_epoch, rng)
            size = len(rows) if maps is None else _STEPS_OF_MAPS
            for some in (rows[first : first + size] for first in range(0, len(rows), size)):
                yield (some,) if maps is None else (some, np.asarray(maps)[some])

        self.heads_: list[nn.Sequential] = []
        self.prototypes_: list[Tensor] = []

        def keep(epoch: int) -> None:
            self.heads_.append(deepcopy(head))
            if self.local_:
                self.prototypes_.append(networks.get_parameter("prototypes").detach().clone())

        return Training(
            networks, [Update(objective, adams)], data=(x, y, phi, distances), table=table, after=keep,
            weights=lambda epoch: (c.lambda_reg, c.lambda_local, c.compactness), epochs=c.epochs, train=train,
        )  # fmt: skip

    def _rate(self, epoch: int) -> float:
        """The step size, but for LayerNorm, which the first epochs leave as it is."""
        c = self.config
        return c.lr if epoch < c.head_epochs else c.late_lr * 0.9 ** (epoch // 10)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield one scorer per epoch."""
        import torch

        phi, on_device = self._phi(candidates.semantics), self._on_device

        def scorer(epoch: int) -> Scorer:
            @torch.no_grad()
            def scores(inputs: tuple[Tensor | None, Tensor | None]) -> DoubleArray:
                x, maps = inputs
                speaking = []
                if x is not None:
                    speaking.append(self.heads_[epoch](x) @ phi.T)
                if maps is not None:
                    speaking.append(self._local_attributes(epoch, maps) @ phi.T)
                return np.asarray(sum(speaking[1:], speaking[0]).numpy(force=True))

            return Represented(on_device, scores)

        yield from map(scorer, range(len(self.heads_)))

    def _on_device(self, features: Any, maps: Any = None) -> tuple[Tensor | None, Tensor | None]:
        """What the heads that speak look at, on the trial's device: features (N, D) and maps (N, P, D')."""
        import torch

        def tensor(array: Any) -> Tensor:
            return torch.tensor(np.asarray(array), device=self.device_)

        return (
            tensor(features) if self.config.head != "local" or not self.local_ else None,
            tensor(maps) if self.local_ else None,
        )

    def _local_attributes(self, epoch: int, maps: Tensor) -> Tensor:
        """(N, A), a few images at a time, because the comparison with every cell is many times larger."""
        import torch

        prototypes = self.prototypes_[epoch]
        return torch.cat([(block @ prototypes.T).amax(1) for block in torch.split(maps, 256)])

    def _distances(self, cells: int) -> Tensor | None:
        """Squared distances (P, P) between the cells of a square grid, or None where compactness has no weight."""
        if not self.config.compactness:
            return None
        side = math.isqrt(cells)
        if side * side != cells:
            raise InputError(
                f"dsva: compactness needs a square grid of cells, found maps of {cells} cells; set compactness=0."
            )
        return squared_distances(side).to(self.device_)

    def _phi(self, semantics: Any) -> Tensor:
        """The class matrix Phi (K, A): standardised per attribute over the seen classes, then of unit length.

        The publication's Phi comes from a fine-tuned CLIP and its scaling lies in files that are not public;
        this is our choice.
        """
        import torch

        phi = unit_rows(self.standardise_(semantics))
        return torch.tensor(phi, dtype=torch.float32, device=self.device_)


def objective(networks: nn.ModuleDict, data: Any, batch: Any, weights: Any) -> Tensor:
    """The losses of the heads on a batch: images, and their maps where there is a local head."""
    (x, y, phi, distances), (i, *maps), (lambda_reg, lambda_local, compactness) = data, batch, weights
    total = loss(networks["head"], x[i], y[i], phi, lambda_reg)
    if maps:
        prototypes: Tensor = networks.prototypes  # type: ignore[assignment]
        total = total + local_loss(prototypes, *maps, y[i], phi, lambda_local, compactness, distances)  # type: ignore
    return total


def loss(head: nn.Module, features: Tensor, labels: Tensor, phi: Tensor, lambda_reg: float) -> Tensor:
    """The global head's loss for `features` (B, D), `labels` (B,) and `phi` (S, A)."""
    return attribute_loss(head(features), labels, phi, lambda_reg)


def local_loss(
    prototypes: Tensor,
    maps: Tensor,
    labels: Tensor,
    phi: Tensor,
    lambda_local: float,
    compactness: float,
    distances: Tensor | None,
) -> Tensor:
    """The local head's loss for `prototypes` (A, D') and `maps` (B, P, D').

    The third term, of weight `compactness`, is the sum over images, attributes and cells of sigmoid(activation)
    times the squared distance of the cell to the one where the activation is largest. `distances` (P, P) may be
    None, which leaves that term out.
    """
    activations = maps @ prototypes.T  # (B, P, A)
    attributes, peaks = activations.max(dim=1)  # (B, A)
    result = attribute_loss(attributes, labels, phi, lambda_local)
    if distances is not None:
        to_peak = distances[peaks].transpose(1, 2)  # (B, P, A)
        result = result + compactness * (activations.sigmoid() * to_peak).sum()
    return result


def attribute_loss(attributes: Tensor, labels: Tensor, phi: Tensor, weight: float) -> Tensor:
    """Mean over the batch of ``-log softmax(a Phi')_y + weight * mean_j (a_j - Phi_yj)²``, for `attributes` (B, A)."""
    logits = attributes @ phi.T
    own = logits.gather(1, labels[:, None]).squeeze(1)
    cross_entropy = (logits.logsumexp(1) - own).mean()
    regression = (attributes - phi[labels]).square().mean()
    result: Tensor = cross_entropy + weight * regression
    return result


def squared_distances(side: int) -> Tensor:
    """(P, P) between the cells of a grid with P = side², row by row, in units of a cell."""
    import torch

    cells = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    return (cells[:, None] - cells).square().sum(2).float()


def make_head(visual_width: int, semantic_width: int, generator: Generator) -> nn.Sequential:
    """LayerNorm and a linear map, initialised uniformly in ±1/√D as torch does, but from `generator`."""
    from torch import nn

    from zslbench_methods.common.layers import Affine, usual

    linear = Affine(visual_width, semantic_width, generator=generator, draw=usual)
    nn.init.uniform_(linear.bias, -(visual_width**-0.5), visual_width**-0.5, generator=generator)
    return nn.Sequential(nn.LayerNorm(visual_width), linear)


def make_prototypes(map_width: int, semantic_width: int, generator: Generator) -> Tensor:
    """(A, D'), one prototype per attribute, uniform from 0 to 2e-4 (model.py:117 of the released program)."""
    import torch

    return 2e-4 * torch.rand(semantic_width, map_width, generator=generator)
