"""The text tower of a CLIP-family backbone: texts in the joint space of its image features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.semantics.encoder import TextEncoder
from zslbench.errors import InputError

if TYPE_CHECKING:
    from zslbench.datasets.backbones import Backbone

_BATCH = 128


def clip_encoder(backbone: Backbone) -> TextEncoder:
    """Return the text tower that belongs to a backbone with a joint space; nothing is loaded before `encode`.

    InputError if the backbone has no joint space.
    """
    if not backbone.space:
        raise InputError(
            f"backbone {backbone.name!r} has no text tower: ':clip' needs one of the CLIP family; "
            f"':minilm' works with any."
        )
    return TextEncoder(
        name=f"text tower of {backbone.name}",
        slug="clip",
        licence=backbone.licence,
        packages=backbone.packages,
        space=backbone.space,
        check=partial(_check, backbone),
        encode=partial(_encode, backbone),
    )


def encode_texts(model: Any, tokenizer: Any, texts: Sequence[str]) -> NDArray[np.float32]:
    """Encode texts with an open_clip model and its tokenizer: (n, D) float32, not normalised.

    InputError if a text fills all places of the context, so that its end may have been cut off.
    """
    import torch

    # A text that ends early is filled up with the token that ends the empty text.
    filler = tokenizer([""])[0, -1]
    rows: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            tokens = tokenizer(batch)
            full = (tokens[:, -1] != filler).nonzero().flatten().tolist()
            if full:
                raise InputError(
                    f"the text tower reads {tokens.shape[1]} tokens and would cut {batch[full[0]][:40]!r}...; "
                    f"split it into several texts of the same class."
                )
            rows.append(model.encode_text(tokens).float().numpy())
    return np.concatenate(rows)


def _check(backbone: Backbone) -> None:
    from importlib.util import find_spec

    if find_spec("open_clip") is None:
        raise InputError(
            f"the text tower of {backbone.name} needs the package open_clip: pip install 'zslbench[{backbone.extra}]'; "
            f"or embed the texts with the sentence encoder: SOURCE:minilm"
        )


def _encode(backbone: Backbone, texts: Sequence[str]) -> NDArray[np.float32]:
    _check(backbone)
    import torch

    from zslbench.datasets.backbones import load_encoder

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as for images: sums split over threads round differently
    try:
        # load_encoder turns whatever goes wrong while loading into one line
        model, tokenizer = cast(Any, load_encoder(replace(backbone, load=cast(Any, _load)), "cpu"))
        return encode_texts(model, tokenizer, texts)
    finally:
        torch.set_num_threads(before)


def _load(backbone: Backbone, device: str) -> tuple[Any, Any]:
    import open_clip

    from zslbench.datasets.backbones.encoders import open_clip_model

    return open_clip_model(backbone).to(device), open_clip.get_tokenizer(backbone.model)
