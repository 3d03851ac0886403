"""The gallery: pictures by what they are taken for, in one file that loads nothing and runs nothing."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import zslbench as zb
from zslbench.datasets.images import any_images
from zslbench.models.model import Predictions
from zslbench.report import gallery as module
from zslbench.report.gallery import gallery


@pytest.fixture(scope="module")
def header() -> Any:
    """Of a model."""
    return zb.fit("eszsl", zb.load("ucm"), validate=False).header


def pictures(folder: Path, count: int) -> list[str]:
    """Noise, in files whose names are hostile."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        image = PIL.Image.fromarray(rng.integers(0, 255, (200, 300, 3), dtype=np.uint8))
        image.save(folder / f"{number}<script>alert(1)<&quot;.png")
    with any_images(folder) as found:
        return list(found.names)


def predictions(files: list[str], classes: int = 3, threshold: float = 0.0) -> Predictions:
    """Made up: the first class for even rows, the second for odd ones, less and less sure."""
    count = len(files)
    columns = np.array([[row % 2, 1 - row % 2, 2] for row in range(count)])
    p = np.linspace(0.9, 0.4, count)[:, None] * [1.0, 0.3, 0.1]
    names = ["a<b>", "c&d", "e"][:classes]
    return Predictions(files, names, ["seen", "unseen", "seen"], columns, p, p, p[:, 0] - p[:, 1], threshold)


def test_every_picture_is_there_the_surest_first(tmp_path: Path, header: Any) -> None:
    """Grouped by class, with three classes each and alternative texts; names are text, not markup."""
    files = pictures(tmp_path / "p", 6)
    page = gallery(predictions(files), tmp_path / "p", header)
    assert page.count("<img ") == 6
    assert "<script" not in page
    assert "a&lt;b&gt;" in page
    shown = re.findall(r'alt="(\d)[^"]*, taken for ([^"]*)"', page)
    assert [number for number, _ in shown] == ["0", "2", "4", "1", "3", "5"]
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_what_is_rejected_is_under_unknown(tmp_path: Path, header: Any) -> None:
    """It comes last, and the page says what it means."""
    files = pictures(tmp_path / "p", 4)
    page = gallery(predictions(files, threshold=0.6), tmp_path / "p", header)
    assert page.index(">a&lt;b&gt;</h2>") < page.index(">unknown</h2>")
    assert "not sure enough" in page


def test_it_stays_small(tmp_path: Path, header: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more pictures than fit, some of every class are shown, and the page says how many."""
    files = pictures(tmp_path / "p", 30)
    monkeypatch.setattr(module, "MOST_BYTES", 150_000)
    page = gallery(predictions(files), tmp_path / "p", header)
    shown = page.count("<img ")
    assert 2 <= shown < 30
    assert f"{shown} of 30 pictures are shown" in page
    assert len(page) < 200_000


def test_a_picture_that_has_gone(tmp_path: Path, header: Any) -> None:
    """One line."""
    files = pictures(tmp_path / "p", 2)
    (tmp_path / "p" / files[1]).unlink()
    with pytest.raises(zb.InputError, match="is not there any more"):
        gallery(predictions(files), tmp_path / "p", header)
