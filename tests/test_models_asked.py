"""What is asked of models and what they say of themselves: options without effect, words that are names, few images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugins import write_plugin

import zslbench as zb
from zslbench.cli import _left
from zslbench.errors import InputError
from zslbench.models.model import Classes

NAMES = ["river", "port, small", "unknown", "all", "unseen", "quarry"]
DESCRIBED = [*NAMES[:4], "unseen", "quarry"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images of each of four classes with odd names, and two classes without any; as a data set in `set`."""
    from zslbench.cli.data.importing import arrays

    made, rng = tmp_path_factory.mktemp("tiny"), np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 3)
    np.save(made / "f.npy", (rng.normal(size=(12, 8)) + 3 * np.eye(8)[labels]).astype(np.float32))
    np.save(made / "l.npy", labels)
    (made / "c.txt").write_text("\n".join(NAMES))
    rows = rng.normal(size=(6, 5))
    quoted = [f'"{name}"' if "," in name else name for name in NAMES]
    lines = [",".join([name, *map(str, row)]) for name, row in zip(quoted, rows, strict=True)]
    (made / "s.csv").write_text("\n".join(["class,a,b,c,d,e", *lines]))
    words = ["--features", "f.npy", "--labels", "l.npy", "--semantics", "s.csv", "--classes", "c.txt"]
    words = [str(made / word) if "." in word else word for word in words]
    arrays.main([*words, "--without-images", "unseen,quarry", "--name", "tiny", "--out", str(made / "set")],
                standalone_mode=False)  # fmt: skip
    zb.fit("eszsl+cal", made / "set").save(made / "m.zsl")
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    """Fitted on them."""
    return zb.load_model(folder / "m.zsl")


@pytest.fixture(scope="module")
def images(folder: Path) -> Any:
    """The images."""
    return np.load(folder / "f.npy")


def test_names_with_commas_and_names_that_are_words(model: Any, images: Any) -> None:
    """A list, and a text with quotation marks, mean classes; a plain word means classes of that kind."""
    asked = {
        "all": {*NAMES}, "unseen": {"unseen", "quarry"}, '"all"': {"all"}, '"unseen", river': {"unseen", "river"},
        '"port, small",quarry': {"port, small", "quarry"},
    }  # fmt: skip
    for candidates, meant in asked.items():
        assert set(model.predict(images, candidates=candidates).classes) == meant
    assert model.predict(images, candidates=["unseen"]).classes == ["unseen"]
    with pytest.raises(InputError, match=r"no class 'port'. .* quotation marks: candidates='\"port, small\"'"):
        model.predict(images, candidates="port,small")


def test_the_command_says_which_is_meant(folder: Path, in_process: Any) -> None:
    """A word that is a class's name too is taken for the word, with a line on how to name the class; of a name with a
    comma the error's spelling can be pasted."""
    line = "predict", folder / "m.zsl", "--features", folder / "f.npy", "--json", "--candidates"
    code, out, err = in_process(*line, "unseen")
    assert (code, {row["class"] for row in json.loads(out)} <= {"unseen", "quarry"}) == (0, True)
    assert err == (
        "zslbench: --candidates unseen means classes of that kind; the class of that name alone is --candidates "
        "'\"unseen\"'.\n"
    )
    assert {row["class"] for row in json.loads(in_process(*line, '"unseen"')[1])} == {"unseen"}
    assert in_process(*line[:-1])[2] == "", "the default is no word that anybody typed"
    assert in_process(*line, "port, small")[2].endswith("quotation marks: --candidates '\"port, small\"'.\n")
    assert {row["class"] for row in json.loads(in_process(*line, '"port, small"')[1])} == {"port, small"}


def test_no_class_is_called_as_the_verdict(folder: Path, model: Any, images: Any, in_process: Any) -> None:
    """Where images are rejected, `unknown` can be no class; fit says so before."""
    with pytest.raises(InputError, match="reject: a class is called 'unknown', as is the verdict"):
        model.predict(images, reject=0.5)
    model.predict(images)
    err = in_process("fit", "eszsl", "--dataset", folder / "set", "--no-validate", "-o", "m.zsl")[2]
    assert err == (
        "zslbench: a class is called 'unknown', as is the verdict of `predict --reject`, which will be refused.\n"
    )


@pytest.mark.parametrize(
    "option", [("--skip-bad",), ("--workers", "0"), ("--device", "cpu"), ("--weights", "w.pt"), ("--html", "a.html")]
)
def test_options_about_pictures_need_pictures(folder: Path, in_process: Any, option: tuple[str, ...]) -> None:
    """With features they would change nothing, so they are refused before anything is read."""
    code, out, err = in_process("predict", "no.zsl", "--features", folder / "f.npy", *option)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"zslbench: {option[0]} ")
    assert "pictures" in err


@pytest.mark.parametrize("option", ["--images", "--features", "--maps", "--classes", "--weights", "-o", "--html"])
def test_empty_names_are_refused(folder: Path, in_process: Any, option: str) -> None:
    """As a script gives them whose variable is unset: they would mean the current folder."""
    code, _, err = in_process("predict", folder / "m.zsl", option, "")
    assert (code, "found an empty one" in err) == (2, True)


def test_an_estimate_says_what_it_rests_on(folder: Path, model: Any, in_process: Any) -> None:
    """Of four classes two play unseen with all six images, the others hold one image out each; guesses are right in
    one of two, or of four, cases. Few images are called so, many are not."""
    header = model.header
    assert (header.tested.seen_images, header.tested.seen_classes, header.tested.unseen_images) == (2, 2, 6)
    assert header.chance == {"T1": 0.5, "S": 0.25, "U": 0.25, "H": 0.25}
    lines = in_process("describe", folder / "m.zsl")[1].splitlines()
    assert "by chance  T1 50.0  S 25.0  U 25.0  H 25.0 (guesses among 2 classes, or among all 4)" in lines
    (rests,) = (line for line in lines if line.startswith("rests on "))
    assert rests == (
        "rests on   2 images of 2 classes that were fitted on, and 6 of 2 that played unseen: few, one image moves S "
        "or U by 50 points or so"
    )
    told = json.loads(in_process("describe", folder / "m.zsl", "--json")[1])
    assert told["tested"] == {"seen_images": 2, "seen_classes": 2, "unseen_images": 6}
    assert told["chance"] == header.chance
    in_process("fit", "eszsl", "--dataset", "ucm", "-o", "u.zsl")
    told = in_process("describe", "u.zsl")[1]
    assert "320 images of 16 classes that were fitted on, and 500 of 5 that played unseen\n" in told


def test_an_estimate_that_cannot_be_is_told(tmp_path: Path, synthetic: Path, in_process: Any) -> None:
    """With an image of each class none can be held out: fit says so, and goes on."""
    from zslbench.datasets import Dataset

    data = Dataset(synthetic)
    np.save("f.npy", data.features()[: len(data.class_names)])
    np.save("l.npy", np.arange(len(data.class_names)))
    np.save("s.npy", data.semantics())
    Path("c.txt").write_text("\n".join(data.class_names))
    arrays = {"features": "f.npy", "labels": "l.npy", "semantics": "s.npy", "classes": "c.txt"}
    options = [word for name, value in arrays.items() for word in (f"--{name}", value)]
    assert in_process("data", "import", "arrays", *options, "--name", "one", "--out", "one")[0] == 0
    code, out, err = in_process("fit", "eszsl", "--dataset", "./one", "-o", "m.zsl")
    assert (code, "validation none" in out) == (0, True)
    assert err.startswith("zslbench: one has too few classes or images to leave some out: nothing says how good")


def test_maps_that_nothing_looks_at_are_told(synthetic: Path, in_process: Any) -> None:
    """A method that looks at no feature maps says that --maps changes nothing."""
    (synthetic / "maps").mkdir()
    np.save(synthetic / "maps/grid.npy", np.load(synthetic / "features/made.npy")[:, None])
    err = in_process("fit", "eszsl", "--dataset", synthetic, "--maps", "grid", "-o", "m.zsl")[2]
    assert err == "zslbench: eszsl looks at no feature maps: --maps changes nothing.\n"


def test_the_rejected_are_counted(in_process: Any) -> None:
    """How many, below which probability, and on how many images that was found."""
    data = zb.load("ucm")
    np.save("f.npy", data.view.features[:60])
    in_process("fit", "eszsl+cal", "--dataset", "ucm", "-o", "m.zsl")
    code, out, err = in_process("predict", "m.zsl", "--features", "f.npy", "--reject", "0.97", "--json")
    unknown = sum(row["verdict"] == "unknown" for row in json.loads(out))
    assert (code, unknown > 0) == (0, True)
    assert err.startswith(f"zslbench: unknown: {unknown} of 60 images, less sure than ")
    assert err.endswith(" %, found on 820 held-out images.\n")


def test_models_of_trials_say_once_that_they_are_not_sure(synthetic: Path, tmp_path: Path, in_process: Any) -> None:
    """A trial finds no probabilities: predict says so in a line and how to have them, and rejects nothing."""
    run = "run", "--methods", "eszsl", "--dataset", synthetic, "--split", "1", "--workers", "0", "--quiet"
    in_process(*run, "--no-validation", "--save-models", "all", "--store", tmp_path / "s")
    (path,) = (tmp_path / "s/models").iterdir()
    np.save("f.npy", zb.load(synthetic).view.features[:20])
    code, out, err = in_process("predict", path, "--features", "f.npy", "--json")
    assert (code, json.loads(out)[0]["probability"]) == (0, None)
    said = "it is the model of a trial, which takes no look at validation classes; `zslbench fit` with --split 1 fits "
    assert err == f"zslbench: probabilities are empty: {said}the same model and does.\n"
    code, out, err = in_process("predict", path, "--features", "f.npy", "--reject", "0.9")
    assert (code, out) == (2, "")
    assert err.startswith(f"zslbench: --reject: this model cannot tell how sure it is: {said}")


@pytest.mark.parametrize(
    ("semantics", "said"),
    [
        ("attributes:shuffled", "'attributes:shuffled' is drawn anew for each split and stands in no file"),
        ("random:9", "'random:9' is drawn anew"),
        ("attributes:noise:0.5", "'attributes:noise:0.5' is drawn anew"),
        ("attributes:part:0.5", "'attributes:part:0.5' is drawn anew"),
        ("attributes+word2vec", "2 arrays side by side"),
        ("word2vec", "whose columns are no named attributes"),
    ],
)
def test_why_no_table_describes_further_classes(tmp_path: Path, semantics: str, said: str) -> None:
    """Of views that are drawn, of several arrays and of embeddings the reason is told."""
    from msgspec.structs import replace

    from zslbench.models.further import read_classes

    header = zb.fit("eszsl", zb.load("ucm"), validate=False).header
    with pytest.raises(InputError, match=said):
        read_classes(tmp_path / "more.csv", replace(header, semantics=semantics, columns=None))


@pytest.mark.parametrize(
    ("words", "goes_on"),
    [
        (["run", "--quiet"], True), (["tune", "dem"], True), (["data", "prepare", "x"], True),
        (["data", "download", "x"], True), (["fit", "dem"], False), (["predict", "m.zsl"], False),
        (["data", "import", "arrays"], False), (["report"], False), ([], False),
    ],
)  # fmt: skip
def test_interrupted_commands_say_what_is_left(words: list[str], goes_on: bool) -> None:
    """Only those that keep what they finish say that something is stored."""
    assert ("run the same command again to go on" in _left(words)) == goes_on
    assert ("nothing is stored by this command before it ends" in _left(words)) != goes_on


def test_an_interrupted_fit_stores_nothing(tmp_path: Path, synthetic: Path, in_process: Any) -> None:
    """Ctrl-C while a method is fitted ends with 130, one line, and no file."""
    plugin = write_plugin(tmp_path / "mine.py", before="raise KeyboardInterrupt")
    before = {path.name for path in tmp_path.iterdir()}
    code, out, err = in_process("fit", "mine", "--plugin", plugin, "--dataset", synthetic, "-o", "m.zsl")
    assert (code, out) == (130, "")
    assert err.strip() == (
        "zslbench: interrupted; nothing is stored by this command before it ends, and no file is half-written"
    )
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("files", ["abc", 3, ["a"], None])
def test_names_of_images(model: Any, images: Any, files: Any) -> None:
    """One for each image; a text is none, and without any they are numbered."""
    if files is None:
        numbered = [Path(str(at)) for at in range(len(images))]
        assert model.predict(images, files=numbered).files == model.predict(images).files
        return
    with pytest.raises(InputError, match="files: "):
        model.predict(images, files=files)
    with pytest.raises(InputError, match="top: a whole number from 1 on"):
        model.predict(images).first(0)
    with pytest.raises(InputError, match="weights: a path"):
        model.predict_pictures("there", weights=3)


def test_further_classes_may_be_arrays_of_names(model: Any, images: Any) -> None:
    """NumPy's texts and lists of lists serve as well."""
    more = Classes(np.array(["sea", "lake"]), [[0.5] * 5, [1.0] * 5])  # type: ignore[arg-type]
    assert model.predict(images, classes=more, candidates=["lake"]).classes == ["lake"]


@pytest.mark.parametrize(
    ("names", "rows", "said"),
    [
        (["pier"], np.zeros((1, 5)), r"nothing describes 'pier', whose row is all zeros"),
        (["dune", "pier"], [[1, 1, 0, 0, 0], [1, 0, 0, 0, -1e-6]], r"negative numbers describe 'pier'"),
    ],
)
def test_further_classes_are_described_as_the_model_s_are(folder: Path, model: Any, images: Any, names, rows, said):
    """A row that says nothing, and numbers of a sign that no class of the model has, give no answer."""
    from zslbench.models.model import Model

    positive = Model(model.header, np.abs(model.semantics), model.method)
    for form in (Classes(names, np.array(rows)), Classes(np.array(names), np.array(rows, np.float32))):
        with pytest.raises(InputError, match=said):
            positive.predict(images, classes=form)
    assert model.predict(images, classes=Classes(["pier"], -np.ones((1, 5)))).classes[-1], "it has negative ones itself"


def test_how_sure_is_asked_of_the_model_s_own_classes(model: Any, images: Any) -> None:
    """Neither fewer candidates nor further ones: the rate was found with neither."""
    with pytest.raises(InputError, match=r"reject: .* and those alone; leave classes out, or this"):
        model.predict(images, reject=0.5, classes=Classes(["pier"], np.ones((1, 5))))
    with pytest.raises(InputError, match=r"leave candidates out, or this"):
        model.predict(images, reject=0.5, candidates=["river"])


def test_a_model_is_saved_as_one(model: Any, tmp_path: Path) -> None:
    """Under another ending nothing is written, and what is there stays."""
    (tmp_path / "table.csv").write_text("precious")
    with pytest.raises(InputError, match=r"a model file's name ends in \.zsl, found '.*table\.csv'"):
        model.save(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "precious"


@pytest.mark.parametrize(
    ("candidates", "said"),
    [("Unseen", r"no class 'Unseen'\. All classes of a kind are candidates='unseen'"),
     ("river,river", r"'river' is named twice"), ([], r"names of classes is expected, found list")],
)  # fmt: skip
def test_candidates_that_are_none(model: Any, images: Any, candidates: Any, said: str) -> None:
    """A line says what was meant."""
    with pytest.raises(InputError, match=said):
        model.predict(images, candidates=candidates)


def test_probabilities_at_any_temperature() -> None:
    """They are numbers that sum to one, also where scores cannot be divided by it."""
    from zslbench.temperature import softmax

    scores = np.array([[1.0, 2.0, 2.0], [-1e300, 0.0, 1e300]])
    for temperature in (1e-320, 1e-3, 1.0, 1e3):
        p = softmax(scores, temperature)
        assert np.isfinite(p).all()
        assert p.sum(axis=1) == pytest.approx([1, 1])
    assert softmax(scores, 1e-320)[0] == pytest.approx([0, 0.5, 0.5])
    assert softmax(scores[:1], 2.0) == pytest.approx(softmax(scores[:1] / 2.0))
