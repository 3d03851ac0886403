"""The text tower of CLIP-family backbones: the default for them, in their space, and nothing cut in silence."""

from dataclasses import replace

import numpy as np
import pytest

from zslbench.datasets.backbones import BACKBONES, find_backbone
from zslbench.datasets.semantics import choose_encoder, read_semantics
from zslbench.datasets.semantics.clip_text import encode_texts
from zslbench.errors import InputError

CLASSES = ("storage_tank", "beach")


def open_clip():
    """The package, if it is there and works."""
    try:
        import open_clip
    except (ImportError, RuntimeError) as error:  # a torchvision that does not fit torch is a RuntimeError
        pytest.skip(f"needs a working extra 'open_clip' ({type(error).__name__})")
    return open_clip


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_the_encoder_suits_the_backbone(name):
    """A backbone with a joint space is served by its own text tower, any other by the sentence encoder."""
    backbone = find_backbone(name)
    chosen = choose_encoder(backbone)
    assert (chosen.slug, chosen.space) == (("clip", backbone.space) if backbone.space else ("minilm", ""))
    assert choose_encoder(backbone, "minilm").slug == "minilm"
    if not backbone.space:
        with pytest.raises(InputError, match=f"'{name}' has no text tower"):
            choose_encoder(backbone, "clip")


def test_a_missing_package_is_named(monkeypatch):
    """Without open_clip, the error names the extra and the way around."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package open_clip: pip install 'zslbench\[.*SOURCE:minilm"):
        read_semantics("names", CLASSES, find_backbone("clip_vit_b32"))


def test_batches_keep_their_order_and_long_texts_are_refused():
    """With a tower that counts tokens: 300 texts come back in order, and one that fills the context is refused."""
    torch = pytest.importorskip("torch")

    def tokenizer(texts):
        tokens = torch.zeros(len(texts), 6, dtype=torch.long)
        for row, text in zip(tokens, texts, strict=True):
            words = [49406, *range(1, len(text.split()) + 1), 49407][:6]
            row[: len(words)] = torch.tensor(words)
        return tokens

    class Tower:
        def encode_text(self, tokens):
            return torch.stack([(tokens > 0).sum(1), tokens.sum(1)], 1).half()

    texts = ["a " * (1 + number % 3) for number in range(300)]
    made = encode_texts(Tower(), tokenizer, texts)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made[:, 0], [3 + number % 3 for number in range(300)])
    with pytest.raises(InputError, match=r"reads 6 tokens and would cut 'b b b b b'"):
        encode_texts(Tower(), tokenizer, ["a", "b b b b b"])


def test_real_tower_with_random_weights(tmp_path):
    """Weights from a file give what open_clip itself gives, in the backbone's space."""
    library = open_clip()
    from safetensors.torch import save_file
    from torch import inference_mode

    model = library.create_model("ViT-B-32").eval()
    path = tmp_path / "weights.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, str(path))
    backbone = replace(find_backbone("remoteclip_vit_b32"), weights=path)
    (block,) = read_semantics("names:a {}", CLASSES, backbone)
    with inference_mode():
        tokens = library.get_tokenizer("ViT-B-32")(["a storage tank", "a beach"])
        expected = model.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(block.array, expected, atol=1e-6)
    assert block.card.space == backbone.space
