"""What `data prepare` says of what it changed, passed over and doubted: in its output, in --json and in the card."""

import json
import os
import tomllib

import numpy as np
import pytest
from pictures import MEAN, picture, write_pictures

from zslbench.datasets.backbones import BACKBONES

PIL = pytest.importorskip("PIL.Image", reason="needs the extra 'images'")
pytest.importorskip("tomli_w", reason="needs the extra 'images'")

CLASSES = ("001.Black_footed_Albatross", "beach", "grizzly+bear", "harbor")


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Four classes of three pictures, word vectors for them, and a backbone without weights."""
    monkeypatch.setitem(BACKBONES, "mean", MEAN)
    words = "black footed albatross beach grizzly bear harbor".split()  # noqa: SIM905
    (tmp_path / "words.txt").write_text("".join(f"{word} {place} {place**2} 1\n" for place, word in enumerate(words)))
    return write_pictures(tmp_path / "images", 3, CLASSES)


def prepare(in_process, *options, name="mine"):
    return in_process(
        "data", "prepare", name, "--images", "images", "--semantics", "words:words.txt", "--backbone", "mean",
        "--workers", "0", *options,
    )  # fmt: skip


def test_everything_is_said_three_times(images, tmp_path, in_process):
    """Turned pictures, files passed over, empty folders and what is left out stand in the output, --json and card."""
    exif = PIL.Exif()
    exif[0x0112] = 6
    PIL.fromarray(picture(77)).save(images / "beach/turned.jpg", exif=exif)
    PIL.fromarray(picture(78)).convert("CMYK").save(images / "beach/print.jpg")
    PIL.fromarray(np.full((8, 8), 4000, np.uint16)).save(images / "harbor/deep.png")
    (images / "harbor/Thumbs.db").write_bytes(b"x")
    (images / "harbor/raw.cr2").write_bytes(b"x")
    (images / "empty").mkdir()
    code, out, err = prepare(in_process)
    assert (code, out) == (2, "")
    assert "harbor/deep.png: expected an 8-bit image, found a PNG file with 16 bits per channel" in err
    code, out, err = prepare(in_process, "--skip-bad")
    assert code == 0, err
    assert "passed   2 file(s) (.cr2 1, Thumbs.db 1); 1 folder(s) without images (empty)" in out
    assert "note     1 image(s) turned upright, as the orientation in the file says" in out
    assert "note     1 image(s) converted from CMYK to RGB without a colour profile" in out
    assert "left out: images: harbor/deep.png" in err
    code, out, _ = prepare(in_process, "--skip-bad", "--json", "--out", "again")
    said = json.loads(out)
    assert said["passed_over"] == {"files": {".cr2": 1, "Thumbs.db": 1}, "folders": ["empty"]}
    assert len(said["notes"]) == 2
    assert len(said["warnings"]) == 1
    facts = tomllib.loads((tmp_path / "mine/card.toml").read_text())["provenance"]
    assert facts["passed_over"] == {".cr2": 1, "Thumbs.db": 1}
    assert facts["folders_without_images"] == ["empty"]
    assert [note in facts["notes"] for note in said["notes"]] == [True, True]
    assert facts["skipped"] == ["harbor/deep.png"]


def test_nothing_is_said_of_plain_pictures(images, tmp_path, in_process):
    """Where nothing is changed or passed over, nothing is said, and the card has no such keys."""
    code, out, err = prepare(in_process, "--json")
    assert code == 0, err
    said = json.loads(out)
    assert (said["passed_over"], said["notes"], said["warnings"]) == ({"files": {}, "folders": []}, [], [])
    facts = tomllib.loads((tmp_path / "mine/card.toml").read_text())["provenance"]
    assert facts.keys().isdisjoint({"passed_over", "folders_without_images", "skipped"})


def test_a_class_of_deep_pictures_is_an_error_even_when_skipping(images, in_process):
    """A class that loses all its images is named."""
    for path in (images / "beach").iterdir():
        PIL.fromarray(np.full((8, 8), 4000, np.uint16)).save(path)
    code, _, err = prepare(in_process, "--skip-bad")
    assert code == 2
    assert "class 'beach' has no readable image: images: beach/beach0.png: expected an 8-bit image" in err


def test_folders_in_folders_are_asked_about_and_taken_as_said(images, tmp_path, in_process):
    """The message's remedy works, and the card's command repeats it."""
    for name in ("train", "test"):
        (tmp_path / "more" / name).mkdir(parents=True)
    write_pictures(tmp_path / "more/train/x", 2, ("beach", "harbor"))
    write_pictures(tmp_path / "more/test/x", 3, ("beach",))
    np.save(tmp_path / "v.npy", np.eye(3))
    options = ("--images", "more", "--semantics", "v.npy")
    code, _, err = in_process("data", "prepare", "set", *options, "--backbone", "mean", "--workers", "0")
    assert (code, "--class-folders" in err) == (2, True)
    code, _, err = in_process(
        "data", "prepare", "set", *options, "--backbone", "mean", "--workers", "0", "--class-folders", "leaf"
    )
    assert code == 0, err
    card = tomllib.loads((tmp_path / "set/card.toml").read_text())
    assert card["classes"] == ["test_x_beach", "train_x_beach", "train_x_harbor"]
    assert "--class-folders leaf" in card["provenance"]["command"]


@pytest.mark.parametrize("option", ["--images", "--classes", "--citation", "--semantics", "--weights"])
@pytest.mark.parametrize("kind", ["pipe", "device", "long"])
def test_special_files_and_long_names_are_one_line(images, tmp_path, in_process, option, kind):
    """A pipe, a device or a name that is too long, wherever a file is named: one line at once, and nothing written."""
    path = {"pipe": "pipe.toml", "device": "/dev/zero", "long": "x" * 5000 + ".toml"}[kind]
    if kind == "pipe":
        os.mkfifo(tmp_path / path)
    before = sorted(tmp_path.iterdir())
    code, out, err = prepare(in_process, option, path)
    assert (code, out) == (2, "")
    assert [line.startswith("zslbench:") for line in err.strip().splitlines()].count(True) == 1
    assert "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before


def test_vectors_in_an_order_that_nobody_gave(tmp_path, in_process, monkeypatch):
    """Folders 2 and 10 have two orders: rows that go by it are refused until --classes says which."""
    monkeypatch.setitem(BACKBONES, "mean", MEAN)
    write_pictures(tmp_path / "images", 2, ("1", "2", "10"))
    np.save(tmp_path / "v.npy", np.eye(3, dtype=np.float32))
    (tmp_path / "t.csv").write_text("class,x,y\n10,1,0\n2,0,1\n1,1,1\n")
    (tmp_path / "c.txt").write_text("1\n10\n2\n")
    command = ["data", "prepare", "mine", "--images", "images", "--workers", "0", "--backbone", "mean", "--semantics"]
    code, out, err = in_process(*command, "v.npy")
    assert (code, out, (tmp_path / "mine").exists()) == (2, "", False)
    assert "nothing says whether class 2 is '2', by the numbers in the names, or '10'" in err
    for options in (["v.npy", "--classes", "c.txt", "--out", "one"], ["t.csv", "--out", "two"]):
        code, _, err = in_process(*command, *options)
        assert code == 0, err
    assert np.load(tmp_path / "two/semantics/t.npy").tolist() == [[1, 1], [0, 1], [1, 0]]


def test_names_of_files_move_no_cursor(images, in_process):
    """What is said of a picture shows its name on one line, whatever the name holds."""
    PIL.fromarray(picture(77)).save(images / "beach/a\x1b[2Jb.png")
    PIL.fromarray(picture(77)).save(images / "harbor/c\nd\u202e.png")
    code, out, err = prepare(in_process)
    assert code == 0, err
    assert r"beach/a\x1b[2Jb.png and harbor/c d\u202e.png: the same picture" in err
    assert all(letter.isprintable() or letter == "\n" for letter in out + err)
