"""A power cut takes the trials of the last moment at most, and never the predictions of a record that it leaves."""

import hashlib
import io
import os
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from stores import at_once, do, jobs

from zslbench.records import Record, Store, committing


class Disk:
    """What of a folder would outlast a power cut at each moment, by the calls that were made until then.

    A file's content is safe from the moment it was synced; its name, once the folder was synced after it was given.
    Lines that were written may outlast it at once, at worst without anything else that is not safe.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.contents: dict[int, bytes] = {}
        """Inode -> what was synced of it."""
        self.names: dict[Path, int] = {}
        """Path -> inode, as far as folders were synced."""
        self.written = b""
        """Of the records, at most."""
        self.moments: list[tuple[bytes, dict[str, bytes]]] = []
        """Records and predictions after each step."""
        self.synced = 0
        real = {name: getattr(os, name) for name in ("fsync", "write")}

        def fsync(handle: int) -> None:
            real["fsync"](handle)
            path = Path(os.readlink(f"/proc/self/fd/{handle}"))
            if path.is_dir():
                for entry in path.iterdir():
                    self.names[entry] = entry.stat().st_ino
            else:
                self.contents[os.fstat(handle).st_ino] = path.read_bytes()
                self.synced += path.name == "records.jsonl"
            self.note()

        def write(handle: int, content: bytes) -> int:
            count = real["write"](handle, content)
            if os.readlink(f"/proc/self/fd/{handle}").endswith("records.jsonl"):
                self.written += content[:count]
                self.note()
            return count

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "write", write)

    def note(self) -> None:
        """Keep what a cut at this moment would leave."""
        left = {path.name: self.contents.get(inode, b"") for path, inode in self.names.items() if path.suffix == ".npz"}
        self.moments.append((self.written, left))


@pytest.mark.parametrize("pause", [0.0, 0.02, 1e9])
def test_a_record_never_outlasts_its_predictions(tmp_path, monkeypatch, pause):
    """Whenever the power is cut, and however many trials share a commit: every record that may be left has its
    predictions, whole; and at the end of the run all records are on the disk."""
    monkeypatch.setattr(committing, "_LEAST", pause)
    monkeypatch.setattr(committing, "_MOST", pause)
    disk = Disk(tmp_path / "s", monkeypatch)
    do(jobs(splits=8), tmp_path / "s")
    assert disk.written.count(b"\n") == 32
    assert disk.moments[-1][0] == (tmp_path / "s/records.jsonl").read_bytes()
    for records, predictions in disk.moments:
        for line in records.splitlines():
            record = msgspec.json.decode(line, type=Record)
            kept = predictions[Path(str(record.predictions)).name]
            assert hashlib.sha256(kept).hexdigest() == record.predictions_digest
    assert disk.contents[(tmp_path / "s/records.jsonl").stat().st_ino] == disk.moments[-1][0]
    assert {tmp_path / "s", tmp_path / "s/records.jsonl", tmp_path / "s/predictions"} <= set(disk.names)
    assert disk.synced == {0.0: 32, 1e9: 2}.get(pause, disk.synced)


def test_after_a_power_cut_the_rest_is_run(tmp_path, monkeypatch):
    """What the disk held at some moments, put into a folder, is gone on with, and ends as if nothing had been."""
    disk = Disk(tmp_path / "s", monkeypatch)
    do(jobs(splits=8), tmp_path / "s")
    monkeypatch.undo()
    monkeypatch.setattr(os, "fsync", lambda _: None)
    whole = {record.key: record for record in Store(tmp_path / "s").records()}
    for number, (records, predictions) in enumerate(random.Random(0).sample(disk.moments, 8)):
        folder = tmp_path / str(number)
        (folder / "predictions").mkdir(parents=True)
        (folder / "records.jsonl").write_bytes(records)
        for name, content in predictions.items():
            (folder / "predictions" / name).write_bytes(content)
        assert do(jobs(splits=8), folder).ran == 32 - records.count(b"\n")
        assert {record.key: record.outcome for record in Store(folder).records()} == {
            key: record.outcome for key, record in whole.items()
        }


def test_an_interrupted_run_leaves_everything_on_the_disk(tmp_path, monkeypatch):
    """Ctrl-C between two commits: what was finished is there when the executor is closed, and nothing waits."""
    monkeypatch.setattr(committing, "_LEAST", 1e9)
    monkeypatch.setattr(committing, "_MOST", 1e9)
    path, seen = tmp_path / "s/records.jsonl", []

    def interrupted(remaining: Any) -> Any:
        try:
            for number, event in enumerate(at_once(remaining)):
                if number == 9:
                    raise KeyboardInterrupt
                yield event
        finally:
            seen.append(path.read_bytes().count(b"\n"))

    with pytest.raises(KeyboardInterrupt):
        do(jobs(), tmp_path / "s", interrupted)
    assert path.read_bytes().count(b"\n") == 4
    assert seen[0] in (1, 4)


def test_lines_wait_for_each_other_and_not_for_long(tmp_path, monkeypatch):
    """The first line is brought to the disk at once; those right after it wait until it is time, and time comes by
    itself to whoever asks; five hundred at most wait."""
    now = [100.0]
    monkeypatch.setattr(committing.time, "monotonic", lambda: now[0])
    path = tmp_path / "f"
    path.touch()
    commits = committing.Commits(path)
    assert commits.add(b"one\n") == (0, 4)
    assert path.read_bytes() == b"one\n"
    assert commits.add(b"two\n") == (4, 4)
    commits.commit(due=True)
    assert path.read_bytes() == b"one\n"
    now[0] += committing._MOST
    commits.commit(due=True)
    assert path.read_bytes() == b"one\ntwo\n"
    for _ in range(committing._MOST_WAITING):
        commits.add(b"x\n")
    assert path.read_bytes().count(b"x") == committing._MOST_WAITING
    commits.close()


def test_what_could_not_be_written_is_taken_back(tmp_path, monkeypatch):
    """Where the disk is full, lines that waited are gone, their files are closed, and later ones are kept."""
    path = tmp_path / "f"
    path.write_bytes(b"one\n")
    commits = committing.Commits(path)
    file = io.FileIO(tmp_path / "p", "w")
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: real(handle, content[:3]))
    with pytest.raises(OSError, match="No space left"):
        commits.add(b"two\n", file)
    monkeypatch.setattr(os, "write", real)
    assert file.closed
    assert path.read_bytes() == b"one\n"
    commits.add(b"three\n")
    commits.close()
    assert path.read_bytes() == b"one\nthree\n"


@pytest.mark.parametrize("before", [True, False])
def test_ctrl_c_in_a_commit_neither_loses_nor_doubles_a_line(tmp_path, monkeypatch, before):
    """Interrupted before or after the lines were written, the next commit brings each to the disk once."""
    path = tmp_path / "f"
    path.touch()
    commits, real = committing.Commits(path), os.write

    def interrupted(handle: int, content: bytes) -> int:
        if not before:
            real(handle, content)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        commits.add(b"one\n")
    monkeypatch.setattr(os, "write", real)
    commits.add(b"two\n")
    commits.close()
    assert path.read_bytes() == b"one\ntwo\n"
