"""Tables for a terminal of any width, in which no word is broken and no name is cut.

Prose is folded between words. A name that is too long for its column stands on a line of its own, with the rest of its
row below it. Columns that tell least are left out of a narrow table, which says so; and where nothing of that suffices,
every row becomes a paragraph.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_GAP = 2
_MOST_NAMED = 4
"""So many columns that are left out are all named."""
_SHORT_NAME = 16
"""A column of names is at least so wide, if one of them is."""


class Column(NamedTuple):
    """How a column is laid out."""

    name: str
    right: bool = False
    """Numbers stand to the right."""
    fold: bool = False
    """Prose, which may be folded between words."""
    hang: bool = False
    """A name: where it is too long, the rest of its row stands below it."""
    spare: int = 0
    """Whether a narrow table does without it, the lowest number first; 0: never."""


class Grid:
    """A table.

    Args:
        columns: from left to right.
        rows: a cell for each column.
        all_in: where columns that are left out can be seen, as a sentence.
        whole: leave nothing out, however wide it gets.
        left_out: columns that are left out whatever the width.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[str | Text]],
        *,
        all_in: str = "",
        whole: bool = False,
        left_out: Sequence[str] = (),
    ) -> None:
        self.columns, self.all_in, self.whole = list(columns), all_in, whole
        self.rows = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
        names = {column.name for column in columns}
        self._never = [] if whole else [name for name in left_out if name in names]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = sum(map(self._natural, range(len(self.columns)))) + _GAP * (len(self.columns) - 1)
        return Measurement(min(width, options.max_width), width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown, left_out = self._shown(options.max_width)
        if self._narrowest(shown) <= options.max_width or self.whole:
            yield from self._table(shown, options.max_width, console.encoding.startswith("utf"))
        else:
            yield from self._paragraphs(shown, options.max_width)
        if left_out:
            more = f" and {len(left_out) - 3} more" if len(left_out) > _MOST_NAMED else ""
            named = ", ".join(left_out[:-4:-1] if more else left_out)  # those that tell most go last
            yield Text(f"Left out: {named}{more}. {self.all_in}".rstrip(), style="dim")

    def _shown(self, width: int) -> tuple[list[int], list[str]]:
        """The columns of a terminal so wide, and the names of the others."""
        spare = sorted((column.spare, column.name) for column in self.columns if column.spare and not self.whole)
        left_out = list(self._never)
        for _, name in [(0, ""), *spare]:
            left_out += [name] if name and name not in left_out else []
            shown = [at for at, column in enumerate(self.columns) if column.name not in left_out]
            if self._narrowest(shown) <= width:
                break
        return shown, left_out

    def _narrowest(self, shown: Sequence[int]) -> int:
        return sum(map(self._least, shown)) + _GAP * (len(shown) - 1)

    def _natural(self, at: int) -> int:
        return max(cell_len(self.columns[at].name), *(cell_len(row[at].plain) for row in self.rows), 1)

    def _least(self, at: int) -> int:
        """How narrow a column may be."""
        if self.whole:
            return self._natural(at)
        column = self.columns[at]
        header = max(map(cell_len, _words(column.name)), default=0)
        cells = [row[at].plain for row in self.rows]
        if column.fold:
            return max(header, *(cell_len(word) for cell in cells for word in cell.split()), 1)
        widest = max(map(cell_len, cells), default=0)
        return max(header, min(widest, _SHORT_NAME) if column.hang else widest, 1)

    def _widths(self, shown: Sequence[int], width: int) -> dict[int, int]:
        """What is left is given to names, then to headers and prose."""
        widths = {at: self._least(at) for at in shown}
        left = width - self._narrowest(shown)
        for at in shown:
            if self.columns[at].hang:  # as wide as the longest name that fits; a longer one gains nothing by it
                names = [cell_len(row[at].plain) for row in self.rows]
                wanted = max((name for name in names if name <= widths[at] + left), default=0)
                left -= max(0, wanted - widths[at])
                widths[at] = max(widths[at], wanted)
        while left > 0:
            at = max(shown, key=lambda each: self._natural(each) / widths[each])
            if widths[at] >= self._natural(at):
                break
            widths[at] += 1
            left -= 1
        return widths

    def _table(self, shown: Sequence[int], width: int, unicode: bool) -> Iterator[Text]:
        widths = self._widths(shown, width)
        headers = [_header(self.columns[at].name, widths[at]) for at in shown]
        height = max(map(len, headers))
        for line in range(height):
            cells = [
                Text(lines[line - height + len(lines)] if line >= height - len(lines) else "", "bold")
                for lines in headers
            ]
            yield self._line(shown, widths, cells)
        yield Text(("─" if unicode else "-") * min(width, sum(widths.values()) + _GAP * (len(shown) - 1)), no_wrap=True)
        for row in self.rows:
            yield from self._row(row, shown, widths, width)

    def _row(self, row: Sequence[Text], shown: Sequence[int], widths: dict[int, int], width: int) -> Iterator[Text]:
        begun: list[Text] = []
        for at in shown:
            begun.append(row[at])
            if self.columns[at].hang and cell_len(row[at].plain) > widths[at]:
                before = sum(widths[each] + _GAP for each in shown[: len(begun) - 1])
                if before + cell_len(row[at].plain) <= width or self.whole:
                    yield from self._lines(shown, widths, begun)
                else:  # as far to the left as can be
                    yield Text(" ", no_wrap=True, overflow="ignore").join(cell for cell in begun if cell.plain)
                begun = [Text() for _ in begun]
        if any(cell.plain for cell in begun) or not begun:
            yield from self._lines(shown, widths, begun)

    def _lines(self, shown: Sequence[int], widths: dict[int, int], cells: Sequence[Text]) -> Iterator[Text]:
        stacks = [
            [Text(line, cell.style) for line in folded(cell.plain, widths[at])] if self.columns[at].fold else [cell]
            for at, cell in zip(shown, cells, strict=False)
        ]
        for line in range(max(map(len, stacks))):
            yield self._line(shown, widths, [lines[line] if line < len(lines) else Text() for lines in stacks])

    def _line(self, shown: Sequence[int], widths: dict[int, int], cells: Sequence[Text]) -> Text:
        made = Text(no_wrap=True, overflow="ignore")
        for at, cell in zip(shown, cells, strict=False):
            blank = " " * max(0, widths[at] - cell_len(cell.plain))
            parts: list[str | Text] = [blank, cell] if self.columns[at].right else [cell, blank]
            made.append(" " * _GAP if at != shown[0] else "")
            for part in parts:
                made.append(part)
        made.rstrip()
        return made

    def _paragraphs(self, shown: Sequence[int], width: int) -> Iterator[Text]:
        name = next((at for at in shown if self.columns[at].hang), shown[0])
        for row in self.rows:
            head = " ".join(row[at].plain for at in shown if at <= name and row[at].plain)
            yield Text(head, "bold", no_wrap=True, overflow="ignore")
            told = "; ".join(f"{self.columns[at].name} {row[at].plain}" for at in shown if at > name and row[at].plain)
            for line in folded(told, max(20, width - 4)):
                yield Text(f"    {line}", no_wrap=True, overflow="ignore")


def _words(name: str) -> list[str]:
    """Of a header, which may be folded behind a stroke too."""
    return re.findall(r"[^\s/]+/?|/", name)


def folded(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of this width, which break between words alone; those after the first are indented."""
    if cell_len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]


def _header(text: str, width: int) -> list[str]:
    if cell_len(text) <= width:
        return [text]
    return [line.replace("/ ", "/") for line in folded(re.sub(r"(?<=\S)/(?=\S)", "/ ", text), width)]
