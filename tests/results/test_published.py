"""Published tables: what is shipped is consistent, and what is ill-formed is refused by name."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from zslbench import InputError
from zslbench.bibtex import entries, lacking
from zslbench.registry import Registry
from zslbench.results.published import (
    Published,
    like_for_like,
    load_published,
    our_label,
    published_folder,
    published_for,
    published_names,
    read_published,
)
from zslbench.terms import METRICS

GOOD = """
id = "good"
title = "A table"
protocol = "ZSL"
differs = ["Features."]
[source]
paper = "A paper"
year = 2020
venue = "A venue"
[citation]
key = "a2020"
bibtex = "@misc{a2020, title = {A}, year = {2020}}"
[metrics]
T1 = "per-class accuracy"
[[datasets]]
id = "toy"
title = "Toy 6/2"
dataset = "toy"
family = "6/2"
[[rows]]
method = "ESZSL"
ours = "eszsl"
params = { log10_gamma = 2 }
values.toy = { T1 = 50.5 }
"""


def written(folder: Path, text: str = GOOD) -> Path:
    """A file of that text, named good.toml."""
    path = folder / "good.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", published_names())
def test_shipped_tables_are_consistent(name):
    """Every file reads, its methods and parameters exist, its numbers are percentages of declared metrics, it cites."""
    table = load_published(name)
    known = {data.id for data in table.datasets}
    assert table.differs
    assert lacking(table.citation.bibtex, ("title", "year")) == ""
    for row in table.rows:
        if row.ours:
            assert our_label(row.spec).startswith(row.ours)
        for data, values in row.values.items():
            assert data in known
            assert set(values) <= set(table.metrics)
            assert all(0 <= value <= 100 for value in values.values())


@pytest.mark.parametrize("name", published_names())
def test_printed_harmonic_means_are_those_of_the_printed_accuracies(name):
    """Where S, U and H are given, H is the harmonic mean of the two, up to rounding, or the row says that it is not."""
    for row in load_published(name).rows:
        wrong = []
        for data, values in row.values.items():
            if {"S", "U", "H"} <= set(values):
                s, u = values["S"], values["U"]
                expected = 2 * s * u / (s + u) if s + u else 0
                wrong += [] if values["H"] == pytest.approx(expected, abs=0.21) else [data]
        assert bool(wrong) == ("not the harmonic mean" in row.reason), (row.method, wrong)


@pytest.mark.parametrize(
    ("name", "method", "data", "values"),
    [
        ("gbu-2019", "ESZSL", "cub", {"T1": 53.9, "U": 12.6, "S": 63.8, "H": 21.0}),
        ("gbu-2019", "GAZSL", "apy", {"T1": 41.1, "U": 14.2, "S": 78.6, "H": 24.0}),
        ("cada-vae-2019", "CADA-VAE (paper)", "awa2", {"S": 75.0, "U": 55.8, "H": 63.9}),
        ("dsva-2023", "DSVA (paper)", "60-10", {"T1": 84.0, "U": 68.4, "S": 67.1, "H": 67.7}),
        ("dsva-2023", "DSVA (authors' log 3, last epoch)", "40-30", {"T1": 42.6}),
        ("tfvaegan-2020", "TF-VAEGAN", "cub", {"T1": 64.9, "H": 58.1}),
        ("sdgzsl-2021", "SDGZSL", "sun", {"T1": 62.4, "U": 48.2, "S": 36.1, "H": 41.3}),
        ("sdgzsl-2021", "DCN", "cub", {"U": 28.4, "S": 60.7, "H": 38.7}),
        ("hsva-2021", "HSVA", "cub", {"T1": 62.8, "U": 51.9, "S": 59.5, "H": 55.5}),
        ("ce-gzsl-2021", "CE-GZSL (as ZLAP's authors print it)", "awa2", {"U": 65.3, "S": 75.0, "H": 69.9}),
        ("zlap-2022", "ZLAP on f-CLSWGAN", "apy", {"U": 40.2, "S": 53.8, "H": 46.0}),
        ("gfzsl-2017", "GFZSL", "awa2", {"T1": 67.0}),
        ("cnzsl-2021", "LsrGAN", "sun", {"U": 44.8, "S": 37.7, "H": 40.9}),
        ("rs-transclip-2024", "RemoteCLIP B/32", "million-aid-2", {"top1": 91.7, "top1_transductive": 95.6}),
    ],
)
def test_numbers_are_where_they_belong(name, method, data, values):
    """A few numbers of each kind of table, as printed in their sources."""
    (row,) = (row for row in load_published(name).rows if row.method == method)
    assert row.values[data] == values


def test_what_was_read_off_an_image_is_uncertain():
    """A table that was read off an image or a picture carries the mark and the reason in every row."""
    for name in ("gasl-2023", "cnzsl-2021", "tfvaegan-2020", "gfzsl-2017"):
        table = load_published(name)
        assert all("image" in table.doubt(row) or "picture" in table.doubt(row) for row in table.rows)
    assert not any(map(load_published("gbu-2019").doubt, load_published("gbu-2019").rows))


def test_mcfa_has_no_published_number():
    """MCFA's own numbers are not known: its table has no rows and says why."""
    table = load_published("mcfa-2023")
    assert table.rows == []
    assert "not available" in table.note


def test_one_key_is_one_entry():
    """A BibTeX key means the same publication in every method and every table."""
    registry, texts = Registry(), dict[str, str]()
    cited = [registry.get(name).info.citation for name in registry.names]
    cited += [load_published(name).citation.bibtex for name in published_names()]
    for text in cited:
        for key, entry in entries(text).items():
            assert " ".join(entry.split()) == " ".join(texts.setdefault(key, entry).split()), key


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("protocol =", "protocols =", "protocols"),
        ('venue = "A venue"', 'journal = "x"', "journal"),
        ("year = 2020\nvenue", 'year = "2020"\nvenue', r"Expected `int`.*source.year"),
        ('ours = "eszsl"', 'our = "eszsl"', r"`our`"),
        ('id = "good"', 'id = "other"', "id = 'other'; 'good'"),
        ("values.toy", "values.tay", "values.tay names no data set. Did you mean 'toy'"),
        ("{ T1 = 50.5 }", "{ T2 = 50.5 }", "T2 is not declared in metrics"),
        ("{ T1 = 50.5 }", "{ T1 = 100.5 }", "a percentage from 0 to 100"),
        ("{ T1 = 50.5 }", "{ T1 = nan }", "a percentage from 0 to 100"),
        ("{ T1 = 50.5 }", '{ T1 = "a half" }', "Expected `float`"),
        ('ours = "eszsl"', "uncertain = true", "a reason go together"),
        ('ours = "eszsl"', "", "ours is empty"),
        ('ours = "eszsl"', 'source = { paper = "x" }', "missing required field `year`"),
        ('key = "a2020"', 'key = "b2020"', "is not the one entry 'b2020'"),
        ("year = {2020}}", "year = {2020}", "braces .* do not close"),
        ("[[rows]]", "[[rows", "array declaration"),
    ],
)
def test_an_ill_formed_table_is_refused(tmp_path, old, new, message):
    """Each kind of mistake is an error that names the file and the key."""
    assert old in GOOD
    with pytest.raises(InputError, match=rf"(?s)good\.toml.*{message}|{message}.*good\.toml"):
        read_published(written(tmp_path, GOOD.replace(old, new)))


def published_in(label, dataset, family, metric, tables=None):
    """What has been published for a cell of the leaderboard of these data."""
    return published_for(label, metric, like_for_like(dataset, family, tables))


def test_a_leaderboard_may_show_only_what_is_like_for_like(tmp_path):
    """A published number belongs to a cell only where its file says that data set is the same in everything."""
    cell = ("eszsl[log10_gamma=2.0]", "toy", "6/2")
    assert published_in(*cell, "T1", [read_published(written(tmp_path))]) is None
    same = GOOD.replace('family = "6/2"', 'family = "6/2"\nlike_for_like = true')
    table = read_published(written(tmp_path, same))
    assert published_in(*cell, "T1", [table]) == Published(50.5, "A paper, A venue, 2020")
    others = [(*cell, "H"), ("eszsl", "toy", "6/2", "T1"), (*cell[:2], "5/3", "T1"), (cell[0], "ucm", "6/2", "T1")]
    assert [published_in(*other, [table]) for other in others] == [None] * 4
    elsewhere = same.replace('ours = "eszsl"', 'ours = "eszsl"\nsource = { paper = "Another", year = 2021 }')
    found = published_in(*cell, "T1", [read_published(written(tmp_path, elsewhere))])
    assert found == Published(50.5, "Another, 2021")
    doubtful = same.replace('ours = "eszsl"', 'ours = "eszsl"\nuncertain = true\nreason = "x"')
    assert published_in(*cell, "T1", [read_published(written(tmp_path, doubtful))]) is None


def test_no_shipped_table_is_like_for_like():
    """None is so far, so a leaderboard shows no published number next to any stored one."""
    assert not any(load_published(name).like_for_like for name in published_names())
    cells = [(row.ours, data.dataset, data.family) for name in published_names()
             for row in load_published(name).rows if row.ours for data in load_published(name).datasets]  # fmt: skip
    assert {published_in(*cell, metric) for cell in set(cells) for metric in METRICS} == {None}


def test_a_wheel_holds_the_tables(tmp_path):
    """Installed from a wheel, zslbench finds the same tables as in its source tree."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds the wheel")
    (wheel,) = builders.WheelBuilder(str(ROOT)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = (
        "from zslbench.results.published import published_folder, published_names, load_published\n"
        "print(published_folder(), *(load_published(name).id for name in published_names()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path / "installed"
    )
    folder, *names = done.stdout.split()
    assert Path(folder) == tmp_path / "installed/zslbench/shipped/published"
    assert names == list(published_names())
    assert published_folder() == ROOT / "benchmarks/published"


def test_the_module_shows_a_table_that_reads(tmp_path):
    """The example at the top of the module is TOML of the form that is read."""
    from zslbench.results import published

    text = (published.__doc__ or "").split("\n\n", 1)[1].replace("smith2020, ...", "smith2020, year = {2020}")
    assert tomllib.loads(text)["id"] == "smith-2020"
    (tmp_path / "smith-2020.toml").write_text(text)
    assert read_published(tmp_path / "smith-2020.toml").rows[0].values == {"cub": {"T1": 53.9}}
