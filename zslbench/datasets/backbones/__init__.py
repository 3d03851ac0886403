"""Encoders of images: which are known, and how one is loaded. Its libraries are imported when it is loaded."""

from zslbench.datasets.backbones.catalogue import BACKBONES, DEFAULT, find_backbone, load_encoder, versions
from zslbench.datasets.backbones.encoders import Backbone, Encoder

__all__ = ["BACKBONES", "DEFAULT", "Backbone", "Encoder", "find_backbone", "load_encoder", "versions"]
