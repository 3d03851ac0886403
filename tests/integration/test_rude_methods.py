"""Methods that do what no method should: fork, raise what is no error, close their output, move house."""

from pathlib import Path

import pytest
from running import complete, started, temporary_folder, write_folder

from zslbench.records import Record, Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SYNTHETIC data set ``toy`` and a plugin ``plugin.py``."""
    folder = tmp_path_factory.mktemp("rude")
    return write_folder(
        folder,
        orphans="os.fork() or time.sleep(300); os._exit(1)",
        lingers="os.fork() or (time.sleep(300), os._exit(0))",
        spawns="import subprocess; subprocess.Popen(['sleep', '300'])",
        interrupts="raise KeyboardInterrupt('on purpose')",
        generates="raise GeneratorExit('on purpose')",
        closes="print('last words'); sys.stdout.close(); sys.stderr.close()",
        wanders="os.chdir('/'); os.environ.clear()",
        mine="pass",
    )


RUDE = ("orphans", "lingers", "spawns", "interrupts", "generates", "closes", "wanders")


def found(store: Path) -> dict[str, tuple[str, str, int]]:
    """Status, kind of failure and attempts of the one record of each method."""

    def of(record: Record) -> tuple[str, str, int]:
        return record.status, record.failure.type if record.failure else "", record.run.attempt

    records = list(Store(store).records())
    assert len({record.label for record in records}) == len(records)
    return {record.label: of(record) for record in records}


@pytest.mark.slow  # workers that methods wear out
def test_rude_methods_cost_their_own_trials_alone(folder):
    """On one worker, which they share: a death is noticed although a child lives on, no child outlives the run, what is
    raised is recorded by its name, and closed streams, another folder and an empty environment harm nobody."""
    args = ("--methods", ",".join((*RUDE, "mine")), "--splits", 1, "--no-validation", "--store", "rude")
    with temporary_folder() as temporary:
        ended, left = complete(folder, *args, "--workers", 1, "--timeout", "100s", RAY_TMPDIR=str(temporary))
        assert (left, list(temporary.iterdir())) == ({}, [])
    assert ended.code == 1
    assert found(folder / "rude") == {
        "orphans": ("failed", "WorkerDied", 3), "interrupts": ("failed", "KeyboardInterrupt", 1),
        "generates": ("failed", "GeneratorExit", 1), "closes": ("done", "", 1), "wanders": ("done", "", 1),
        "lingers": ("done", "", 1), "spawns": ("done", "", 1), "mine": ("done", "", 1),
    }  # fmt: skip
    assert "Traceback" not in ended.stderr
    (closed,) = (record for record in Store(folder / "rude").records() if record.label == "closes")
    assert (folder / "rude" / str(closed.run.log)).read_text() == "last words\n"


def test_rude_methods_in_this_process(folder):
    """With --workers 0 they cost their own trials alone too, and a store named by a relative path stays where it is."""
    methods = ("generates", "closes", "wanders", "mine")
    args = ("--methods", ",".join(methods), "--splits", 1, "--no-validation", "--store", "alone")
    ended, left = complete(folder, *args, "--workers", 0)
    assert (ended.code, left) == (1, {})
    statuses = {label: status for label, (status, *_) in found(folder / "alone").items()}
    assert statuses == {"generates": "failed", "closes": "done", "wanders": "done", "mine": "done"}


def test_a_run_goes_on_when_nobody_reads_its_progress(folder):
    """Progress that goes to a closed pipe stops no trial."""
    args = ("--methods", "mine,mine[ridge=2]", "--splits", 3, "--no-validation", "--store", "unread", "--workers", 0)
    with started(folder, *args) as run:
        assert run.process.stderr is not None
        run.process.stderr.close()
        assert run.process.wait(timeout=60) == 0
    assert len(list(Store(folder / "unread").records())) == 6
