"""Fixtures: a small SYNTHETIC data set with a linear semantic structure, and a command-line runner."""

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdist.scheduler import LoadScopeScheduling

from zslbench.cli import main

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("ZSLBENCH_SHARED", ROOT.parent / "shared"))

# What a shell starts in the background ignores Ctrl-C, and so would every command that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


class ByFile(LoadScopeScheduling):
    """The tests of a file run on one core, since they share what is dear to make; so do all whole runs on Ray, since
    one Ray at a time is enough."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "whole runs" if "/integration/" in file else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """How tests are shared out under ``-n``: not by marks, which pytest 9.2 keeps from pytest-xdist 3.8."""
    return ByFile(config, log)


_LONGEST = ("integration", "methods", "report")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders that take longest come first, so that small files are left to even out the end."""
    items.sort(key=lambda item: item.path.parent.name not in _LONGEST)


def write_synthetic(
    folder: Path,
    *,
    classes: int = 8,
    per_class: int | list[int] = 12,
    dim: int = 16,
    attributes: int = 6,
    noise: float = 0.3,
    seed: int = 0,
    families: str = '["6/2", "5/3"]',
) -> Path:
    """Write a SYNTHETIC data set: features = semantics @ random matrix + noise."""
    rng = np.random.default_rng(seed)
    sizes = [per_class] * classes if isinstance(per_class, int) else per_class
    semantics = rng.normal(size=(classes, attributes))
    labels = np.repeat(np.arange(classes), sizes)
    mix = rng.normal(size=(attributes, dim))
    features = semantics[labels] @ mix + noise * rng.normal(size=(len(labels), dim))
    for kind in ("features", "semantics"):
        (folder / kind).mkdir(parents=True)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "features/made.npy", features.astype(np.float32))
    np.save(folder / "semantics/truth.npy", semantics.astype(np.float32))
    names = ", ".join(f'"class{index}"' for index in range(classes))
    (folder / "card.toml").write_text(
        f'name = "{folder.name}"\nclasses = [{names}]\ndefault_features = "made"\ndefault_semantics = "truth"\n'
        f"split_families = {families}\n"
    )
    return folder


def timeless(text: str) -> Any:
    """A leaderboard's JSON without times and memory."""
    tables = json.loads(text)
    for table in tables:
        for row in table["rows"]:
            for cost in ("seconds", "fit_seconds", "peak_mb"):
                row.pop(cost)
    return tables


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is brought to the disk itself, which takes milliseconds each time; for tests that write often."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    """The folder of a SYNTHETIC data set of 8 classes x 12 images."""
    return write_synthetic(tmp_path / "toy")


@pytest.fixture
def zslbench(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real command in an empty folder: ``zslbench("run", "--methods", ...)``."""

    def call(*args: Any, timeout: float = 300, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "zslbench", *map(str, args)],
            cwd=tmp_path,
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return call


def run_in(folder: Path, *args: object) -> object:
    """The exit code of the command, run in this process and in that folder, for what a module's fixtures make."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["zslbench", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code


@pytest.fixture
def in_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str, str]]:
    """Run the command in this process, in an empty folder: ``in_process("list", ...)`` -> exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["zslbench", *map(str, args)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as end:  # `main` sets a handler of its own
            main()
        captured = capfd.readouterr()
        return end.value.code, captured.out, captured.err

    return call
