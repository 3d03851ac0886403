"""Text as it is, in formats that read some characters as their own. One function per format; every writer calls it.

What a table or a sentence shows of data is made `plain` (one line, printable, cut) where it is put there; here nothing
is cut, but a line end or an escape of a terminal would not get through either.
"""

import html as _html
import re

from zslbench.plaintext import visible

_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", "`": r"\textasciigrave{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip
_MARKDOWN = re.compile(
    r"""[\\`*<>|~$]  # code, emphasis, HTML, cells, struck out, formulas
    | (?<![^\W_])_ | _(?![^\W_])  # emphasis, which does not begin or end within a word
    | &(?=[#\w])  # an entity
    | \](?=[(\[])  # a link or an image
    | :(?=//) | @ | (?<=www)\.  # what is made a link of where it stands
    | ^[\[\]\#=] | ^[+-](?=\s) | ^-(?=-)  # a definition, a heading, an item, a rule
    | (?<=^\d)[.)](?=\s) | (?<=^\d\d)[.)](?=\s) | (?<=^\d{3})[.)](?=\s)  # an item with a number
    """,
    re.VERBOSE,
)


def markdown(text: str) -> str:
    """Text for GitHub-flavoured Markdown, also where the renderer lets HTML through.

    >>> markdown("<b>*a*</b> [x](y) a_b")
    '\\\\<b\\\\>\\\\*a\\\\*\\\\</b\\\\> [x\\\\](y) a_b'
    """
    return _MARKDOWN.sub(r"\\\g<0>", _line(text))


def latex(text: str) -> str:
    """Text that LaTeX prints as it is.

    >>> latex("50 % of a--b")
    '50 \\\\% of a-{}-b'
    """
    printed = "".join(_LATEX.get(character, character) for character in _line(text))
    printed = re.sub(r"([-'])(?=\1)", r"\1{}", printed)  # no dash of two hyphens, no quotation mark of two apostrophes
    return re.sub(r"^([\[*])", r"{\1}", printed)  # after the \\ of the row above these would be its arguments


def html(text: str) -> str:
    """Text for an HTML element or a quoted attribute."""
    return _html.escape(_line(text))


def _line(text: str) -> str:
    return visible(" ".join(text.split()))
