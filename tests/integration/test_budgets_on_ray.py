"""Budgets on Ray: what validation classes choose joins a run whose workers are busy with other trials."""

from pathlib import Path

import pytest
from conftest import write_synthetic

from zslbench.records import Store


def outcomes(folder: Path) -> dict:
    """Key -> what was measured."""
    return {record.key: record.outcome for record in Store(folder).records()}


@pytest.mark.slow  # a run on Ray beside one without
def test_ray_gives_what_one_process_gives(tmp_path, zslbench):
    """Draws, choices and numbers are the same in two workers, and a second run finds everything done."""
    write_synthetic(tmp_path / "toy")
    command = ("run", "--dataset", "toy", "--methods", "eszsl,projection", "--splits", "2", "--budget", "4")
    for workers, store in ((0, "here"), (2, "there")):
        ended = zslbench(*command, "--workers", workers, "--store", store)
        assert ended.returncode == 0, ended.stderr
        assert "eszsl (budget 4)" in ended.stdout
    assert outcomes(tmp_path / "there") == outcomes(tmp_path / "here")
    again = zslbench(*command, "--workers", 2, "--store", "there", "--dry-run")
    assert "Everything is done." in again.stdout
