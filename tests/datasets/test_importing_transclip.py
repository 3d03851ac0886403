"""Embeddings in the layout of RS-TransCLIP: tensors, and the accuracies beside them."""

import collections
import contextlib
import csv
import json
import pickle
import runpy
import zipfile

import numpy as np
import pytest
import torch
from conftest import ROOT, SHARED
from serving import serving

from zslbench.datasets import Dataset
from zslbench.datasets.importing.tensors import read_tensor
from zslbench.datasets.importing.transclip import read_transclip
from zslbench.datasets.known import load_known
from zslbench.errors import InputError
from zslbench.registry import Registry
from zslbench.runner.plan import check_needs

MODELS = ("CLIP", "RemoteCLIP")


def write_layout(folder, classes, models, dataset="TOY", accuracies=None):
    """The layout with (images, labels, texts) of each model, and an accuracy of each."""
    (folder / "datasets" / dataset).mkdir(parents=True)
    (folder / "datasets" / dataset / "classes.txt").write_text("\n".join(classes) + "\n")
    rows = []
    for model, (images, labels, texts) in models.items():
        place = folder / "results" / dataset / model / "ViT-B-32"
        place.mkdir(parents=True)
        for name, array in (("images", images), ("classes", labels), ("texts_averageprompt", texts)):
            torch.save(torch.from_numpy(np.ascontiguousarray(array)), place / f"{name}.pt")
        right = 100 * ((images.astype(np.float32) @ texts.T.astype(np.float32)).argmax(1) == labels).mean()
        rows.append([dataset, model, "ViT-B-32", "averageprompt", (accuracies or {}).get(model, right), 0.0])
    with (folder / "results/results_averageprompt.csv").open("w", newline="") as file:
        head = ["dataset_name", "model_name", "model_architecture", "text_prompt", "acc_base_averageprompt_zs",
                "acc_base_averageprompt_zs_trans"]  # fmt: skip
        csv.writer(file).writerows([head, *rows])
    return folder


def toy(seed=0, classes=5, per_class=8, dim=12, precision=np.float16):
    """Embeddings of unit length around those of the classes, images in no order of classes."""
    rng = np.random.default_rng(seed)
    texts = rng.normal(size=(classes, dim))
    labels = np.random.default_rng(9).permutation(np.repeat(np.arange(classes), per_class))
    images = texts[labels] + rng.normal(size=(len(labels), dim))
    unit = [array / np.linalg.norm(array, axis=1, keepdims=True) for array in (images, texts)]
    return unit[0].astype(precision), labels, unit[1].astype(precision)


CLASSES = ("airport", "beach", "football field", "park", "port")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (300, 70000), (2, 3, 4)])
def test_a_tensor_is_read_as_torch_reads_it(tmp_path, dtype, shape):
    """Type, shape and every number, for one axis to three, and numbers of rows that need one byte to four."""
    if np.prod(shape) > 1e6 and dtype != torch.uint8:
        shape = (300, 700)
    tensor = (torch.arange(int(np.prod(shape))) % 251).reshape(shape).to(dtype)
    torch.save(tensor, tmp_path / "t.pt")
    read = read_tensor(tmp_path / "t.pt")
    assert read.dtype == tensor.numpy().dtype
    np.testing.assert_array_equal(read, tensor.numpy())


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def repacked(path, change):
    """The same archive, with its members as `change` returns them by name."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in change(members).items():
            archive.writestr(name, content)


OTHERS = {
    "a list": [1, 2, 3],
    "a dictionary": {"images": torch.zeros(3, 2)},
    "two tensors": (torch.zeros(3), torch.zeros(3)),
    "a part of a tensor": torch.arange(20).reshape(4, 5)[2:],
    "a transposed tensor": torch.arange(20).reshape(4, 5).T,
    "a parameter": torch.nn.Parameter(torch.zeros(3)),
    "bfloat16": torch.zeros(3, dtype=torch.bfloat16),
    "a single number": torch.tensor(3.0),
    "a tensor without numbers": torch.zeros(0, 4),
    "text": "hello",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_anything_else_is_refused(tmp_path, kind):
    """What is no plain tensor is one line that names the file."""
    torch.save(OTHERS[kind], tmp_path / "t.pt")
    with pytest.raises(InputError, match=r"t\.pt"):
        read_tensor(tmp_path / "t.pt")


def test_nothing_is_executed(tmp_path):
    """A pickle that would create a file when loaded is refused and creates none, alone or in place of a tensor's."""
    torch.save(torch.zeros(4, 3), tmp_path / "t.pt")
    bomb = pickle.dumps(Bomb(tmp_path / "made"), protocol=2)
    repacked(tmp_path / "t.pt", lambda members: {n: bomb if n.endswith("data.pkl") else c for n, c in members.items()})
    with pytest.raises(InputError, match="nothing of it was loaded"):
        read_tensor(tmp_path / "t.pt")
    torch.save(collections.OrderedDict(a=Bomb(tmp_path / "made")), tmp_path / "o.pt")
    (tmp_path / "plain.pt").write_bytes(bomb)
    for name in ("o.pt", "plain.pt", "none.pt"):
        with pytest.raises(InputError, match=name):
            read_tensor(tmp_path / name)
    assert not (tmp_path / "made").exists()


def test_damaged_archives_are_refused(tmp_path):
    """Cut anywhere, with other numbers than described, or a byte of the pickle changed: refused, or as many."""
    whole = tmp_path / "t.pt"
    torch.save(torch.arange(12.0).reshape(4, 3), whole)
    content = whole.read_bytes()
    for end in range(0, len(content), 41):
        whole.write_bytes(content[:end])
        with pytest.raises(InputError):
            read_tensor(whole)
    whole.write_bytes(content)
    repacked(whole, lambda members: {n: c[:-4] if n.endswith("data/0") else c for n, c in members.items()})
    with pytest.raises(InputError, match="another size"):
        read_tensor(whole)
    torch.save(torch.arange(12.0).reshape(4, 3), whole)
    with zipfile.ZipFile(whole) as archive:
        pickled = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    for place in range(len(pickled)):
        changed = pickled[:place] + bytes([pickled[place] ^ 1]) + pickled[place + 1 :]
        repacked(whole, lambda m, put=changed: {n: put if n.endswith("data.pkl") else c for n, c in m.items()})
        with contextlib.suppress(InputError):  # and nothing else
            assert read_tensor(whole).size == 12


def test_every_model_becomes_features_and_semantics_in_one_space(tmp_path, in_process):
    """Two models, halves kept as halves; a folder that a method of the joint space can be run on."""
    models = {"CLIP": toy(0), "RemoteCLIP": toy(1, precision=np.float32)}
    write_layout(tmp_path / "repo", CLASSES, models)
    code, out, err = in_process("data", "import", "transclip", "repo", "--name", "toy", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["features"] == {"clip_vit_b32": 12, "remoteclip_vit_b32": 12}
    assert sum("as results/results_averageprompt.csv records it" in note for note in result["notes"]) == 2
    data = Dataset(tmp_path / "toy")
    assert data.class_names == CLASSES
    for name, model in (("clip_vit_b32", "CLIP"), ("remoteclip_vit_b32", "RemoteCLIP")):
        images, labels, texts = models[model]
        assert data.features(name).dtype == images.dtype
        np.testing.assert_array_equal(data.features(name), images)
        np.testing.assert_array_equal(data.semantics(name), texts.astype(np.float32))
        np.testing.assert_array_equal(data.labels, labels)
        assert "named" in data.card.features[name].pretraining
        check_needs(Registry().get("clip").info, "clip", data.view(name, name))
    assert not data.view("clip_vit_b32", "remoteclip_vit_b32").joint_space


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda repo: (repo / "datasets/TOY/classes.txt").unlink(), "classes.txt"),
        (lambda repo: (repo / "results/TOY/CLIP/ViT-B-32/classes.pt").write_bytes(b"x"), "classes.pt"),
        (lambda repo: torch.save(torch.zeros(3, 12), repo / "results/TOY/CLIP/ViT-B-32/texts_averageprompt.pt"),
         "texts_averageprompt.pt: expected numbers with one row or column for each of 5 classes"),
        (lambda repo: torch.save(torch.zeros(5, 9), repo / "results/TOY/CLIP/ViT-B-32/texts_averageprompt.pt"),
         "images have 12 numbers each, and classes 9"),
        (lambda repo: torch.save(torch.zeros(40), repo / "results/TOY/CLIP/ViT-B-32/classes.pt"), "a whole number for"),
        (lambda repo: torch.save(torch.zeros(40, 12).long(), repo / "results/TOY/CLIP/ViT-B-32/images.pt"), "real num"),
        (lambda repo: torch.save(torch.arange(40) % 5, repo / "results/TOY/CLIP/ViT-B-32/classes.pt"),
         "do not belong together|in another order"),
        (lambda repo: (repo / "results/results_averageprompt.csv").write_text("a,b\n1,2\n"), "expected the columns"),
        (lambda repo: (repo / "results/TOY").rename(repo / "results/OTHER"), "classes.txt"),
        (lambda repo: [path.unlink() for path in repo.rglob("images.pt")], "found none"),
        (lambda repo: [path.unlink() for path in repo.rglob("classes.pt")], "no MODEL/ARCHITECTURE folder"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path, change, line):
    """Files that are missing, damaged, of other sizes or other images: one line, nothing written."""
    repo = write_layout(tmp_path / "repo", CLASSES, {"CLIP": toy(), "RemoteCLIP": toy(1)})
    change(repo)
    with pytest.raises(InputError, match=line):
        read_transclip(repo)


def test_embeddings_of_another_accuracy_are_refused(tmp_path):
    """The recorded accuracy ties images, labels and texts together; where none is recorded, that is said."""
    repo = write_layout(tmp_path / "repo", CLASSES, {"CLIP": toy()}, accuracies={"CLIP": 12.5})
    with pytest.raises(InputError, match=r"records 12\.50 %: these files do not belong together"):
        read_transclip(repo)
    (repo / "results/results_averageprompt.csv").unlink()
    assert any("does not record" in note for note in read_transclip(repo).notes)


def test_several_data_sets_and_models_that_lack_a_file(tmp_path):
    """Of several, one must be chosen; a model without all of its files is left out, which is said."""
    repo = write_layout(tmp_path / "repo", CLASSES, {"CLIP": toy(), "RemoteCLIP": toy(1)})
    write_layout(tmp_path / "other", CLASSES, {"CLIP": toy(2)}, dataset="OTHER")
    (tmp_path / "other/results/OTHER").rename(repo / "results/OTHER")
    (repo / "results/TOY/RemoteCLIP/ViT-B-32/texts_averageprompt.pt").unlink()
    with pytest.raises(InputError, match=r"of one NAME, found OTHER, TOY: choose by --dataset|dataset"):
        read_transclip(repo)
    with pytest.raises(InputError, match="no results of 'MINE'"):
        read_transclip(repo, "MINE")
    found = read_transclip(repo, "TOY")
    assert list(found.features) == ["clip_vit_b32"]
    assert any("is left out" in note for note in found.notes)


def served_files():
    """By their paths below an address: what the known card lists, as a toy of its size."""
    return {f"/repo/{path}": path.encode() for path in load_known("whurs19-clip").archive.files}


def test_several_files_are_fetched_one_by_one(in_process, tmp_path):
    """All are there in their places, with digests beside; a second call fetches nothing; the terms are shown before."""
    files = served_files()
    with serving(files) as served:
        base = served.url.removesuffix("file.zip") + "repo/"
        code, out, err = in_process("data", "download", "whurs19-clip", "--url", base, "--yes", "--json")
        assert code == 0, err
        for said in (
            "1005 images of 19 classes",
            "licence: The repository is under the MIT licence",
            base,
            "names a commit",
        ):
            assert said in err
        result = json.loads(out)
        folder = tmp_path / "RS-TransCLIP-files"
        assert result["next"] == "zslbench data import transclip RS-TransCLIP-files --name whurs19-clip"
        assert {
            f"/repo/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()
        } == files
        assert result["source"]["files_sha256"].keys() == {path.removeprefix("/repo/") for path in files}
        assert result["source"]["verified"] is False
        asked = len(served.asked)
        assert asked == len(files)
        code, out, _ = in_process("data", "download", "whurs19-clip")
        assert (code, len(served.asked)) == (0, asked)
        assert "14; their sha256 are in RS-TransCLIP-files.source.json" in out


def test_a_download_of_several_files_goes_on(in_process, tmp_path, monkeypatch):
    """A file that is not there ends it in one line; what has arrived is kept and not fetched again."""
    monkeypatch.setattr("zslbench.datasets.download.PAUSES", ())
    files = served_files()
    last = list(files)[-1]
    content = files.pop(last)
    with serving(files) as served:
        base = served.url.removesuffix("file.zip") + "repo/"
        code, _, err = in_process("data", "download", "whurs19-clip", "--url", base, "--yes")
        assert code == 2
        assert "404" in err.splitlines()[-1]
        assert not (tmp_path / "RS-TransCLIP-files").exists()
        before = len(served.asked)
        files[last] = content
        assert in_process("data", "download", "whurs19-clip", "--url", base, "--yes")[0] == 0
        assert [asked["path"] for asked in served.asked[before:]] == [last]


def test_addresses_that_cannot_be_of_several_files(in_process):
    """An address that is no folder's and a checksum for all of them are refused before anything is asked."""
    code, _, err = in_process("data", "download", "whurs19-clip", "--url", "http://127.0.0.1:9/x.zip", "--yes")
    assert code == 2
    assert "ends in /" in err
    url = "http://127.0.0.1:9/x/"
    code, _, err = in_process("data", "download", "whurs19-clip", "--url", url, "--sha256", "0" * 64, "--yes")
    assert code == 2
    assert "consists of several" in err


def test_real_embeddings_give_the_recorded_accuracies(tmp_path):
    """CLIP's and RemoteCLIP's of WHU-RS19 are right where that repository's own results say so, to an image or two."""
    folder = SHARED / "data/whurs19"
    if not folder.is_dir():
        pytest.skip("the real embeddings are not here")
    models = {}
    for model in MODELS:
        with np.load(folder / f"{model.lower()}_vit_b32.npz", allow_pickle=False) as stored:
            models[model] = stored["features"], stored["labels"], stored["text"]
    classes = (folder / "classes.txt").read_text().split()
    accuracies = {"CLIP": 81.29353233830845, "RemoteCLIP": 95.22388059701493}
    found = read_transclip(write_layout(tmp_path / "repo", classes, models, "WHURS19", accuracies))
    assert [note for note in found.notes if "81.29 % as" in note]
    assert [note for note in found.notes if "95.22 % as" in note]
    assert list(found.class_names) == load_known("whurs19-clip").class_names


def test_data_sets_of_files_at_hand(tmp_path, monkeypatch):
    """The script that makes them where there is no network writes three sound folders; attributes are fractions."""
    if not (SHARED / "data/whurs19").is_dir():
        pytest.skip("the real embeddings are not here")
    monkeypatch.setattr("sys.argv", ["at_hand.py", str(SHARED / "data"), "--to", str(tmp_path)])
    runpy.run_path(str(ROOT / "benchmarks/at_hand.py"), run_name="__main__")
    clip, images, ucm = (Dataset(tmp_path / name) for name in ("whurs19-clip", "whurs19", "ucm-third-party"))
    assert clip.view("remoteclip_vit_b32", "remoteclip_vit_b32").joint_space
    assert images.features("efficientnet_lite0").shape == (1005, 1280)
    for data, name in ((clip, "rsd26"), (images, "rsd26"), (ucm, "zsvidat33")):
        values = data.semantics(name)
        assert values.min() == 0
        assert 0.9 < values.max() <= 1
        assert data.view(semantics=name).named_attributes
    assert not any("/tmp" in note for note in clip.card.provenance["notes"])
    assert ucm.name == "ucm"  # whose splits and seeds are those of the bundled one
