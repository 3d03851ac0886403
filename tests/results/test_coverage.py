"""The page on coverage, from a synthetic store that has every split of a family."""

import itertools
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from zslbench.errors import InputError
from zslbench.protocol import remeasured
from zslbench.records import Record, Store, Trial

CLASSES, UNSEEN, IMAGES = 8, 3, 20
EVERY = list(itertools.combinations(range(CLASSES), UNSEEN))


def record_of(method: str, split: int, rates: np.ndarray) -> tuple[Record, dict[str, np.ndarray]]:
    """A trial that is right on a share of the images of each class that this method is right on, wherever unseen."""
    trial = Trial(
        method=method, method_version=1, config={}, dataset="made", features="f", semantics="s", hashes={"labels": "l"},
        family=f"{CLASSES - UNSEEN}/{UNSEEN}", split=split, split_hash=str(split), seed=0, stage="test", protocol=1,
    )  # fmt: skip
    unseen = np.array(EVERY[split])
    truth = np.repeat(unseen, IMAGES)
    right = np.tile(np.arange(IMAGES), UNSEEN) < np.repeat(rates[unseen], IMAGES) * IMAGES
    predicted = np.where(right, truth, np.roll(unseen, 1).repeat(IMAGES))
    every = np.repeat(np.arange(CLASSES), IMAGES)
    best_unseen = np.full(len(every), unseen[0])
    best_unseen[np.isin(every, unseen)] = predicted
    seen = np.setdiff1d(np.arange(CLASSES), unseen)
    predictions = {
        "zsl_truth": truth, "zsl_predicted": predicted, "gzsl_truth": every,
        "gzsl_best_seen": np.where(np.isin(every, seen), every, seen[0]), "gzsl_best_unseen": best_unseen,
        "gzsl_margin": np.where(np.isin(every, seen), 1.0, -1.0),
    }  # fmt: skip
    outcome = remeasured(predictions)
    return Record(key=trial.key, label=method, status="done", trial=trial, outcome=outcome), predictions


def page(store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What the script prints."""
    monkeypatch.setattr(sys, "argv", ["coverage.py", "--store", str(store), "--splits", "8"])
    runpy.run_path(str(ROOT / "benchmarks" / "coverage.py"), run_name="__main__")
    return capsys.readouterr().out


def test_the_page_of_a_synthetic_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean is that of all splits, both intervals hold it about as often as they say, halves of the classes
    are told apart too often without the correction; a store that lacks a split is refused."""
    rng = np.random.default_rng(1)
    rates = {method: rng.integers(5, IMAGES, CLASSES) / IMAGES for method in "ab"}
    with Store(tmp_path).writing() as store:
        for split in range(len(EVERY) - 1):
            for method in "ab":
                store.append(*record_of(method, split, rates[method]))
    with pytest.raises(InputError, match="55 of 56 splits of 8 classes by 3 are finished"):
        page(tmp_path, capsys, monkeypatch)
    with Store(tmp_path).writing() as store:
        for method in "ab":
            store.append(*record_of(method, len(EVERY) - 1, rates[method]))
    said = page(tmp_path, capsys, monkeypatch)
    (line,) = [line for line in said.splitlines() if line.startswith("| `")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    numbers = [float(cell) for cell in cells[2:]]
    gap = 100 * (rates["a"].mean() - rates["b"].mean())
    assert numbers[0] == pytest.approx(gap if cells[0] == "`a`" else -gap, abs=0.06)
    assert 92 <= numbers[1] <= 99
    assert numbers[3] > numbers[1]
    assert numbers[4] > numbers[2]
    assert numbers[5] >= 90 > numbers[6]
