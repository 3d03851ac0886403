"""Methods that fail in every way, stores that are damaged, users who lose patience: what is left is whole."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from running import RAY_AGENTS, Ended, comparable, complete, started, temporary_folder, write_folder

from zslbench.records import Record, Store
from zslbench.verification import verify


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SYNTHETIC data set ``toy`` and a plugin ``plugin.py``; while a file ``calm`` lies there, no
    method hangs."""
    folder = tmp_path_factory.mktemp("faults")
    return write_folder(
        folder,
        mine="time.sleep(float(os.environ.get('NAP', 0)))",
        raises="raise ValueError('on purpose')",
        hangs=f"print('so far so good'); os.path.exists({str(folder / 'calm')!r}) or time.sleep(600)",
        leaves="print('last words'); os._exit(1)",
        killed="import signal; os.kill(os.getpid(), signal.SIGKILL)",  # as the kernel does to one that takes too much
    )


BAD = ("raises", "hangs", "leaves", "killed")
ALL = ("--methods", ",".join((*BAD, "eszsl", "mine")), "--splits", 1, "--no-validation", "--store", "bad", "--json")


@pytest.fixture(scope="module")
def mixed(folder: Path) -> Ended:
    """A run on two workers of four methods that fail, each in its way, and of two that do not."""
    ended, left = complete(folder, *ALL, "--workers", 2, "--timeout", "3s")
    assert left == {}
    return ended


def by_label(store: Path) -> dict[str, list[Record]]:
    """The records of each method, in order of writing."""
    found: dict[str, list[Record]] = {}
    for record in Store(store).records():
        found.setdefault(record.label, []).append(record)
    return found


def test_every_failure_is_a_record_and_no_honest_method_suffers(folder, mixed):
    """Whatever methods do to their workers, the run ends with 1; the honest ones are ranked, and each failure is
    recorded with its kind, its message, its attempts and the log of what was printed before."""
    assert mixed.code == 1
    rows = {row["label"]: row for row in json.loads(mixed.stdout)[0]["rows"]}
    assert {label for label, row in rows.items() if row["rank"] is not None} == {"eszsl", "mine"}
    found = by_label(folder / "bad")
    assert {label: len(records) for label, records in found.items()} == dict.fromkeys((*BAD, "eszsl", "mine"), 1)
    failures = {label: records[0].failure for label, records in found.items() if records[0].failure}
    assert set(failures) == set(BAD)
    kinds = {label: (failure.type, found[label][0].run.attempt) for label, failure in failures.items()}
    assert kinds == {
        "raises": ("ValueError", 1), "hangs": ("Timeout", 1), "leaves": ("WorkerDied", 3), "killed": ("WorkerDied", 3),
    }  # fmt: skip
    assert failures["raises"].message == "on purpose"
    assert failures["hangs"].message == "stopped after 3 s, as the timeout says."
    assert failures["killed"].message.startswith("the worker died 3 times while running this trial")
    log = found["hangs"][0].run.log
    assert log is not None
    assert (folder / "bad" / log).read_text() == "so far so good\n"
    log = found["leaves"][0].run.log  # printed just before the worker died
    assert log is not None
    assert (folder / "bad" / log).read_text() == "last words\n"


def test_running_again_retries_what_failed_and_nothing_else(folder, mixed):
    """The same command runs the failed trials alone, and one whose method is mended is done then; with
    --no-retry-failed nothing runs and the exit code still says that trials failed."""
    path = folder / "bad/records.jsonl"
    before = path.read_bytes()
    ended, _ = complete(folder, *ALL, "--workers", 2, "--no-retry-failed")
    assert ended.code == 1
    assert path.read_bytes() == before
    (folder / "calm").touch()
    try:
        ended, _ = complete(folder, *ALL, "--workers", 2, "--timeout", "30s")
    finally:
        (folder / "calm").unlink()
    assert ended.code == 1
    assert path.read_bytes().startswith(before)
    assert {label: len(records) for label, records in by_label(folder / "bad").items()} == {
        "raises": 2, "hangs": 2, "leaves": 2, "killed": 2, "eszsl": 1, "mine": 1,
    }  # fmt: skip
    assert by_label(folder / "bad")["hangs"][-1].status == "done"


def test_fail_fast_leaves_the_rest_to_do(folder):
    """With --fail-fast the first failure ends a parallel run with 1; what did not run has no record."""
    args = ("--methods", "raises,mine", "--splits", 6, "--fail-fast", "--store", "fast")
    ended, left = complete(folder, *args, "--workers", 2)
    assert (ended.code, left) == (1, {})
    assert "stopped at the first trial that failed, as --fail-fast says." in ended.stderr
    found = by_label(folder / "fast")
    assert len(found["raises"]) == 1
    assert len(found.get("mine", [])) < 12


def test_a_time_limit_holds_in_this_process_too(folder):
    """With --workers 0 a hanging trial is stopped and recorded with what it printed, and the others run."""
    args = ("--methods", "hangs,mine", "--splits", 1, "--no-validation", "--store", "late", "--workers", 0)
    ended, _ = complete(folder, *args, "--timeout", "1s")
    assert ended.code == 1
    found = by_label(folder / "late")
    assert found["mine"][0].status == "done"
    (hung,) = found["hangs"]
    assert hung.failure is not None
    assert (hung.failure.type, hung.failure.message) == ("Timeout", "stopped after 1 s, as the timeout says.")
    assert (folder / "late" / str(hung.run.log)).read_text() == "so far so good\n"


STAYS = "exec('while True:\\n    try: time.sleep(60)\\n    except {}: pass')"


def test_a_method_cannot_escape_its_time_limit(tmp_path):
    """With --workers 0 too: one that goes on whatever is raised in it, and one that never returns from native code, are
    stopped and recorded with what they printed; the next method runs."""
    write_folder(
        tmp_path,
        stubborn="print('I stay'); " + STAYS.format("BaseException"),
        native="import ctypes; ctypes.CDLL(None).sleep(600)",
        dies="print('last words'); os._exit(3)",
        mine="pass",
    )
    args = ("--methods", "stubborn,native,dies,mine", "--splits", 1, "--no-validation", "--store", "s", "--workers", 0)
    ended, left = complete(tmp_path, *args, "--timeout", "2s")
    assert (ended.code, left) == (1, {})
    found = {label: records[0] for label, records in by_label(tmp_path / "s").items()}
    failures = {label: record.failure.type for label, record in found.items() if record.failure}
    assert failures == {"stubborn": "Timeout", "native": "Timeout", "dies": "WorkerDied"}
    assert found["mine"].status == "done"
    assert {record.run.executor for record in found.values()} == {"serial"}
    logs = {label: (tmp_path / "s" / str(found[label].run.log)).read_text() for label in ("stubborn", "dies")}
    assert logs == {"stubborn": "I stay\n", "dies": "last words\n"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_method_cannot_swallow_an_interrupt(tmp_path, number):
    """A method in this process that goes on whatever is raised in it is left some seconds after Ctrl-C or SIGTERM, with
    130 and a line; the records before it are whole."""
    write_folder(tmp_path, mine="pass", stubborn=STAYS.format("BaseException"))
    args = ("--methods", "mine,stubborn", "--splits", 1, "--no-validation", "--store", "s", "--workers", 0)
    with started(tmp_path, *args) as run:
        run.wait_for_records(1, tmp_path / "s/records.jsonl")
        time.sleep(0.5)
        run.process.send_signal(number)
        ended = run.end()
        assert run.left_after(5) == {}
    assert ended.code == 130
    assert ended.stderr.splitlines()[-1].startswith("zslbench: interrupted; a method went on")
    assert [record.status for record in Store(tmp_path / "s").records()] == ["done"]


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])  # Ray replaces workers
def test_what_a_method_leaves_running_keeps_no_run_from_ending(tmp_path, workers):
    """A thread, a child and an exit handler that never end: the run ends with 0, and nothing is left of them."""
    head = "import atexit, threading\n"
    write_folder(
        tmp_path,
        head,
        threads="threading.Thread(target=time.sleep, args=(300,)).start()",
        children="os.fork() or time.sleep(300)",
        handlers="atexit.register(time.sleep, 300)",
        mine="pass",
    )
    args = ("--methods", "threads,children,handlers,mine", "--splits", 1, "--no-validation", "--store", "s")
    ended, left = complete(tmp_path, *args, "--workers", workers)
    assert (ended.code, left) == (0, {})
    assert "method threads left a running thread: no other trial runs in its process." in ended.stderr
    assert "method children left a running process: no other trial runs in its process." in ended.stderr


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])  # Ray replaces workers
def test_a_process_in_which_our_own_code_fails_is_replaced(tmp_path, workers):
    """A method after which no trial can begin there costs the next ones an attempt and not their records."""
    breaks = "from zslbench.runner.settings import *; SETTINGS.append(Setting('it', lambda: 1 / 0, print))"
    write_folder(tmp_path, breaks=f"exec({breaks!r})", mine="pass")
    args = ("--methods", "breaks,mine,mine[ridge=2]", "--splits", 1, "--no-validation", "--store", "s")
    ended, _ = complete(tmp_path, *args, "--workers", workers)
    assert ended.code == 0, ended.stderr
    assert ended.stderr.count("is tried again: its worker failed, attempt 1 of 3.") == workers
    assert "Traceback" not in ended.stderr


SERIAL = ("--methods", "mine,eszsl", "--splits", 2, "--no-validation", "--workers", 0)


@pytest.fixture(scope="module")
def done(folder: Path) -> dict[str, Any]:
    """The records of four trials that ran without a disturbance."""
    ended, _ = complete(folder, *SERIAL, "--store", "done")
    assert ended.code == 0
    return comparable(folder / "done")


def test_a_damaged_store_is_mended(folder, done):
    """A trial whose line is in the store twice counts once, one whose line is torn or altered runs again, as does one
    whose predictions are gone or altered; what is no record is named and set aside. All ends as an undisturbed run."""
    lines = (folder / "done/records.jsonl").read_bytes().splitlines(keepends=True)
    path = folder / "damaged/records.jsonl"
    shutil.copytree(folder / "done", path.parent)
    whole = lines[0] + lines[1] + lines[0] + lines[2]
    path.write_bytes(whole + lines[3][:-9])
    ended, _ = complete(folder, *SERIAL, "--store", "damaged")
    assert ended.code == 0
    assert "damaged/records.jsonl: the last line is torn and was moved to records.torn." in ended.stderr
    assert "3 of 4 trials are done already." in ended.stderr
    assert path.read_bytes().startswith(whole)
    assert path.read_bytes().count(b"\n") == 5
    assert comparable(folder / "damaged") == done
    foreign = lines[0].replace(b'"schema":1', b'"schema":2')
    assert foreign != lines[0]
    path.write_bytes(b"no record\n" + foreign + b"".join(lines[1:]))
    keys = [json.loads(line)["key"] for line in lines]
    predictions = folder / "damaged/predictions"
    (predictions / f"{keys[1]}.npz").unlink()
    (predictions / f"{keys[2]}.npz").write_bytes((predictions / f"{keys[3]}.npz").read_bytes())
    ended, _ = complete(folder, *SERIAL, "--store", "damaged")
    assert ended.code == 0
    told = [line for line in ended.stderr.splitlines() if "warning" in line]
    assert told[0].startswith("zslbench: warning: damaged/records.jsonl, line 1 is not a record (")
    assert told[1].startswith("zslbench: warning: damaged/records.jsonl, line 2 does not fit its check sum: moved to ")
    assert told[2].startswith("zslbench: warning: damaged: 2 finished record(s) lost their predictions, the first ")
    assert len(told) == 3
    assert "1 of 4 trials are done already." in ended.stderr
    assert path.with_suffix(".bad").read_bytes() == b"no record\n" + foreign
    assert comparable(folder / "damaged") == done
    found = verify(Store(folder / "damaged"))
    assert (found.findings, found.done, found.recomputed) == ([], 6, 6)


SLOW = ("--methods", "mine,mine[ridge=2]", "--splits", 4, "--workers", 2)


@pytest.mark.slow  # five runs, each stopped in another way
def test_impatience_is_heeded_and_costs_no_record(folder):
    """SIGTERM while Ray starts ends with 130; a second Ctrl-C, however soon after the first, too and at once; kill -9
    while Ray starts does no harm. Records stay whole, Ray goes as well, and the same command does the rest."""
    path = folder / "hasty/records.jsonl"
    args = (*SLOW, "--store", "hasty")
    with temporary_folder() as temporary:
        env = {"NAP": "0.3", "RAY_TMPDIR": str(temporary)}
        for number, code in ((signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)):
            with started(folder, *args, **env) as run:
                end = time.monotonic() + 60
                while not {"gcs_server", "raylet"} & set(run.processes().values()):
                    assert time.monotonic() < end
                    time.sleep(0.01)
                run.process.send_signal(number)
                assert run.end().code == code
                assert run.left_after(20, besides=RAY_AGENTS) == {}
            assert path.read_bytes() == b""
        kept = b""
        for pause in (0.0, 0.3):
            with started(folder, *args, **env) as run:
                run.wait_for_records(kept.count(b"\n") + 1, path)
                for _ in range(2):
                    run.process.send_signal(signal.SIGINT)
                    time.sleep(pause)
                ended = run.end()
                assert (ended.code, ended.stdout) == (130, "")
                assert ended.stderr.splitlines()[-1] in (
                    "zslbench: stopped at once",
                    "zslbench: interrupted; what was finished is stored, run the same command again to go on",
                )
                assert run.left_after(20, besides=RAY_AGENTS) == {}
            assert path.read_bytes().startswith(kept)
            kept = path.read_bytes()
            assert kept.endswith(b"\n")
        ended, left = complete(folder, *args, RAY_TMPDIR=str(temporary))
    assert (ended.code, left) == (0, {})
    assert path.read_bytes().startswith(kept)
    assert len(comparable(folder / "hasty")) == path.read_bytes().count(b"\n") == 16
