"""CNZSL: class normalization for zero-shot learning (Skorokhodov and Elhoseiny, ICLR 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zslbench import Candidates, Choice, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.batches import stream
from zslbench_methods.common.linear import unit_rows
from zslbench_methods.common.scoring import Represented
from zslbench_methods.common.trained import Trained

if TYPE_CHECKING:
    from torch import Tensor

    from zslbench_methods.common.classnorm import Prototypes
    from zslbench_methods.common.trainer import Training


class CNZSL(Trained):
    """A network from attributes to visual prototypes, whose hidden units are standardised over the classes of a step.

    With the attributes a_c of all seen classes, each of length √A, the prototypes are

        p_c = relu(W3 CS(relu(CS(W2 relu(W1 a_c)))))          CS(h)_c = (h_c - mean h) / (var h + 1e-5)

    where mean and variance are taken over the classes, unit by unit; the variance itself divides, not its root (section
    4.2 and the program). A running mean of both, with momentum 0.1, stands in for them when classes are scored. The
    logits of an image x are

        scale² · cos(x, p_c)                                    (sections 3.2: normalise + scale)

    and the loss is their cross-entropy over seen classes. W3 starts uniform in ±√(3 / (hidden · D)), so that the
    variance of the logits stays near one where attributes are far from independent and normal (section 3.3). The facts
    are those of the released program (github.com/universome/class-norm, 0a4cdd6).

    ``norm=false`` leaves CS out, and ``init=plain`` starts W3 as any layer: the publication's ablations.

    Departures: biases start at zero; batches go on from one epoch to the next, so that all have one size; the program
    multiplies the logits of seen classes by 0.95 (by 1 on CUB) when it measures GZSL: see ``cnzsl+cal``. Networks are
    kept and yielded after every fifth epoch and the last one, since each takes some ten megabytes.

    Checked:

    - formula: loss and class normalization in float64, in training and in scoring; the variance that the last layer
      starts with (test_cnzsl.py)
    """

    info = MethodInfo(
        name="cnzsl",
        title="CNZSL: class normalization",
        family="embedding",
        citation="""@inproceedings{skorokhodov2021class,
  title     = {Class Normalization for (Continual)? Generalized Zero-Shot Learning},
  author    = {Skorokhodov, Ivan and Elhoseiny, Mohamed},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2021},
  eprint    = {2006.11328}, archiveprefix = {arXiv},
}""",
        uses_gpu=True,
    )

    @dataclass(frozen=True)
    class Config:
        """Defaults: the released program's."""

        hidden: int = param(1024, "hidden units of both layers", ge=1)
        scale: float = param(5.0, "length that images and prototypes are given", gt=0, search=Range(2, 10))
        norm: bool = param(True, "standardise hidden units over classes", search=Choice((True, False)))
        init: Literal["proper", "plain"] = param("proper", "how the last layer starts")
        epochs: int = param(50, "passes over the images", ge=1, search=Choice((50, 100, 200)))
        batch: int = param(256, "images per step", ge=1, search=Choice((64, 256)))
        lr: float = param(5e-4, "Adam's learning rate", gt=0, search=Range(1e-4, 1e-2, log=True))
        weight_decay: float = param(1e-4, "L2 penalty in Adam's gradient", ge=0, search=Range(1e-6, 1e-2, log=True))

    config: Config

    def training(self, train: TrainingData) -> Training:
        """The network; its states after every fifth epoch are kept."""
        from torch.optim.lr_scheduler import StepLR

        from zslbench_methods.common.classnorm import Prototypes
        from zslbench_methods.common.trainer import Adam, Training, Update, rates

        c, self.device_ = self.config, train.device
        x, y, s = self._visual(train.features), train.tensor(train.labels), self._semantic(train.semantics)
        network = Prototypes(
            s.shape[1], c.hidden, x.shape[1], norm=c.norm, proper=c.init == "proper",
            generator=train.torch_generator("cnzsl init"),
        ).to(train.device)  # fmt: skip
        batches = stream(train.rng("cnzsl batches"), len(x), c.batch, c.epochs, wrap=True)
        lr = np.repeat(rates(lambda adam: StepLR(adam, 25, 0.1), c.lr, c.epochs), batches.shape[1])
        self.networks_: list[Prototypes] = []

        def keep(epoch: int) -> None:
            if epoch % _KEPT == 0 or epoch == c.epochs:
                self.networks_.append(deepcopy(network).eval())

        return Training(
            network, [Update(objective, [Adam(network.parameters(), lr.tolist(), weight_decay=c.weight_decay)])],
            data=(x, y, s), table=lambda epoch: [(batches[epoch],)], weights=lambda epoch: (c.scale,),
            epochs=c.epochs, train=train, after=keep,
        )  # fmt: skip

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the cosines to the candidates' prototypes, one scorer per network that was kept."""
        import torch

        semantics, visual, scale = self._semantic(candidates.semantics), self._visual, self.config.scale
        for network in self.networks_:
            with torch.no_grad():
                prototypes = directions(network(semantics))

            def score(x: Tensor, prototypes: Tensor = prototypes) -> Any:
                return logits(x, prototypes, scale).numpy(force=True)

            yield Represented(visual, score)

    def _visual(self, features: Any) -> Tensor:
        """Images (N, D) at unit length, on the trial's device."""
        import torch

        return torch.tensor(unit_rows(features), dtype=torch.float32, device=self.device_)

    def _semantic(self, semantics: Any) -> Tensor:
        """Attributes (K, A) at length √A, on the trial's device."""
        import torch

        rows = unit_rows(semantics) * np.sqrt(np.shape(semantics)[1])
        return torch.tensor(rows, dtype=torch.float32, device=self.device_)


_KEPT = 5
"""Every so many epochs the network is kept."""


def objective(network: Prototypes, data: Any, batch: Any, weights: Any) -> Tensor:
    """`loss` of a batch of images."""
    (x, y, s), (i,), (scale,) = data, batch, weights
    return loss(network, x[i], y[i], s, scale)


def loss(network: Prototypes, x: Tensor, y: Tensor, s: Tensor, scale: float) -> Tensor:
    """The mean of ``-log softmax(scale² cos(x, p))_y`` over images x (B, D) of unit length and classes s (S, A)."""
    z = logits(x, directions(network(s)), scale)
    result: Tensor = (z.logsumexp(1) - z.gather(1, y[:, None]).squeeze(1)).mean()
    return result


def logits(x: Tensor, prototypes: Tensor, scale: float) -> Tensor:
    """``scale² x·p`` (B, K) of images and prototypes of unit length."""
    return scale**2 * (x @ prototypes.T)


def directions(rows: Tensor) -> Tensor:
    """Rows at unit length; the small number keeps the gradient finite where all units of a prototype are off."""
    return rows * (rows.square().sum(1, keepdim=True) + 1e-12).rsqrt()
