"""Images of a data set: which there are in a folder or a zip, of which classes, and their pixels."""

from zslbench.datasets.images.decoding import Decoded, Image
from zslbench.datasets.images.layout import ClassFolders, Passed, natural_key
from zslbench.datasets.images.sets import ImageSet, any_images, digest_of_files, open_images

__all__ = [
    "ClassFolders",
    "Decoded",
    "Image",
    "ImageSet",
    "Passed",
    "any_images",
    "digest_of_files",
    "natural_key",
    "open_images",
]
