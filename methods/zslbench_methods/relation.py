"""RelationNet: learning to compare (Sung et al., CVPR 2018), its zero-shot half."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zslbench import Candidates, Choice, Method, MethodInfo, Preset, Range, Scorer, TrainingData, param
from zslbench_methods.common.batches import distinct
from zslbench_methods.common.linear import unit_rows
from zslbench_methods.common.scoring import Represented

if TYPE_CHECKING:
    from torch import Tensor

    from zslbench_methods.common.relation import Relation

_SOURCE = "the released program's (ff01fa3)"


class RelationNet(Method):
    """Semantics are embedded among visual features, and a second network says how an image relates to each class.

    With the embedding ``e(a) = relu(relu(a U1) U2)`` of semantics a, as wide as the features, an image x relates to a
    class by

        r(x, a) = σ(relu([e(a), x] V1) V2)                 in (0, 1), the score                  (section 3.4)

    (biases are not written). An episode is a batch of images and the classes C that occur in it; its loss is

        1 / (B |C|) Σ_n Σ_{c in C} (r(x_n, a_c) - [c = y_n])²

    Facts are those of the released program (github.com/lzrobots/LearningToCompare_ZSL, ff01fa3): features as they are,
    batches drawn anew for every episode, Adam with weight decay on the embedding alone, step sizes halved every so
    many episodes. There the relations are taken of the classes of a batch; here of all seen classes, of which the loss
    counts those of the batch, which is the same and waits for nothing.

    Departures: semantics have length √A (there, on AwA, percentages); biases start at zero; the program keeps the
    networks with the best accuracy on test images among those of every 2000th episode, here those of every tenth of
    `episodes` are yielded, and the last counts. Without that choice its default code reaches H 30 on AWA1, against 47
    published (issue 2 there).

    Checked:

    - formula: the loss over images and the classes that occur; scores by their definition (test_relation.py)
    """

    info = MethodInfo(
        name="relation",
        title="RelationNet",
        family="embedding",
        citation="""@inproceedings{sung2018learning,
  title     = {Learning to Compare: Relation Network for Few-Shot Learning},
  author    = {Sung, Flood and Yang, Yongxin and Zhang, Li and Xiang, Tao and Torr, Philip H. S. and
               Hospedales, Timothy M.},
  booktitle = {Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  pages     = {1199--1208},
  year      = {2018},
  eprint    = {1711.06025}, archiveprefix = {arXiv},
}""",
        uses_gpu=True,
    )

    @dataclass(frozen=True)
    class Config:
        """Defaults: the released program's for CUB."""

        PRESETS: ClassVar = {
            "awa1": Preset({"embedding": 1024, "hidden": 400, "episodes": 500_000, "halved": 200_000}, _SOURCE),
            "awa2": Preset({"embedding": 1024, "hidden": 400, "episodes": 500_000, "halved": 200_000}, _SOURCE),
            "small": Preset(
                {"embedding": 256, "hidden": 256, "episodes": 2000, "halved": 1000, "lr": 3e-4},
                "for two cores; step size of three chosen on validation classes of one split of the bundled data set",
            ),
        }

        embedding: int = param(1200, "hidden units of the embedding", ge=1)
        hidden: int = param(1200, "hidden units of the relation", ge=1)
        episodes: int = param(200_000, "batches in all", ge=1)
        batch: int = param(32, "images per episode", ge=1, search=Choice((32, 64, 128)))
        lr: float = param(1e-5, "Adam's first step size", gt=0, search=Range(1e-6, 1e-2, log=True))
        halved: int = param(30_000, "the step size is halved after so many episodes each", ge=1)
        weight_decay: float = param(
            1e-5, "L2 penalty in Adam's gradient, on the embedding", ge=0, search=Range(1e-7, 1e-2, log=True)
        )

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train both networks; their states after every tenth of the episodes are kept."""
        import torch

        from zslbench_methods.common.relation import Relation

        c, self.device_ = self.config, train.device
        x, y, s = train.tensor(train.features), train.tensor(train.labels), self._semantic(train.semantics)
        network = Relation(s.shape[1], c.embedding, x.shape[1], c.hidden, train.torch_generator("relation init"))
        network.to(train.device)
        groups: list[dict[str, Any]] = [
            {"params": list(network.embedding.parameters()), "weight_decay": c.weight_decay},
            {"params": [*network.first.parameters(), *network.second.parameters()]},
        ]
        adam = torch.optim.Adam(groups, lr=c.lr, fused=True)
        schedule = torch.optim.lr_scheduler.StepLR(adam, c.halved, 0.5)
        rng, size = train.rng("relation batches"), min(c.batch, len(x))

        self.networks_: list[Relation] = []
        for part in np.array_split(np.arange(c.episodes), min(_KEPT, c.episodes)):
            for batch in train.tensor(distinct(rng, np.full(len(part), len(x)), size)):
                loss(network, x[batch], y[batch], s).backward()  # type: ignore[no-untyped-call]
                adam.step()
                adam.zero_grad()  # last, so that the copies below hold no gradients
                schedule.step()
            self.networks_.append(deepcopy(network))
            train.progress(int(part[-1]) + 1, c.episodes)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the relation to each candidate, one scorer per state of the networks that was kept."""
        import torch

        semantics, visual = self._semantic(candidates.semantics), self._visual
        for network in self.networks_:
            with torch.no_grad():
                classes = network.classes(semantics)

            @torch.no_grad()
            def score(x: Tensor, network: Relation = network, classes: Tensor = classes) -> Any:
                images = network.images(x)
                logits = torch.stack([network.logits(images, one) for one in classes], dim=1)  # a class at a time
                return logits.double().sigmoid().numpy(force=True)  # single precision would round to ties at 1

            yield Represented(visual, score)

    def _visual(self, features: Any) -> Tensor:
        """Images (N, D) on the trial's device."""
        import torch

        return torch.tensor(np.asarray(features, np.float32), device=self.device_)

    def _semantic(self, semantics: Any) -> Tensor:
        """Semantics (K, A) at length √A, on the trial's device."""
        import torch

        rows = unit_rows(semantics) * np.sqrt(np.shape(semantics)[1])
        return torch.tensor(rows, dtype=torch.float32, device=self.device_)


_KEPT = 10
"""States of the networks that are kept."""


def loss(network: Relation, x: Tensor, y: Tensor, s: Tensor) -> Tensor:
    """The mean squared error of the relations of images x (B, D) of classes y (B,) to those classes, of all (S, A)."""
    import torch

    own = torch.zeros(len(y), len(s), dtype=x.dtype, device=x.device).scatter_(1, y[:, None], 1.0)
    present = own.amax(0)  # (S,)
    error = (network(x, s) - own).square() * present
    result: Tensor = error.sum() / (len(y) * present.sum())
    return result
