"""The data set ``digits``: handwritten figures that come with scikit-learn, and attributes of ours.

Its features are the pixels themselves, so no pre-training can have seen an unseen class; it is small enough for every
split of a family to be run. The images are not part of this package: they are read where scikit-learn is installed.
"""

import gzip
import importlib.metadata
import importlib.util
from pathlib import Path

import numpy as np

from zslbench._types import FloatArray, IntArray
from zslbench.datasets.card import Card, FeatureCard, SemanticsCard
from zslbench.datasets.semantics.tables import read_attributes
from zslbench.datasets.writing import write_dataset
from zslbench.errors import InputError
from zslbench.hashing import array_digest, digest

ATTRIBUTES = Path(__file__).parent / "attributes.toml"
CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FAMILY = "7/3"
"""It has 120 splits, few enough for all of them to be run."""
_SHAPE = (1797, 65)
_SHA256 = "5e8e80352be7a85c3467aad223d8453be11a37a961cbe93a7119e37adb589726"
"""Of the table of pixels and labels, whatever file scikit-learn keeps it in."""
_CITATION = """\
@misc{alpaydin1998optical,
  author    = {Alpaydin, Ethem and Kaynak, Cenk},
  title     = {Optical Recognition of Handwritten Digits},
  publisher = {UCI Machine Learning Repository},
  year      = {1998},
  doi       = {10.24432/C50P49}
}
"""


def version() -> str:
    """A few digits that change with what `make` writes."""
    return digest([1, _SHA256, ATTRIBUTES.read_text(encoding="utf-8")])[:12]


def make(folder: Path) -> None:
    """Write the data set to a folder that is not there yet.

    Raises:
        InputError: scikit-learn has not the images, or others; or the folder cannot be written.
    """
    pixels, labels = read_images()
    table = read_attributes(ATTRIBUTES, CLASSES)
    card = Card(
        name="digits",
        title="Handwritten digits, 8x8 pixels",
        description=(
            "1,797 figures that 13 people wrote, 174 to 183 a digit: the test part of the UCI set, as scikit-learn "
            "has it. Each of the 64 pixels counts the inked ones of 16, so features are 0 to 1 in sixteenths."
        ),
        citation=_CITATION,
        licence="UCI Machine Learning Repository: CC BY 4.0. Read from the installed scikit-learn. Please cite them.",
        classes=list(CLASSES),
        default_features="pixels",
        default_semantics="attributes",
        split_families=[FAMILY],
        features={
            "pixels": FeatureCard(
                title="Raw pixels, row by row, 0 to 1",
                pretraining="none: these are the pixels",
                licence="CC BY 4.0",
                preprocessing="32x32 black and white, the share of ink in blocks of 4x4 (by the makers)",
            )
        },
        semantics={
            "attributes": SemanticsCard(
                title=f"{len(table.columns)} visual attributes graded 0 to 1 by the zslbench authors",
                licence="MIT",
                columns=list(table.columns),
                groups=list(table.groups),
            )
        },
        provenance={
            "source": "scikit-learn, datasets/data/digits.csv.gz",
            "versions": {"scikit-learn": importlib.metadata.version("scikit-learn")},
        },
    )
    write_dataset(folder, card, labels, {"pixels": pixels}, {"attributes": table.values})


def read_images() -> tuple[FloatArray, IntArray]:
    """The pixels (1797, 64), 0 to 1, and the digits (1797,), from the file that scikit-learn brings.

    Read from the file, since importing `sklearn.datasets` takes seconds and loads pandas.

    Raises:
        InputError: there is no such file, or its numbers are not those that they were.
    """
    found = importlib.util.find_spec("sklearn")
    path = (
        Path((found.origin if found else None) or "sklearn/__init__.py").parent / "datasets" / "data" / "digits.csv.gz"
    )
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.float64, ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"data set 'digits' is read from scikit-learn, and {path} cannot be: {error}.") from error
    if table.shape != _SHAPE or array_digest(table) != _SHA256:
        raise InputError(f"data set 'digits': {path} holds other numbers than scikit-learn's digits.")
    return (table[:, :-1] / 16).astype(np.float32), table[:, -1].astype(np.int64)
