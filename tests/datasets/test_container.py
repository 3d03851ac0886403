"""Data set folders: whatever is wrong with one is an InputError that names the file, and nothing is unpickled."""

import io
import os
import pickle
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

import zslbench.datasets.container as container
from zslbench.datasets import Dataset, load_dataset
from zslbench.datasets.examine import examine
from zslbench.errors import InputError
from zslbench.hashing import array_digest

CLASSES, PER_CLASS, DIM, ATTRIBUTES = 8, 12, 16, 6
IMAGES = CLASSES * PER_CLASS


def use(folder: Path) -> None:
    """Read everything that a run would read."""
    data = Dataset(folder)
    data.view(maps=data.map_names[0] if data.map_names else None)


def replace(path: Path, content: bytes) -> None:
    """Write a new file (an old memory map keeps the old one)."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def npy(array: Any, **kwargs: Any) -> bytes:
    """The bytes of a .npy file."""
    stream = io.BytesIO()
    np.save(stream, array, **kwargs)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    """The bytes of a .npz file."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def edit_card(folder: Path, old: str, new: str) -> None:
    """Change the card's text."""
    path = folder / "card.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def add_to_card(folder: Path, text: str) -> None:
    """Put lines behind the card's."""
    path = folder / "card.toml"
    path.write_text(path.read_text() + text)


def features(folder: Path) -> np.ndarray:
    """A copy of the features."""
    return np.load(folder / "features/made.npy")


def spoil(array: np.ndarray, value: Any, at: tuple[int, ...]) -> np.ndarray:
    """A copy with one value changed."""
    array = array.copy()
    array[at] = value
    return array


def labels_with(value: Any, dtype: Any = np.int64) -> bytes:
    """Labels of which the sixth is `value`."""
    labels = np.repeat(np.arange(CLASSES), PER_CLASS).astype(dtype)
    labels[5] = value
    return npy(labels)


LABELS = np.repeat(np.arange(CLASSES), PER_CLASS)
VISUAL = np.ones((IMAGES, DIM), np.float32)
WORDS = np.ones((CLASSES, ATTRIBUTES), np.float32)
LABEL_FILE, VISUAL_FILE, WORD_FILE, CARD = "labels.npy", "features/made.npy", "semantics/truth.npy", "card.toml"

BAD_CARDS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda f: (f / CARD).unlink(), "it has no card.toml"),
    "a folder": (lambda f: ((f / CARD).unlink(), (f / CARD).mkdir()), "card.toml"),
    "empty": (lambda f: (f / CARD).write_text(""), "card.toml: Object missing required field `name`"),
    "not TOML": (lambda f: add_to_card(f, "x = [\n"), "card.toml: "),
    "not text": (lambda f: (f / CARD).write_bytes(b"\xff\xfe"), "card.toml: "),
    "deeply nested": (lambda f: add_to_card(f, "x = " + "[" * 5000), "card.toml: "),
    "endless number": (lambda f: add_to_card(f, "x = " + "1" * 5000), "card.toml: "),
    "key twice": (lambda f: add_to_card(f, 'name = "again"\n'), "card.toml: "),
    "unknown key": (lambda f: add_to_card(f, 'licens = "MIT"\n'), "unknown field `licens`"),
    "unknown key of features": (lambda f: add_to_card(f, "[features.made]\ndims = 3\n"), "unknown field `dims`"),
    "unknown key of semantics": (lambda f: add_to_card(f, "[semantics.truth]\ncolumn = []\n"), "field `column`"),
    "other format": (lambda f: add_to_card(f, "format = 2\n"), "format 2; this version of zslbench reads format 1"),
    "format as text": (lambda f: add_to_card(f, 'format = "1"\n'), "card.toml: Expected `int`"),
    "name as number": (lambda f: edit_card(f, 'name = "toy"', "name = 3"), "card.toml: Expected `str`"),
    "class twice": (lambda f: edit_card(f, '"class1"', '"class0"'), "each once"),
    "one class": (lambda f: (f / CARD).write_text((f / CARD).read_text().split("classes")[0] + 'classes = ["a"]\n'
                  'default_features = "made"\ndefault_semantics = "truth"\n'), "at least two classes"),
    "more classes": (lambda f: edit_card(f, '"class7"', '"class7", "class8"'), "class 'class8' has no image"),
    "fewer classes": (lambda f: edit_card(f, ', "class7"', ""), "the card names 7 classes, so 0 to 6 is expected"),
    "too few columns": (lambda f: add_to_card(f, '[semantics.truth]\ncolumns = ["a"]\n'), "names 1 columns, but"),
    "too many groups": (lambda f: add_to_card(f, f"[semantics.truth]\ngroups = {['a'] * 7}\n"), "names 7 groups, but"),
    "no such features": (lambda f: edit_card(f, '"made"', '"mad"'), "no features 'mad'. Did you mean 'made'"),
    "no such semantics": (lambda f: edit_card(f, '"truth"', '"lies"'), "no semantics 'lies'. It has: truth"),
    "a way out": (lambda f: edit_card(f, '"made"', '"../labels"'), "no features '../labels'"),
}  # fmt: skip

BAD_ARRAYS: dict[str, tuple[str, bytes | None, str]] = {
    "no labels": (LABEL_FILE, None, "is missing"),
    "labels too high": (LABEL_FILE, labels_with(CLASSES), "labels run from 0 to 8"),
    "labels negative": (LABEL_FILE, labels_with(-1), "labels run from -1 to 7"),
    "labels beyond int64": (LABEL_FILE, labels_with(2**64 - 1, np.uint64), "labels run from"),
    "labels float": (LABEL_FILE, npy(LABELS.astype(float)), "expected (N,) integers, found (96,) float64"),
    "labels bool": (LABEL_FILE, npy(LABELS > 3), "expected (N,) integers"),
    "labels text": (LABEL_FILE, npy(LABELS.astype(str)), "expected (N,) integers"),
    "labels 2-D": (LABEL_FILE, npy(LABELS[:, None]), "expected (N,) integers, found (96, 1)"),
    "labels 0-D": (LABEL_FILE, npy(np.int64(3)), "expected (N,) integers, found ()"),
    "no image": (LABEL_FILE, npy(LABELS[:0]), "labels.npy"),
    "empty class": (LABEL_FILE, npy(np.where(LABELS == 3, 2, LABELS)), "class 'class3' has no image"),
    "features 1-D": (VISUAL_FILE, npy(VISUAL[:, 0]), "expected (N, D) floating-point numbers, found (96,)"),
    "features 3-D": (VISUAL_FILE, npy(VISUAL[None]), "expected (N, D) floating-point numbers"),
    "features int": (VISUAL_FILE, npy(VISUAL.astype(int)), "expected (N, D) floating-point numbers"),
    "features complex": (VISUAL_FILE, npy(VISUAL.astype(complex)), "expected (N, D) floating-point numbers"),
    "features of records": (VISUAL_FILE, npy(np.zeros((IMAGES, 2), "f4,i4")), "expected (N, D) floating-point"),
    "features NaN": (VISUAL_FILE, npy(spoil(VISUAL, np.nan, (7, 3))), "row 7 holds NaN"),
    "features infinite": (VISUAL_FILE, npy(spoil(VISUAL, -np.inf, (95, 0))), "row 95 holds NaN, infinity"),
    "features too large": (VISUAL_FILE, npy(spoil(VISUAL.astype(float), 1e39, (4, 0))), "row 4 holds NaN, infinity"),
    "features short": (VISUAL_FILE, npy(VISUAL[:-1]), "95 rows, but labels.npy has 96"),
    "features long": (VISUAL_FILE, npy(np.ones((97, DIM))), "97 rows, but labels.npy has 96"),
    "features without columns": (VISUAL_FILE, npy(VISUAL[:, :0]), "made.npy"),
    "features without rows": (VISUAL_FILE, npy(VISUAL[:0]), "made.npy"),
    "features empty file": (VISUAL_FILE, b"", "is not a readable .npy array"),
    "features text": (VISUAL_FILE, b"1,2,3\n", "is not a readable .npy array"),
    "features cut short": (VISUAL_FILE, npy(VISUAL)[:-1], "is not a readable .npy array"),
    "features header only": (VISUAL_FILE, npy(VISUAL)[:40], "is not a readable .npy array"),
    "features magic only": (VISUAL_FILE, b"\x93NUMPY\x01\x00", "is not a readable .npy array"),
    "features broken header": (VISUAL_FILE, npy(VISUAL).replace(b"(96, 16)", b"(96, (6)"), "not a readable .npy"),
    "features negative shape": (VISUAL_FILE, npy(VISUAL).replace(b"(96, 16)", b"(-96, 6)"), "made.npy"),
    "features vast shape": (VISUAL_FILE, npy(VISUAL).replace(b"(96, 16), }", b"(9999999999, 9999999999)}"), "made.npy"),
    "features .npz": (VISUAL_FILE, npz(a=VISUAL), "is an .npz archive"),
    "features broken .npz": (VISUAL_FILE, npz(a=VISUAL)[:-30], "is not a readable .npy array"),
    "features zip magic": (VISUAL_FILE, b"PK\x03\x04" + bytes(50), "is not a readable .npy array"),
    "semantics 1-D": (WORD_FILE, npy(WORDS[:, 0]), "expected (C, A) numbers, found (8,)"),
    "semantics bool": (WORD_FILE, npy(WORDS > 0), "expected (C, A) numbers"),
    "semantics text": (WORD_FILE, npy(WORDS.astype(str)), "expected (C, A) numbers"),
    "semantics short": (WORD_FILE, npy(WORDS[:-1]), "7 rows, but the card names 8 classes"),
    "semantics transposed": (WORD_FILE, npy(WORDS.T), "6 rows, but the card names 8 classes"),
    "semantics NaN": (WORD_FILE, npy(spoil(WORDS, np.nan, (2, 1))), "row 2 holds NaN"),
    "semantics too large": (WORD_FILE, npy(spoil(WORDS.astype(float), 1e300, (1, 1))), "row 1 holds NaN, infinity"),
    "semantics without columns": (WORD_FILE, npy(WORDS[:, :0]), "truth.npy"),
    "maps 2-D": ("maps/made.npy", npy(VISUAL), "expected (N, P, D) floating-point numbers"),
    "maps NaN": ("maps/made.npy", npy(np.full((IMAGES, 2, 3), np.nan)), "row 0 holds NaN"),
    "maps short": ("maps/made.npy", npy(np.ones((3, 2, 3))), "3 rows, but labels.npy has 96"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CARDS)
@pytest.mark.filterwarnings("error")
def test_a_bad_card(synthetic: Path, case: str) -> None:
    """A card that is missing, unreadable or contradicts the arrays is an InputError that names it."""
    break_it, message = BAD_CARDS[case]
    break_it(synthetic)
    with pytest.raises(InputError) as caught:
        use(synthetic)
    assert message in str(caught.value)
    assert "toy" in str(caught.value)


@pytest.mark.parametrize("case", BAD_ARRAYS)
@pytest.mark.filterwarnings("error")
def test_a_bad_array(synthetic: Path, case: str) -> None:
    """An array that is missing, damaged or does not fit is an InputError that names its file, without a warning."""
    name, content, message = BAD_ARRAYS[case]
    (synthetic / name).unlink(missing_ok=True)
    if content is not None:
        replace(synthetic / name, content)
    with pytest.raises(InputError) as caught:
        use(synthetic)
    assert message in str(caught.value)
    assert str(synthetic / name) in str(caught.value)


@pytest.mark.parametrize("kind", ["features", "semantics"])
@pytest.mark.parametrize("emptied", ["removed", "emptied"])
def test_a_kind_without_arrays(synthetic: Path, kind: str, emptied: str) -> None:
    """A data set needs features and semantics; what is missing is named with the form that is expected."""
    shutil.rmtree(synthetic / kind)
    if emptied == "emptied":
        (synthetic / kind).mkdir()
    with pytest.raises(InputError, match=f"no array in {kind}/: expected at least one {kind}/NAME.npy"):
        Dataset(synthetic)


def test_no_folder(tmp_path: Path) -> None:
    """A path that is no folder is refused by name."""
    (tmp_path / "file").write_text("")
    for name in ("nowhere", "file"):
        with pytest.raises(InputError, match=f"no data set folder .*{name}"):
            Dataset(tmp_path / name)


@pytest.mark.parametrize("name", [LABEL_FILE, VISUAL_FILE, WORD_FILE])
def test_a_folder_in_place_of_an_array(synthetic: Path, name: str) -> None:
    """A folder with an array's name is refused like any other unreadable file."""
    (synthetic / name).unlink()
    (synthetic / name).mkdir()
    with pytest.raises(InputError, match="is not a readable"):
        use(synthetic)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", [CARD, LABEL_FILE, VISUAL_FILE])
def test_a_file_without_permission(synthetic: Path, name: str) -> None:
    """A file that may not be read is named."""
    (synthetic / name).chmod(0)
    with pytest.raises(InputError, match=Path(name).name):
        use(synthetic)


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", [LABEL_FILE, VISUAL_FILE, WORD_FILE, "maps/made.npy"])
@pytest.mark.parametrize("form", ["object array", "record array", "pickle", ".npz"])
def test_no_file_is_ever_unpickled(synthetic: Path, tmp_path: Path, name: str, form: str) -> None:
    """A pickle in any disguise is refused by name, and what it would do does not happen."""
    marker = tmp_path / "exploded"
    bombs = np.array([Bomb(marker), Bomb(marker)], dtype=object)
    records = np.zeros(2, dtype=[("x", "O")])
    records["x"] = bombs
    content = {
        "object array": npy(bombs, allow_pickle=True),
        "record array": npy(records, allow_pickle=True),
        "pickle": pickle.dumps(bombs),
        ".npz": npz(a=bombs),
    }[form]
    loaded = np.load(io.BytesIO(content), allow_pickle=True)
    assert form != ".npz" or loaded["a"] is not None
    assert marker.exists(), "the payload is armed"
    marker.unlink()
    replace(synthetic / name, content)
    with pytest.raises(InputError) as caught:
        use(synthetic)
    assert str(synthetic / name) in str(caught.value)
    assert not marker.exists()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of which one array is damaged again and again."""
    return write_synthetic(tmp_path_factory.mktemp("fuzz") / "toy")


def read_damaged(folder: Path, name: str, content: bytes) -> None:
    """Whatever the bytes, the file is either read or refused by name."""
    path = folder / name
    good = path.read_bytes()
    replace(path, content)
    try:
        use(folder)
    except InputError as error:
        assert path.name in str(error)  # noqa: PT017  it need not be raised
    finally:
        replace(path, good)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([LABEL_FILE, VISUAL_FILE, WORD_FILE, CARD]),
    st.sampled_from([b"", b"\x93NUMPY\x01\x00v\x00", b"\x93NUMPY\x02\x00", b"PK\x03\x04", b"PK\x05\x06", b"\x80\x04"]),
    st.binary(max_size=200),
)
def test_random_bytes(target: Path, name: str, start: bytes, rest: bytes) -> None:
    """Random bytes, behind the signatures of the formats NumPy knows, never end in another error."""
    read_damaged(target, name, start + rest)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["labels", "features", "semantics", "archive"]),
    st.lists(
        st.tuples(st.integers(0, 130), st.integers(0, 8), st.text("0123456789(){}[]'\",:-<>|fiuOVLe \n", max_size=6)),
        min_size=1,
        max_size=4,
    ),
)
def test_damaged_headers(target: Path, kind: str, edits: list[tuple[int, int, str]]) -> None:
    """Arrays and archives whose headers were edited never end in another error."""
    name = {"labels": LABEL_FILE, "semantics": WORD_FILE}.get(kind, VISUAL_FILE)
    content = npz(a=VISUAL[:9]) if kind == "archive" else (target / name).read_bytes()
    for at, removed, inserted in edits:
        content = content[:at] + inserted.encode() + content[at + removed :]
    read_damaged(target, name, content)


def test_what_is_on_disk_is_what_is_read(synthetic: Path) -> None:
    """Names, labels, features and semantics come back as they were written, with the digests that name them."""
    data = Dataset(synthetic)
    view = data.view()
    assert (data.name, data.class_names) == ("toy", tuple(f"class{index}" for index in range(CLASSES)))
    assert (view.features_name, view.semantics_name) == ("made", "truth")
    assert data.images_per_class.tolist() == [PER_CLASS] * CLASSES
    np.testing.assert_array_equal(view.labels, LABELS)
    np.testing.assert_array_equal(view.features, features(synthetic))
    np.testing.assert_array_equal(view.semantics, np.load(synthetic / WORD_FILE))
    files = {"features": VISUAL_FILE, "labels": LABEL_FILE, "semantics": WORD_FILE}
    assert view.hashes == {kind: array_digest(np.load(synthetic / name)) for kind, name in files.items()}


def test_features_stay_on_disk(synthetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large features and maps are memory maps; the rows asked for are a fresh, writable copy in single precision."""
    replace(synthetic / VISUAL_FILE, npy(np.asfortranarray(features(synthetic).astype(np.float16))))
    replace(synthetic / "maps/made.npy", npy(np.ones((IMAGES, 2, 3), np.float16)))
    monkeypatch.setattr(container, "_LARGE_BYTES", 1)
    view = Dataset(synthetic).view(maps="made")
    assert isinstance(view.features, np.memmap)
    assert isinstance(view.maps, np.memmap)
    assert view.hashes["maps"] == array_digest(np.ones((IMAGES, 2, 3), np.float16))
    rows = view.rows(np.array([5, 3, 5]))
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    assert rows.flags.writeable
    np.testing.assert_array_equal(rows, features(synthetic)[[5, 3, 5]].astype(np.float32))
    rows[:] = 0
    assert np.array_equal(view.features, features(synthetic))


@pytest.mark.parametrize("name", ["features", "labels", "semantics"])
@pytest.mark.parametrize("width", [np.int64, np.uint8])
def test_a_view_is_read_only(synthetic: Path, name: str, width: type) -> None:
    """Nobody can change the arrays that hashes were taken of, be they on disk or converted."""
    replace(synthetic / LABEL_FILE, npy(LABELS.astype(width)))
    with pytest.raises(ValueError, match="read-only"):
        getattr(Dataset(synthetic).view(), name)[0] = 0


def test_the_row_is_named_in_any_block(synthetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are checked block by block, and the row that is bad is counted from the file's start."""
    monkeypatch.setattr(container, "_BLOCK_ROWS", 7)
    replace(synthetic / VISUAL_FILE, npy(spoil(VISUAL, np.nan, (93, 1))))
    with pytest.raises(InputError, match="row 93 holds"):
        use(synthetic)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floating_point_features_of_any_width(synthetic: Path, dtype: Any) -> None:
    """Half, single and double precision in either byte order are read; training gets single precision."""
    replace(synthetic / VISUAL_FILE, npy(VISUAL.astype(dtype)))
    view = Dataset(synthetic).view()
    assert np.array_equal(view.rows(np.arange(IMAGES)), VISUAL)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
def test_numbers_of_any_kind_are_semantics(synthetic: Path, dtype: Any) -> None:
    """Whole numbers, such as attributes that are there or not, are semantics like any others."""
    words = np.arange(CLASSES * ATTRIBUTES).reshape(CLASSES, ATTRIBUTES) % 5
    replace(synthetic / WORD_FILE, npy(words.astype(dtype)))
    semantics = Dataset(synthetic).semantics()
    assert semantics.dtype == np.float32
    assert np.array_equal(semantics, words)


@pytest.fixture
def two_blocks(synthetic: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A data set with a second block of semantics, of another width and scale."""
    second = np.random.default_rng(1).normal(size=(CLASSES, 4)) * 100
    replace(synthetic / "semantics/words.npy", npy(second))
    return synthetic, np.load(synthetic / WORD_FILE).astype(np.float64), second


def unit(block: np.ndarray) -> np.ndarray:
    """Rows of length one."""
    return np.array([row / np.sqrt(sum(value * value for value in row)) for row in block])


@pytest.mark.parametrize("name", ["truth+words", "words+truth", "words+words", "truth+words+truth"])
def test_blocks_side_by_side(two_blocks: tuple[Path, np.ndarray, np.ndarray], name: str) -> None:
    """``a+b`` is a's rows and b's rows, each of length one, in the order named, with a hash of its own."""
    folder, truth, words = two_blocks
    view = Dataset(folder).view(semantics=name)
    expected = np.hstack([unit({"truth": truth, "words": words}[part]) for part in name.split("+")])
    np.testing.assert_allclose(view.semantics, expected, rtol=1e-5, atol=1e-7)
    assert view.semantics.dtype == np.float32
    assert view.semantics_name == name
    assert view.hashes["semantics"] == array_digest(view.semantics)


def test_one_block_is_not_normalised(two_blocks: tuple[Path, np.ndarray, np.ndarray]) -> None:
    """A single block is used as stored."""
    folder, _, words = two_blocks
    np.testing.assert_array_equal(Dataset(folder).semantics("words"), words.astype(np.float32))


def test_a_zero_row_cannot_be_normalised(two_blocks: tuple[Path, np.ndarray, np.ndarray]) -> None:
    """A class without any attribute is fine alone, and an error that names block and row in a combination."""
    folder, truth, _ = two_blocks
    replace(folder / WORD_FILE, npy(spoil(truth, 0, (3,))))
    assert not Dataset(folder).semantics("truth")[3].any()
    for name in ("truth+words", "words+truth"):
        with pytest.raises(InputError, match="semantics 'truth': row 3 is all zeros"):
            Dataset(folder).semantics(name)


@pytest.mark.parametrize("name", ["truth+", "+truth", "truth+word", "truth++words"])
def test_a_block_that_does_not_exist(two_blocks: tuple[Path, np.ndarray, np.ndarray], name: str) -> None:
    """A part of a combination that there is not is refused with those there are."""
    with pytest.raises(InputError, match=r"has no semantics '.*It has: truth, words"):
        Dataset(two_blocks[0]).view(semantics=name)


def test_groups_of_attributes(two_blocks: tuple[Path, np.ndarray, np.ndarray]) -> None:
    """Groups come from the card, column by column; a block without any is one group of its own name."""
    folder, _, _ = two_blocks
    add_to_card(folder, '[semantics.truth]\ngroups = ["a", "a", "b", "b", "b", "c"]\n')
    assert Dataset(folder).view().attribute_groups == ("a", "a", "b", "b", "b", "c")
    combined = Dataset(folder).view(semantics="words+truth").attribute_groups
    assert combined == ("words",) * 4 + ("a", "a", "b", "b", "b", "c")


def test_a_folder_or_a_name(synthetic: Path) -> None:
    """A data set is found by the path of its folder; an unknown name is refused with those that are bundled."""
    assert load_dataset(synthetic).name == "toy"
    assert load_dataset(str(synthetic)).name == "toy"
    with pytest.raises(InputError, match=r"unknown data set 'tou': neither a bundled one nor a folder.*Bundled: "):
        load_dataset("tou")
    with pytest.raises(InputError, match=r"'aid' is known and not here: `zslbench data download aid` gets it"):
        load_dataset("aid")


def test_a_large_array_is_hashed_once_and_again_when_its_file_changes(synthetic, monkeypatch):
    """The digest kept beside a large file spares the second reading, and an edit of the same size and time does not."""
    monkeypatch.setattr(container, "_LARGE_BYTES", 1)
    path = synthetic / VISUAL_FILE
    first = Dataset(synthetic).view().hashes["features"]
    assert first == array_digest(np.load(path))

    def unread(*_: object) -> str:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(container, "_digest", unread)
        assert Dataset(synthetic).view().hashes["features"] == first
    assert Dataset(synthetic).feature_names == ["made"]
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\0\0\0\0")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    changed = Dataset(synthetic).view().hashes["features"]
    assert changed == array_digest(np.load(path)) != first


@pytest.mark.parametrize("content", [b"", b"[]", b'{"file":[1],"digest":"x"}', b"[" * 10_000])
def test_a_damaged_note_of_a_digest_counts_for_nothing(synthetic, monkeypatch, content):
    """Whatever stands beside a large file, its digest is that of its numbers; a folder that is read-only will do."""
    monkeypatch.setattr(container, "_LARGE_BYTES", 1)
    path = synthetic / VISUAL_FILE
    (path.parent / f".{path.name}.digest.json").write_bytes(content)
    assert Dataset(synthetic).view().hashes["features"] == array_digest(np.load(path))


def test_lazy_rows_are_the_rows(synthetic, monkeypatch):
    """Slices and the whole are the rows that `rows` gives, read-only, in any blocks; other indices are refused."""
    monkeypatch.setattr(container, "_BLOCK_ROWS", 5)
    view = Dataset(synthetic).view()
    images = np.array([3, 90, 7, 8, 50, 51, 52])
    lazy = view.lazy_rows(images)
    expected = np.load(synthetic / VISUAL_FILE)[images].astype(np.float32)
    assert (len(lazy), lazy.shape, lazy.dtype) == (7, (7, DIM), np.float32)
    assert np.array_equal(lazy[2:6], expected[2:6])
    assert not lazy[2:6].flags.writeable
    assert np.array_equal(np.asarray(lazy, np.float64), expected.astype(np.float64))
    assert np.array_equal(view.rows(images), expected)
    with pytest.raises(TypeError, match="a slice is expected, found int"):
        lazy[2]  # type: ignore[index]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_card_is_the_same_however_it_was_saved(synthetic, encoding):
    """Byte-order marks and decomposed names change nothing: names are composed, and lookups compare them so."""
    path = synthetic / CARD
    text = path.read_text().replace("class1", "for\u00eat")
    path.write_bytes(unicodedata.normalize("NFD", text).replace("\n", "\r\n").encode(encoding))
    assert "for\u00eat" in Dataset(synthetic).class_names


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "toy"', 'name = "toy\\u001b[31m"', "name: .* cannot be printed"),
        ('name = "toy"', 'name = ""', "name: '' is empty"),
        ('"class1"', '"a\\u202e"', "class name .* cannot be printed"),
        ('"class1", "class2"', '"for\u00eat", "fore\\u0302t"', "two forms of Unicode"),
    ],
)
def test_names_on_a_card_are_checked(synthetic, old, new, message):
    """Names go to terminals, tables and pages."""
    edit_card(synthetic, old, new)
    with pytest.raises(InputError, match=message):
        Dataset(synthetic)


@pytest.mark.parametrize("file", [CARD, LABEL_FILE, VISUAL_FILE, WORD_FILE])
def test_a_pipe_in_a_data_set_is_refused_at_once(synthetic, file):
    """By the run and by the check, which hangs at nothing."""
    (synthetic / file).unlink()
    os.mkfifo(synthetic / file)
    with pytest.raises(InputError, match=file):
        use(synthetic)
    assert any(file in error for error in examine(synthetic).errors)


def swapped(path: Path) -> None:
    """Another file takes its place."""
    new = path.with_name("new")
    np.save(new, np.load(path)[::-1])
    new.with_suffix(".npy").replace(path)


def overwritten(path: Path) -> None:
    """Other numbers are written into it, and its time of modification is put back."""
    before = path.stat()
    with open(path, "r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\x00\x00\x80\x3f")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncated(path: Path) -> None:
    """Its end is cut off."""
    os.truncate(path, path.stat().st_size // 2)


CHANGES = (swapped, overwritten, truncated, Path.unlink)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("file", [VISUAL_FILE, WORD_FILE, LABEL_FILE, "maps/made.npy"])
def test_small_arrays_cannot_change_under_a_run(synthetic: Path, change: Callable[[Path], None], file: str) -> None:
    """What is hashed is in memory: whatever happens to the files, a view keeps the numbers that its hashes name."""
    replace(synthetic / "maps/made.npy", npy(np.ones((IMAGES, 2, 3), np.float32)))
    view = Dataset(synthetic).view(maps="made")
    change(synthetic / file)
    held = {"features": view.features, "labels": view.labels, "semantics": view.semantics, "maps": view.maps}
    assert {kind: array_digest(array) for kind, array in held.items()} == view.hashes
    view.check_unchanged()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("file", [VISUAL_FILE, "maps/made.npy"])
def test_large_arrays_that_change_are_named(
    synthetic: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], file: str
) -> None:
    """A file that is read while trials run is compared with what was hashed, and named when it holds other numbers."""
    (synthetic / "maps").mkdir(exist_ok=True)
    np.save(synthetic / "maps/made.npy", np.arange(IMAGES * 6, dtype=np.float32).reshape(-1, 2, 3))
    monkeypatch.setattr(container, "_LARGE_BYTES", 1)
    view = Dataset(synthetic).view(maps="made")
    view.check_unchanged()
    (synthetic / file).touch()
    view.check_unchanged()  # the same numbers at another time
    change(synthetic / file)
    with pytest.raises(InputError, match=rf"{file} was changed while trials ran"):
        view.check_unchanged()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a/b", "slash"), ("..\\\\x", "slash"), ("\\u202ea", "printed"), ("\\u001b[31m", "printed"), (" ", "printed"),
        ("x" * 201, "201 characters"),
    ],
    ids=str.strip,
)  # fmt: skip
def test_names_that_are_no_names(synthetic: Path, name: str, said: str) -> None:
    """A data set's name is short, printable and no path: it stands in tables and in the names of files."""
    card = synthetic / "card.toml"
    card.write_text(card.read_text().replace('name = "toy"', f'name = "{name}"', 1))
    with pytest.raises(InputError, match=said):
        Dataset(synthetic)


@pytest.mark.parametrize("kind", ["features", "semantics"])
def test_names_of_arrays_are_printable(synthetic: Path, kind: str) -> None:
    """The name of a file is the name of what it holds, and is shown like any other."""
    (synthetic / kind / "a\x1b[31m.npy").write_bytes(b"")
    with pytest.raises(InputError, match="printed"):
        Dataset(synthetic)
