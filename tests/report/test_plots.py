"""The figures: what they draw is what the section says, and their SVG can stand in a page among others."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import numpy as np
import pytest
from conftest import ROOT
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from reports import HOSTILE, answers, done, section_of, several, tables_of, trial, write_store

from zslbench.errors import InputError
from zslbench.records import Store
from zslbench.report import plots
from zslbench.report.contents import Section, sections
from zslbench.results.budgets import BudgetTable
from zslbench.results.budgets import Curve as BudgetCurve
from zslbench.results.rows import limited
from zslbench.results.shots import Curve
from zslbench.results.stats import Estimate
from zslbench.results.stress import Loss, Stress, StressTable


@pytest.fixture
def section(tmp_path: Path) -> Section:
    """Three methods on six splits, three epochs; the first is the best everywhere. The same with all else."""
    return in_full(section_of(several(tmp_path / "store")))


def in_full(section: Section) -> Section:
    """The section as if two shots and five configurations gave the same, and noise took a tenth."""
    section.shots = [Curve(row.label, False, {0: row, 2: row}) for row in section.shown]
    table, rows = section.table, section.shown
    curves = [
        BudgetCurve(
            row.label, row.method, 5, "H", "all", 5, 0, {1: row.metrics["H"], 5: row.metrics["H"]}, {}, {}, None
        )
        for row in rows
    ]
    section.budgets = BudgetTable(table, "H", "last", [1, 5], curves)
    lost = Estimate(0.1, 0.05, 0.15, 0.01, 6, 0.01, 0.01)
    losses = [Loss(row.label, 0.5, 0.4, lost, row.rank, row.rank) for row in rows]
    section.stress = StressTable(
        "hand-made", "f", "s", "2/2", "strict", 0, "", 1, "H", "last", [row.label for row in rows],
        [Stress("feature noise 1 SD", "f:noise:1", "s", "2/2", losses, 1.0)],
    )  # fmt: skip
    return section


def texts(figure: Figure) -> list[str]:
    """Every text of a figure."""
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def test_every_split_is_a_dot_and_a_line(section: Section):
    """The strip plot holds each method's values in percent, and as many lines across methods as there are splits."""
    figure = plots.per_split(section)
    assert figure is not None
    lines = figure.axes[0].lines
    across = [line for line in lines if list(line.get_ydata()) == [0, 1, 2]]
    assert len(across) == 6
    dots = [line.get_xdata() for line in lines if len(line.get_xdata()) == 6]
    for row, shown in zip(section.shown, dots, strict=True):
        assert list(shown) == pytest.approx([100 * value for value in row.per_split["H"].values()])


@pytest.mark.parametrize("methods", ["abc", "a"])
def test_every_figure_tells_its_values_where_a_pointer_rests(tmp_path: Path, methods: str):
    """Each drawing of several methods, and of one alone, has titles of its marks that hold a number."""
    section, drawn = in_full(section_of(several(tmp_path / "store", list(methods)))), []
    for plot in plots.PLOTS:
        if (svg := plots.as_svg(plot, section, "x")) is not None:
            drawn.append(plot.name)
            assert any(re.search(r"\d", title) for title in re.findall(r"<title>(.*?)</title>", svg)), plot.name
    assert ("ranks" in drawn) == (len(methods) > 1)
    assert len(drawn) >= 8


def test_curves_over_budgets_of_fewer_splits_are_named(section: Section):
    """Where a run is unfinished, the caption says which curves rest on fewer splits, and on how many."""
    (plot,) = (plot for plot in plots.PLOTS if plot.name == "budget")
    assert "fewer" not in plots.caption(plot, section)
    assert section.budgets is not None
    one = section.budgets.curves[1]
    few = one.values[5]._replace(splits=2)
    section.budgets.curves[1] = msgspec.structs.replace(one, values={1: one.values[1], 5: few})
    assert "fewer than 6 splits, and not comparable until then: b 2." in plots.caption(plot, section)


def test_endless_class_names_leave_room_for_the_figure(section: Section):
    """Names of classes of 500 letters are cut, and what is left of them lies within the drawing."""
    assert section.confusion is not None
    assert section.accuracies is not None
    names = [f"{at}{'x' * 500}" for at in range(4)]
    section.confusion, section.accuracies = section.confusion._replace(classes=names), section.accuracies._replace(
        classes=names)  # fmt: skip
    for draw in (plots.confusion, plots.classes):
        with plots._style("black", "0.8"):
            figure = draw(section)
            assert figure is not None
            figure.draw_without_rendering()
            drawn, size = figure.get_tightbbox(), figure.get_size_inches()
        assert max(map(len, texts(figure))) <= 34
        assert drawn.x0 >= -0.02
        assert drawn.y0 >= -0.02
        assert drawn.x1 <= size[0] + 0.02
        assert drawn.y1 <= size[1] + 0.02


def test_an_endless_label_stays_within_its_row(tmp_path: Path):
    """A label of 500 letters takes three lines of a figure at most, and its end is marked."""
    section = section_of(several(tmp_path / "store", ["a", "x" * 500, "word " * 100]))
    for plot in plots.PLOTS:
        if plot.name in ("per-split", "tradeoff", "learning") and (figure := plot.draw(section)) is not None:
            long = [text for text in texts(figure) if "xxx" in text or "word word" in text]
            assert long, plot.name
            assert all(text.count("\n") <= 3 and "…" in text for text in long), plot.name


def test_a_missing_split_leaves_a_gap(tmp_path: Path):
    """A method without one of the splits has no dot there, and the line across is broken rather than bent."""
    store = write_store(
        tmp_path / "store",
        [
            (done(trial("a", 0), [0.5]), None), (done(trial("a", 1), [0.6]), None), (done(trial("b", 0), [0.4]), None),
        ],
    )  # fmt: skip
    figure = plots.per_split(section_of(store))
    assert figure is not None
    ends = {tuple(line.get_xdata()) for line in figure.axes[0].lines if list(line.get_ydata()) == [0, 1]}
    assert (50, 40) in ends
    assert any(start == 60 and np.isnan(end) for start, end in ends)


def test_curves_carry_their_area_and_where_the_method_stands(section: Section):
    """The legend gives the mean AUSUC, and a marker sits at the mean U and S."""
    figure = plots.tradeoff(section)
    assert figure is not None
    assert any("AUSUC 75.0 %" in text for text in texts(figure))
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert points == [(100 * curve.point[0], 100 * curve.point[1]) for curve in section.curves]


def test_ranks_are_written_beside_the_names(section: Section):
    """The rank diagram names every method with its mean rank and the critical difference."""
    figure = plots.ranks(section)
    assert figure is not None
    said = texts(figure)
    assert {"a  1.0", "b  2.0", "3.0  c"} <= set(said)
    assert section.comparison is not None
    assert section.comparison.ranking is not None
    assert any(f"{section.comparison.ranking.critical_difference:.2f}" in text for text in said)


def test_cells_show_their_percentages(section: Section):
    """Class names stand at the rows, and the values of both panels in the cells, with nothing where there is none."""
    figure = plots.classes(section)
    assert figure is not None
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [f"class {at}" for at in range(4)]
    unseen, seen = (sorted(text.get_text() for text in axes.texts) for axes in figure.axes)
    assert unseen == ["50"] * 12
    assert seen == ["100"] * 12
    figure = plots.confusion(section)
    assert figure is not None
    assert "100" in texts(figure)


def test_the_oracle_s_mark_is_told_apart(section: Section):
    """Three marks per panel; the one of the test set is a hollow star, and the legend calls it an oracle."""
    figure = plots.learning(section)
    assert figure is not None
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c"]
    stars = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
    (star,) = stars
    assert star.get_markerfacecolor() == "none"
    epoch, value = section.learning[0].marks["test-max"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (epoch, 100 * value)
    assert any("oracle" in text.get_text() for text in figure.legends[0].get_texts())


def test_nothing_is_drawn_of_nothing(tmp_path: Path):
    """Without predictions, epochs and splits enough there is no figure, rather than an empty one."""
    section = section_of(write_store(tmp_path / "store", [(done(trial("a", 0), [0.5]), None)]))
    drawn = {plot.name for plot in plots.PLOTS if plot.draw(section)}
    assert drawn == {"per-split"}


def test_svgs_share_a_page(section: Section):
    """Each is well-formed, its ids are its own and all that it refers to, its text is text, its colours the page's."""
    seen: set[str] = set()
    for plot in plots.PLOTS:
        svg = plots.as_svg(plot, section, f"t1-{plot.name}")
        assert svg is not None
        root = ET.fromstring(svg)
        ids = [node.get("id") for node in root.iter() if node.get("id")]
        assert len(ids) == len(set(ids))
        assert all(str(name).startswith(f"t1-{plot.name}-") for name in ids)
        assert not seen & set(ids)
        seen |= set(ids)
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= set(ids)
        assert "<text" in svg
        assert "currentColor" in svg
        assert not re.search(r"#010203|#040506", svg)
        assert plots.as_svg(plot, section, f"t1-{plot.name}") == svg


def test_labels_are_text_and_nothing_else(tmp_path: Path):
    """Markup in a label is shown as it is, and dollars make no formula of it."""
    labels = (HOSTILE, "b", "c")
    section = in_full(section_of(several(tmp_path / "store", labels)))
    for plot in plots.PLOTS:
        svg = plots.as_svg(plot, section, "t1")
        assert svg is not None
        assert "<script" not in svg
        assert "<img" not in svg
        shown = "".join(ET.fromstring(svg).itertext())
        if plot.name in ("per-split", "tradeoff"):
            assert "$a_b$&amp;" in shown


def test_files_are_written_in_both_forms(section: Section, tmp_path: Path):
    """PNG and SVG of each figure, in a folder that is made if need be; the SVG does without the page's colours."""
    (plot,) = (plot for plot in plots.PLOTS if plot.name == "per-split")
    written = plots.write_files(plot, section, tmp_path / "new" / "figure")
    assert [path.name for path in written] == ["figure.svg", "figure.png"]
    assert "currentColor" not in written[0].read_text()
    assert written[1].read_bytes().startswith(b"\x89PNG")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        plots.write_files(plot, section, tmp_path / "file" / "figure")


def test_captions_say_what_is_left_out(tmp_path: Path):
    """With 17 methods each figure that shows fewer says how many of how many, by what, and how to choose others."""
    section = section_of(several(tmp_path / "store", [f"m{at:02}" for at in range(17)], splits=2))
    said = {plot.name: plots.caption(plot, section) for plot in plots.PLOTS}
    shown = {"per-split": "8 of 17 methods", "tradeoff": "8 of 17 methods", "classes": "12 of 17 methods",
             "learning": "16 of 17 methods that have epochs"}  # fmt: skip
    for name, text in said.items():
        assert ("choose others with methods." in text) == (name in shown), name
        assert shown.get(name, "") in text
    assert "in the order of the leaderboard (by H)" in said["per-split"]
    (plot,) = (plot for plot in plots.PLOTS if plot.name == "learning")
    svg, _ = plots.write_files(plot, section, tmp_path / "figure")
    text = " ".join("".join(ET.fromstring(svg.read_text()).itertext()).split())
    assert "16 of 17 methods" in text.replace(said["learning"], "")  # in the drawing, not in its description alone
    section = section_of(several(tmp_path / "few"))
    assert not any("choose others with methods." in plots.caption(plot, section) for plot in plots.PLOTS)


def test_the_rank_diagram_says_what_joins_its_bars(tmp_path: Path):
    """Nemenyi where Holm lets no pair pass, with the reason; else Wilcoxon; the bar of the difference is explained."""
    (plot,) = (plot for plot in plots.PLOTS if plot.name == "ranks")
    store = Store(ROOT / "results" / "ucm-16-5")
    for names, test in (
        ("dem+cal,cada,dap", "Wilcoxon and Holm"),
        ("dem+cal,cada,dap,sae,eszsl,dem,mcfa,sje", "Nemenyi"),
    ):
        (section,) = sections(limited(tables_of(store), names), store)
        figure = plots.ranks(section)
        assert figure is not None
        assert any(f"not told apart by {test}, 5 %" in text for text in texts(figure)), names
        said = plots.caption(plot, section)
        assert "The bar above the axis is Nemenyi’s critical difference" in said
        assert ("tells none of 28 pairs apart on 10 splits" in said) == (test == "Nemenyi")
        assert ("Holm’s correction for all 3 pairs" in said) == (test != "Nemenyi")


def test_no_marker_fades_into_the_background(section: Section):
    """Filled markers have an edge in the colour of the text; each colour's contrast is at least 3 on both pages."""
    pages = re.findall(r"--page: (#\w{6})", (ROOT / "zslbench/report/style.css").read_text())
    assert len(pages) == 2
    for colour in plots.COLOURS:
        for page in pages:
            high, low = sorted((luminance(colour), luminance(page)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 3, (colour, page)
    seen = 0
    for draw in (plots.per_split, plots.tradeoff, plots.learning):
        figure = draw(section)
        assert figure is not None
        for line in figure.findobj(Line2D):
            if line.get_marker() in plots.MARKERS and line.get_markerfacecolor() in plots.COLOURS:
                assert (line.get_markeredgecolor(), line.get_markeredgewidth()) == ("black", 0.6)
                seen += 1
    assert seen >= 3 + 6 + 6


def luminance(colour: str) -> float:
    """WCAG's relative luminance."""
    parts = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def test_more_methods_than_colours_are_cut_to_the_best(tmp_path: Path):
    """Ten methods: figures with a colour for each show the best eight."""
    made = [
        (done(trial(f"m{at}", split), [0.5 - 0.01 * at]), answers(split, [2, 2, 3, 3] if split == 0 else [1, 1, 3, 3]))
        for at in range(10)
        for split in range(2)
    ]
    section = section_of(write_store(tmp_path / "store", made))
    assert [row.label for row in section.shown] == [f"m{at}" for at in range(8)]
    figure = plots.per_split(section)
    assert figure is not None
    assert len(figure.axes[0].get_yticks()) == 8


def tips(svg: str) -> list[str]:
    """What is shown where a pointer rests."""
    return [str(node.text) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]


def test_split_by_split_is_the_distance_to_the_leader(section: Section):
    """Each other method has a dot per split, in points against the leader there, and the mean of the comparison."""
    figure = plots.differences(section)
    assert figure is not None
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    best, *others = section.shown
    expected = [100 * (row.per_split["H"][split] - best.per_split["H"][split]) for row in others for split in range(6)]
    assert [line.get_xdata()[0] for line in dots] == pytest.approx(expected)
    means = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    assert means == pytest.approx([-100 * pair.difference for pair in section.leads[0].pairs])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "c"]


def test_values_are_shown_where_a_pointer_rests(section: Section):
    """Dots, curves, marks and cells have titles with the label and the value, as text, and no id is left of them."""
    drawn = {plot.name: plots.as_svg(plot, section, plot.name) or "" for plot in plots.PLOTS}
    said = {name: tips(svg) for name, svg in drawn.items()}
    assert "b, split 0: -20.0 points (H 69.0)" in said["per-split"]
    assert "a: AUSUC 75.0, by itself U 86.5 and S 86.5" in said["tradeoff"]
    assert "a, class 0: 50 % where the class is unseen" in said["classes"]
    assert "class 1 taken for class 1: 67 %" in said["confusion"]
    assert any(text.startswith("a, last epoch: ") for text in said["learning"])
    assert "a, k = 2: H 86.5" in said["shots"]
    assert "a, b = 5: 86.5" in said["budget"]
    assert "a, feature noise 1 SD: -10.0 points of H" in said["stress"]
    assert not any("tip:" in svg for svg in drawn.values())


def test_nothing_is_the_lightest_cell_of_a_confusion(section: Section):
    """The scale runs from the lightest, at 0, to the darkest, at 100 %, beside a bar that says so."""
    figure = plots.confusion(section)
    assert figure is not None
    (axes,) = figure.axes
    (bar,) = axes.child_axes
    shades = [luminance(colour) for colour in plots.matplotlib.colormaps["Blues"](np.linspace(0, 1, 11))[:, :3]]
    assert shades == sorted(shades, reverse=True)
    assert bar.get_ylim() == (0, 100)
    background, *cells = axes.patches
    assert luminance(background.get_facecolor()[:3]) == pytest.approx(shades[0])
    assert all(luminance(cell.get_facecolor()[:3]) < shades[0] for cell in cells)


def test_findings_are_said_to_those_who_do_not_see(section: Section):
    """Every figure of a full section has a sentence on what it shows, with a number."""
    said = {plot.name: plots.finding(plot, section) for plot in plots.PLOTS}
    assert [name for name, text in said.items() if not re.search(r"\d", text)] == ["shots"]
    assert said["ranks"] == "a has the best mean rank, 1.0."


def test_a_legend_fits_a_figure_of_one_panel(tmp_path: Path):
    """With one method the rules stand one below the other, inside the figure."""
    figure = plots.learning(section_of(several(tmp_path / "store", ["a"])))
    assert figure is not None
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width


def test_many_ranks_are_cut_to_the_best(tmp_path: Path):
    """Of 25 methods the 20 best are drawn, and the caption counts the others."""
    section = section_of(several(tmp_path / "store", [f"m{at:02}" for at in range(25)], epochs=1))
    (plot,) = (plot for plot in plots.PLOTS if plot.name == "ranks")
    figure = plots.ranks(section)
    assert figure is not None
    assert sum(bool(re.search(r"m\d\d", text)) for text in texts(figure)) == 20
    assert "The 5 methods with the highest mean ranks are left out." in plots.caption(plot, section)
