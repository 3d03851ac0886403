"""What is printed as LaTeX is set by LaTeX."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

SHIPPED = ROOT / "results" / "ucm-16-5"
Command = Callable[..., tuple[object, str, str]]


@pytest.mark.slow  # a typesetter
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: apt-get install texlive-science")
def test_every_table_can_be_set(in_process: Command, tmp_path: Path) -> None:
    """A leaderboard with both kinds of columns, a comparison and the table over data sets fit a page of two columns."""
    stores = [word for name in ("ucm-16-5", "digits", "whurs19") for word in ("--store", ROOT / "results" / name)]
    made = [
        in_process(*command, "--format", "latex")
        for command in (
            ("leaderboard", "--store", SHIPPED), ("leaderboard", "--store", SHIPPED, "--siunitx"),
            ("compare", "mcfa", "cada", "eszsl", "--store", SHIPPED), ("leaderboard", "--overall", *stores),
        )
    ]  # fmt: skip
    assert {code for code, _, _ in made} == {0}
    head = "\\documentclass[twocolumn]{article}\n\\usepackage{booktabs,graphicx,siunitx}\n\\begin{document}\n"
    (tmp_path / "paper.tex").write_text(head + "\n".join(text for _, text, _ in made) + "\n\\end{document}\n")
    for _ in range(2):  # floats find their pages in the first
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
            cwd=tmp_path, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:]
    assert "Overfull" not in done.stdout
    assert "Float too large" not in done.stdout
