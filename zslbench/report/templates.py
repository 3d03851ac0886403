"""The templates of the pages: whatever they are given is text, and what they lack is an error."""

import base64
import hashlib
import re
from importlib.resources import files
from typing import Any

from zslbench.plaintext import plain


def environment() -> Any:
    """Of Jinja, for every page; templates may import from one another by their names."""
    import jinja2

    made = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(beside),
    )  # fmt: skip
    made.filters["breakable"] = _breakable
    made.filters["plain"] = plain
    made.filters["sort_key"] = lambda value: value if isinstance(value, str) else f"{value:.6g}"
    return made


def scripted() -> dict[str, str]:
    """The style and the script of a page that has tables, and by which hash a browser knows that script from others."""
    script = beside("page.js")
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"style": beside("style.css"), "script": script, "script_hash": known}


def _breakable(text: str) -> Any:
    """Escaped, and free to go on in the next line after a comma, a bracket or a year, as parameters and keys may."""
    import markupsafe

    return markupsafe.Markup(re.sub(r"([,\[]|\b[a-z-]+\d{4})(?=\w)", r"\1<wbr>", str(markupsafe.escape(text))))


def beside(name: str) -> str:
    """The text of a file of this package: a template, a style, a script."""
    return (files("zslbench.report") / name).read_text(encoding="utf-8")
