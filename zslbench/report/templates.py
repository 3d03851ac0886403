"""The templates of the pages: whatever they are given is text, and what they lack is an error."""

from importlib.resources import files
from typing import Any


def environment() -> Any:
    """Of Jinja, for every page."""
    import jinja2

    return jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)


def beside(name: str) -> str:
    """The text of a file of this package: a template, a style, a script."""
    return (files("zslbench.report") / name).read_text(encoding="utf-8")
