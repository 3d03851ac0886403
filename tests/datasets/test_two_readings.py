"""Where two readings are possible and differ, neither is taken: numbers in names, orders of classes, stray columns."""

import io

import numpy as np
import pytest
import scipy.io
from conftest import write_synthetic
from hypothesis import given, settings
from hypothesis import strategies as st
from importing_files import gbu

from zslbench.classnames import misplaced
from zslbench.datasets.examine import examine
from zslbench.datasets.importing.arrays import read_arrays
from zslbench.datasets.importing.labels import labels_of
from zslbench.datasets.importing.mcfa import read_mcfa
from zslbench.datasets.importing.xlsa17 import understand
from zslbench.datasets.semantics.tables import table_block
from zslbench.datasets.stray import counts, stray_column
from zslbench.errors import InputError

ORDER = np.arange(20) % 5
FEATURES = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
REVERSED = [
    ("05", "04", "03", "02", "01"), ("5.0", "4.0", "3.0", "2.0", "1.0"), ("+5", "+4", "+3", "+2", "+1"),
    ("class5", "class4", "class3", "class2", "class1"), ("005.Terns", "004.Gulls", "003.Auks", "002.Jays", "001.Owls"),
    ("kind 5 of sea", "kind 4 of sea", "kind 3 of sea", "kind 2 of sea", "kind 1 of sea"),
]  # fmt: skip


def read(values, names, **options):
    notes: list[str] = []
    return labels_of(np.asarray(values), names, "labels", notes, **options), "; ".join(notes)


@pytest.mark.parametrize("names", REVERSED)
@pytest.mark.parametrize("as_text", [False, True])
def test_numbers_in_names_are_a_reading(names, as_text):
    """Class 5 may be the fifth class or the one that is called class5; where they are the same, nothing is asked."""
    values = (ORDER + 1).astype(str) if as_text else ORDER + 1
    with pytest.raises(InputError, match="say labels_are='numbers' or labels_are='names'"):
        read(values, names)
    assert np.array_equal(read(values, names, labels_are="numbers")[0], ORDER)
    labels, notes = read(values, names, labels_are="names")
    assert np.array_equal(labels, 4 - ORDER)
    assert "the numbers in the classes' names" in notes
    labels, notes = read(values, names[::-1])
    assert np.array_equal(labels, ORDER)
    assert "counted from 1" in notes


def test_numbers_that_are_in_names_alone_are_those():
    """Numbers with gaps can count nothing; as those of the names they make sense, and others are refused."""
    names = ("a1", "b2", "c4", "d5", "e6")
    labels, _ = read(np.array([1, 2, 4, 5, 6])[ORDER], names)
    assert np.array_equal(labels, ORDER)
    with pytest.raises(InputError, match="run from 1 to 7"):
        read(np.array([1, 2, 4, 5, 7])[ORDER], names)


@given(st.permutations(range(1, 6)), st.sampled_from(["{}", "0{}", "c{}", "{}.x", "x {} y"]), st.integers(0, 1))
@settings(max_examples=100, deadline=None)
def test_labels_are_never_taken_for_those_of_another_class(order, form, base):
    """Whatever order numbered classes are in, labels are the same by either reading, or the user is asked."""
    names = tuple(form.format(number) for number in order)
    try:
        labels, notes = read(ORDER + base, names)
    except InputError:
        assert list(order) != sorted(order)
        return
    numbers = np.array([order[label] for label in labels])
    assert np.array_equal(labels, ORDER)
    assert base == 0 or np.array_equal(numbers, ORDER + 1), notes


@pytest.mark.parametrize("numbers", [[0, 1, 2], [3, 1, 2], np.arange(12)[::-1] * 5.0 + 100])
def test_what_counts(numbers):
    """An index is one in any order; a few numbers of other steps may be data."""
    assert counts(np.array(numbers))
    assert not any(map(counts, map(np.array, ([1, 3, 5], [1, 2], [1, 1, 2], [0.5, 1.5, 2.5], [np.nan, 1, 2]))))


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("column", [ORDER, ORDER + 1, np.random.default_rng(1).permutation(20)])
def test_a_column_of_labels_or_numbers_is_no_feature(tmp_path, place, column):
    """The importers refuse it, and the check says it of a folder; what is no such column is taken."""
    columns = [column[:, None], FEATURES] if place == "first" else [FEATURES, column[:, None]]
    array = np.concatenate(columns, axis=1).astype(np.float32)
    said = f"its {place} column"
    assert stray_column(array, ORDER).startswith(said)
    assert stray_column(FEATURES, ORDER) == ""
    folder = write_synthetic(tmp_path / "toy", classes=5, per_class=4, families='["4/1"]')
    np.save(folder / "features/made.npy", array)
    np.save(folder / "labels.npy", ORDER)
    assert any(said in warning for warning in examine(folder).warnings)


def test_the_importer_takes_no_stray_column(tmp_path, in_process):
    """A table of features with its labels makes no data set."""
    np.save(tmp_path / "f.npy", np.c_[FEATURES, ORDER])
    np.save(tmp_path / "y.npy", ORDER)
    np.save(tmp_path / "s.npy", np.eye(5))
    (tmp_path / "c.txt").write_text("a\nb\nc\nd\ne\n")
    command = ["data", "import", "arrays", "--name", "x"]
    for name in ("features", "labels", "semantics"):
        command += [f"--{name}", f"{name[0].replace('l', 'y')}.npy"]
    code, out, err = in_process(*command, "--classes", "c.txt")
    assert (code, out, (tmp_path / "x").exists()) == (2, "", False)
    assert "f.npy: features 'imported': its last column holds the labels" in err


@pytest.mark.parametrize("numbers", [[3, 1, 2], [2, 0, 1]])
def test_rows_that_are_numbered_in_another_order(tmp_path, numbers):
    """Neither a plain table nor one that is said to be in order can have its rows numbered otherwise."""
    (tmp_path / "c.txt").write_text("a\nb\nc\n")
    np.save(tmp_path / "f.npy", FEATURES[:12])
    np.save(tmp_path / "y.npy", ORDER[:12] % 3)
    table = tmp_path / "s.csv"
    table.write_text("".join(f"{number},{number + 0.5},7.5\n" for number in numbers))
    with pytest.raises(InputError, match="its first column counts the rows"):
        read_arrays(str(tmp_path / "f.npy"), str(tmp_path / "y.npy"), str(table), tmp_path / "c.txt", tmp_path)
    table.write_text("id,x,y\n" + "".join(f"{number},{number + 0.5},7.5\n" for number in numbers))
    with pytest.raises(InputError, match=f"by order, but the rows are numbered, and row 1 has number '{numbers[0]}'"):
        table_block(table, ("a", "b", "c"), by_order=True)
    assert table_block(table, tuple(map(str, numbers)), by_order=True).array[0, 0] == numbers[0] + 0.5


def test_names_of_other_classes_are_found_however_they_are_spelt():
    """Case, signs and official numbers do not hide that a list is in another order; other names say nothing."""
    assert misplaced(["Grizzly_bear", "sea"], ("sea", "grizzly+bear")) == 0
    assert misplaced(["001.Sea", "b"], ("b", "sea")) == 0
    assert misplaced(["sea", "grizzly bear"], ("sea", "grizzly+bear")) is None
    assert misplaced(["Meer", "Strand", "c"], ("sea", "beach")) is None
    assert misplaced(["001.Tern", "002.Tern"], ("001.Tern", "002.Tern")) is None


def odd(tmp_path, change, **options):
    visual, split = gbu()
    change(visual, split)
    names = [str(name) for name in split["allclasses_names"].ravel()]
    fields = split | {"allclasses_names": np.array(names)}
    return understand(visual, fields, tmp_path / "res101.mat", tmp_path / "att_splits.mat", **options)


def test_given_names_in_another_order_and_spelling_are_refused(tmp_path):
    """Names that differ in spelling alone still say which class is which."""
    with pytest.raises(InputError, match="in another order, where class 1 is 'kind\\+0'"):
        odd(tmp_path, lambda visual, split: None, classes=[f"Kind {number}" for number in range(5, -1, -1)])


@pytest.mark.parametrize("form", ["/data/kind+{}/{}.jpg", "C:\\x\\Kind {}\\{}.jpg", "k/kind/{}/{}.jpg"])
def test_folders_of_images_contradict_labels(tmp_path, form):
    """The paths of the images say of which class each is; folders that are no classes say nothing."""

    def of(shift):
        def change(visual, split):
            folders = [form.format((row + shift) % 6, row) for row in range(72)]
            visual["image_files"] = np.array(folders)

        return change

    assert odd(tmp_path, of(0)).labels[:3].tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"72 image.s. are labelled as another class than image_files says"):
        odd(tmp_path, of(1))
    elsewhere = np.array([f"kind+0/{row}.jpg" for row in range(72)])
    assert len(odd(tmp_path, lambda visual, split: visual.update(image_files=elsewhere)).labels) == 72


def test_numbers_in_names_say_nothing_where_the_layout_counts(tmp_path):
    """The names of CUB's files are not in the order of their numbers, and labels count their places."""
    names = np.array([f"{number:03d}.Kind" for number in (2, 3, 5, 1, 4, 6)])
    found = odd(tmp_path, lambda _, split: split.update(allclasses_names=names))
    assert found.labels[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert "WARNING" not in "".join(found.notes)


def test_training_lists_of_another_base_are_refused(tmp_path):
    """train_loc and val_loc that count from 0 beside lists that count from 1 would give other validation classes."""
    with pytest.raises(InputError, match="train_loc and val_loc list the images of trainval_loc, counted from another"):
        odd(tmp_path, lambda _, split: split.update({key: split[key] - 1 for key in ("train_loc", "val_loc")}))


def test_semantics_that_nobody_chose_spoil_nothing(tmp_path):
    """A second matrix with a NaN is left out, which is said; without the first, the default would be another."""
    found = odd(tmp_path, lambda _, split: split["original_att"].__setitem__((0, 0), np.nan))
    assert list(found.semantics) == ["att"]
    assert "WARNING" in "".join(note for note in found.notes if "original_att" in note)
    with pytest.raises(InputError, match="att: row 0"):
        odd(tmp_path, lambda _, split: split["att"].__setitem__((0, 0), np.nan))


def mcfa(tmp_path, labels, semantics, classes=None):
    paths = tmp_path / "f.csv", tmp_path / "y.txt", tmp_path / "s.mat"
    np.savetxt(paths[0], FEATURES, delimiter=",")
    paths[1].write_text("\n".join(map(str, labels)))
    scipy.io.savemat(paths[2], semantics)
    return read_mcfa(*paths, tmp_path, classes=classes)


def test_two_orders_of_names_are_no_order(tmp_path):
    """class10 comes before class2 as programs sort, and after it as people count; capitals come first or do not."""
    words = {"bert": np.eye(5)}
    for names in (("class1", "class10", "class2", "class3", "class4"), ("Sea", "beach", "harbor", "port", "river")):
        with pytest.raises(InputError, match="nothing says in which order the semantics have them"):
            mcfa(tmp_path, np.array(names)[ORDER], words)
        assert mcfa(tmp_path, np.array(names)[ORDER], words, names).class_names == names


def test_what_a_file_of_semantics_says_of_its_classes_is_not_passed_over(tmp_path):
    """Names beside the matrix in another order contradict the classes; two matrices of one name are not one."""
    names = ("a", "b", "c", "d", "e")
    cells = np.array(names[::-1], dtype=object)[:, None]
    with pytest.raises(InputError, match="names the classes in another order than here, 'e' as class 1"):
        mcfa(tmp_path, ORDER, {"bert": np.eye(5), "called": cells}, names)
    assert mcfa(tmp_path, ORDER, {"bert": np.eye(5), "called": cells[::-1]}, names).class_names == names
    with pytest.raises(InputError, match="two variables would be called 'bert'"):
        mcfa(tmp_path, ORDER, {"bert": np.eye(5), "BERT": 2 * np.eye(5)}, names)


def test_a_tiff_that_begins_with_a_smaller_copy():
    """A library reads the first picture of a file: if that is a preview, the file is refused."""
    pil = pytest.importorskip("PIL.Image", reason="needs the extra 'images'")
    from PIL.TiffImagePlugin import AppendingTiffWriter

    from zslbench.datasets.images.decoding import decode

    def file(*kinds):
        stream = io.BytesIO()
        with AppendingTiffWriter(stream) as writer:
            for side, kind in enumerate(kinds, 4):
                pil.fromarray(np.full((side, side, 3), side, np.uint8)).save(writer, "TIFF", tiffinfo={254: kind})
                writer.newFrame()
            return stream.getvalue()

    with pytest.raises(InputError, match="begins with a smaller copy of it"):
        decode(file(1, 0), "x.tif", 1000)
    assert decode(file(0, 1), "x.tif", 1000).image.shape == (4, 4, 3)
    assert decode(file(1), "x.tif", 1000).image.shape == (4, 4, 3)


def test_numbers_of_more_than_64_bits_are_refused(tmp_path):
    """Such arrays hold padding, whose bytes are no data."""
    folder = write_synthetic(tmp_path / "toy")
    np.save(folder / "features/made.npy", np.load(folder / "features/made.npy").astype(np.longdouble))
    assert any("expected numbers of at most 64 bits" in error for error in examine(folder).errors)
