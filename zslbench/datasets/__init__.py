"""What is measured: data sets on disk and those that come with the package."""

from zslbench.datasets.card import Card
from zslbench.datasets.container import Dataset, DataView
from zslbench.datasets.registry import bundled_names, load_dataset

__all__ = ["Card", "DataView", "Dataset", "bundled_names", "load_dataset"]
