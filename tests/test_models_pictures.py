"""Pictures through a model: encoded as the data set's were, from a folder, a zip or one file."""

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import zslbench as zb
from zslbench.datasets.images import any_images
from zslbench.errors import InputError

pytest.importorskip("efficientnet_lite_pytorch")


@pytest.fixture(scope="module")
def model() -> Any:
    """A cheap method on the bundled data set."""
    return zb.fit("eszsl", zb.load("ucm"), validate=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures at several depths, and files that are none."""
    home = tmp_path / "new"
    rng = np.random.default_rng(0)
    for name in ("b.png", "deep/er/a2.png", "deep/er/a10.png"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(home / name)
    (home / "notes.txt").write_text("no picture")
    return home


def test_a_folder_a_zip_and_a_file_give_the_same(model: Any, folder: Path, tmp_path: Path) -> None:
    """In natural order, whatever else lies there; a picture's scores do not depend on its company."""
    found = model.predict_pictures(folder)
    assert found.files == ["b.png", "deep/er/a2.png", "deep/er/a10.png"]
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))
    zipped = model.predict_pictures(tmp_path / "new.zip")
    assert zipped.files == found.files
    np.testing.assert_array_equal(zipped.scores, found.scores)
    alone = model.predict_pictures(folder / "deep/er/a2.png")
    assert alone.files == ["a2.png"]
    np.testing.assert_array_equal(alone.scores[0], found.scores[1])


def test_pictures_that_cannot_be_read(model: Any, folder: Path) -> None:
    """The first is named, or all are counted and left out; where none can be read that is an error."""
    (folder / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.png.*skip_bad=True"):
        model.predict_pictures(folder)
    found = model.predict_pictures(folder, skip_bad=True)
    assert len(found) == 3
    assert list(found.skipped) == ["broken.png"]
    shutil.rmtree(folder / "deep")
    (folder / "b.png").unlink()
    with pytest.raises(InputError, match="none of 1 pictures can be read"):
        model.predict_pictures(folder, skip_bad=True)


def test_what_only_looks_like_a_picture_is_left_out_too(model: Any, folder: Path, in_process: Any) -> None:
    """A link to nowhere and a pipe are named, or counted and left out, like a damaged file; so does the gallery."""
    (folder / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(InputError, match=r"gone\.png: cannot be read.*skip_bad=True"):
        model.predict_pictures(folder)
    found = model.predict_pictures(folder, skip_bad=True)
    assert (len(found), list(found.skipped)) == (3, ["gone.png", "pipe.png"])
    model.save(folder.parent / "m.zsl")
    page = folder.parent / "g.html"
    line = "predict", folder.parent / "m.zsl", "--images", folder, "--workers", "0", "--skip-bad", "--html", page
    code, _, err = in_process(*line)
    assert (code, "2 of 5 pictures cannot be read" in err, page.stat().st_size > 1000) == (0, True, True)
    (folder / "deep/er/a2.png").rename(folder / "b.png")
    shutil.rmtree(folder / "deep")
    (folder / "b.png").unlink()
    with pytest.raises(InputError, match="none of 2 pictures can be read"):
        model.predict_pictures(folder, skip_bad=True)


def test_pictures_are_not_written_over(model: Any, folder: Path, in_process: Any) -> None:
    """Nor is one that lies in the folder; a table may be written beside them."""
    model.save(folder.parent / "m.zsl")
    before = (folder / "b.png").read_bytes()
    line = "predict", folder.parent / "m.zsl", "--images", folder, "--workers", "0", "--format", "csv", "-o"
    code, _, err = in_process(*line, folder / "b.png")
    assert (code, "b.png is a picture in" in err) == (2, True)
    assert (folder / "b.png").read_bytes() == before
    assert [in_process(*line, folder / "table.csv")[0] for _ in range(2)] == [0, 0]


def test_a_zip_that_was_cut_off(model: Any, folder: Path) -> None:
    """It is no zip any more, and is told so, not taken for a picture."""
    with zipfile.ZipFile(folder / "new.zip", "w") as packed:
        packed.write(folder / "b.png", "b.png")
    whole = (folder / "new.zip").read_bytes()
    (folder / "new.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="expected a zip file with images, found none"):
        model.predict_pictures(folder / "new.zip")


def test_nothing_to_look_at(model: Any, tmp_path: Path) -> None:
    """An empty folder, one without pictures, and nothing at all."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("x")
    for name, said in (
        ("empty", "found none"),
        ("text", r"found none but 1 file\(s\) \(\.txt 1\)"),
        ("gone", "gone: expected a picture, or a folder or zip with pictures, found nothing there"),
        ("text/a.txt", "a picture, or a folder or zip with pictures, is expected"),
    ):
        with pytest.raises(InputError, match=said):
            model.predict_pictures(tmp_path / name)


def test_features_of_another_make_are_not_guessed(model: Any, folder: Path) -> None:
    """A model on features that no backbone here makes, or makes otherwise, asks for features."""
    import msgspec

    from zslbench.models.pictures import encode_pictures

    other = msgspec.structs.replace(model.header, features="mine")
    with pytest.raises(InputError, match=r"no backbone known here makes.*give features"):
        encode_pictures(folder, other)
    card = msgspec.structs.replace(model.header.card, preprocessing="cropped")
    with pytest.raises(InputError, match=r"made otherwise.*'cropped'"):
        encode_pictures(folder, msgspec.structs.replace(model.header, card=card))
    weighted = msgspec.structs.replace(model.header, provenance={"weights": {"file": "w.pth", "sha256": "00"}})
    with pytest.raises(InputError, match="weights of a file of their own"):
        encode_pictures(folder, weighted)
    with pytest.raises(InputError, match="were made with 00"):
        encode_pictures(folder, weighted, weights=folder / "notes.txt")


def test_a_model_with_maps_encodes_them(folder: Path) -> None:
    """Features and maps of a picture are those that a data set of it would have; another grid is refused."""
    import msgspec

    from zslbench.datasets.backbones import find_backbone
    from zslbench.datasets.backbones.batches import EncodingJob, run
    from zslbench.models.pictures import encode_pictures

    backbone = find_backbone("efficientnet_lite0")
    header = zb.fit("eszsl", zb.load("ucm"), validate=False).header
    header = msgspec.structs.replace(header, maps="efficientnet_lite0_2x2", cells=(4, backbone.dim))
    found = encode_pictures(folder, header)
    with any_images(folder) as images:
        (batch,) = run(EncodingJob(images, backbone, "cpu", 8, 2), 0, 0)
    np.testing.assert_array_equal(found.features, batch.arrays[0].astype(np.float32))
    assert found.maps is not None
    np.testing.assert_array_equal(found.maps, batch.arrays[1])
    for wrong in ({"maps": "mine"}, {"cells": (5, backbone.dim)}):
        with pytest.raises(InputError, match=r"which its backbone does not make here.*features and maps"):
            encode_pictures(folder, msgspec.structs.replace(header, **wrong))


def test_any_images_refuses_what_points_outside(tmp_path: Path) -> None:
    """A zip whose member leaves it."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as packed:
        packed.writestr("../a.png", b"x")
    with pytest.raises(InputError, match="points outside"):
        any_images(tmp_path / "z.zip")
