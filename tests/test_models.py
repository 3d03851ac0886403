"""Models: fitted, kept, loaded and used; what cannot be kept or read is refused in one line."""

import contextlib
import json
import resource
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

import zslbench as zb
from zslbench import Method, MethodInfo
from zslbench.errors import InputError
from zslbench.models.header import Confidence, RestsOn
from zslbench.models.model import Classes, Model, Predictions
from zslbench.models.state import StateError, given_back, taken
from zslbench.registry import Registry
from zslbench.testing import CHECKS, name_of

(KEPT,) = (check for check in CHECKS if name_of(check) == "kept as a file")
REGISTRY = Registry()


@pytest.fixture(scope="module")
def data() -> Any:
    """The bundled data set."""
    return zb.load("ucm")


@pytest.fixture(scope="module")
def split(data: Any) -> Any:
    """One with 16 seen and 5 unseen classes."""
    return data.splits("16/5")[3]


@pytest.fixture(scope="module")
def model(data: Any, split: Any) -> Any:
    """A cheap method, fitted on the training images of the split."""
    return zb.fit("eszsl+cal", data, split=split)


def accuracy(truth: Any, found: list[str]) -> float:
    """Per class, averaged."""
    right = np.array(found) == truth
    return float(np.mean([right[truth == name].mean() for name in np.unique(truth)]))


@pytest.mark.parametrize("method", ["eszsl+cal", "gfzsl+gate", "sae"])
def test_a_model_is_as_good_as_the_trial(method: str, data: Any, split: Any, tmp_path: Path) -> None:
    """Saved, loaded and asked for the split's test images, it gives the trial's S, U and T1 to the image."""
    measured = zb.evaluate(method, data, split)
    path = tmp_path / "m.zsl"
    zb.fit(method, data, split=split, validate=False).save(path)
    loaded, part = zb.load_model(path), split.partition("test")
    features, names = data.view.features, np.array(data.class_names)[data.labels]
    for images, expected in ((part.held_out_seen, measured.S), (part.held_out_unseen, measured.U)):
        assert accuracy(names[images], loaded.predict(features[images]).labels) == pytest.approx(expected, abs=1e-12)
    zsl = loaded.predict(features[part.held_out_unseen], candidates="unseen")
    assert accuracy(names[part.held_out_unseen], zsl.labels) == pytest.approx(measured.T1, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in REGISTRY.names if not REGISTRY.get(name).info.oracle])
def test_every_hosted_method_can_be_kept(name: str) -> None:
    """None of them skips the check of the conformance suite."""
    import sys

    sys.path.insert(0, str(Path(__file__).parent / "methods"))
    from quick import quick

    method, config, _ = REGISTRY.build(quick(name))
    KEPT(method, config)


def test_classes_that_nobody_knew(model: Any, data: Any, split: Any) -> None:
    """Rows of semantics that are given with the images stand beside the model's classes, as unseen ones."""
    twin = model.semantics[[data.class_names.index("beach")]]
    found = model.predict(data.view.features[:20], classes=Classes(["shore"], twin), top=22)
    assert found.classes[-1] == "shore"
    assert found.kinds[-1] == "unseen"
    for columns, scores in zip(found.columns, found.scores, strict=True):
        by_class = {found.classes[column]: score for column, score in zip(columns, scores, strict=True)}
        if not model.header.seen[data.class_names.index("beach")]:
            assert by_class["shore"] == pytest.approx(by_class["beach"])
    with pytest.raises(InputError, match="knows 'beach' already"):
        model.predict(data.view.features[:2], classes=Classes(["beach"], twin))


def test_candidates_by_name(model: Any, data: Any) -> None:
    """Only the classes that are named are given; order and spelling do not matter, close names are offered."""
    found = model.predict(data.view.features[:5], candidates=["river", "beach"], top=9)
    assert found.classes == ["beach", "river"]
    assert found.columns.shape == (5, 2)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    for wrong, said in (("beech", "Did you mean 'beach'"), ("beach,beach", "'beach' is named twice")):
        with pytest.raises(InputError, match=said):
            model.predict(data.view.features[:1], candidates=wrong)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (np.zeros((2, 3)), r"\(images, 1280\) numbers are expected"),
        (np.zeros(1280), "numbers are expected"),
        (np.zeros((0, 1280)), "numbers are expected"),
        (np.full((2, 1280), np.nan), "row 0 holds NaN"),
        (np.full((2, 1280), 1e300), "row 0 holds NaN or infinite"),
        (np.full((2, 1280), "a"), "real numbers are expected, found <U1"),
        (np.ones((2, 1280), complex), "real numbers are expected, found complex128"),
        ("f.npy", "real numbers are expected"),
        ([[1.0, 2.0], [3.0]], r"features: real numbers are expected, found list \[\[1.0, 2.0\], \[3.0\]\]: setting an"),
        (np.ma.masked_less(np.zeros((1, 1280)), 1), "some that are masked"),
        (None, "real numbers are expected, found object"),
    ],
)
def test_features_that_do_not_fit(model: Any, features: Any, said: str) -> None:
    """Another width, no image, NaN: one line."""
    with pytest.raises(InputError, match=said):
        model.predict(features)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"top": "3"}, "top: a whole number is expected"),
        ({"top": 0}, "top: a whole number from 1 on"),
        ({"reject": 2}, "reject: a number from 0 to 1"),
        ({"reject": "x"}, "reject: a number from 0 to 1"),
        ({"candidates": 3}, "candidates: names of classes"),
        ({"candidates": []}, "candidates: names of classes"),
        ({"candidates": ""}, "expected some classes"),
        ({"candidates": "all,river"}, "no class 'all'. 'all' stands alone"),
        ({"candidates": '"river'}, "is no list of names"),
        ({"reject": np.ones(2)}, "reject: a number from 0 to 1"),
        ({"tops": 2}, "has no argument 'tops'. Did you mean 'top'"),
        ({"classes": Classes("ab", np.zeros((2, 60)))}, "classes: a list of names"),
        ({"classes": Classes([1, 2], np.zeros((2, 60)))}, "classes: a list of names"),  # type: ignore[list-item]
        ({"classes": Classes(["a"], [[1.0], [1.0, 2.0]])}, "classes: real numbers"),  # type: ignore[arg-type]
        ({"classes": Classes(["a"], np.full((1, 60), np.inf))}, "with NaN or infinite ones"),
        ({"classes": Classes(["a"], np.ones((1, 60))), "candidates": "river"}, "classes: none of these is among cand"),
        ({"classes": Classes(["a"], np.ones((1, 60))), "reject": 0.5}, "and those alone; leave classes out, or this"),
        ({"classes": Classes(["a"], np.zeros((1, 60)))}, "nothing describes 'a'"),
        ({"classes": {"a": 1}}, "classes: zslbench.models.model.Classes is expected"),
        ({"classes": Classes(["a"], np.zeros((1, 3)))}, r"classes: \(1, 60\) finite numbers"),
        ({"classes": Classes(["a", "a"], np.zeros((2, 60)))}, "'a'"),
    ],
)
def test_what_is_asked_is_checked(model: Any, data: Any, asked: Any, said: str) -> None:
    """Another kind of thing is one line; of pictures it is told before any is read."""
    with pytest.raises(InputError, match=said):
        model.predict(data.view.features[:1], **asked)
    with pytest.raises(InputError, match=said):
        model.predict_pictures("there are no such pictures", **asked)


def test_features_stay_the_caller_s(model: Any) -> None:
    """What is handed over can be written to afterwards, and spaces beside names do not count."""
    mine = np.ones((1, 1280), np.float32)
    assert model.predict(mine, candidates="river, beach", top=2).classes == ["beach", "river"]
    mine[0] = 2


def test_without_validation_nothing_is_said_of_confidence(data: Any, split: Any) -> None:
    """Probabilities are empty, not made up, and rejecting is refused."""
    quick = zb.fit("eszsl", data, split=split, validate=False)
    found = quick.predict(data.view.features[:3])
    assert np.isnan(found.probabilities).all()
    assert found.to_frame()["probability"].isna().all()
    with pytest.raises(InputError, match=r"reject: .*without a look at validation"):
        quick.predict(data.view.features[:3], reject=0.5)


def test_the_threshold_by_hand() -> None:
    """Answers at 0.9 (right), 0.8 (wrong), 0.7 and 0.6 (right): rates 1, 1/2, 2/3, 3/4."""
    confidence = Confidence(1.0, [0.9, 0.8, 0.7, 0.6], [True, False, True, True], 0.0)
    assert [confidence.threshold(rate) for rate in (1.0, 0.75, 0.7, 0.5, 0.0)] == [0.9, 0.6, 0.6, 0.6, 0.6]


def test_rejected_images_are_unknown(model: Any, data: Any) -> None:
    """The verdict is unknown exactly below the threshold, and the classes are given all the same."""
    found = model.predict(data.view.features[::40], reject=0.95)
    below = found.probabilities[:, 0] < found.threshold
    assert 0 < below.sum() < len(found)
    assert [label == "unknown" for label in found.labels] == below.tolist()
    assert set(found.to_frame()["class"]) <= set(data.class_names)


def test_a_transductive_method_looks_at_the_images_that_are_given(data: Any, split: Any) -> None:
    """Its predictions for some images depend on which others come with them, and follow the image, not its place."""
    fitted = zb.fit("eszsl+propagate", data, split=split, validate=False)
    some = data.view.features[split.partition("test").held_out_unseen]
    forwards, backwards = fitted.predict(some), fitted.predict(some[::-1])
    assert forwards.labels == backwards.labels[::-1]


# What is kept


@dataclass(frozen=True)
class NoConfig:
    """No parameter."""


class Holder(Method):
    """Holds what it is given."""

    info = MethodInfo(name="holder", title="Holder", family="linear", citation="")
    Config = NoConfig

    def fit(self, train: Any) -> None:
        """Nothing."""

    def scorers(self, candidates: Any) -> Any:
        """Nothing."""
        yield from ()


def through(thing: Any) -> Any:
    """A value as it comes back."""
    holder = Holder(NoConfig())
    holder.thing = thing  # type: ignore[attr-defined]
    tree, arrays = taken(holder)
    return given_back(json.loads(json.dumps(tree)), arrays, Holder).thing  # type: ignore[attr-defined]


def test_values_come_back() -> None:
    """Plain values, nested containers, arrays in either order, tensors, modules, shared parts, float specials."""
    import torch

    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert through(fortran).flags.f_contiguous
    shared = [1, 2]
    value = {"a": (1, 2.5, None, True, "x", b"\0\xff"), 3: {1, 2}, "twice": [shared, shared], "inf": float("inf")}
    back = through(value)
    assert back == value
    assert back["twice"][0] is back["twice"][1]
    layer = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    x = torch.randn(4, 3)
    torch.testing.assert_close(through(layer)(x), layer(x), rtol=0, atol=0)
    assert isinstance(through(np.float32(1.5)), np.float32)
    loop: list[Any] = []
    loop.append(through([1]))
    np.testing.assert_array_equal(through(np.zeros((0, 4))), np.zeros((0, 4)))


@pytest.mark.parametrize("thing", [lambda: 0, object(), np.array(["a"]), open, (i for i in ())])
def test_what_cannot_be_kept_is_named(thing: Any) -> None:
    """A closure, a foreign object, text in an array: the message says where it is held."""
    with pytest.raises(StateError, match="thing"):
        through(thing)


@pytest.mark.parametrize(
    "tree",
    [
        {"object": ["os", "_wrap_close"], "added": "", "state": []},
        {"object": ["@.missing", "X"], "added": "", "state": []},
        {"function": ["os", "system"]},
        {"function": ["torch", "load"]},
        {"partial": [{"function": ["builtins", "eval"]}, {"tuple": ["1"]}, {"dict": []}]},
        {"again": 7},
        {"unheard": 1},
        {"array": "nowhere", "order": "C"},
        ["a list"],
        {"object": ["zslbench.methods", "TrainingData"], "added": "", "state": []},
    ],
)
def test_a_file_makes_nothing_but_the_method(tree: Any) -> None:
    """Classes and functions of elsewhere, dangling references and foreign trees are refused."""
    with pytest.raises(StateError):
        given_back(tree, {}, Holder)


def remade(model: Any, folder: Path, **changes: Any) -> bytes:
    """The file of a model whose header says something else."""
    path = folder / "remade.zsl"
    Model(msgspec.structs.replace(model.header, **changes), model.semantics, model.method).save(path)
    return path.read_bytes()


def test_damaged_and_foreign_files(model: Any, tmp_path: Path) -> None:
    """No file, no model, cut off, another format, another version of the method: one line each."""
    path = tmp_path / "m.zsl"
    model.save(path)
    whole = path.read_bytes()
    other = tmp_path / "other.zsl"
    cases = {
        b"junk": "no model of zslbench, or is damaged",
        whole[: len(whole) // 2]: "no model of zslbench, or is damaged",
        remade(model, tmp_path, method_version=9): "fitted by version 9 of eszsl",
        whole.replace(b'\\"method_version\\":1', b'\\"method_version\\":9'): "was altered or damaged",
        whole.replace(b"river", b"rivez"): "was altered or damaged",
        whole[:-1] + bytes([whole[-1] ^ 1]): "was altered or damaged",
        whole.replace(b'\\"format\\":1', b'\\"format\\":7'): "format 7",
        remade(model, tmp_path, method="eszsx+cal"): "is not installed here",
    }
    for content, said in cases.items():
        other.write_bytes(content)
        with pytest.raises(InputError, match=said):
            zb.load_model(other)
    with pytest.raises(InputError, match="found nothing there"):
        zb.load_model(tmp_path / "none.zsl")
    with pytest.raises(InputError, match="a folder"):
        zb.load_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": ["a"] * 21}, "class name 'a' is there twice"),
        ({"seen": [False] * 21}, "0 of 21 classes are seen"),
        ({"seen": [True]}, "1 of 21 classes are seen"),
        ({"columns": ["a"]}, "1 attributes are named, and 60 numbers"),
        ({"played": -1}, "less than nothing"),
        ({"played": 0}, "no class played unseen"),
        ({"played": 22}, "more than all"),
        ({"provenance": {"batch_size": "x"}}, "batches of no size"),
        ({"provenance": {"batch_size": 0}}, "batches of no size"),
        ({"few": 10**6}, "more than all"),
        ({"tested": RestsOn(1, 0, 1)}, "less than nothing"),
        ({"cells": (0, 3)}, "less than nothing"),
        ({"measured": {"S": 0.5}}, "T1, OA, S, U, H, AUSUC from 0 to 1"),
        ({"confidence": Confidence(0.0, [0.5], [True], 0.1)}, "its confidence is none"),
        ({"confidence": Confidence(1.0, [0.5], [], 0.1)}, "its confidence is none"),
        ({"confidence": Confidence(1.0, [7.0], [True], 0.1)}, "a probability is not from 0 to 1"),
        ({"attributes": 3, "columns": None}, "header and its arrays do not belong together"),
    ],
)
def test_a_header_that_lies_is_refused(model: Any, tmp_path: Path, changes: Any, said: str) -> None:
    """Written by hand and with a digest of its own, it is read as far as it makes sense, and no further."""
    from zslbench.models.file import read_header

    remade(model, tmp_path, **changes)
    with pytest.raises(InputError, match=said):
        read_header(tmp_path / "remade.zsl")


def test_a_header_moves_no_cursor(model: Any, tmp_path: Path, in_process: Any) -> None:
    """What is shown of a file is printable, whoever wrote it; and a missing or odd model file is told as a file."""
    remade(model, tmp_path, label="\x1b[31mred", zslbench="\x1b[2J", dataset="\x1b]0;x\x07", split="\x1b")
    code, told, _ = in_process("describe", tmp_path / "remade.zsl")
    assert (code, "\x1b" in told) == (0, False)
    for command in ("describe",), ("predict",):
        more = () if command == ("describe",) else ("--features", "f.npy")
        code, _, said = in_process(*command, "none.zsl", *more)
        assert (code, said) == (2, "zslbench: none.zsl: expected a file, found nothing there.\n")


def test_every_cut_and_flipped_bit_is_noticed(model: Any, tmp_path: Path) -> None:
    """Wherever it is: one line, and never another model."""
    from zslbench.models.file import read_header

    path, rng = tmp_path / "m.zsl", np.random.default_rng(0)
    model.save(path)
    whole = path.read_bytes()
    head = 8 + int.from_bytes(whole[:8], "little")
    for at in [0, 1, 7, 8, head - 1, *rng.integers(0, len(whole), 10).tolist()]:
        path.write_bytes(whole[:at])
        with pytest.raises(InputError):
            read_header(path)
    for at in [*rng.integers(0, head, 20).tolist(), *rng.integers(head, len(whole), 10).tolist()]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << int(rng.integers(8))]) + whole[at + 1 :])
        with pytest.raises(InputError):
            read_header(path)


@pytest.mark.parametrize("names", [["Beach"], ["be\u0061ch"], ["BEACH "], ["caf\u00e9", "cafe\u0301"], ["", "a"]])
def test_further_classes_that_are_one(model: Any, data: Any, names: list[str]) -> None:
    """A class of the model in other letters, or twice in two forms of Unicode, is no further class."""
    with pytest.raises(InputError, match=r"knows 'beach' already|there twice|is empty"):
        model.predict(data.view.features[:1], classes=Classes(names, np.ones((len(names), 60))))


def test_a_plugin_that_was_edited(data: Any, tmp_path: Path) -> None:
    """A model of it is refused, since its numbers may mean something else by now; the same text elsewhere is not."""
    (tmp_path / "mine.py").write_text(PLUGIN)
    zb.fit("mine", data, validate=False, plugins=tmp_path / "mine.py").save(tmp_path / "m.zsl")
    with pytest.raises(InputError, match="comes from a plugin, which must be given too"):
        zb.load_model(tmp_path / "m.zsl")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/other.py").write_text(PLUGIN)
    zb.load_model(tmp_path / "m.zsl", tmp_path / "elsewhere/other.py")
    (tmp_path / "mine.py").write_text(PLUGIN + "\n# edited\n")
    with pytest.raises(InputError, match="the plugin that defines mine was changed since; fit it again"):
        zb.load_model(tmp_path / "m.zsl", tmp_path / "mine.py")


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """As on a full disk: no file can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_nothing_is_half_written(model: Any, data: Any, tmp_path: Path, in_process: Any) -> None:
    """One line of fit, predict and a run; what was there stays."""
    kept, features, table = tmp_path / "m.zsl", tmp_path / "f.npy", tmp_path / "p.csv"
    model.save(kept)
    np.save(features, data.view.features[:200])
    table.write_text("before")
    before = kept.read_bytes()
    lines = {
        ("fit", "eszsl", "--dataset", "ucm", "--no-validate", "-o", kept): f"{kept} cannot be written: File too large.",
        ("predict", kept, "--features", features, "-o", table): f"{table} cannot be written: File too large.",
        ("run", "--methods", "eszsl", "--dataset", "ucm", "--splits", "1", "--no-validation", "--save-models", "all",
         "--workers", "0", "--store", tmp_path / "store", "--quiet"):
            f"store {tmp_path}/store cannot be written: No space left on device. What was stored before is intact.",
    }  # fmt: skip
    for line, said in lines.items():
        with files_up_to(10_000):
            code, _, err = in_process(*line)
        assert (code, err) == (2, f"zslbench: {said}\n")
    assert (kept.read_bytes(), table.read_text()) == (before, "before")
    assert not [*(tmp_path / "store").rglob("*.zsl"), *(tmp_path / "store").rglob("*.part"), *tmp_path.glob(".*")]


def test_the_commands(data: Any, tmp_path: Path) -> None:
    """fit, describe and predict work one after the other, for people and for programs."""
    from zslbench.cli import cli

    def zslbench(*line: str) -> Any:
        return CliRunner().invoke(cli, list(line), catch_exceptions=True)

    kept, features = tmp_path / "m.zsl", tmp_path / "f.npy"
    np.save(features, data.view.features[:4])
    made = zslbench("fit", "eszsl+cal", "--dataset", "ucm", "--split", "3", "-o", str(kept))
    assert made.exit_code == 0, made.output
    assert "of 16 classes of ucm" in made.stdout
    assert "zslbench predict" in made.stdout
    told = json.loads(zslbench("describe", str(kept), "--json").stdout)
    assert told["method"] == "eszsl+cal"
    assert list(told["classes"].values()).count("without images") == 5
    seen, lines = told["classes"], zslbench("describe", str(kept)).stdout.splitlines()
    assert "unseen     " + ", ".join(name for name, kind in seen.items() if kind != "seen") in lines
    assert set(made.stdout.splitlines()[:-1]) < set(lines), "fit and describe say the same"
    played = sum(
        line.startswith("validation T1 ") and "without 4 classes, which played unseen" in line for line in lines
    )
    assert (played, told["played"]) == (1, 4)
    rows = json.loads(zslbench("predict", str(kept), "--features", str(features), "--top", "3", "--json").stdout)
    assert [row["rank"] for row in rows] == [1, 2, 3] * 4
    table = tmp_path / "p.csv"
    assert zslbench("predict", str(kept), "--features", str(features), "-o", str(table)).exit_code == 0
    assert len(table.read_text().splitlines()) == 5
    parquet = tmp_path / "p.parquet"
    assert zslbench("predict", str(kept), "--features", str(features), "-o", str(parquet)).exit_code == 0
    assert parquet.stat().st_size > 500
    assert "unknown" not in zslbench("predict", str(kept), "--features", str(features)).stdout


def test_fit_says_where_a_method_failed_and_spares_other_files(tmp_path: Path) -> None:
    """One line with the author's file and line, exit code 1; the output's name must be a model's."""
    from zslbench.cli import cli

    plugin, output = tmp_path / "bad.py", tmp_path / "m.zsl"
    plugin.write_text(
        "from dataclasses import dataclass\nfrom zslbench import Method, MethodInfo\n\n"
        "class Bad(Method):\n    info = MethodInfo(name='bad', title='Bad', family='linear', citation='')\n\n"
        "    @dataclass(frozen=True)\n    class Config:\n        pass\n\n"
        "    def fit(self, train):\n        raise ValueError('no')\n\n"
        "    def scorers(self, candidates):\n        yield None\n"
    )
    line = ["fit", "bad", "--dataset", "ucm", "--plugin", str(plugin), "-o"]
    found = CliRunner().invoke(cli, [*line, str(output)], standalone_mode=False)
    assert found.return_value == 1
    assert found.stderr.strip() == f"zslbench: bad failed: ValueError: no ({plugin}, line 12)"
    assert not output.exists()
    assert "ends in .zsl" in CliRunner().invoke(cli, [*line, str(plugin)]).output


def test_further_classes_from_a_table(model: Any, data: Any, tmp_path: Path) -> None:
    """Attributes are known by name, in any order; a missing and an unknown one are named."""
    from zslbench.models.further import read_classes

    columns, row = model.header.columns, model.semantics[0]
    path = tmp_path / "more.csv"
    order = np.random.default_rng(0).permutation(len(columns))
    lines = [
        ",".join(["class", *(columns[i] for i in order)]),
        ",".join(["new", *(repr(float(row[i])) for i in order)]),
    ]
    path.write_text("\n".join(lines))
    found = read_classes(path, model.header)
    assert list(found.names) == ["new"]
    np.testing.assert_array_equal(found.semantics[0], row)
    path.write_text("\n".join(lines).replace(columns[order[0]], "asphallt", 1))
    with pytest.raises(InputError, match="knows no attribute 'asphallt'"):
        read_classes(path, model.header)
    short = [",".join(line.split(",")[:-1]) for line in lines]
    path.write_text("\n".join(short))
    with pytest.raises(InputError, match=f"attributes of the model are missing: {columns[order[-1]]}"):
        read_classes(path, model.header)


def test_predictions_say_what_they_are(model: Any, data: Any) -> None:
    """Their representation is short, and a frame has a row for every image and rank."""
    found: Predictions = model.predict(data.view.features[:7], top=2)
    assert repr(found) == "<predictions of 7 images among 21 classes>"
    assert len(found.to_frame()) == 14
    assert "16 classes of ucm" in repr(model)


@pytest.fixture
def mapped(synthetic: Path) -> Any:
    """A SYNTHETIC data set with feature maps of four cells."""
    features = np.load(synthetic / "features/made.npy")
    noise = np.random.default_rng(1).normal(size=(len(features), 4, features.shape[1]))
    (synthetic / "maps").mkdir()
    np.save(synthetic / "maps/made_2x2.npy", (features[:, None] + noise).astype(np.float32))
    return zb.load(synthetic, maps="made_2x2")


DSVA = "dsva[epochs=1,batches_per_epoch=2]"


def test_a_model_with_maps_is_as_good_as_the_trial(mapped: Any, tmp_path: Path, in_process: Any) -> None:
    """It asks for maps, says so, and gives the trial's predictions, by command too; the trial's own model as well."""
    split, maps = mapped.splits()[0], mapped.view.maps
    zb.fit(DSVA, mapped, split=split, validate=False, device="cpu").save(tmp_path / "m.zsl")
    results = zb.run(DSVA, mapped, splits=1, validation=False, workers=0, quiet=True, save_models="all", store=tmp_path)
    (record,) = results.store.records()
    stored, part = results.store.predictions(record), split.partition("test")
    images = np.concatenate([part.held_out_seen, part.held_out_unseen])
    columns = np.where(stored["gzsl_margin"] >= 0, stored["gzsl_best_seen"], stored["gzsl_best_unseen"])
    expected = np.array(mapped.class_names)[columns].tolist()
    for path in (tmp_path / "m.zsl", results.store.model_path(record.key)):
        model = zb.load_model(path)
        assert (model.header.maps, model.header.cells) == ("made_2x2", (4, 16))
        assert model.predict(mapped.view.features[images], maps=maps[images]).labels == expected
    assert "and maps   made_2x2, 4 cells of 16 numbers an image" in in_process("describe", tmp_path / "m.zsl")[1]
    np.save(tmp_path / "f.npy", mapped.view.features[images])
    np.save(tmp_path / "l.npy", maps[images])
    line = "predict", tmp_path / "m.zsl", "--features", tmp_path / "f.npy"
    code, out, _ = in_process(*line, "--maps", tmp_path / "l.npy", "--json")
    assert (code, [row["class"] for row in json.loads(out)]) == (0, expected)
    code, _, err = in_process(*line)
    assert (code, "'made_2x2' of toy: give those of the images by --maps" in err) == (2, True)
    code, _, err = in_process("predict", tmp_path / "m.zsl", "--images", tmp_path, "--maps", tmp_path / "l.npy")
    assert (code, "--maps belong to --features" in err) == (2, True)


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        (None, "give those of the images by maps"),
        (np.ones((2, 5, 16)), r"maps: \(images, 4, 16\) numbers are expected, made as 'made_2x2' of toy, found \(2, 5"),
        (np.ones((3, 4, 16)), "maps: those of 3 images are given, and features of 2"),
        (np.full((2, 4, 16), np.nan), "maps: row 0 holds NaN"),
        (np.full((2, 4, 16), "a"), "maps: real numbers"),
    ],
)
def test_maps_that_do_not_fit(mapped: Any, maps: Any, said: str) -> None:
    """Another shape, other images, none: one line."""
    model = zb.fit(DSVA, mapped, validate=False, device="cpu")
    with pytest.raises(InputError, match=said):
        model.predict(mapped.view.features[:2], maps=maps)


def test_a_method_without_maps_takes_none(mapped: Any) -> None:
    """Where the data set has some, a method that does not look at them is fitted as ever."""
    model = zb.fit("eszsl", mapped, validate=False)
    assert model.header.cells is None
    with pytest.raises(InputError, match="fitted without feature maps"):
        model.predict(mapped.view.features[:2], maps=mapped.view.maps[:2])


def test_what_fit_prints_next_can_be_pasted(data: Any, tmp_path: Path) -> None:
    """A name with a space is quoted, and the plugin of the method is named; CSV options do not go with JSON."""
    from zslbench.cli import cli

    (tmp_path / "mine.py").write_text(PLUGIN)
    kept, plugin = str(tmp_path / "my model.zsl"), str(tmp_path / "mine.py")
    made = CliRunner().invoke(cli, ["fit", "mine", "--plugin", plugin, "--dataset", "ucm", "-o", kept])
    assert made.exit_code == 0, made.output
    program, *words = shlex.split(made.stdout.splitlines()[-1].removeprefix("next       "))
    assert (program, words[:4]) == ("zslbench", ["predict", kept, "--images", "FOLDER"])
    np.save(tmp_path / "f.npy", data.view.features[:2])
    words[2:4] = ["--features", str(tmp_path / "f.npy")]
    assert CliRunner().invoke(cli, [*words, "--json"]).exit_code == 0
    assert CliRunner().invoke(cli, [*words, "--json", "--excel-safe"]).exit_code != 0


PLUGIN = """
from dataclasses import dataclass
import numpy as np
from zslbench import Method, MethodInfo


class Mine(Method):
    info = MethodInfo(name="mine", title="Mine", family="linear", citation="")

    @dataclass(frozen=True)
    class Config:
        pass

    def fit(self, train):
        self.W = np.zeros((train.features.shape[1], train.semantics.shape[1]))

    def scorers(self, candidates):
        yield lambda features: features @ self.W @ candidates.semantics.T
"""


def test_below_a_model_of_all_images_as_many_classes_play_unseen(data: Any) -> None:
    """What a method chooses on validation classes it chooses on a quarter of them in the measured fit too."""
    from zslbench.splits import whole

    split = whole(data.dataset)
    above, below = split.rehearsal("test"), split.rehearsal("validation")
    assert above is not None
    assert below is not None
    assert [(len(part.unseen), len(part.classes)) for part in (above, below)] == [(5, 21), (4, 16)]


@pytest.mark.parametrize(
    ("probabilities", "right", "accuracy", "expected"),
    [
        ([1.0] * 4, [True, False, False, False], 0.25, 1.0),
        ([0.9, 0.8, 0.8, 0.7], [True, True, False, True], 0.7, 0.7),
        ([0.9, 0.8, 0.8, 0.7], [True, True, False, False], 0.9, 0.9),
        ([0.9, 0.8, 0.7], [True, True, True], 1.0, 0.7),
    ],
)
def test_answers_that_are_equally_sure_count_together(probabilities, right, accuracy, expected) -> None:
    """No threshold lies within a run of equal probabilities: all of them or none are answered."""
    assert Confidence(1.0, probabilities, right, 0.0).threshold(accuracy) == expected


def test_a_threshold_belongs_to_all_classes(model: Any, data: Any) -> None:
    """It was found with all of them as candidates; among a few everything looks sure."""
    with pytest.raises(
        InputError, match="with all its classes as candidates, and those alone; leave candidates out, or this"
    ):
        model.predict(data.view.features, candidates="unseen", reject=0.9)
