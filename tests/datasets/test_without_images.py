"""Classes that are described and of which there is no image: read, checked, never played, and named by models."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from conftest import write_synthetic

import zslbench as zb
from zslbench.datasets import Dataset
from zslbench.datasets.examine import examine
from zslbench.datasets.importing.arrays import read_arrays
from zslbench.errors import InputError
from zslbench.report.contents import sections
from zslbench.report.examples import examples
from zslbench.splits import WHOLE, make_splits, read_splits, split_families, whole

SIZES = [12, 12, 0, 12, 12, 12, 0, 12]


def declared(folder: Path, names: str = '["class2", "class6"]') -> Path:
    """A SYNTHETIC data set of 8 classes, two of which are described alone."""
    write_synthetic(folder, per_class=SIZES, families='["4/2"]')
    card = folder / "card.toml"
    card.write_text(card.read_text() + f"without_images = {names}\n")
    return folder


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ('["class2"]', "class 'class6' has no image; where that is meant"),
        ('["class2", "class6", "class0"]', "12 images are of class 'class0', which the card says has none"),
        ('["class2", "class6", "klass"]', "names 'klass', which is none of its classes"),
    ],
)
def test_a_card_and_its_labels_must_agree(tmp_path: Path, names: str, said: str) -> None:
    """A class without an image may be a mistake: only one that the card names is none."""
    with pytest.raises(InputError, match=said):
        Dataset(declared(tmp_path / "d", names))


@pytest.mark.parametrize("family", ["4/2", "zsvidat-4/2"])
def test_splits_play_the_others_alone(tmp_path: Path, family: str) -> None:
    """Sizes count classes with images; those without are neither seen nor unseen, in any stage."""
    data = Dataset(declared(tmp_path / "d"))
    assert family in split_families(data)
    for split in make_splits(data, family, 3):
        for stage in ("test", "validation"):
            part = split.partition(stage)  # type: ignore[arg-type]
            assert not {2, 6} & {*part.seen.tolist(), *part.unseen.tolist()}
        assert len(split.partition("test").seen) == 4
    with pytest.raises(InputError, match="any S/U with S \\+ U = 6"):
        make_splits(data, "6/2", 1)
    (tmp_path / "s.json").write_text('[{"unseen": ["class2"]}]')
    with pytest.raises(InputError, match="class 'class2' has no image to be tested on"):
        read_splits(data, tmp_path / "s.json")


def test_the_whole_holds_nothing_out(tmp_path: Path) -> None:
    """A model's split: all images are trained on, described classes are unseen, others play unseen to choose on."""
    split = whole(Dataset(declared(tmp_path / "d")))
    part = split.partition("test")
    assert split.family == WHOLE
    assert len(part.train) == sum(SIZES)
    assert (part.unseen.tolist(), len(part.held_out_seen), len(part.held_out_unseen)) == ([2, 6], 0, 0)
    game = split.rehearsal("test")
    assert game is not None
    assert set(game.unseen) <= set(part.seen)
    assert set(game.seen) | set(game.unseen) == set(part.seen)


def test_a_model_is_measured_on_enough_classes() -> None:
    """Where every class has images, as many of them play unseen as a usual split has unseen ones: 5 of 21."""
    game = whole(zb.load("ucm").dataset).rehearsal("test")
    assert game is not None
    assert (len(game.seen), len(game.unseen)) == (16, 5)


def test_splits_of_full_data_sets_are_what_they_were(synthetic: Path) -> None:
    """What has images everywhere is split as ever."""
    assert make_splits(Dataset(synthetic), "6/2", 1)[0].hash == FULL


FULL = "350a425481ec048c27b3facf6478172afa3ab8470ef290c7095de92f9974b4df"


def test_a_model_names_them(tmp_path: Path) -> None:
    """Images that look like a described class are given to it, although none was trained on."""
    data = zb.load(declared(tmp_path / "d"))
    model = zb.fit("eszsl+cal", data)
    assert [name for name, seen in zip(model.class_names, model.header.seen, strict=True) if not seen] == [
        "class2",
        "class6",
    ]
    rng = np.random.default_rng(0)
    rng.normal(size=(8, 6))  # the semantics, which are drawn first
    mix = rng.normal(size=(6, 16))
    of_class = model.semantics[[2] * 20 + [6] * 20] @ mix + 0.3 * rng.normal(size=(40, 16))
    found = model.predict(of_class, candidates="unseen").labels
    assert np.mean(np.array(found) == ["class2"] * 20 + ["class6"] * 20) > 0.9


def test_data_check_and_runs(tmp_path: Path) -> None:
    """An examination counts them apart, and a run goes through."""
    found = examine(declared(tmp_path / "d"))
    assert (found.without_images, found.images_per_class["min"], found.errors) == (["class2", "class6"], 12, [])
    results = zb.run("eszsl", tmp_path / "d", splits=2, workers=0, store=tmp_path / "s", quiet=True)
    assert [row.done for row in results.leaderboard()[0].rows] == [4 // 2]


def sources(folder: Path) -> dict[str, Any]:
    """Plain arrays of three classes, the last of which has no image."""
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", rng.normal(size=(8, 4)).astype(np.float32))
    np.save(folder / "y.npy", np.repeat([0, 1], 4))
    np.save(folder / "s.npy", rng.normal(size=(3, 5)).astype(np.float32))
    (folder / "c.txt").write_text("a\nb\nc\n")
    named = {"features": "x.npy", "labels": "y.npy", "semantics": "s.npy"}
    return {name: str(folder / file) for name, file in named.items()} | {
        "classes": folder / "c.txt", "scratch": folder,
    }  # fmt: skip


def test_arrays_are_imported(tmp_path: Path) -> None:
    """They must be named; a name that is unknown, and one that has images, is refused."""
    given = sources(tmp_path)
    assert read_arrays(**given, without_images=["c"]).without_images == ("c",)
    for names, said in (([], "no image, 'c' among them.*without_images"), (["d"], "no class 'd'"),
                        (["b", "c"], "4 images are of class 'b'")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            read_arrays(**given, without_images=names)


def test_the_import_command_writes_them(tmp_path: Path, in_process: Any) -> None:
    """What was read is also written, and the card keeps the names."""
    given = sources(tmp_path)
    del given["scratch"]
    options = [word for name, value in given.items() for word in (f"--{name}", value)]
    command = ("data", "import", "arrays", *options, "--out", tmp_path / "out", "--without-images", "c", "--name", "d")
    *before, _, _, _, _ = command
    code, _, err = in_process(*before, "--name", "d")
    assert (code, err.endswith("Where that is meant, name them: --without-images c.\n")) == (2, True)
    code, out, err = in_process(*command)
    assert (code, err) == (0, "")
    assert "8 in 2 classes and 1 described alone" in out
    assert Dataset(tmp_path / "out").card.without_images == ["c"]


def test_a_report_shows_images_of_the_others(tmp_path: Path, in_process: Any) -> None:
    """No picture is asked for of a class that has none, and each is matched to its own class."""
    results = zb.run("eszsl", declared(tmp_path / "d"), splits=2, workers=0, store=tmp_path / "s", quiet=True)
    rng = np.random.default_rng(0)
    for number, count in enumerate(SIZES):
        for image in range(count):
            folder = tmp_path / "photos" / f"class{number}"
            folder.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(folder / f"{image:02}.png")
    data = Dataset(tmp_path / "d")
    found = sections(results.leaderboard(), results.store, "")
    section = dataclasses.replace(found[0], dataset=data)
    shown = examples(section, tmp_path / "photos")
    assert shown is not None
    assert shown.label
    for name, pictures in shown.classes.items():
        assert {picture.name.partition("/")[0] for picture in pictures} == {name}
        for picture in pictures:
            assert picture.correct == (picture.predicted == name)
