"""Consoles on which text from data is text."""

import sys
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from zslbench.plaintext import visible


class PlainConsole(Console):
    """A console that takes no word for an emoji, colours no number, and writes control characters out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(emoji=False, highlight=False, **options)
        self.push_render_hook(_WrittenOut())


class _WrittenOut(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Visible(each) for each in renderables]


class _Visible:
    """Text as it is; controls of the terminal are Rich's own alone."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.renderable, options):
            if segment.control or segment.text == "\n":
                yield segment
            else:
                yield Segment("\n".join(map(visible, segment.text.split("\n"))), segment.style)


def progress_console() -> Console:
    """For progress, on stderr: this process's own, whatever a method's prints are redirected to meanwhile."""
    return PlainConsole(file=sys.stderr, stderr=True)
