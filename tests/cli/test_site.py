"""`zslbench site`: pages that hang together, of stores that were verified, in a folder that is its own."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import run_in, write_synthetic
from plugins import write_plugin
from reports import HOSTILE, done, trial, write_store

from zslbench.errors import InputError
from zslbench.publishing import verified

Command = Callable[..., tuple[object, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two stores: two methods on three splits, and another one that is not installed."""
    folder = tmp_path_factory.mktemp("made")
    toy, plugin = write_synthetic(folder / "toy"), write_plugin(folder / "mine.py")
    usual = ("--dataset", toy, "--splits", 3, "--workers", 0, "--quiet")
    assert run_in(folder, "run", "--methods", "eszsl,projection", "--store", "lab", *usual) == 0
    assert run_in(folder, "run", "--methods", "mine", "--plugin", plugin, "--store", "server", *usual) == 0
    return folder


@pytest.fixture
def stores(made: Path, tmp_path: Path) -> list[Path]:
    """The stores of a copy, in the test's own folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return [tmp_path / "lab", tmp_path / "server"]


def test_pages_hang_together(stores: list[Path], in_process: Command, tmp_path: Path):
    """An index, a page per table and per method; every link leads to a page, and nothing is loaded from anywhere."""
    code, out, err = in_process("site", *stores, "-o", "web", "--title", HOSTILE)
    assert code == 0, err
    assert "18 finished trials verified, 18 computed anew from their predictions." in out
    pages = {path.relative_to(tmp_path / "web").as_posix(): path for path in (tmp_path / "web").rglob("*.html")}
    assert set(pages) == {"index.html", "data/toy-6-2.html", *(f"methods/{name}.html" for name in ("eszsl",
                          "mine", "projection"))}  # fmt: skip
    for name, path in pages.items():
        text = path.read_text(encoding="utf-8")
        assert "<script>window" not in text
        assert re.findall(r' (?:src|action)="(?!data:)', text) == []
        for link in re.findall(r'href="([^"#]+)"', text):
            assert link.startswith("https://doi.org/") or (path.parent / link).resolve().is_file(), (name, link)
    index = pages["index.html"].read_text(encoding="utf-8")
    assert "&lt;script&gt;window.hit=1" in index
    assert "leads by H with" in index
    table = pages["data/toy-6-2.html"].read_text(encoding="utf-8")
    assert re.search(r'<svg role="img" aria-label="Split by split, toy 6/2\. ', table)
    method = pages["methods/eszsl.html"].read_text(encoding="utf-8")
    assert "@inproceedings{romera-paredes2015eszsl" in method
    assert 'href="../data/toy-6-2.html"' in method
    assert re.search(r"\d{4}-\d\d-\d\d", method)  # of its history
    assert "not installed where this page was made" in pages["methods/mine.html"].read_text(encoding="utf-8")


def test_what_differs_is_not_shown(stores: list[Path], in_process: Command, tmp_path: Path):
    """A number that its predictions do not give is named, and no page is written."""
    path = stores[1] / "records.jsonl"
    first = re.search(rb'"T1":\[([\d.]+)', path.read_bytes())
    assert first is not None
    path.write_bytes(path.read_bytes().replace(first[0], b'"T1":[0.123', 1))
    code, _, err = in_process("site", *stores, "-o", "web")
    assert code == 2
    assert "is not shown, because something in it differs: records.jsonl, line 1" in err
    assert not (tmp_path / "web").exists()


def test_stores_that_contradict_each_other_are_not_shown(tmp_path: Path):
    """Other numbers of one trial in two stores are named, with the command that decides."""
    stores = [write_store(tmp_path / name, [(done(trial("a", 0), [value]), None)]) for name, value in (("x", 0.5),
              ("y", 0.6))]  # fmt: skip
    for store in stores:
        assert verified([store]).startswith("1 finished trials verified, 0 computed anew")
    with pytest.raises(InputError, match=r"have other numbers of a.*zslbench merge"):
        verified(stores)
    assert "of 1 trials later stores have other numbers, which count nowhere" in verified(stores, first_counts=True)


def test_strangers_text_is_text(tmp_path: Path, in_process: Command):
    """Markup and endless names of methods, data sets and arrays are shown as text, cut, on pages of plain names."""
    for name in (HOSTILE, "x" * 5_000 + HOSTILE, "../../evil"):
        of = trial(name, 0, dataset=name, features=name)
        write_store(tmp_path / "store", [(done(of, [0.5]), None)])
    code, _, err = in_process("site", "store", "-o", "web")
    assert code == 0, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store", "web"]
    pages = list((tmp_path / "web").rglob("*.html"))
    assert len(pages) == 1 + 3 + 3
    for path in pages:
        assert re.fullmatch(r"[a-z0-9-]+\.html", path.name)
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script>window|<img src=x", text)
        assert "x" * 250 not in text


def test_the_index_leads_from_the_table_over_data_sets_to_its_methods(tmp_path: Path, in_process: Command):
    """With three data sets, the methods are ranked over all of them, drawn, and linked."""
    for at in range(3):
        made = [
            (done(trial(method, split, dataset=f"d{at}"), [value + 0.01 * split]), None)
            for method, value in (("eszsl", 0.6), ("sae", 0.4), ("dem", 0.3)) for split in range(3)
        ]  # fmt: skip
        write_store(tmp_path / f"s{at}", made)
    code, _, err = in_process("site", "s0", "s2", "s1", "-o", "web")
    assert code == 0, err
    index = (tmp_path / "web/index.html").read_text(encoding="utf-8")
    overall, below = index.split('id="tables"')
    assert re.findall(r'href="data/d(\d)', below) == ["0", "1", "2"]  # however the stores are listed
    assert re.findall(r'href="(methods/[^"]+)"', overall) == [
        f"methods/{name}.html" for name in ("eszsl", "sae", "dem")
    ]
    assert overall.count("<svg role=") == 1  # three data sets are too few for a diagram of ranks


def test_the_first_store_counts_where_it_is_asked_for(tmp_path: Path, in_process: Command):
    """With --first the numbers are those of the store that is named first, in either order."""
    for name, value in (("x", 0.5), ("y", 0.6)):
        write_store(tmp_path / name, [(done(trial("a", 0), [value]), None)])
    assert in_process("site", "x", "y", "-o", "none")[0] == 2
    for order, shown in (("xy", "50.0"), ("yx", "60.0")):
        assert in_process("site", *order, "-o", order, "--first")[0] == 0
        assert f"a leads by H with {shown}" in (tmp_path / order / "index.html").read_text(encoding="utf-8")


def test_a_folder_of_something_else_is_left_alone(stores: list[Path], in_process: Command, tmp_path: Path):
    """A page that something else wrote is not replaced; one of an earlier site that is gone now is removed."""
    (tmp_path / "web" / "methods").mkdir(parents=True)
    (tmp_path / "web" / "methods" / "own.html").write_text("mine", encoding="utf-8")
    assert in_process("site", *stores, "-o", "web")[0] == 0
    assert in_process("site", stores[0], "-o", "web")[0] == 0
    assert not (tmp_path / "web" / "methods" / "mine.html").exists()
    assert (tmp_path / "web" / "methods" / "own.html").read_text(encoding="utf-8") == "mine"
    (tmp_path / "web" / "index.html").write_text("other", encoding="utf-8")
    code, _, err = in_process("site", stores[0], "-o", "web")
    assert code == 2
    assert "index.html is there and was not written by `zslbench site`" in err
