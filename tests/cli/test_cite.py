"""`zslbench cite`: BibTeX of what was used, each entry once."""

import json
import re

from conftest import ROOT
from plugins import write_plugin
from test_architecture import imported_by

from zslbench.bibtex import entries
from zslbench.datasets import load_dataset
from zslbench.registry import Registry

STORED = ROOT / "results/ucm-16-5"


def keys(text: str) -> list[str]:
    """Keys in order of printing."""
    return re.findall(r"^@\w+\{([^,]+),", text, re.M)


def test_each_entry_once_in_the_order_of_the_names(in_process):
    """Methods, calibrated ones, data sets and published tables share entries; zslbench's own comes last."""
    code, out, err = in_process("cite", "mcfa", "eszsl+cal", "ucm", "dsva-2023", "dsva", "eszsl")
    assert (code, err) == (0, "")
    assert keys(out) == ["liu2023mcfa", "romera-paredes2015eszsl", "chao2016gzsl", "yang2010bag", "xu2023dsva",
                         "zslbench"]  # fmt: skip
    found = entries(out)  # what is printed is BibTeX whose braces close
    assert found["liu2023mcfa"] == Registry().get("mcfa").info.citation.strip()
    assert found["yang2010bag"] == load_dataset("ucm").card.citation.strip()
    assert "{{The zslbench authors}}" in found["zslbench"]


def test_labels_of_a_leaderboard_are_cited_as_their_methods(in_process):
    """Parameters, calibration and version in a label leave the method's citation as it is."""
    labels = ["eszsl[log10_alpha=2.0,log10_gamma=1.0]", "eszsl (version 1)", "sae+cal (version 1) (0a1b2c)"]
    code, out, err = in_process("cite", *labels)
    assert (code, err, out) == (0, "", in_process("cite", "eszsl", "sae+cal")[1])
    code, _, err = in_process("cite", "ezsl[log10_gamma=1.0]")
    assert code == 2
    assert "Did you mean 'eszsl'" in err


def test_everything_in_a_store(in_process):
    """--store cites every stored method with a publication, the data set, and says which have none."""
    code, out, err = in_process("cite", "--store", STORED)
    stored = {json.loads(line)["trial"]["method"] for line in (STORED / "records.jsonl").open()}
    expected = {key for name in stored for key in entries(Registry().get(name).info.citation)}
    assert code == 0
    assert set(keys(out)) == expected | {"yang2010bag", "zslbench"}
    assert len(keys(out)) == len(set(keys(out)))
    assert set(re.findall(r"^(\S+) names no publication", err, re.M)) == {"chance", "seen-only"}


def test_a_stored_method_that_is_not_installed(in_process, synthetic, tmp_path):
    """What a store used and this machine lacks is named with the remedy; --plugin and the folder are remedies."""
    plugin = write_plugin(tmp_path / "mine.py")
    plugin.write_text(plugin.read_text().replace('citation=""', 'citation="@misc{me, title = {M}, year = {2020}}"'))
    run = ("run", "--methods", "mine", "--plugin", plugin, "--dataset", synthetic, "--splits", "1", "--no-validation")
    assert in_process(*run, "--workers", "0")[0] == 0
    code, out, err = in_process("cite", "--store", "results")
    assert (code, keys(out)) == (0, ["zslbench"])
    assert re.search(r"^mine is stored but not known here: .*--plugin", err, re.M)
    assert re.search(r"^toy is stored but not known here: .*folder", err, re.M)
    card = synthetic / "card.toml"
    card.write_text("citation = '@misc{toys, title = {T}, year = {2021}}'\n" + card.read_text())
    code, out, err = in_process("cite", synthetic, "--store", "results", "--plugin", plugin)
    assert (code, keys(out), err) == (0, ["toys", "me", "zslbench"], "")


def test_unknown_names_and_nothing_asked(in_process):
    """One line with close matches, exit code 2; a store without records and no argument at all are errors too."""
    code, out, err = in_process("cite", "ezsl")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "Did you mean 'eszsl'" in err
    assert "Did you mean 'gbu-2019'" in in_process("cite", "gbu2019")[2]
    assert in_process("cite")[0] == 2
    assert "no records in nowhere" in in_process("cite", "--store", "nowhere")[2]


def test_an_ill_formed_citation_is_left_out(in_process, synthetic):
    """A data set card with prose for a citation costs its own entry, with a message, and no other."""
    card = synthetic / "card.toml"
    card.write_text('citation = "Doe 2020"\n' + card.read_text())
    code, out, err = in_process("cite", synthetic, "ucm")
    assert (code, keys(out)) == (0, ["yang2010bag", "zslbench"])
    assert "is left out: 'Doe 2020' does not begin a BibTeX entry" in err


def test_citing_imports_neither_torch_nor_ray():
    """BibTeX of methods, tables and a store takes no heavy import."""
    imported = imported_by("-m", "zslbench", "cite", "mcfa", "ucm", "gbu-2019", "--store", str(STORED))
    assert {"torch", "ray"} & imported == set()
    assert "msgspec" in imported
