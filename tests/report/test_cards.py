"""What a report says of data and methods: facts of the records and of installed methods, and links that are links."""

import pytest
from conftest import ROOT
from reports import HOSTILE, several, tables_of

from zslbench.bibtex import field, link
from zslbench.datasets import load_dataset
from zslbench.methods import MethodInfo
from zslbench.records import Store
from zslbench.report.cards import key_of, method_cards
from zslbench.report.datacard import data_card, unseen_classes


def test_the_data_card_holds_what_was_measured_on():
    """Images, classes, chance and bounds of the shipped records."""
    table = tables_of(Store(ROOT / "results" / "ucm-16-5"))[0]
    facts = dict(data_card(table, load_dataset("ucm")))
    assert facts["Images"] == ["2,100"]
    assert facts["Classes"] == ["21, 5 of them unseen"]
    assert facts["By chance"] == ["T1 20.0 %"]
    assert "oracle-prototypes: T1 98.0, H 91.8" in facts["Bounds"]
    assert "Images" not in dict(data_card(table, None))


def test_many_splits_are_counted():
    """Of more than twenty splits the others are counted."""
    facts = unseen_classes({split: ["a", HOSTILE * 9] for split in range(25)})
    assert [fact.name for fact in facts] == [*(f"#{split}" for split in range(20)), "…"]
    assert facts[-1].values == ["and 5 further splits"]
    assert all(len(fact.values[0]) <= 200 for fact in facts)


def test_all_unseen_classes_of_a_split_are_named():
    """Fifty classes, as birds have, are all listed, however long the list."""
    names = [f"{at:03}.Black_footed_Albatross" for at in range(50)]
    (fact,) = unseen_classes({0: names})
    assert fact.values == [", ".join(names)]


def test_a_method_s_card_says_where_it_comes_from(tmp_path):
    """Title, year and link come from the installed method; one that is not installed has what its records say."""
    (table,) = tables_of(several(tmp_path / "store"))
    entry = "@article{x2020, title = {T}, year = {2020},\n  doi = {10.1109/CVPR.2017.473}}"
    cards = method_cards(table.rows, {"a": MethodInfo("a", "A title", "linear", entry)})
    first, second, _ = (cards[key_of(row)] for row in table.rows)
    assert (first.id, first.title, first.year, first.link) == (
        "method-1", "A title", "2020", "https://doi.org/10.1109/CVPR.2017.473",
    )  # fmt: skip
    assert first.bibtex == entry
    assert (second.id, second.title, second.link, second.bibtex) == ("method-2", "", "", "")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("@a{b, doi = {10.1007/978-3-319-23528-8_9}}", "https://doi.org/10.1007/978-3-319-23528-8_9"),
        ("@a{b, doi = {https://doi.org/10.1000/x}}", "https://doi.org/10.1000/x"),
        ("@a{b, eprint = {1703.05175}}", "https://arxiv.org/abs/1703.05175"),
        ("@a{b, journal = {arXiv preprint arXiv:2306.06066}}", "https://arxiv.org/abs/2306.06066"),
        ("@a{b, eprint = {cs.LG/0701001v2}}", "https://arxiv.org/abs/cs.LG/0701001v2"),
        ("@a{b, doi = {javascript:alert(1)}}", ""),
        ('@a{b, doi = {10.1000/"onclick=x}}', ""),
        ("@a{b, doi = {10.1000/<script>}}", ""),
        ("@a{b, eprint = {../../evil}}", ""),
        ("@a{b, url = {https://example.org}}", ""),
        ("", ""),
    ],
)
def test_a_link_is_a_doi_or_a_number_at_arxiv(entry: str, expected: str):
    """Whatever else a citation says makes no link."""
    assert link(entry) == expected


def test_fields_are_read_as_they_are_written():
    """In braces, in quotes or bare; one that is not there is empty."""
    entry = '@a{b, title = {A {Big}\n  title}, author = "One", year = 1999}'
    assert [field(entry, name) for name in ("title", "author", "year", "doi")] == ["A {Big} title", "One", "1999", ""]
