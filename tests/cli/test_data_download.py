"""``zslbench data download`` against a real server on this machine, and what is said of known sets."""

import hashlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from conftest import SHARED
from filelock import FileLock
from serving import serving

from zslbench.datasets.known import load_known


def archive(names, prefix="", noise=0):
    """A zip file in which each name holds tiny bytes, and `noise` bytes that do not pack."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in names:
            packed.writestr(prefix + name, name)
        if noise:
            packed.writestr(prefix + "noise.bin", os.urandom(noise))
    return stream.getvalue()


def aid(**options):
    """AID in its real layout: 30 class folders in one folder, with a file or two each."""
    classes = load_known("aid").class_names
    return archive([f"{name}/{name.lower()}_{number}.jpg" for name in classes for number in (1, 2)], "AID/", **options)


def left(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_from_address_to_folder(in_process, tmp_path):
    """The folder holds the classes, the result says what comes next, and a second call fetches nothing."""
    content = aid()
    with serving(content) as served:
        code, out, err = in_process("data", "download", "aid", "--url", served.url, "--yes", "--json")
        assert (code, err.splitlines()[-2:]) == (0, ["Fetching AID.zip", "Unpacking AID.zip"])
        for said in ("10000 images of 30 classes", "licence", served.url, "not verified"):
            assert said in err
        result = json.loads(out)
        assert result["next"] == (
            "zslbench data prepare aid --images AID-files --title 'AID, Aerial Image Dataset' --split-family 25/5 "
            "--split-family 20/10 --split-family 15/15 --split-family 10/20"
        )
        assert result["source"]["archive_sha256"] == hashlib.sha256(content).hexdigest()
        assert result["source"]["archive_bytes"] == len(content)
        assert result["source"]["verified"] is False
        assert left(tmp_path) == ["AID-files", "AID-files.source.json"]
        assert left(tmp_path / "AID-files") == sorted(load_known("aid").class_names)
        code, out, err = in_process("data", "download", "aid", "--json")
        assert (code, json.loads(out)) == (0, result)
        assert "complete already" in err
        assert len(served.asked) == 1


def test_the_archive_may_be_kept(in_process, tmp_path):
    """With --keep-archive the archive stays, and unpacks again without a server."""
    content = aid()
    digest = hashlib.sha256(content).hexdigest()
    place = tmp_path / "to/here"
    with serving(content) as served:
        args = ("--url", served.url, "--sha256", digest, "--yes", "--keep-archive")
        code, out, _ = in_process("data", "download", "aid", "--to", place, *args)
    assert code == 0
    assert f"sha256 {digest} (verified)" in out
    assert f"zslbench data prepare aid --images {place}/AID-files" in out
    (place / "AID-files").rename(place / "before")
    code, _, err = in_process("data", "download", "aid", "--to", place, "--yes")
    assert code == 0
    assert "Fetching" not in err
    assert left(place) == ["AID-files", "AID-files.source.json", "AID.zip", "before"]


def test_features_of_several_sets_in_one_archive(in_process):
    """xlsa17.zip is fetched once for all its sets, each of which is imported next."""
    names = [f"data/{name}/{file}.mat" for name in ("AWA2", "CUB") for file in ("res101", "att_splits")]
    with serving(archive(names, "xlsa17/")) as served:
        code, out, _ = in_process("data", "download", "awa2", "--url", served.url, "--yes")
        assert code == 0
        assert (
            "import xlsa17 xlsa17-files/data/AWA2/res101.mat xlsa17-files/data/AWA2/att_splits.mat --name awa2" in out
        )
        code, out, _ = in_process("data", "download", "cub")
        assert code == 0
        assert "import xlsa17 xlsa17-files/data/CUB/res101.mat xlsa17-files/data/CUB/att_splits.mat --name cub" in out
        assert len(served.asked) == 1


def test_by_hand(in_process, tmp_path):
    """A set without an address says from where and where to, and goes on once the archive is there; it stays."""
    code, out, err = in_process("data", "download", "aid")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "captain-whu.github.io/AID" in err
    assert "Put the archive at AID.zip" in err
    (tmp_path / "AID.zip").write_bytes(aid())
    assert in_process("data", "download", "aid", "--yes")[0] == 0
    assert left(tmp_path) == ["AID-files", "AID-files.source.json", "AID.zip"]
    for damaged in ('{"a": 1}', "{", "[" * 100_000):
        (tmp_path / "AID-files.source.json").write_text(damaged)
        code, out, err = in_process("data", "download", "aid")
        assert (code, out) == (2, "")
        assert "AID-files.source.json" in err.splitlines()[-1]


def test_nobody_to_ask(in_process, tmp_path):
    """Without a terminal and without --yes the card is shown and nothing is fetched."""
    code, out, err = in_process("data", "download", "ucm")
    assert (code, out, left(tmp_path)) == (2, "", [])
    for said in ("UC Merced Land Use", "public domain", "332 MB", "https://", "06c539ef", "--yes"):
        assert said in err


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (b"y\n", 0)])
def test_asked_on_a_terminal(tmp_path, answer, code):
    """On a terminal the answer decides."""
    ours, theirs = pty.openpty()
    with serving(aid()) as served:
        process = subprocess.Popen(
            [sys.executable, "-m", "zslbench", "data", "download", "aid", "--url", served.url],
            cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        os.write(ours, answer)
        _, err = process.communicate(timeout=60)
        assert len(served.asked) == (code == 0)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code
    assert b"Fetch it?" in err
    assert ("AID-files" in left(tmp_path)) == (code == 0)


def test_killed_and_run_again(zslbench, tmp_path):
    """After kill -9 in the middle the same command asks for the rest alone and ends with the right bytes."""
    content = aid(noise=3_000_000)
    digest = hashlib.sha256(content).hexdigest()
    with serving(content, seconds_per_block=0.05) as served:
        command = ("data", "download", "aid", "--url", served.url, "--sha256", digest, "--yes")
        process = subprocess.Popen(
            [sys.executable, "-m", "zslbench", *command], cwd=tmp_path, stderr=subprocess.DEVNULL
        )  # fmt: skip
        part, end = tmp_path / "AID.zip.part", time.monotonic() + 60
        while (not part.exists() or part.stat().st_size < 500_000) and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        have = part.stat().st_size
        assert 0 < have < len(content)
        assert left(tmp_path) == ["AID.zip.part", "AID.zip.part.json"]
        served.seconds_per_block = 0
        done = zslbench(*command, "--json")
        assert done.returncode == 0, done.stderr
        assert served.asked[-1]["Range"] == f"bytes={have}-"
    assert json.loads(done.stdout)["source"]["archive_sha256"] == digest
    assert left(tmp_path) == ["AID-files", "AID-files.source.json"]


def test_a_wrong_checksum(in_process, tmp_path):
    """The recorded checksum holds for every address: what differs is set aside, in one line."""
    with serving(aid()) as served:
        code, out, err = in_process("data", "download", "ucm", "--url", served.url, "--yes")
    assert (code, out) == (2, "")
    assert "is expected; it is kept as UCMerced_LandUse.zip.bad" in err.splitlines()[-1]
    assert left(tmp_path) == ["UCMerced_LandUse.zip.bad"]


def test_the_user_s_archive_is_left_alone(in_process, tmp_path):
    """An archive that was put there by hand and does not fit is neither used nor moved."""
    (tmp_path / "UCMerced_LandUse.zip").write_bytes(aid())
    code, _, err = in_process("data", "download", "ucm", "--yes")
    assert code == 2
    assert "it is not used" in err
    assert left(tmp_path) == ["UCMerced_LandUse.zip"]


@pytest.mark.parametrize(
    ("content", "line"),
    [(archive(["ok", "../evil"]), "leads outside"), (archive(["a/x", "A/x"]), "do not tell apart"), (b"<html>", "zip")],
)
def test_a_harmful_archive(in_process, tmp_path, content, line):
    """Nothing is unpacked, the archive stays, and the folder does not appear."""
    place = tmp_path / "place"
    with serving(content) as served:
        code, out, err = in_process("data", "download", "aid", "--to", place, "--url", served.url, "--yes")
    assert (code, out) == (2, "")
    assert line in err.splitlines()[-1]
    assert (left(tmp_path), left(place)) == (["place"], ["AID.zip"])


def test_a_server_that_gives_up(in_process, tmp_path, monkeypatch):
    """Attempts are told on stderr, bounded, and end in one line; what has arrived is kept."""
    monkeypatch.setattr("zslbench.datasets.download.PAUSES", (0.0, 0.0))
    with serving(aid(), faults=["stop"] * 9) as served:
        code, out, err = in_process("data", "download", "aid", "--url", served.url, "--yes")
        assert len(served.asked) == 3
    assert (code, out) == (2, "")
    assert err.count("trying again") == 2
    assert "3 times in a row" in err.splitlines()[-1]
    assert left(tmp_path) == ["AID.zip.part", "AID.zip.part.json"]


def test_somebody_else_s_folder(in_process, tmp_path):
    """A folder of that name that this command has not made is never touched."""
    (tmp_path / "AID-files").mkdir()
    code, _, err = in_process("data", "download", "aid", "--yes")
    assert code == 2
    assert "was not made by this command" in err
    assert left(tmp_path) == ["AID-files"]


def test_two_at_a_time(in_process, tmp_path):
    """A second call for the same archive does not write into the first one's file."""
    with FileLock(tmp_path / ".AID.zip.lock"), serving(aid()) as served:
        code, _, err = in_process("data", "download", "aid", "--url", served.url, "--yes")
        assert served.asked == []
    assert code == 2
    assert "another call" in err


def test_real_images(in_process, tmp_path):
    """UC Merced in its official layout: 21 folders of 100 images, byte for byte."""
    source = SHARED / "data/ucm/UCMerced_LandUse.zip"
    if not source.is_file():
        pytest.skip("the real images are not here")
    with serving(source.read_bytes()) as served:
        digest = hashlib.sha256(served.content).hexdigest()
        args = ("--url", served.url, "--sha256", digest, "--yes", "--json")
        code, out, _ = in_process("data", "download", "ucm", *args)
    assert code == 0
    assert json.loads(out)["next"].startswith("zslbench data prepare ucm --images UCMerced_LandUse-files/Images --")
    folders = {path.name: len(list(path.iterdir())) for path in (tmp_path / "UCMerced_LandUse-files/Images").iterdir()}
    assert folders == dict.fromkeys(load_known("ucm").class_names, 100)
    with zipfile.ZipFile(source) as packed:
        for member in packed.namelist()[::300]:
            assert (tmp_path / member.replace("LandUse/", "LandUse-files/", 1)).read_bytes() == packed.read(member)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["nope"], "no known data set 'nope'"),
        (["adi"], "Did you mean 'aid'"),
        (["aid", "--url", "ftp://127.0.0.1/x"], "is not an address"),
        (["aid", "--sha256", "0" * 64], "give both"),
        (["aid", "--url", "https://example.org/x", "--sha256", "xyz"], "64 hexadecimal"),
    ],
)
def test_bad_input(in_process, args, line):
    """One line, exit code 2."""
    code, out, err = in_process("data", "download", *args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert line in err


def test_known_sets_are_listed_described_and_cited(in_process):
    """A set that is not here has a row, a card and BibTeX all the same."""
    rows = {row["name"]: row for row in json.loads(in_process("list", "datasets", "--json")[1])}
    assert rows["sun"]["classes"] == 717
    assert rows["sun"]["get it"] == "zslbench data download sun"
    assert "comes with" in rows["ucm"]["get it"] or rows["ucm"]["features"] == "-"
    described = json.loads(in_process("describe", "eurosat", "--json")[1])
    assert (described["images"], len(described["classes"])) == (27000, 10)
    assert described["checksum"].startswith("sha256 8ebea626")
    assert "tfvaegan" in json.loads(in_process("describe", "flo", "--json")[1])["address"]
    code, out, _ = in_process("cite", "awa1", "awa2")
    assert code == 0
    assert out.count("xian2019gbu") == 1
    assert "lampert2014attribute" in out
