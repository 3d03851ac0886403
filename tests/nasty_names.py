"""Names that some format would read as its own, and a store whose every text is such a name."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from reports import UNSEEN, answers, done, failed, trial

from zslbench.records import Cell, Plan, PlanRow, Record, Store, Trial

FRAGMENTS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</title><b>", "<!--", "]]>", "&lt;b&gt;",
    '" onload="x', "[click](javascript:alert(1))", "![x](http://e/x.png)", "[x]: http://e", "[x][y]",
    "http://evil.example", "a@b.example", "a|b", "`code`", "**b**", "_x_", "~~s~~", "# head", "- item", "1. item",
    "---", "===", "> quote", "\\", "a\\", "$\\mathrm{x}$", "\\input{/etc/passwd}", "\\write18{id}",
    "50% & #1 ^ ~ {", "[*]", "--", "''",
    "\x1b[31mred", "\x1b]8;;http://e\x07x\x1b]8;;\x07", "\x9b31m", "\x07", "\x00nul", "\x7f",
    "line\nbreak", "\r\nline\r", "\n\n# head", "\u2028x\x85y\u2029", "\u202eevil\u2066", "z\u200bw\u200dv\ufeff",
    "a" + "\u0301" * 50, "[red]x[/]", "[/]", ":smile:", "=1+1", "@SUM(1)", "+cmd|' /C calc'!A0", "-2+3", "\t=1",
    "'; rm -rf ~; '", "$(id)", "_hidden", "emoji \U0001f469\u200d\U0001f469 \u4e2d\u6587", "x" * 10_000,
)  # fmt: skip
"""Pieces of names."""
NAMES = tuple(" ".join(FRAGMENTS[at::10]) for at in range(10))
"""Ten names with all of them, the first nine short enough to be shown in full."""
HARMLESS = ("word",) * len(NAMES)


def write_store(folder: Path, names: Sequence[str] = NAMES, labels: tuple[str, str] | None = None) -> Store:
    """Two methods on two splits and one that failed.

    Args:
        folder: the store.
        names: of data set, features, semantics, parameter, need, publication, family, host, message and command.
        labels: of the two methods, otherwise made of the first two names.
    """
    dataset, features, semantics, parameter, need, citation, family, host, message, command = names
    first, second = labels or (f"m1[p={names[0]}]", f"{names[1]}")

    def of(method: str, split: int) -> Trial:
        config = {"p": parameter, "method": method}
        return trial(method, split, config=config, dataset=dataset, features=features, semantics=semantics)

    made: list[tuple[Record, object]] = []
    for at, label in enumerate((first, second)):
        for split in range(2):
            one, two = UNSEEN[split]
            record = done(of(f"m{at}", split), [0.8 - 0.1 * at, 0.7 - 0.1 * at - 0.01 * split], host=host, device=host)
            record = msgspec.structs.replace(record, label=label, needs=[need], citation=citation, family=family)
            made.append((record, answers(split, [one, two, two, two])))
    made.append((failed(of("bad", 0), message), None))
    store = Store(folder)
    with store.writing():
        rows = [PlanRow(record.label, record.trial, [_cell(record.trial)]) for record, _ in made]
        store.append_plan(Plan("2026-01-01T00:00:00+00:00", f"zslbench run {command}", rows))
        for record, predictions in made:
            store.append(record, predictions)  # type: ignore[arg-type]
    return store


def _cell(of: Trial) -> Cell:
    return Cell(of.key, of.split, of.seed, of.stage)
