"""The page in a real browser: it needs nothing besides itself, sorts, fits, prints, and runs no one else's script."""

import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import ROOT
from reports import HOSTILE, answers, done, failed, section_of, several, tables_of, trial, write_store

from zslbench.records import Store
from zslbench.report.contents import sections
from zslbench.report.html import PAIRS, as_html, leaderboard_columns, leaderboard_line, pair_line
from zslbench.results.leaderboard import leaderboard

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")


def page_of(store: Store) -> str:
    """The report of a whole store."""
    found = sections(tables_of(store), store)
    return as_html(found, [None] * len(found), store.folder)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the shipped records: three tracks, of 46, 7 and 4 rows on 10 splits, by two rules for the epoch."""
    path, store = tmp_path_factory.mktemp("shipped") / "report.html", Store(ROOT / "results" / "ucm-16-5")
    found = sections(tables_of(store), store, beside=tables_of(store, selection="val"))
    path.write_text(as_html(found, [None] * len(found), store.folder), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a file; what the page complained of and asked for is in its `complaints` and `requests`."""
    contexts = []

    def call(path: Path, width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield call
    for context in contexts:
        context.close()


@needs_browser
def test_it_opens_without_a_network_and_without_complaint(shipped: Path, visit: Callable[..., Any]):
    """From file://, offline, the page asks for nothing but itself and what lies in it, and logs nothing."""
    page = visit(shipped, offline=True)
    assert [url for url in page.requests if not url.startswith("data:")] == [shipped.as_uri()]
    assert page.complaints == []
    assert page.title() == ("zslbench report: ucm 16/5, ucm 16/5, transductive track, ucm 16/5, unseen-semantics track")
    assert [page.locator(f"section[aria-labelledby=t{at}] svg[role=img]").count() for at in (1, 2, 3)] == [6, 5, 5]


def test_it_is_small(shipped: Path):
    """57 rows on 10 splits with all figures stay under 2 MB, and refer to no other file."""
    assert shipped.stat().st_size < 2_000_000
    page = shipped.read_text(encoding="utf-8")
    outward = re.findall(r'(?:src|href|action)="(?!#|data:)([^"]*)"', page)
    papers = re.findall(r'<a href="(https://(?:doi.org/10|arxiv.org/abs/)[^"]*)" rel="noopener noreferrer">', page)
    assert outward == papers  # nothing is loaded; a reader may follow a link to a paper
    assert "https://arxiv.org/abs/2306.06066" in papers


@needs_browser
def test_headings_sort_by_click_and_by_key(shipped: Path, visit: Callable[..., Any]):
    """A click sorts by number, highest first; a key press turns it; aria-sort follows; what has no value is last."""
    page = visit(shipped)
    board = page.locator("table.sortable").first

    def column(at: int) -> list[str]:
        return list(board.locator("tbody tr").evaluate_all(
            "(rows, at) => rows.map((row) => row.cells[at].firstChild.textContent)", at))  # fmt: skip

    heads = board.locator("thead th")
    assert heads.nth(0).get_attribute("aria-sort") == "ascending"
    assert column(0)[:3] == ["1", "2", "3"]
    time = [text.strip().startswith("fit") for text in heads.all_inner_texts()].index(True)
    for at, first in ((4, "descending"), (time, "ascending")):
        heads.nth(at).get_by_role("button").click()
        assert heads.nth(at).get_attribute("aria-sort") == first
        assert heads.nth(0).get_attribute("aria-sort") is None
        numbers = [float(text.replace(",", "")) for text in column(at)]
        assert numbers[:43] == sorted(numbers[:43], reverse=first == "descending")
        assert column(0)[43:] == ["bound"] * 3  # bounds stay below, whatever sorts
    heads.nth(0).get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert heads.nth(0).get_attribute("aria-sort") == "descending"
    ranks = [int(text) for text in column(0) if text.isdecimal()]
    assert ranks == list(range(len(ranks), 0, -1))
    assert len(ranks) > 20
    assert column(0)[-1] in ("bound", "unranked")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "method"
    heads.nth(1).get_by_role("button").click()
    assert column(1)[0] == "ale"
    assert column(0)[43:] == ["bound"] * 3


@needs_browser
def test_without_javascript_it_is_a_plain_table(shipped: Path, visit: Callable[..., Any]):
    """All rows and headings are there, and nothing looks like a button that does nothing."""
    page = visit(shipped, java_script_enabled=False)
    tables = leaderboard(Store(ROOT / "results/ucm-16-5").records(), Store(ROOT / "results/ucm-16-5").plans())
    assert len(tables) == 3
    for at, table in enumerate(tables, 1):
        part = page.locator(f"section[aria-labelledby=t{at}]")
        assert part.locator("table.sortable").first.locator("tbody tr").count() == len(table.rows)
    assert page.locator("button, select, input").count() == 0
    page.locator("a.card", has_text="mcfa+cal").first.click()  # the card is further down
    assert page.locator("article.card:target h3").inner_text() == "mcfa+cal"
    assert page.locator("svg[role=img]").count() == 16


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways(shipped: Path, visit: Callable[..., Any], width: int):
    """Wide tables and figures scroll in their own boxes, which the keyboard reaches."""
    page = visit(shipped, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = page.locator(".box")
    assert boxes.count() == 26
    for at in range(boxes.count()):
        box = boxes.nth(at)
        assert (box.bounding_box() or {"width": 0})["width"] <= width  # those of another rule or folded away have none
        assert box.get_attribute("tabindex") == "0"
        assert box.get_attribute("aria-label")


@needs_browser
def test_rows_are_found_and_columns_chosen(shipped: Path, visit: Callable[..., Any]):
    """Words, a family and a variant choose rows, a track chooses parts, boxes choose columns; the counts follow."""
    page = visit(shipped)
    part = page.locator("section[aria-labelledby=t1]")
    rows = part.locator(".rule").first.locator("tbody tr:visible")
    part.get_by_role("searchbox", name="Find").fill("MCFA validation")
    assert rows.locator("th a").all_inner_texts() == ["mcfa+cal"]
    assert part.get_by_role("status").inner_text() == "1 of 46 rows"
    part.get_by_role("searchbox", name="Find").fill("")
    part.get_by_role("combobox", name="Family").select_option("generative")
    part.get_by_role("combobox", name="Variant").select_option("+gate")
    assert rows.locator("th a").all_inner_texts() == ["gfzsl+gate"]
    part.get_by_role("combobox", name="Family").select_option("*")
    part.get_by_role("combobox", name="Variant").select_option("*")
    assert rows.count() == 46
    heads = part.locator("thead").first.locator("th")
    assert not heads.filter(has_text="OA").is_visible()  # equal to T1 here, and in the way
    part.locator(".columns summary").click()
    part.get_by_role("checkbox", name="OA").check()
    part.get_by_role("checkbox", name="AUSUC").uncheck()
    assert heads.filter(has_text="OA").is_visible()
    assert not heads.filter(has_text="AUSUC").is_visible()
    assert heads.filter(has_text="max\N{NO-BREAK SPACE}−\N{NO-BREAK SPACE}val H").is_visible()
    page.get_by_role("combobox", name="Track").select_option("transductive")
    assert page.locator("main > section[data-track]:visible h2").all_inner_texts() == ["ucm 16/5, transductive track"]
    assert page.locator(".short li:visible").count() == 1
    assert page.complaints == []


@needs_browser
def test_the_rule_is_switched_without_reloading(shipped: Path, visit: Callable[..., Any]):
    """The table of the validation-chosen epoch takes the other's place, says who leads by it, and nothing is loaded."""
    page = visit(shipped)
    part, asked = page.locator("section[aria-labelledby=t3]"), len(page.requests)
    shown = part.locator(".rule:visible")
    assert "57.7" in shown.inner_text()
    part.get_by_role("combobox", name="Epoch").select_option(label="epoch chosen on validation classes")
    assert "58.5" in shown.inner_text()
    assert shown.locator("p").inner_text().startswith("With another rule, the epoch chosen on validation classes: hsva")
    assert len(page.requests) == asked


@needs_browser
def test_a_name_opens_its_card(shipped: Path, visit: Callable[..., Any]):
    """By key: title, year, needs, parameters, link and BibTeX, which a button copies; Escape leads back to the name."""
    page = visit(shipped)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("a.card", has_text="mcfa+cal").first.focus()
    page.keyboard.press("Enter")
    card = page.locator("dialog[open]")
    said = card.inner_text()
    for text in ("(2023)", "validation classes", "alignment", "arxiv.org/abs/2306.06066", "latent"):
        assert text in said, text
    card.get_by_role("button", name="Copy BibTeX").click()
    card.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("@article{liu2023mcfa")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.textContent") == "mcfa+cal"


@needs_browser
def test_a_phone_shows_what_ranks(shipped: Path, visit: Callable[..., Any]):
    """On 390 pixels the table has rank, method and H with its interval, none of them cut; others can be asked for."""
    page = visit(shipped, 390)
    part = page.locator("section[aria-labelledby=t1]")
    board = part.locator(".rule").first
    assert [text.strip() for text in board.locator("thead th:visible").all_inner_texts()] == ["rank", "method", "H"]
    assert board.locator("tbody tr").first.inner_text().split("\n")[-1] == "73.0 to 79.3"
    box = board.locator(".box")
    assert box.evaluate("(box) => box.scrollWidth <= box.clientWidth")
    widths = page.locator("svg[role=img]").evaluate_all("all => all.map((one) => one.getBoundingClientRect().width)")
    assert max(widths) <= 390
    page.get_by_role("button", name="Enlarge").first.click()
    assert page.locator("svg[role=img]").first.bounding_box()["width"] > 390
    part.locator(".columns summary").click()
    part.get_by_role("checkbox", name="T1", exact=True).check()
    assert board.locator("thead th:visible").count() == 4


@needs_browser
def test_endless_names_leave_a_phone_what_ranks(tmp_path: Path, visit: Callable[..., Any]):
    """With names of 500 letters nothing is wider than the phone but what scrolls, and H stands beside its method."""
    store, path = several(tmp_path / "store", ["x" * 500, "word " * 100, "c"]), tmp_path / "report.html"
    path.write_text(page_of(store), encoding="utf-8")
    page = visit(path, 390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".rule .box").first.evaluate("(box) => box.scrollWidth <= box.clientWidth")
    assert [text.strip() for text in page.locator(".board thead th:visible").all_inner_texts()] == [
        "rank", "method", "H",
    ]  # fmt: skip


@needs_browser
def test_the_choice_of_columns_is_put_away(shipped: Path, visit: Callable[..., Any]):
    """Escape closes it and leads back to its heading; so does a click anywhere else."""
    page = visit(shipped, 390)
    choice = page.locator(".columns").first
    for away in (lambda: page.keyboard.press("Escape"), lambda: page.locator("h1").click()):
        choice.locator("summary").click()
        choice.get_by_role("checkbox", name="T1", exact=True).focus()
        assert choice.get_attribute("open") is not None
        away()
        assert choice.get_attribute("open") is None


@needs_browser
def test_the_count_of_rows_is_of_the_table_that_is_shown(shipped: Path, visit: Callable[..., Any]):
    """Where the other rule has fewer rows, or other columns, both are counted and chosen as they are there."""
    page = visit(shipped)
    part = page.locator("section[aria-labelledby=t1]")
    part.locator(".rule").nth(1).locator("tbody tr", has_text="mcfa+cal").evaluate("(row) => row.remove()")
    part.locator(".rule").nth(1).locator("tr").evaluate_all("(rows) => rows.forEach((row) => row.cells[3].remove())")
    part.get_by_role("searchbox", name="Find").fill("mcfa")
    assert part.get_by_role("status").inner_text() == "2 of 46 rows"
    part.get_by_role("combobox", name="Epoch").select_option(index=1)
    assert part.get_by_role("status").inner_text() == "1 of 45 rows"
    part.locator(".columns summary").click()
    part.get_by_role("checkbox", name="AUSUC").uncheck()
    heads = [text.strip() for text in part.locator(".rule:visible thead th:visible").all_inner_texts()]
    assert heads[:5] == ["rank", "method", "T1", "S", "U"]
    assert "AUSUC" not in heads
    assert page.complaints == []


@needs_browser
def test_headings_and_names_stay_in_view(shipped: Path, visit: Callable[..., Any]):
    """A table that is scrolled down and to the right keeps its headings above and its methods to the left.

    Its borders are not collapsed: of cells that stay in view a browser does not draw those.
    """
    page = visit(shipped, 768)
    box = page.locator(".rule .box").first
    box.evaluate("(box) => box.scrollTo(300, 700)")
    frame = box.bounding_box()
    head = box.locator("thead th").nth(1).bounding_box()
    name = box.locator("tbody th", has_text="cnzsl").last.bounding_box()
    assert box.locator("table").evaluate("(table) => getComputedStyle(table).borderCollapse") == "separate"
    assert head["y"] == pytest.approx(frame["y"] + 1, abs=2)
    assert name["x"] == pytest.approx(frame["x"] + 1, abs=2)


AXE = ROOT / "build" / "axe" / "axe.min.js"


@needs_browser
@pytest.mark.skipif(not AXE.exists(), reason="no axe-core: npm pack axe-core, and its axe.min.js into build/axe")
def test_axe_finds_nothing_serious(tmp_path: Path, visit: Callable[..., Any]):
    """The rules of axe-core: no serious or critical violation, on a desk and on a phone, in both schemes."""
    small = tmp_path / "report.html"
    small.write_text(page_of(several(tmp_path / "store", list("abcdef"))), encoding="utf-8")
    for width, scheme in ((1280, "light"), (390, "dark")):
        page = visit(small, width, color_scheme=scheme, bypass_csp=True)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        said = [
            (each["id"], [node["target"] for node in each["nodes"][:3]])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert said == [], (width, scheme)


@needs_browser
def test_dark_mode_has_a_background_and_a_text_of_its_own(shipped: Path, visit: Callable[..., Any]):
    """Page and figures follow the reader's scheme with a contrast of at least 7 between text and background."""
    seen = set()
    for scheme in ("light", "dark"):
        page = visit(shipped, color_scheme=scheme)
        background, *inks = page.evaluate(
            """() => {
              const of = (element, name) => getComputedStyle(element)[name];
              return [of(document.body, "backgroundColor"), of(document.body, "color"),
                      of(document.querySelector("svg text"), "fill")];
            }"""
        )
        seen.add(background)
        assert all(_contrast(background, ink) >= 7 for ink in inks), (scheme, background, inks)
    assert len(seen) == 2


@needs_browser
def test_it_is_readable_without_eyes(shipped: Path, visit: Callable[..., Any]):
    """Every image and box has a name, headings go down one level at a time, and the landmarks and skip link work."""
    page = visit(shipped)
    for image in page.get_by_role("img").all():
        assert len(image.get_attribute("aria-label") or image.get_attribute("alt") or "") > 10
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map((heading) => Number(heading.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1, role
    targets = page.locator("nav a").evaluate_all("all => all.map((link) => link.getAttribute('href').slice(1))")
    assert len(targets) > 8
    headings = page.locator("main :is(h2, h3)[id]").evaluate_all("all => all.map((heading) => heading.id)")
    assert targets == [id for id in headings if not id.endswith("-warnings")]  # all of them, in the page's order
    assert page.locator("table").count() == page.locator("table > caption").count()
    for image, finding in (("per-split", "exem+cal leads by H with 76.3"), ("confusion", "is taken for")):
        assert finding in page.locator(f".{image} svg").first.get_attribute("aria-label")
    assert page.evaluate(
        "() => { const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);"
        " return ids.length === new Set(ids).size; }"
    )
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@needs_browser
def test_print_shows_everything(shipped: Path, visit: Callable[..., Any]):
    """On at most ten sheets no box hides a part of what it holds, and no drawing is wider than the sheet."""
    page = visit(shipped, 703)  # A4 less the margins, at 96 dots per inch
    page.emulate_media(media="print")
    hidden = page.locator(".box, .warnings ul").evaluate_all(
        "all => all.filter((box) => box.checkVisibility()).filter((box) => getComputedStyle(box).overflow !== 'visible'"
        " || box.scrollHeight > box.clientHeight + 2 || box.scrollWidth > box.clientWidth + 2)"
        ".map((box) => [box.getAttribute('aria-label'), box.scrollWidth, box.clientWidth])"
    )
    assert hidden == []
    assert page.locator("section[aria-labelledby=t1] h3[id]:visible").count() == 10
    pdf = page.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    assert 5 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 10
    assert page.locator("details.unseen").first.get_attribute("open") is not None  # what is folded is unfolded first


@needs_browser
@pytest.mark.parametrize("shielded", [True, False])
def test_no_stranger_s_script_runs(tmp_path: Path, visit: Callable[..., Any], shielded: bool):
    """Markup in labels, messages, names and commands is shown as text, even with the page's content policy away."""
    planned = [trial(HOSTILE, split, dataset=HOSTILE, features=HOSTILE) for split in range(3)]
    store = write_store(
        tmp_path / "store",
        [
            (done(planned[0], [0.5, 0.6], host=HOSTILE), answers(0, [2, 2, 3, 3])),
            (done(planned[1], [0.5, 0.6]), answers(1, [1, 1, 3, 3])),
            (failed(planned[2], HOSTILE), None),
        ],
        planned,
        f"zslbench run --methods {HOSTILE}",
    )
    html = page_of(store)
    assert html.count("<script>") == 1
    assert "Content-Security-Policy" in html
    if not shielded:
        html = re.sub(r"<meta http-equiv=.*?>\n", "", html)
        assert "Content-Security-Policy" not in html
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    page = visit(path)
    assert page.complaints == []
    assert page.evaluate("window.hit") is None
    assert page.locator("table.sortable tbody th").first.inner_text().startswith("<script>window.hit=1</script><img")
    assert "ValueError: <script>window.hit=1" in page.locator(".warnings").inner_text()
    assert page.locator("dd", has_text="zslbench run --methods <script>").count() == 1
    page.locator("thead button").first.click()  # the page's own script does run
    assert page.locator("thead th").first.get_attribute("aria-sort") == "descending"


def test_a_row_says_in_words_what_it_is(tmp_path: Path):
    """Ranked rows have numbers, others the words unranked or bound; nothing done is a dash that sorts last."""
    hole = [trial("hole", split) for split in range(2)]
    made = [(done(trial(name, split), [0.5]), None) for name in ("good", "floor") for split in range(2)]
    for record, _ in made[2:]:
        record.family = "bound"
    (table,) = tables_of(write_store(tmp_path / "store", made, hole))
    lines = {row.label: leaderboard_line(row, table) for row in table.rows}
    first = {label: line.cells[0].text for label, line in lines.items()}
    assert first == {"good": "1", "hole": "unranked", "floor": "bound"}
    assert lines["hole"].cells[2].text == "–"
    assert lines["hole"].cells[2].value is None
    assert lines["good"].cells[2].text == "50.0"
    at = [column.title for column in leaderboard_columns(table)].index("done")
    assert lines["hole"].cells[at].text == "0/2"
    (hole,) = (row for row in table.rows if row.label == "hole")
    assert lines["hole"].cells[1].detail == f"no rank: {hole.why}" == "no rank: no trial is finished"
    assert lines["good"].cells[1].detail == lines["floor"].cells[1].detail == ""


def test_a_table_without_ranks_says_that_none_leads(tmp_path: Path):
    """Where no row is ranked, the page opens with that, and the dots of the figure are values, not differences."""
    asked = [trial(name, split) for name in "ab" for split in range(3)]
    page = page_of(
        write_store(tmp_path / "store", [(done(asked[0], [0.5]), None), (done(asked[3], [0.4]), None)], asked)
    )
    assert "<strong>No row is ranked, so none leads.</strong>" in page
    assert page.index("none leads") < page.index("No rank (")
    assert "Each dot is the value on one split." in page
    assert "below (left) the leader" not in page


def test_citations_and_published_numbers_have_columns(tmp_path: Path):
    """A key is shown or a dash; published numbers and what ours differ by, only where a row has one."""
    (table,) = tables_of(several(tmp_path / "store"))
    titles = [column.title for column in leaderboard_columns(table)]
    assert "published" not in titles
    first, *others = table.rows
    first = msgspec.structs.replace(first, citation="doe2020a", published={"H": 0.8, "T1": 0.5})
    table = msgspec.structs.replace(table, rows=[first, *others])
    titles = [column.title for column in leaderboard_columns(table)]
    cells = dict(zip(titles, leaderboard_line(first, table).cells, strict=True))
    assert (cells["citation"].text, cells["citation"].value) == ("doe2020a", "doe2020a")
    mean = 100 * first.metrics["H"].mean
    assert cells["published"].text == f"H 80.0 ({mean - 80:+.1f})"
    assert cells["published"].detail == f"T1 50.0 ({mean - 50:+.1f})"
    cells = dict(zip(titles, leaderboard_line(others[0], table).cells, strict=True))
    assert (cells["citation"].text, cells["published"].text) == ("–", "–")


def test_pairs_show_how_sure_they_are(tmp_path: Path):
    """Six wins of six: P is 7/8; the effect stands with its interval, which a single split has not."""
    section = section_of(several(tmp_path / "store"))
    assert section.comparison is not None
    pair = section.comparison.pairs[0]._replace(effect=1.5, effect_low=0.25, effect_high=2.75)
    cells = dict(zip([column.title for column in PAIRS], pair_line(pair).cells, strict=True))
    assert cells["P(a beats b)"].text == "0.88"
    assert (cells["effect"].text, cells["effect"].detail) == ("1.50", "0.25 to 2.75")
    alone = section_of(several(tmp_path / "alone", splits=1))
    assert alone.comparison is not None
    cells = dict(zip([column.title for column in PAIRS], pair_line(alone.comparison.pairs[0]).cells, strict=True))
    assert [cells[name].text for name in ("P(a beats b)", "effect")] == ["–", "–"]


def test_two_tables_share_a_page_without_sharing_ids(tmp_path: Path):
    """Tables of two data sets are two parts, whose ids differ."""
    store = several(tmp_path / "store", splits=2)
    with store.writing():
        other = trial("a", 0, dataset="elsewhere")
        store.append(done(other, [0.5, 0.6]), answers(0, [2, 2, 3, 3]))
    html = page_of(store)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert {"t1", "t2", "t1-per-split", "t2-per-split"} <= set(ids)


def test_few_splits_have_a_sentence_in_place_of_ranks(tmp_path: Path):
    """With three splits the page says why there is no rank diagram."""
    section = section_of(several(tmp_path / "store", splits=3))
    html = as_html([section], [None], tmp_path)
    part = html[html.index('id="t1-ranks"') :]
    assert str(section.too_few)[:30] in part[:300]


def _contrast(one: str, two: str) -> float:
    """WCAG's contrast ratio of two CSS colours."""

    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)
