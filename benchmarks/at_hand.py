"""Make data sets of files that are at hand and may not be passed on, as records and tables made from them may.

    python benchmarks/at_hand.py FOLDER [--to .]

writes three data sets from FOLDER/whurs19 and FOLDER/attributes, where somebody has put these files:

- ``whurs19-clip``: WHU-RS19 as embeddings. With a network, `zslbench data download whurs19-clip` and the line that
  it prints make it, with four models instead of two.
- ``whurs19``: EfficientNet features of the same images, with class names as embeddings.
- ``ucm-third-party``: the bundled UC Merced, with attributes that others wrote.

WHU-RS19 has attributes of others too, of which viaduct's seem to be a slip: they are nearly those of residential.
"""

import argparse
import csv
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from zslbench.datasets.adding import add
from zslbench.datasets.backbones import BACKBONES
from zslbench.datasets.card import FeatureCard, SemanticsCard
from zslbench.datasets.importing import Imported, write
from zslbench.datasets.importing.transclip import read_transclip
from zslbench.datasets.known import load_known
from zslbench.datasets.registry import bundled_folder

ACCURACIES = {"CLIP": 81.29353233830845, "RemoteCLIP": 95.22388059701493}
"""Percent right by the nearest class text, in the repository's results/results_averageprompt.csv."""
NAME = "WHURS19"
TABLES = {"whurs19-clip": ("rsd26", "RSD"), "whurs19": ("rsd26", "RSD"), "ucm-third-party": ("zsvidat33", "UCM")}
"""Folder -> the name and the file of the attributes in github.com/ZSRSSC/ZS-VIDAT; their values are percents."""


def main() -> None:
    """Write all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", type=Path, default=Path("."))
    arguments = parser.parse_args()
    given, place = arguments.folder, arguments.to
    notes = write(embeddings(given), "whurs19-clip", place / "whurs19-clip").notes
    notes += write(efficientnet(given), "whurs19", place / "whurs19").notes
    shutil.copytree(bundled_folder("ucm"), place / "ucm-third-party")
    for folder, (name, table) in TABLES.items():
        with tempfile.TemporaryDirectory() as temporary:
            fractions = Path(temporary) / f"{name}.csv"
            as_fractions(given / "attributes" / f"{table}_Dataset.csv", fractions)
            added = add(place / folder, semantics={name: f"{fractions}:by-order"})
        notes += [*added.notes, *added.warnings]
    print(*notes, sep="\n")


def as_fractions(percents: Path, target: Path) -> None:
    """Write a table of percents once more, with 0 to 1 like the attributes here: many methods heed the scale."""
    with percents.open(newline="", encoding="utf-8-sig") as file, target.open("w", newline="", encoding="utf-8") as out:
        head, *rows = csv.reader(file)
        values = [[row[0], *(str(float(value) / 100) for value in row[1:])] for row in rows if row]
        csv.writer(out).writerows([head, *values])


def embeddings(given: Path) -> Imported:
    """CLIP's and RemoteCLIP's, by way of the layout that the importer reads."""
    classes = (given / "whurs19" / "classes.txt").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        repository = Path(temporary)
        (repository / "datasets" / NAME).mkdir(parents=True)
        (repository / "datasets" / NAME / "classes.txt").write_text(classes, encoding="utf-8")
        rows = [["dataset_name", "model_name", "model_architecture", "acc_base_averageprompt_zs"]]
        for model, accuracy in ACCURACIES.items():
            place = repository / "results" / NAME / model / "ViT-B-32"
            place.mkdir(parents=True)
            rows.append([NAME, model, "ViT-B-32", str(accuracy)])
            with np.load(given / "whurs19" / f"{model.lower()}_vit_b32.npz", allow_pickle=False) as stored:
                for name, array in (("images", "features"), ("classes", "labels"), ("texts_averageprompt", "text")):
                    torch.save(torch.from_numpy(stored[array]), place / f"{name}.pt")
        with (repository / "results" / "results_averageprompt.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        found = read_transclip(repository)
        found.notes = [note.replace(f"{repository}/", "") for note in found.notes]
    known = load_known("whurs19-clip")
    found.files = [given / "whurs19" / f"{model.lower()}_vit_b32.npz" for model in ACCURACIES]
    found.notes.append(f"From files at hand; the same numbers: {known.archive.url}")
    return found


def efficientnet(given: Path) -> Imported:
    """EfficientNet-Lite0 of the images."""
    with np.load(given / "whurs19" / "efficientnet_lite0.npz", allow_pickle=False) as stored:
        features, labels = stored["features"], stored["labels"].astype(np.int64)
    with np.load(given / "whurs19" / "minilm.npz", allow_pickle=False) as stored:
        names = stored["semantics"]
    backbone = BACKBONES["efficientnet_lite0"]
    return Imported(
        tuple((given / "whurs19" / "classes.txt").read_text(encoding="utf-8").split()),
        labels,
        {"efficientnet_lite0": features},
        {"names": names},
        feature_cards={
            "efficientnet_lite0": FeatureCard(
                title=backbone.title, pretraining=backbone.pretraining, licence=backbone.licence,
                preprocessing="scaled by the mean and standard deviation of ImageNet", citation=backbone.citation,
            )
        },
        semantics_cards={
            "names": SemanticsCard(title="all-MiniLM-L6-v2 of 'an aerial image of a NAME'", licence="Apache-2.0")
        },
        notes=["From files at hand; the images: zslbench data download whu-rs19"],
        layout="plain arrays",
        files=[given / "whurs19" / "efficientnet_lite0.npz", given / "whurs19" / "minilm.npz"],
    )  # fmt: skip


if __name__ == "__main__":
    main()
