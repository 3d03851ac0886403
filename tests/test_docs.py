"""What the documentation shows works as shown: its blocks are run in order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from zslbench.datasets import bundled_names

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow  # a dozen commands and a package's own tests
@pytest.mark.skipif("ucm" not in bundled_names(), reason="UCM is not bundled here")
@pytest.mark.parametrize("page", ["tutorial.md"])
def test_the_blocks_of_a_page_run_in_order(page, tmp_path):
    """Files are written, shell blocks run without error, and lines shown as output begin lines of that output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {key: value for key, value in os.environ.items() if key != "ZSLBENCH_STORE"} | {"PATH": path}
    output: list[str] = []
    blocks = BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert {kind for kind, _ in blocks} == {"python", "sh", "text"}
    for kind, text in blocks:
        if kind == "python":
            first, _, _ = text.partition("\n")
            assert first.startswith("# file: ")
            (tmp_path / first.removeprefix("# file: ")).write_text(text, encoding="utf-8")
        elif kind == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            output = done.stdout.splitlines()
        else:
            for line in text.splitlines():
                assert any(said.startswith(line) for said in output), f"{line!r} is not in\n" + "\n".join(output)


def test_the_readme_s_method_keeps_the_interface(tmp_path):
    """The method that the README shows passes the checks that the README names next."""
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    (block,) = (text for kind, text in blocks if kind == "python" and text.startswith("# nearest.py"))
    (tmp_path / "nearest.py").write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "zslbench", "check", "--plugin", "nearest.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.slow  # trainings on real data
@pytest.mark.skipif("ucm" not in bundled_names(), reason="UCM is not bundled here")
def test_the_library_s_page_runs_from_top_to_bottom(tmp_path):
    """Its blocks, as one script: a class of the script is run too, and a wrong name is told in a line."""
    blocks = [
        text for kind, text in BLOCK.findall((ROOT / "docs/library.md").read_text(encoding="utf-8")) if kind == "python"
    ]
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1].startswith("unknown method 'eszl'. Did you mean")


@pytest.mark.skipif("ucm" not in bundled_names(), reason="UCM is not bundled here")
@pytest.mark.slow  # a kernel, and two rounds of trials
def test_the_notebook_runs(tmp_path, monkeypatch):
    """Every cell, in a kernel; the last one shows a ranked table."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZSLBENCH_NOTEBOOK_SPLITS", "2")
    notebook = nbformat.read(ROOT / "docs/notebooks/first-table.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [
        output["data"]["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    assert any("<table" in html and "eszsl" in html for html in shown)


def test_the_page_of_each_method_is_what_stands_next_to_it():
    """Docstring, parameters, presets and stored trials of every built-in method; the tests that are named are there."""
    checked = subprocess.run([sys.executable, ROOT / "benchmarks/method_pages.py", "--check"], check=False)
    assert checked.returncode == 0
    pages = sorted((ROOT / "docs/methods").glob("*.md"))
    named = {name for page in pages for name in re.findall(r"test_\w+\.py", page.read_text(encoding="utf-8"))}
    assert named
    assert named <= {path.name for path in (ROOT / "tests/methods").glob("test_*.py")}
