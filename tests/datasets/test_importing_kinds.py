"""Files as people have them: what a library would change, drop or choke on is read, named or refused."""

import json
import struct
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from importing_files import gbu, save_v5, save_v73

from zslbench.datasets import Dataset
from zslbench.datasets.examine import examine
from zslbench.datasets.importing import scratch, write
from zslbench.datasets.importing.arrays import read_arrays
from zslbench.datasets.importing.mat import read_mat
from zslbench.datasets.importing.mcfa import read_mcfa
from zslbench.datasets.importing.number_rows import number_rows
from zslbench.datasets.importing.xlsa17 import read_xlsa17, understand
from zslbench.errors import InputError

FORET = "for\u00eat"


def opaque(name: bytes) -> bytes:
    """A MATLAB object in a version 5 file, as `string` and `table` are stored: it has no dimensions."""

    def part(kind: int, content: bytes) -> bytes:
        return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)

    content = part(6, struct.pack("<II", 17, 0)) + part(1, name) + part(1, b"MCOS") + part(1, b"string")
    return part(14, content)


def test_a_version_5_file_is_read_variable_by_variable(tmp_path):
    """Sparse and logical matrices, matrices of characters and nested cells are read; other kinds are named."""
    path = tmp_path / "odd.mat"
    sparse = np.array([[0, 2.5, 0], [1, 0, 0]])
    scipy.io.savemat(path, {
        "sparse": scipy.sparse.csc_matrix(sparse), "logical": np.array([[True, False]]), "whole": np.arange(3.0),
        "sparselogical": scipy.sparse.csc_matrix(sparse > 0), "complex": np.ones(3) * 1j,
        "sparsecomplex": scipy.sparse.csc_matrix(sparse * 1j), "struct": {"a": 1}, "long": np.array([2**62 + 1]),
        "chars": np.array(["ant ", "bee "]), "cells": np.array([[np.array([["x"]], object)], ["y"]], object),
        "numbers": np.array([1, 2], object), "none": np.zeros((0, 3)), "big": np.arange(3, dtype=">i4"),
    })  # fmt: skip
    path.write_bytes(path.read_bytes() + opaque(b"text"))
    found = read_mat(path, (), tmp_path)
    assert np.array_equal(found["sparse"], sparse)
    assert np.array_equal(found["sparselogical"], sparse > 0)
    assert found["logical"].tolist() == [[1, 0]]
    assert found["whole"].dtype == np.float64
    assert found["long"].tolist() == [[2**62 + 1]]
    assert found["big"].tolist() == [[0, 1, 2]]
    assert [text.strip() for text in found["chars"]] == ["ant", "bee"]
    assert found["cells"].tolist() == ["x", "y"]
    assert found["none"].shape == (0, 3)
    assert found.sparse == {"sparse", "sparselogical"}
    assert found.logical == {"logical", "sparselogical"}
    assert found.others == {
        "complex": "complex numbers", "sparsecomplex": "complex numbers", "struct": "struct", "text": "object",
        "numbers": "cell of other things than text",
    }  # fmt: skip
    assert read_mat(path, ("whole",), tmp_path).keys() == {"whole"}


def odd_hdf5(file: h5py.File) -> None:
    """What MATLAB and others put into version 7.3 files."""

    def put(name, data, kind=None, **attributes):
        item = file.create_dataset(name, data=data)
        for key, value in {"MATLAB_class": kind and np.bytes_(kind), **attributes}.items():
            if value is not None:
                item.attrs[key] = value
        return item

    full = scipy.sparse.csc_matrix(np.array([[0, 2.5, 0], [1, 0, 0]]))
    group = file.create_group("sparse")
    group.attrs.update({"MATLAB_class": np.bytes_("double"), "MATLAB_sparse": np.uint64(2)})
    for key, data in (("data", full.data), ("ir", full.indices), ("jc", full.indptr)):
        group[key] = data
    put("logical", np.array([[1], [0]], np.uint8), "logical", MATLAB_int_decode=np.int32(1))
    put("chars", np.array([[ord(c) for c in name] for name in ("ant ", "bee ")], np.uint16).T, "char")
    file.create_dataset("vlen", data=["a", FORET], dtype=h5py.string_dtype())
    file.create_dataset("latin", data=[FORET.encode("latin-1")], dtype=h5py.string_dtype())
    file["fixed"] = np.array([b"a", b"bc"])
    empty = put("#refs#/empty", np.array([0, 0], np.uint64), "char", MATLAB_empty=np.uint8(1))
    smile = put("#refs#/smile", np.frombuffer("\U0001f600".encode("utf-16-le"), np.uint16)[:, None], "char")
    inner = put("#refs#/inner", np.array([[smile.ref]], h5py.ref_dtype), "cell")
    put("cells", np.array([[empty.ref, inner.ref]], h5py.ref_dtype), "cell")
    put("numbers", np.array([[put("#refs#/one", 1.0, "double").ref]], h5py.ref_dtype), "cell")
    file.create_dataset("null", (1, 2), h5py.ref_dtype)
    put("none", np.array([0, 3], np.uint64), "double", MATLAB_empty=np.uint8(1))
    put("string", np.array([[0xDD000000, 2, 1, 1]], np.uint32), "string", MATLAB_object_decode=np.int32(3))
    put("complex", np.zeros((2, 2), [("real", "f8"), ("imag", "f8")]), "double")
    put("half", np.ones((2, 3), ">f2"))
    file["soft"] = h5py.SoftLink("/nowhere")
    file.create_group("table").attrs["MATLAB_class"] = np.bytes_("table")


def test_a_version_7_3_file_is_read_variable_by_variable(tmp_path):
    """Strings of h5py are no references, MATLAB's own strings no numbers, and empty matrices have their shape."""
    path = tmp_path / "odd.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        odd_hdf5(file)
    found = read_mat(path, (), tmp_path)
    assert found["sparse"].tolist() == [[0, 2.5, 0], [1, 0, 0]]
    assert found["half"].shape == (3, 2)
    assert found["none"].shape == (0, 3)
    texts = {name: array.tolist() for name, array in found.items() if array.dtype.kind == "U"}
    assert texts == {
        "chars": ["ant ", "bee "], "vlen": ["a", FORET], "fixed": ["a", "bc"], "cells": ["", "\U0001f600"]
    }  # fmt: skip
    assert (found.sparse, found.logical) == ({"sparse"}, {"logical"})
    assert found.others == {
        "latin": "text that is not UTF-8", "numbers": "cell of other things than text", "soft": "a link",
        "null": "cell of other things than text", "string": "string object", "complex": "complex numbers",
        "table": "table",
    }  # fmt: skip


@pytest.mark.parametrize("save", [save_v5, save_v73])
def test_odd_files_of_the_layout_are_imported(tmp_path, save):
    """Masks, whole numbers and variables that nobody wants: read, and each is said."""
    visual, split = gbu()
    for name in ("trainval_loc", "test_seen_loc", "test_unseen_loc", "train_loc", "val_loc"):
        mask = np.zeros((72, 1), np.uint8)
        mask[split[name].ravel() - 1] = 1
        split[name] = mask
    visual["features"] = (visual["features"] * 100).astype(np.int16)
    split["unknown"] = np.ones((2, 2))
    paths = save(tmp_path, visual, split)
    with scratch(tmp_path / "out") as place:
        made = write(read_xlsa17(*paths, place), "toy", tmp_path / "out")
    notes = "\n".join(made.notes)
    for said in ("unknown (double 2 x 2)", "val_loc is a mask of 72 images, 20", "int16 is converted to float32"):
        assert said in notes
    data = Dataset(tmp_path / "out")
    assert np.array_equal(data.features(), visual["features"].T)
    assert data.card.provenance["notes"] == made.notes


def of_fields(tmp_path, change, **options):
    """The data set of fields that `change` was applied to, without .mat files between."""
    visual, split = gbu()
    change(visual, split)
    fields = [
        {name: array.ravel().astype(str) if array.dtype == object else array for name, array in part.items()}
        for part in (visual, split)
    ]
    return understand(*fields, tmp_path / "res101.mat", tmp_path / "att_splits.mat", **options)


def without_test_seen(stored):
    """Fields of a split for ZSL alone: every image of a seen class is trained on."""

    def change(visual, split):
        split["trainval_loc"] = np.concatenate([split["trainval_loc"], split.pop("test_seen_loc")])
        if stored is not None:
            split["test_seen_loc"] = stored

    return change


@pytest.mark.parametrize("stored", [None, np.zeros((0, 0)), np.zeros((0, 1)), np.zeros((72, 1))])
def test_a_split_for_zsl_alone_is_imported(tmp_path, stored):
    """Without images in test_seen_loc some are held out by hashing, and what that means is said."""
    found = of_fields(tmp_path, without_test_seen(stored))
    assert "test_seen" not in found.splits["proposed"][0]
    assert "a split for ZSL alone" in "\n".join(found.notes)


def test_images_in_no_list_are_test_images_if_the_user_says_so(tmp_path):
    """They may be, and nothing but the user knows."""
    with pytest.raises(InputError, match=r"8 of 72 images are in no list.*say rest_is_tested=True"):
        of_fields(tmp_path, lambda visual, split: split.pop("test_seen_loc"))
    found = of_fields(tmp_path, lambda visual, split: split.pop("test_seen_loc"), rest_is_tested=True)
    assert len(found.splits["proposed"][0]["test_seen"]) == 8


def test_an_empty_val_loc_is_said(tmp_path):
    """As a missing one."""
    found = of_fields(tmp_path, lambda visual, split: split.update(val_loc=np.zeros((0, 1))))
    assert "val_loc empty: validation classes are drawn by hashing" in "\n".join(found.notes)
    assert "validation" not in found.splits["proposed"][0]


def test_names_that_look_like_numbers_do_not_count_labels_of_this_layout(tmp_path):
    """Its labels are positions in allclasses_names, whatever these say, unless they can only be names."""
    names = np.array([*"315264"], object)[:, None]
    found = of_fields(tmp_path, lambda visual, split: split.update(allclasses_names=names))
    assert found.labels[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert "They are taken as class numbers" in "\n".join(found.notes)

    def tens(visual, split):
        split["allclasses_names"] = np.array([str(10 * number) for number in range(6, 0, -1)], object)[:, None]
        visual["labels"] = visual["labels"] * 10

    assert of_fields(tmp_path, tens).labels[:6].tolist() == [5, 4, 3, 2, 1, 0]


def test_a_square_matrix_beside_turned_ones_is_refused(tmp_path):
    """It may be turned as well, and nothing tells; alone it is as the layout has it."""
    square = {"att": np.random.default_rng(1).random((6, 6))}
    assert "square" in "\n".join(of_fields(tmp_path, lambda visual, split: split.update(square)).notes)
    for turn in (
        lambda visual, split: split.update(original_att=split["original_att"].T),
        lambda visual, split: visual.update(features=visual["features"].T),
    ):
        with pytest.raises(InputError, match=r"att: square, and .* stored the other way round"):
            of_fields(tmp_path, lambda visual, split, turn=turn: (split.update(square), turn(visual, split)))


def test_given_names_may_not_reorder_those_of_the_file(tmp_path):
    """--classes with the file's own names in another order would swap classes."""
    names = [f"kind+{number}" for number in range(6)]
    with pytest.raises(InputError, match=r"the same classes as in .* in another order"):
        of_fields(tmp_path, lambda visual, split: None, classes=names[::-1])
    found = of_fields(tmp_path, lambda visual, split: None, classes=list("abcdef"))
    assert "calls the classes otherwise" in "\n".join(found.notes)


def plain(folder, classes=4, columns=3):
    """Files of plain arrays, 6 images a class, and their options."""
    rng = np.random.default_rng(0)
    np.save(folder / "f.npy", rng.normal(size=(6 * classes, 5)).astype(np.float32))
    np.save(folder / "y.npy", np.arange(6 * classes) % classes)
    np.save(folder / "s.npy", rng.random((classes, columns)))
    (folder / "c.txt").write_text("\n".join(["beach", "harbor", "forest", "sea"][:classes]))
    return {role: str(folder / f"{role[0]}.npy") for role in ("features", "semantics")} | {
        "labels": str(folder / "y.npy"), "classes": folder / "c.txt",
    }  # fmt: skip


def imported(folder, sources):
    """The data set, and what was said of it."""
    with scratch(folder / "out") as place:
        made = write(read_arrays(**sources, scratch=place), "toy", folder / "out")
    return Dataset(folder / "out"), "\n".join(made.notes)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", ">i4", "i8", "u8", "?", ">f4", "f8", ">f2"])
def test_features_of_every_type_of_real_numbers_are_converted(tmp_path, dtype):
    """What is not stored as floating-point numbers is converted to float32, value by value, which is said."""
    sources = plain(tmp_path)
    values = np.random.default_rng(0).integers(0, 100, (24, 5)).astype(dtype)
    np.save(tmp_path / "f.npy", values)
    data, notes = imported(tmp_path, sources)
    assert np.array_equal(data.features(), values.astype(np.float32))
    assert ("is converted to float32" in notes) == (np.dtype(dtype).kind != "f")


@pytest.mark.parametrize(
    ("role", "array", "message"),
    [
        ("features", np.full((24, 5), 2**24 + 1), "row 0 .* beyond 2.24, which float32 would round"),
        ("semantics", np.full((4, 3), -(2**40)), "row 0 .* beyond 2.24"),
        ("features", np.ones((24, 5), "c8"), "expected .N, D. real numbers, found .* complex64"),
        ("features", np.ones((24, 5)).astype(str), "real numbers, found .* <U"),
        ("features", np.zeros((24, 5), "M8[s]"), "real numbers"),
        ("features", np.zeros(24, "f4,f4"), "real numbers"),
        ("features", np.where(np.arange(120).reshape(24, 5) == 37, np.nan, 1), "row 7 .* not finite"),
        ("features", np.where(np.arange(120).reshape(24, 5) == 37, 1e39, 1), "row 7 .* not finite"),
        ("semantics", np.where(np.arange(12).reshape(4, 3) == 7, np.inf, 1), "row 2 .*NaN, infinity"),
        ("semantics", np.ones((4, 3)) * 1j, "expected numbers with one row"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_file_and_row(tmp_path, role, array, message):
    """Numbers that float32 would round or lose, and what are no real numbers."""
    sources = plain(tmp_path)
    np.save(sources[role], array)
    with pytest.raises(InputError, match=message):
        imported(tmp_path, sources)
    assert not (tmp_path / "out").exists()


ALIKE = np.array([[1, 2, 3], [1, 2, 3], [0, 1, 0], [0, 0, 1]], float)


@pytest.mark.parametrize("entrance", ["npy", "plain csv", "named csv", "toml card"])
def test_equal_semantics_are_one_rule_at_every_entrance(tmp_path, entrance):
    """Two classes with equal semantics are imported with a note, loaded with a warning, and named by the check."""
    sources = plain(tmp_path)
    rows = [",".join(map(str, row)) for row in ALIKE]
    if entrance == "npy":
        np.save(tmp_path / "s.npy", ALIKE)
    elif entrance != "toml card":
        named = [f"{name},{row}" for name, row in zip(("beach", "harbor", "forest", "sea"), rows, strict=True)]
        (tmp_path / "s.csv").write_text("\n".join(rows if entrance == "plain csv" else ["class,a,b,c", *named]))
        sources["semantics"] = str(tmp_path / "s.csv")
    data, notes = imported(tmp_path, sources)
    if entrance == "toml card":
        np.save(data.folder / "semantics/imported.npy", ALIKE.astype(np.float32))
    else:
        assert "classes 'beach' and 'harbor' have equal semantics" in notes
    with pytest.warns(UserWarning, match="classes 'beach' and 'harbor' have equal semantics: no method can tell"):
        data.view()
    assert any("have equal semantics" in warning for warning in examine(data.folder).warnings)


def test_the_run_says_that_semantics_are_equal(tmp_path, in_process):
    """On the screen of whoever runs it, before anything runs."""
    sources = plain(tmp_path)
    np.save(tmp_path / "s.npy", ALIKE)
    data, _ = imported(tmp_path, sources)
    code, _, err = in_process("run", "--methods", "eszsl", "--dataset", data.folder, "--workers", "0", "--dry-run")
    assert code == 0
    assert "warning: toy, semantics 'imported': classes 'beach' and 'harbor' have equal semantics" in err


def test_a_class_of_one_image_is_said_with_the_way_out(tmp_path):
    """No split drawn by hashing can be played: the card names none, and the note says what to do."""
    sources = plain(tmp_path)
    np.save(tmp_path / "y.npy", np.array([3] + [0, 1, 2] * 7 + [0, 1]))
    data, notes = imported(tmp_path, sources)
    assert data.card.split_families == []
    assert "1 class(es) have one image, 'sea' among them, and such a class can only be unseen" in notes
    (data.folder / "splits").mkdir()
    (data.folder / "splits/mine.json").write_text('[{"unseen": ["sea"]}]')
    assert examine(data.folder).splits["mine"]["unseen"] == 1


def test_arrays_that_are_not_used_are_named(tmp_path, in_process):
    """In the notes, the card and the JSON document."""
    sources = plain(tmp_path)
    np.savez(tmp_path / "all.npz", **{name: np.load(sources[name]) for name in ("features", "labels")}, more=1, S=2)
    code, out, err = in_process(
        "data", "import", "arrays", "--features", tmp_path / "all.npz", "--labels", f"{tmp_path / 'all.npz'}:labels",
        "--semantics", sources["semantics"], "--classes", sources["classes"], "--out", tmp_path / "out",
        "--name", "toy", "--json",
    )  # fmt: skip
    assert code == 0, err
    said = json.loads(out)
    assert "all.npz: 2 array(s) not used: S, more." in said["notes"]
    assert said["files"].keys() == {"all.npz", "s.npy", "c.txt"}
    assert Dataset(tmp_path / "out").card.provenance["notes"] == said["notes"]
    assert zipfile.is_zipfile(tmp_path / "all.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class;a;b\nbeach;0,5;1\nharbor;1;1\nforest;2;1\nsea;2;3\n", "line 2 .'beach'., column 'a'.*decimal comma"),
        ('class,a,b\nbeach,"1,000",1\nharbor,1,1\nforest,2,1\nsea,2,3\n', "found '1,000' .*decimal comma"),
        ("0,5;1\n1;1\n2;3\n4;5\n", "begins with '0,5' .*decimal comma"),
        ("nan,1\n1,1\n2,3\n4,5\n", "begins with 'nan'.*no number"),
        ("1,1\n1,1_0\n2,3\n4,5\n", "line 2, column 2: expected a finite number.*found '1_0'"),
        ("1,1\n1,inf\n2,3\n4,5\n", "line 2, column 2.*found 'inf'"),
        ("1,1\n1,1e39\n2,3\n4,5\n", "line 2, column 2.*found '1e39'"),
        ("1,1\n1,\n2,3\n4,5\n", "line 2, column 2.*found an empty cell"),
        ("1,1\n1,1,1\n2,3\n4,5\n", "line 2: 2 columns are expected, as in the first line, found 3"),
        ("0,7,1\n1,1,1\n2,2,3\n3,4,5\n", "its first column counts the rows: is it a header or an index"),
        ("beach,1,1\nharbor,1,1\nforest,2,3\nsea,4,5\n", "begins with 'beach', which is no number.*a header"),
        ("class,a,b\nBEACH,1,1\nbeach,1,1\nforest,2,3\nsea,4,5\n", "both name class 'beach'"),
    ],
)
def test_csv_files_are_refused_by_line_and_cell(tmp_path, text, message):
    """Whatever NumPy or Python would take for a number, or a row, and people do not."""
    sources = plain(tmp_path) | {"semantics": str(tmp_path / "s.csv")}
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        imported(tmp_path, sources)
    assert "loadtxt" not in str(error.value)


def test_a_csv_whose_classes_are_numbers_is_joined_by_name(tmp_path):
    """With a header; without one the first column may be classes or data, and is refused where it holds the classes."""
    sources = plain(tmp_path) | {"semantics": str(tmp_path / "s.csv"), "labels": str(tmp_path / "y.txt")}
    (tmp_path / "c.txt").write_text("10\n20\n30\n40")
    (tmp_path / "y.txt").write_text("\n".join(map(str, np.array([10, 20, 30, 40])[np.arange(24) % 4])))
    rows = "40,4,1\n20,2,1\n10,1,5\n30,3,3\n"
    (tmp_path / "s.csv").write_text(rows)
    with pytest.raises(InputError, match="its first column holds the classes' names: a header"):
        imported(tmp_path, sources)
    (tmp_path / "s.csv").write_text(f"id,a,b,c\n\n{rows}")
    with pytest.raises(InputError, match="line 3: expected 4 cells"):
        imported(tmp_path, sources)
    (tmp_path / "s.csv").write_text(f"id,a,b,\n\n{rows}".replace("1\n", "1,\n"))
    data, notes = imported(tmp_path, sources)
    assert data.semantics()[:, 0].tolist() == [1, 2, 3, 4]
    assert "1 blank row(s) dropped" in notes
    assert "1 empty column(s) at the end dropped" in notes


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_rows_of_numbers_are_read_in_every_dialect(tmp_path, separator, end, encoding):
    """Separators, line ends and encodings change nothing; a header and blank rows are left out and said."""
    lines = ["a,b,c", "1,-2.5,3e2", "", "4,.5,6.", ""]
    (tmp_path / "f.csv").write_bytes(end.join(line.replace(",", separator) for line in lines).encode(encoding))
    notes: list[str] = []
    found = number_rows(tmp_path / "f.csv", tmp_path, "features", notes)
    assert found.tolist() == [[1, -2.5, 300], [4, 0.5, 6]]
    assert len(notes) == 2


def test_split_lists_that_are_not_used_and_class_orders_that_are_not_known(tmp_path):
    """Files of a folder of lists that are none are counted and named; names as labels leave the order open."""
    visual, split = gbu()
    order = np.argsort(visual["labels"].ravel(), kind="stable")
    labels = visual["labels"].ravel()[order].astype(int)
    paths = tmp_path / "f.csv", tmp_path / "y.txt", tmp_path / "s.mat"
    np.savetxt(paths[0], visual["features"].T[order], delimiter=",")
    scipy.io.savemat(paths[2], {"att": scipy.sparse.csc_matrix(split["att"].T), "more": {"a": 1}})
    lists = tmp_path / "splits/one"
    lists.mkdir(parents=True)
    for name, rows in (("seen", labels < 5), ("unseen", labels >= 5)):
        np.savetxt(lists / f"{name}.txt", rows, fmt="%d")
    for name in ("readme.md", "notes.txt"):
        (lists / name).write_text("x")
    np.savetxt(paths[1], labels, fmt="%d", header="label", comments="")
    found = read_mcfa(*paths, tmp_path, tmp_path / "splits")
    notes = "\n".join(found.notes)
    for said in ("'label', is taken as a header", "att was sparse", "1 variable(s) not used: more struct",
                 "2 file(s) are no lists of seen or unseen images and not used: one/notes.txt, one/readme.md",
                 "one/seen.txt is a mask of 72 images, 48"):  # fmt: skip
        assert said in notes
    assert found.splits["one"][0]["unseen"] == ["class005", "class006"]
    paths[1].write_text("\n".join("fbcdea"[label - 1] for label in labels))
    with pytest.raises(InputError, match="nothing says in which order the semantics have them"):
        read_mcfa(*paths, tmp_path)
