"""DSVA-like attribute regression on global features (after Xu et al., ISPRS J. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zslbench import Candidates, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.linear import DoubleArray, Standardiser, unit_rows

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


class DSVA(Method):
    """The global head of DSVA on frozen features: ``a = Linear(LayerNorm(x))``, scores ``a Phi'``.

    a (N, A) are an image's predicted attributes and Phi (K, A) the classes'. The loss is a cross-entropy over
    all seen classes plus a small squared error between a and the row of Phi of the image's class (the
    publication's semantic compatibility and semantic regression).

    What is left out, and why this is "DSVA-like" and never DSVA: the transformer is not fine-tuned, there is
    no crop branch, and without feature maps there is no local prototype head and no attention concentration:
    this is the global head alone.

    Departures from the public implementation: logits enter the cross-entropy as they are (there, a softmax is
    applied first and a second one inside the loss, so that gradients all but vanish); the head keeps one
    learning rate and one optimiser state for all epochs (there, it falls to 1e-6 once the transformer is
    trained too, and the optimiser is made anew every epoch).

    There, the epoch is chosen by test accuracy, which is up to 18 points above that of the last epoch
    in its own logs; here every epoch's head is kept and yielded, and the last one is the result.
    """

    info = MethodInfo(
        name="dsva",
        title="DSVA-like (feature level, global head)",
        family="embedding",
        citation="""@article{xu2023dsva,
  title   = {Deep Semantic-Visual Alignment for Zero-Shot Remote Sensing Image Scene Classification},
  author  = {Xu, Wenjia and Wang, Jiuniu and Wei, Zhiwei and Peng, Mugen and Wu, Yirong},
  journal = {ISPRS Journal of Photogrammetry and Remote Sensing},
  volume  = {198},
  pages   = {140--152},
  year    = {2023},
}""",
    )

    @dataclass(frozen=True)
    class Config:
        """Values of the publication's scripts, where it has one."""

        epochs: int = param(30, "training epochs", ge=1)
        batches_per_epoch: int = param(300, "batches per epoch", ge=1)
        ways: int = param(8, "seen classes per batch", ge=1)
        shots: int = param(3, "images per class and batch", ge=1)
        lr: float = param(1e-4, "Adam's learning rate", gt=0, search=Range(1e-5, 1e-2, log=True))
        beta1: float = param(0.5, "Adam's first decay rate", ge=0, lt=1)
        lambda_reg: float = param(1e-2, "weight of the attribute regression", ge=0, search=Range(1e-4, 1e2, log=True))
        calibration: float = param(0.0, "constant subtracted from the scores of seen classes (GZSL)")

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train the head, keeping its state after every epoch."""
        import torch

        from zslbench_methods.common.episodes import draw_episodes

        config = self.config
        self.standardise_, self.device_ = Standardiser.of(train.semantics), train.device
        features, labels, phi = (
            train.tensor(train.features),
            train.tensor(train.labels),
            self._phi(train.semantics),
        )
        head = make_head(features.shape[1], phi.shape[1], train.torch_generator("dsva init")).to(train.device)
        adam = torch.optim.Adam(head.parameters(), lr=config.lr, betas=(config.beta1, 0.999), fused=True)
        rng = train.rng("dsva episodes")

        self.heads_: list[nn.Sequential] = []
        for epoch in range(1, config.epochs + 1):
            rows, _ = draw_episodes(train.labels, config.ways, config.shots, config.batches_per_epoch, rng)
            for batch in train.tensor(rows):
                loss(head, features[batch], labels[batch], phi, config.lambda_reg).backward()  # type: ignore[no-untyped-call]
                adam.step()
                adam.zero_grad()  # last, so that the copies below hold no gradients
            self.heads_.append(deepcopy(head))
            train.progress(epoch, config.epochs)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield one scorer per epoch."""
        import torch

        phi = self._phi(candidates.semantics)
        handicap = self.config.calibration * (candidates.seen >= 0)

        def scorer(head: nn.Sequential) -> Scorer:
            @torch.no_grad()
            def scores(features: Any) -> DoubleArray:
                x = torch.tensor(np.asarray(features), device=self.device_)
                return np.asarray((head(x) @ phi.T).cpu().numpy() - handicap)

            return scores

        yield from map(scorer, self.heads_)

    def _phi(self, semantics: Any) -> Tensor:
        """The class matrix Phi (K, A): standardised per attribute over the seen classes, then of unit length.

        The publication's Phi comes from a fine-tuned CLIP and its scaling lies in files that are not public;
        this is our choice.
        """
        import torch

        phi = unit_rows(self.standardise_(semantics))
        return torch.tensor(phi, dtype=torch.float32, device=self.device_)


def make_head(visual_width: int, semantic_width: int, generator: Generator) -> nn.Sequential:
    """LayerNorm and a linear map, initialised uniformly in ±1/√D as torch does, but from `generator`."""
    from torch import nn

    linear = nn.Linear(visual_width, semantic_width, device="meta").to_empty(device="cpu")
    for parameter in linear.parameters():
        nn.init.uniform_(parameter, -(visual_width**-0.5), visual_width**-0.5, generator=generator)
    return nn.Sequential(nn.LayerNorm(visual_width), linear)


def loss(head: nn.Module, features: Tensor, labels: Tensor, phi: Tensor, lambda_reg: float) -> Tensor:
    """Mean over the batch of ``-log softmax(a Phi')_y + lambda_reg * mean_j (a_j - Phi_yj)²``.

    `features` (B, D), `labels` (B,), `phi` (S, A).
    """
    attributes = head(features)
    logits = attributes @ phi.T
    own = logits.gather(1, labels[:, None]).squeeze(1)
    cross_entropy = (logits.logsumexp(1) - own).mean()
    regression = (attributes - phi[labels]).square().mean()
    result: Tensor = cross_entropy + lambda_reg * regression
    return result
