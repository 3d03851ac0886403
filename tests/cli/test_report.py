"""`zslbench report`: what it writes, and what it says where it cannot."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from conftest import run_in, write_synthetic
from plugins import write_plugin
from reports import done, failed, tables_of, trial, write_store

from zslbench.records import Store
from zslbench.report.plots import PLOTS

Command = Callable[..., tuple[object, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SYNTHETIC data set and a store ``kept`` of two methods on three splits of it."""
    folder = tmp_path_factory.mktemp("made")
    toy, plugin = write_synthetic(folder / "toy"), write_plugin(folder / "mine.py")
    code = run_in(
        folder, "run", "--methods", "mine,projection", "--plugin", plugin, "--dataset", toy, "--splits", 3,
        "--workers", 0, "--store", "kept", "--quiet",
    )  # fmt: skip
    assert code == 0
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """The store of a copy, in the test's own folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "kept"


def write_images(folder: Path, per_class: int) -> Path:
    """A folder per class of the synthetic data set, with plain images of one colour."""
    for label in range(8):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(per_class):
            colour = np.full((150, 200, 3), 20 * label + number, np.uint8)
            PIL.Image.fromarray(colour).save(folder / f"class{label}" / f"{number}.png")
    return folder


def test_one_file_holds_it_all(store: Path, in_process: Command, tmp_path: Path):
    """The page has every method, class names and figures; stdout names it; the store is left as it was."""
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    code, out, err = in_process("report", "--store", store, "-o", "page.html", "--plots", "figures")
    assert code == 0, err
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "mine" in html
    assert "projection" in html
    assert "class3" in html
    assert "zslbench run --methods mine,projection" in html
    lines = out.splitlines()
    assert lines[0].startswith("page.html (")
    written = {path.name for path in (tmp_path / "figures").iterdir()}
    drawn = {plot.name for plot in PLOTS} - {
        "ranks",
        "shots",
        "budget",
        "stress",
    }  # which need more splits, shots, tries and views
    assert written == {f"{name}{suffix}" for name in drawn for suffix in (".svg", ".png")}
    assert sorted(lines[1:]) == sorted(f"figures/{name}" for name in written)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_options_choose_what_is_shown(store: Path, in_process: Command, tmp_path: Path):
    """--sort, --select and --splits are the leaderboard's; the oracle is called one."""
    code, _, err = in_process("report", "--store", store, "--sort", "T1", "--select", "test-max", "--splits", 2)
    assert code == 0, err
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Ranked by T1." in html
    assert "an oracle&#39;s, not results" in html
    assert ">2/2<" in html


def test_images_come_with_predictions(store: Path, in_process: Command, tmp_path: Path):
    """Of each unseen class four evenly spaced images, with what the best method's stored predictions say of them."""
    images = write_images(tmp_path / "images", 12)
    code, _, err = in_process("report", "--store", store, "--images", images)
    assert code == 0, err
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    shown = re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="class(\d)/(\d+)\.png">\n<figcaption>(.*?)<', html)
    kept = Store(store)
    (table,) = tables_of(kept)
    trials = [record for record in kept.records() if record.label == table.rows[0].label]
    trials = [record for record in trials if record.trial.stage == "test"]
    expected = []
    for label in range(8):
        for stored in map(kept.predictions, sorted(trials, key=lambda record: record.trial.split)):
            if (mine := stored["zsl_truth"] == label).any():
                answers = stored["zsl_predicted"][mine]
                for number in (0, 3, 7, 11):
                    right = answers[number] == label
                    expected.append((str(label), str(number), "✓ right" if right else f"✗ class{answers[number]}"))
                break
    assert expected
    assert shown == expected
    assert "matched to the rows of the data set by the order" in html


def test_images_that_cannot_be_matched_have_no_predictions(store: Path, in_process: Command, tmp_path: Path):
    """With other numbers of images there is one per class, and the page says why."""
    images = write_images(tmp_path / "images", 5)
    code, _, err = in_process("report", "--store", store, "--images", images)
    assert code == 0, err
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    names = re.findall(r'alt="(class\d)/\d+\.png"', html)
    assert len(names) == len(set(names)) > 0
    assert "one image per class is shown, without predictions" in html
    assert "✓ right" not in html


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "kept/records.jsonl"],
        ["-o", "kept/plan.jsonl"],
        ["-o", "kept/predictions/page.html"],
        ["-o", "page.html", "--plots", "kept/predictions"],
        ["-o", "page.html", "--plots", "kept/logs"],
    ],
)
def test_nothing_stored_is_overwritten(store: Path, in_process: Command, tmp_path: Path, arguments: list[str]):
    """Neither the page nor its figures may replace a part of the store: one line, exit code 2, all bytes as before."""
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    code, out, err = in_process("report", "--store", store, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "part of the store" in err
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "page.html").exists()


def test_methods_limit_the_report(store: Path, in_process: Command, tmp_path: Path):
    """--methods keeps the named rows alone; an unknown name is an error with those that there are."""
    code, _, err = in_process("report", "--store", store, "--methods", "projection")
    assert code == 0, err
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    board = html[html.index("<tbody>") : html.index("</tbody>")]
    assert board.count("<tr") == 1
    assert "projection" in board
    assert "Only the rows of projection are shown" in html
    code, _, err = in_process("report", "--store", store, "--methods", "projektion")
    assert code == 2
    assert "Did you mean 'projection'?" in err
    assert err.count("\n") == 1


def test_missing_validation_trials_are_named(in_process: Command, tmp_path: Path):
    """--select val without any validation trial ends in one line that says whose are missing and how to get them."""
    write_store(tmp_path / "store", [(done(trial("a", split), [0.5, 0.6]), None) for split in range(2)])
    code, _, err = in_process("report", "--store", "store", "--select", "val")
    assert (code, err.count("\n")) == (2, 1)
    assert "Validation trials are missing for a: run with --validation" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--store", "nowhere"], "no records in nowhere"),
        (["--dataset", "cub"], "matches the options"),
        (["-o", "no/folder/page.html"], "there is no folder no/folder"),
        (["--images", "nowhere"], "nowhere: expected a folder or a zip file"),
        (["--splits", "0"], "--splits"),
    ],
)
def test_bad_input_is_one_line(store: Path, in_process: Command, tmp_path: Path, arguments: list[str], said: str):
    """Exit code 2, one line on stderr that says what is wrong, and no page."""
    given = ["--store", store] if "--store" not in arguments else []
    code, out, err = in_process("report", *given, *arguments)
    assert code == 2
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "report.html").exists()


def test_a_store_of_failures_makes_no_page(in_process: Command, tmp_path: Path):
    """Nothing finished, nothing to report: said, with exit code 2."""
    write_store(tmp_path / "store", [(failed(trial("a", 0), "no luck"), None)])
    code, _, err = in_process("report", "--store", "store")
    assert code == 2
    assert "no finished trial" in err


def test_a_page_that_cannot_be_replaced_stays(store: Path, in_process: Command, tmp_path: Path):
    """Where the page cannot be written nothing is left half done."""
    (tmp_path / "page.html").mkdir()
    code, _, err = in_process("report", "--store", store, "-o", "page.html")
    assert code == 2
    assert "page.html" in err
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("name", "said"),
    [("x.tex", "`zslbench leaderboard` writes"), ("x.parquet", "`zslbench export`"), ("x.PDF", "a browser prints"),
     ("x.svg", "--plots writes")],
)  # fmt: skip
def test_a_report_is_html(in_process, store, tmp_path, name, said):
    """A name that stands for another form is refused in a line that says what writes that form."""
    code, out, err = in_process("report", "--store", store, "-o", name)
    assert (code, out) == (2, "")
    assert err.startswith(f"zslbench: --output {name}: a report is HTML, and ends in .html; ")
    assert said in err
    assert not (tmp_path / name).exists()
