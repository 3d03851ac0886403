"""CLIP-Adapter: a small network that moves image embeddings, trained on seen classes (Gao et al., IJCV 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zslbench import Candidates, Choice, Method, MethodInfo, Range, Scorer, TrainingData, param
from zslbench_methods.common.batches import stream
from zslbench_methods.common.joint import expect_one_space
from zslbench_methods.common.linear import unit_rows
from zslbench_methods.common.scoring import Represented

if TYPE_CHECKING:
    from torch import Tensor


class CLIPAdapter(Method):
    """CLIP's cosines, for image embeddings that are mixed with what a bottleneck makes of them.

    With an image's embedding x (D,) and the texts t_c of the classes, of unit length,

        x' = ratio · A(x) + (1 - ratio) · x,          A(x) = relu(relu(x W1) W2)

    where W1 (D, D/4) and W2 (D/4, D) have no bias. The logits are scale · cos(x', t_c), and the loss is their
    cross-entropy over seen classes. Texts stay as they are, so any class can be scored afterwards. Nothing depends on
    the lengths of embeddings: A(x) grows as x does.

    Source: the visual adapter of the publication, with the ratio and the layers of its released program
    (github.com/gaopengcuhk/CLIP-Adapter, 08d07f8).

    Departures: the publication adapts to classes of which it has a few images each; here the adapter is made on seen
    classes and used on unseen ones. There the ratio is chosen for each data set: it is a parameter here, to be tuned on
    validation classes. Adapters are kept and yielded after every fifth epoch and the last one.

    Checked:

    - formula: the loss and its gradient in float64, the gradient by differences (test_clip_adapter.py)
    - formula: with a ratio of 0 it scores as `clip` does (test_clip_adapter.py)
    """

    info = MethodInfo(
        name="clip-adapter",
        title="CLIP-Adapter (visual)",
        family="foundation",
        citation="""@article{gao2024clipadapter,
  title   = {{CLIP-Adapter}: Better Vision-Language Models with Feature Adapters},
  author  = {Gao, Peng and Geng, Shijie and Zhang, Renrui and Ma, Teli and Fang, Rongyao and Zhang, Yongfeng
             and Li, Hongsheng and Qiao, Yu},
  journal = {International Journal of Computer Vision},
  volume  = {132},
  pages   = {581--595},
  year    = {2024},
}""",
        needs_joint_space=True,
        pretrained_on_names=True,
        uses_gpu=True,
    )

    @dataclass(frozen=True)
    class Config:
        """The ratio, the bottleneck and the scale are the program's; epochs and batch were set here beforehand.

        The learning rate is the one of 1e-6, 1e-5, 1e-4 and 1e-3 with the highest H on validation classes of WHU-RS19
        (14/5, ten splits, embeddings of CLIP and of RemoteCLIP: 90.2, 91.5, 91.3 and 83.5 on average). Over splits that
        share classes, a validation class of one is an unseen class of another.
        """

        ratio: float = param(
            0.2, "share of the adapted embedding", ge=0, le=1, search=Choice((0.1, 0.2, 0.4, 0.6, 0.8))
        )
        reduction: int = param(4, "the bottleneck has D / reduction units", ge=1)
        scale: float = param(100.0, "factor of the cosines", gt=0)
        epochs: int = param(50, "passes over the images", ge=1, search=Choice((10, 50, 200)))
        batch: int = param(32, "images per step", ge=1)
        lr: float = param(1e-5, "Adam's learning rate", gt=0, search=Range(1e-6, 1e-2, log=True))

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Train the adapter; its states after every fifth epoch are kept."""
        import torch

        from zslbench_methods.common.layers import usual

        expect_one_space(self.info.name, train)
        c, self.device_ = self.config, train.device
        x, y, t = self._unit(train.features), train.tensor(train.labels), self._unit(train.semantics)
        D, generator = x.shape[1], train.torch_generator("clip-adapter init")
        layers = [torch.empty(D, max(1, D // c.reduction)), torch.empty(max(1, D // c.reduction), D)]
        for layer in layers:
            usual(layer, generator)
        layers = [train.tensor(layer).requires_grad_() for layer in layers]
        adam = torch.optim.Adam(layers, lr=c.lr, fused=True)
        batches = train.tensor(stream(train.rng("clip-adapter batches"), len(x), c.batch, c.epochs, wrap=True))

        self.kept_: list[list[Tensor]] = []
        for epoch, rows in enumerate(batches, start=1):
            for batch in rows:
                loss(x[batch], y[batch], t, layers, c.ratio, c.scale).backward()  # type: ignore[no-untyped-call]
                adam.step()
                adam.zero_grad()
            if epoch % _KEPT == 0 or epoch == c.epochs:
                self.kept_.append([layer.detach().clone() for layer in layers])
            train.progress(epoch, c.epochs)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the cosines of adapted images and the candidates' texts, one scorer per adapter that was kept."""
        texts, images, ratio = self._unit(candidates.semantics), self._unit, self.config.ratio
        for layers in self.kept_:

            def score(x: Tensor, layers: list[Tensor] = layers) -> Any:
                return cosines(x, texts, layers, ratio).numpy(force=True)

            yield Represented(images, score)

    def _unit(self, rows: Any) -> Tensor:
        """Embeddings at unit length, on the trial's device."""
        import torch

        return torch.tensor(unit_rows(rows), dtype=torch.float32, device=self.device_)


_KEPT = 5
"""Every so many epochs the adapter is kept."""


def cosines(x: Tensor, t: Tensor, layers: list[Tensor], ratio: float) -> Tensor:
    """The cosines (B, K) of adapted images (B, D) and texts (K, D) of unit length."""
    from torch.nn.functional import normalize

    adapted = ratio * (x @ layers[0]).relu().matmul(layers[1]).relu() + (1 - ratio) * x
    return normalize(adapted) @ t.T


def loss(x: Tensor, y: Tensor, t: Tensor, layers: list[Tensor], ratio: float, scale: float) -> Tensor:
    """The mean of ``-log softmax(scale cos(x', t))_y``."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(scale * cosines(x, t, layers, ratio), y)
